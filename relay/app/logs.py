"""The server's log: lines on standard error, as text for people or as JSON for programs."""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from types import TracebackType
from typing import Final

import msgspec

from relay.settings import LogSettings, Settings

_log: Final = logging.getLogger("relay")
TEXT: Final = "%(asctime)s %(levelname)-7s %(name)s: %(message)s"


class JsonFormatter(logging.Formatter):
    """Formats a record as one JSON object on one line, with its traceback inside."""

    def format(self, record: logging.LogRecord) -> str:
        """Return a record as one line."""
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        # Lone surrogates may come with a hostile request; JSON cannot hold them.
        safe = {key: value.encode("utf-8", "backslashreplace").decode() for key, value in line.items()}
        return msgspec.json.encode(safe).decode()


def configure_logging(settings: LogSettings) -> None:
    """Send records of the configured level and above to standard error, in the configured format."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter() if settings.format == "json" else logging.Formatter(TEXT))
    logging.basicConfig(level=settings.level.upper(), handlers=[handler], force=True)
    for chatty in ("httpx", "httpcore"):  # they log every URL that is called, and some of those are secrets
        logging.getLogger(chatty).setLevel(logging.WARNING)
    if settings.format == "json":
        _log_what_python_prints()


def follow_level(settings: Settings) -> Callable[[], list[str]]:
    """Return what has the log take the level of settings that were read again."""

    def take() -> list[str]:
        logging.getLogger().setLevel(settings.log.level.upper())
        return []

    return take


def _log_what_python_prints() -> None:
    """Make lines of the log of what Python itself prints on standard error, so that every line there is JSON."""
    logging.captureWarnings(True)
    sys.excepthook = _ended
    threading.excepthook = lambda fault: _note(fault.exc_type, fault.exc_value, fault.exc_traceback)
    sys.unraisablehook = lambda fault: _note(fault.exc_type, fault.exc_value, fault.exc_traceback)


def _ended(kind: type[BaseException], fault: BaseException, trace: TracebackType | None) -> None:
    _log.critical("the process ends with a fault of its own", exc_info=(kind, fault, trace))


def _note(kind: type[BaseException], fault: BaseException | None, trace: TracebackType | None) -> None:
    if fault is not None:
        _log.error("a fault that nothing waits for", exc_info=(kind, fault, trace))
