"""Names show something, on one line, and turn nothing around."""

import pytest

from relay.protocol.errors import ErrorCode, RelayError
from relay.storage.shown import check_shown, cleaned

UNFIT = [
    "",
    "   ",
    "\u200b",
    "\u200d\u200d",
    "\u2060",
    "\u00ad",
    "\u3164",
    "\u2800",
    "\u115f",
    "\ufe0f",
    "\u0301",
    "\U000e0041",
    "two\nlines",
    "two\u2028lines",
    "bell\x07",
    "ali\u202ece",
    "\u2066alice\u2069",
    "alice\u200f",
    "\u061calice",
]


@pytest.mark.parametrize("name", UNFIT)
def test_a_name_that_shows_nothing_or_turns_text_is_refused_and_told_what_is_right(name: str) -> None:
    with pytest.raises(RelayError) as refused:
        check_shown(name, "display_name")
    assert refused.value.code is ErrorCode.INVALID_PAYLOAD
    assert "display_name is a text of one line that shows something" in refused.value.message
    assert refused.value.details == {"reason": "shows_nothing", "field": "display_name"}


@pytest.mark.parametrize(
    "name", ["Zoë", "محمد", "نم\u200cک", "👩\u200d👧", "❤\ufe0f", "李", "हिन्दी", "-", "1", " x "]
)
def test_names_of_any_script_are_taken_without_the_space_around_them(name: str) -> None:
    assert check_shown(name, "name") == name.strip()
    assert cleaned(name) == name.strip()


def test_lines_are_taken_where_there_may_be_several() -> None:
    assert check_shown("one\n two ", "question", lines=True) == "one\n two"
    with pytest.raises(RelayError):
        check_shown("one\u202e", "question", lines=True)


def test_what_nobody_can_be_asked_about_is_cleaned() -> None:
    assert cleaned("ann\u202egpj.exe\n") == "anngpj.exe"
    assert cleaned("\u200b\u3164") == cleaned("\u0301") == ""
