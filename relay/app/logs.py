"""The server's log: lines on standard error, as text for people or as JSON for programs."""

from __future__ import annotations

import logging
import sys
from datetime import UTC, datetime
from typing import Final

import msgspec

from relay.settings import LogSettings

_TEXT: Final = "%(asctime)s %(levelname)-7s %(name)s: %(message)s"


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
    handler.setFormatter(JsonFormatter() if settings.format == "json" else logging.Formatter(_TEXT))
    logging.basicConfig(level=settings.level.upper(), handlers=[handler], force=True)
    for chatty in ("httpx", "httpcore"):  # they log every URL that is called, and some of those are secrets
        logging.getLogger(chatty).setLevel(logging.WARNING)
