"""What the server writes about its work."""

from __future__ import annotations

import json
import logging
import sys

import pytest

from relay.app.logs import JsonFormatter, configure_logging
from relay.settings import LogSettings


def record(message: str, *args: object, fault: bool = False) -> logging.LogRecord:
    info = None
    if fault:
        try:
            raise ZeroDivisionError("oops")
        except ZeroDivisionError:
            info = sys.exc_info()
    return logging.LogRecord("relay.test", logging.WARNING, "f.py", 1, message, args, info)


def test_a_line_is_one_json_object() -> None:
    line = JsonFormatter().format(record("two\nlines of %s", "text"))
    assert "\n" not in line
    told = json.loads(line)
    assert (told["level"], told["logger"], told["message"]) == ("warning", "relay.test", "two\nlines of text")
    assert told["time"].endswith("+00:00")
    assert "exception" not in told


def test_a_traceback_is_inside_the_line() -> None:
    told = json.loads(JsonFormatter().format(record("failed", fault=True)))
    assert told["exception"].splitlines()[-1] == "ZeroDivisionError: oops"


def test_what_json_has_no_word_for_is_escaped() -> None:
    told = json.loads(JsonFormatter().format(record("bad %s", "\ud800")))
    assert told["message"] == "bad \\ud800"


@pytest.mark.parametrize(("format_", "starts"), [("json", "{"), ("text", "20")])
def test_the_settings_choose_level_and_format(
    format_: str, starts: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    root = logging.getLogger()
    before = root.handlers[:], root.level
    try:
        configure_logging(LogSettings(level="info", format=format_))  # type: ignore[arg-type]
        logging.getLogger("relay.test").debug("not this")
        logging.getLogger("httpx").info("https://push.example/secret")
        logging.getLogger("relay.test").warning("but this")
    finally:
        root.handlers[:], level = before
        root.setLevel(level)
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(starts)
    assert "but this" in line
