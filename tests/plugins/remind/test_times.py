"""Times as people write them."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from plugins.remind.times import read_time, split_time
from relay.plugin import ErrorCode, RelayError

BERLIN = ZoneInfo("Europe/Berlin")
NOW = datetime(2026, 12, 23, 10, 0, tzinfo=BERLIN).timestamp()


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("in 10m", "2026-12-23 10:10"),
        ("in 10 minutes", "2026-12-23 10:10"),
        ("in 1h 30m", "2026-12-23 11:30"),
        ("in 1 hour and 5 minutes", "2026-12-23 11:05"),
        ("In 2 DAYS", "2026-12-25 10:00"),
        ("in 3w", "2027-01-13 10:00"),
        ("at 11:30", "2026-12-23 11:30"),
        ("9:30", "2026-12-24 09:30"),
        ("10:00", "2026-12-24 10:00"),
        ("today 18:00", "2026-12-23 18:00"),
        ("tomorrow at 09:00", "2026-12-24 09:00"),
        ("2026-12-24 18:00", "2026-12-24 18:00"),
        ("2026-12-24T18:00", "2026-12-24 18:00"),
        ("today 08:00", "2026-12-23 08:00"),
    ],
)
def test_a_time_is_read(text: str, moment: str) -> None:
    assert datetime.fromtimestamp(read_time(text, NOW, BERLIN), BERLIN).strftime("%Y-%m-%d %H:%M") == moment


@pytest.mark.parametrize(
    "text",
    [
        "",
        "soon",
        "in",
        "in 10",
        "10m",
        "25:00",
        "09:60",
        "2026-02-30 10:00",
        "tomorrow",
        "in 10m at 09:00",
        "9999-12-31 23:59 x",
    ],
)
def test_what_is_no_time_is_refused_with_what_is_right(text: str) -> None:
    with pytest.raises(RelayError, match=r"right is: in 10m, in 2 hours, at 09:30") as refused:
        read_time(text, NOW, BERLIN)
    assert refused.value.code is ErrorCode.INVALID_PAYLOAD


def test_a_text_is_split_behind_its_time() -> None:
    assert split_time("in 10 minutes to stretch") == ("in 10 minutes", "to stretch")
    assert split_time("09:30 stand-up") == ("09:30", "stand-up")
    assert split_time("2026-12-24 18:00 feast") == ("2026-12-24 18:00", "feast")
    assert split_time("in 5 ducks") == ("", "in 5 ducks")
    assert split_time("stretch in 10m") == ("", "stretch in 10m")


def test_a_day_on_which_clocks_change_has_its_times() -> None:
    night = datetime(2026, 10, 24, 23, 0, tzinfo=BERLIN).timestamp()
    assert read_time("tomorrow 09:00", night, BERLIN) - night == 11 * 3600
    assert read_time("in 1d", night, BERLIN) - night == 86_400
