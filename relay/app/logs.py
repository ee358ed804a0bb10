"""What the server writes about its work: lines on standard error, for people or for programs."""

from __future__ import annotations

import logging
import sys
from datetime import UTC, datetime
from typing import Final

import msgspec

from relay.settings import LogSettings

_TEXT: Final = "%(asctime)s %(levelname)-7s %(name)s: %(message)s"


class JsonFormatter(logging.Formatter):
    """Writes one JSON object a line, with a traceback inside it where there is one."""

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
        # Lone surrogates may come in with a hostile request, and JSON has no word for them.
        safe = {key: value.encode("utf-8", "backslashreplace").decode() for key, value in line.items()}
        return msgspec.json.encode(safe).decode()


def configure_logging(settings: LogSettings) -> None:
    """Send what is at least as important as the settings say to standard error."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter() if settings.format == "json" else logging.Formatter(_TEXT))
    logging.basicConfig(level=settings.level.upper(), handlers=[handler], force=True)
    for chatty in ("httpx", "httpcore"):  # they tell of every URL that is called, and some of those are secrets
        logging.getLogger(chatty).setLevel(logging.WARNING)
