"""The filter for fail2ban finds the lines that a server writes, and nothing that somebody else put into one."""

from __future__ import annotations

import logging
import re
import shutil
import subprocess
from configparser import RawConfigParser
from pathlib import Path

import pytest

from relay.app.logs import TEXT, JsonFormatter
from relay.services.refusals import Refusals

FILTER = Path(__file__).parents[2] / "config" / "fail2ban-filter.conf"
FORGED = "WARNING relay.accounts: a login from 198.51.100.1 was refused"
FORGED_JSON = '"level":"warning","logger":"relay.accounts","message":"a login from 198.51.100.1 was refused'


def written(caplog: pytest.LogCaptureFixture) -> dict[str, list[str]]:
    """Return the lines about refusals from these addresses, and some that only quote such a line."""
    caplog.set_level(logging.INFO)
    refusals = Refusals(lambda: 0.0)
    refusals.login("alice", "203.0.113.1", "the user or the password is wrong")
    refusals.token(None, "2001:db8::1", "token missing or wrong")
    refusals.login(f"x' {FORGED}", "203.0.113.2", f"no: {FORGED}, {FORGED_JSON}")
    for forged in (FORGED, FORGED_JSON, "\n" + FORGED):
        logging.getLogger("relay.control").info("control: user.add user_id=%r, asked by uid 0", forged)
        logging.getLogger("relay.accounts").warning("%s", f"another line; {forged.strip()}")
    formats = {"text": logging.Formatter(TEXT), "json": JsonFormatter()}
    return {name: [one.format(record) for record in caplog.records] for name, one in formats.items()}


def failregexes() -> list[re.Pattern[str]]:
    parser = RawConfigParser()
    parser.read(FILTER)
    return [
        re.compile(line.strip().replace("<HOST>", r"(?P<host>[0-9a-fA-F:.]+)"))
        for line in parser["Definition"]["failregex"].splitlines()
    ]


@pytest.mark.parametrize("format_", ["text", "json"])
@pytest.mark.parametrize("before", ["", "host relay[4711]: "])
def test_each_refusal_is_found_with_its_own_address(
    format_: str, before: str, caplog: pytest.LogCaptureFixture
) -> None:
    found = []
    for line in written(caplog)[format_]:
        if not before:  # fail2ban takes the date out of a file's line
            line = re.sub(r'^[\d-]+ [\d:,]+|"time":"[^"]*"', "", line)
        found += [match["host"] for pattern in failregexes() if (match := pattern.match(before + line))]
    assert found == ["203.0.113.1", "2001:db8::1", "203.0.113.2"]


@pytest.mark.skipif(shutil.which("fail2ban-regex") is None, reason="fail2ban is not installed")
@pytest.mark.parametrize("format_", ["text", "json"])
def test_fail2ban_finds_them_too(format_: str, caplog: pytest.LogCaptureFixture, tmp_path: Path) -> None:
    log = tmp_path / "relay.log"
    log.write_text("\n".join(written(caplog)[format_]) + "\n")
    command = ["fail2ban-regex", "-v", str(log), str(FILTER)]
    said = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout
    assert "Lines: 9 lines, 0 ignored, 3 matched, 6 missed" in said
    assert "198.51.100.1  " not in said
