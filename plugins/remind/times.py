"""Times as people write them: "in 10 minutes", "at 09:30", "tomorrow 09:00", "2026-12-24 18:00"."""

import re
from datetime import date, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from relay.plugin import ErrorCode, RelayError

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_AMOUNT = r"\d{1,4} ?(?:s|secs?|seconds?|m|mins?|minutes?|h|hours?|d|days?|w|weeks?)"
_TIME = re.compile(
    rf"(?:in (?P<amounts>{_AMOUNT}(?:(?: and | |){_AMOUNT})*)"
    r"|(?:(?P<day>today|tomorrow|\d{4}-\d\d-\d\d)(?: at | |T))?(?:at )?(?P<time>\d\d?:\d\d))(?=\s|$)",
    re.ASCII | re.IGNORECASE,
)
RIGHT = "right is: in 10m, in 2 hours, at 09:30, tomorrow 09:00, 2026-12-24 18:00"


def split_time(text: str) -> tuple[str, str]:
    """Return the time that a text begins with, as it is written, and the rest; an empty text without a time."""
    found = _TIME.match(text)
    return (found[0], text[found.end() :].strip()) if found else ("", text)


def read_time(text: str, now: float, zone: ZoneInfo) -> float:
    """Return the moment that a text names, Unix seconds; a time without a day is the next one.

    Raises:
        RelayError: `invalid_payload`, with what is right.
    """
    found = _TIME.fullmatch(text.strip())
    if found is None:
        raise _wrong(text)
    if found["amounts"]:
        amounts = re.findall(r"(\d+) ?([a-z])", found["amounts"].lower())
        return now + sum(int(number) * _UNITS[unit] for number, unit in amounts)
    today = datetime.fromtimestamp(now, zone).date()
    try:
        named = (found["day"] or "").lower()
        clock = time.fromisoformat(found["time"].zfill(5))
        day = {"": today, "today": today, "tomorrow": today + timedelta(1)}.get(named) or date.fromisoformat(named)
        moment = datetime.combine(day, clock, zone).timestamp()
        if moment <= now and not named:
            moment = datetime.combine(day + timedelta(1), clock, zone).timestamp()
    except (ValueError, OverflowError):
        raise _wrong(text) from None
    return moment


def _wrong(text: str) -> RelayError:
    return RelayError(ErrorCode.INVALID_PAYLOAD, f"{text[:80]!r} is no time; {RIGHT}")


@lru_cache(maxsize=64)
def read_zone(name: str) -> ZoneInfo:
    """Return a time zone by its name.

    Raises:
        ValueError: there is none of that name.
    """
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(f"there is no time zone {name[:64]!r} here; right is Europe/Berlin") from None
