"""Wrong settings as people write them, each with every line that `relay config check` says of it.

They are in `wrong_settings.txt`: after a name come variables, each behind a `$`, then the file, and after `--` what is
printed. <port> is one that another program has, <folder> the file's own, and <anything> any text.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from datetime import UTC, datetime, tzinfo
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.cli.conftest import Run
from tests.transports.test_tls import NOW, make


class Wrong(NamedTuple):
    name: str
    environ: dict[str, str]
    text: str
    said: str


def read_table() -> Iterator[Wrong]:
    table = Path(__file__).with_name("wrong_settings.txt").read_text(encoding="utf-8")
    for part in table.removeprefix("## ").split("\n\n## "):
        given, said = part.split("--\n", 1)
        name, *lines = given.splitlines(keepends=True)
        variables = [line.removeprefix("$ ").rstrip("\n") for line in lines if line.startswith("$ ")]
        text = "".join(line for line in lines if not line.startswith("$ "))
        environ = dict(variable.split("=", 1) for variable in variables)
        yield Wrong(name.strip(), environ, text, f"{said.rstrip()}\n")


class Later(datetime):
    """The time at which the certificates of the table are looked at."""

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> Later:
        assert tz is UTC
        return cls.fromtimestamp(NOW.timestamp(), UTC)


@pytest.fixture
def files(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the certificates that the table names, and the file of a variable."""
    monkeypatch.setattr("relay.transports.tls.datetime", Later)
    make(folder, "a")
    make(folder, "b")
    make(folder, "old", days=-180)
    make(folder, "locked", passphrase=b"geheim")
    (folder / "secret").write_text("topsecret\n")
    return folder


@pytest.fixture
def taken() -> Iterator[int]:
    """A port that another program has."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        yield other.getsockname()[1]


@pytest.mark.parametrize("wrong", list(read_table()), ids=lambda wrong: wrong.name.replace(" ", "-"))
def test_what_is_wrong_is_said_with_its_place_and_what_would_be_right(
    run: Run, files: Path, taken: int, caplog: pytest.LogCaptureFixture, wrong: Wrong
) -> None:
    escaped = wrong.text.replace("<port>", str(taken)).encode("ascii")
    (files / "relay.toml").write_bytes(
        re.sub(rb"\\x(..)", lambda found: bytes.fromhex(found[1].decode()), escaped)
    )
    checked = run("config", "check", env=wrong.environ, ok=wrong.said.endswith(": ok\n"))
    expected = wrong.said.replace("<port>", str(taken)).replace("<folder>", str(files))
    assert re.fullmatch(".*".join(map(re.escape, expected.split("<anything>"))), checked.output), checked.output
    assert caplog.text == ""  # nothing is said a second time


# A settings file that cannot be read at all: a check that finds a fault ends with 1, what cannot be done with 2.


@pytest.mark.parametrize(
    ("file", "reason"),
    [
        ("absent.toml", "No such file or directory"),
        ("/usr", "Is a directory"),
        ("/proc/self/mem", "Input/output error"),  # a file that even root cannot read
    ],
)
def test_a_file_that_cannot_be_read_is_named_with_the_reason(
    run: Run, folder: Path, file: str, reason: str
) -> None:
    for command, status in ((("config", "check"), 1), (("user", "list"), 2), (("serve",), 2)):
        refused = run(*command, "--config", file, ok=False)
        assert (refused.exit_code, refused.output) == (status, f"{file}: cannot be read: {reason}\n")
    assert not list(folder.iterdir())
