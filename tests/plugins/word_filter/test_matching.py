"""Words found in a text, however they are written."""

from __future__ import annotations

import time
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plugins.word_filter.matching import Words, masked


def found(text: str, *words: str) -> list[str]:
    """Return what a list finds in a text, as it is written there."""
    return [text[one.start : one.end] for one in Words((word, word) for word in words).find(text)]


@pytest.mark.parametrize(
    "text",
    [
        "what the frak is this",
        "FRAK!",
        "(frak)",
        "*frak* and _frak_"[:6],
        "frák",
        "fra\u0301k",
        "\uff26\uff32\uff21\uff2b",
        "fr\u200bak",
        "fr\u00adak",
        "f\u2060r\u200da\ufeffk",
        "f\u0336r\u0336a\u0336k\u0336",
        "\U0001d557\U0001d563\U0001d552\U0001d55c",
        "ⓕⓡⓐⓚ",
    ],
)
def test_a_word_is_found_however_it_is_dressed(text: str) -> None:
    assert len(found(text, "frak")) == 1, found(text, "frak")


@pytest.mark.parametrize("text", ["frakking", "unfrak", "f r a k", "fr-ak", "фрак", "fr4k", ""])
def test_what_is_another_word_is_none(text: str) -> None:
    assert found(text, "frak") == []


@pytest.mark.parametrize(
    ("pattern", "fits", "does_not"),
    [
        ("frak*", ["frak", "frakking", "FRÁKS"], ["unfrak"]),
        ("*frak", ["frak", "unfrak"], ["frakking"]),
        ("*frak*", ["frak", "unfrakked"], ["fra k"]),
        ("f*k", ["fk", "frak", "fak"], ["frakkx", "afk", "f"]),
        ("a*a", ["aa", "aba"], ["a", "ab"]),
        ("a*b*c", ["abc", "aXbXc"], ["acb", "ab"]),
        ("*", ["anything"], ["..."]),
        ("bad word", ["bad word", "BAD  wörd", "bad,word"], ["bad", "badword", "word bad"]),
        ("bad wo*", ["bad word", "bad wo"], ["bad"]),
        ("傻*", ["傻瓜"], ["大傻"]),
        ("नमस्ते", ["नमस्ते", "(नमस्ते)"], ["नम"]),
        ("각하", ["각하", unicodedata.normalize("NFD", "각하")], ["각"]),
        ("が", ["が", "か\u3099"], ["か"]),
    ],
)
def test_stars_and_several_words(pattern: str, fits: list[str], does_not: list[str]) -> None:
    if pattern == "*":
        with pytest.raises(ValueError, match="no letter"):
            Words([(pattern, 1)])
        return
    assert [one for one in fits if not found(one, pattern)] == []
    assert [one for one in does_not if found(one, pattern)] == []


def test_the_word_that_is_listed_first_decides() -> None:
    words = Words([("fra*", "star"), ("frak", "whole")])
    assert [one.what for one in words.find("frak frank")] == ["star", "star"]
    words = Words([("frak", "whole"), ("fra*", "star")])
    assert [one.what for one in words.find("frak frank")] == ["whole", "star"]


def test_the_masked_text_has_a_dot_for_each_letter_and_nothing_else_is_changed() -> None:
    words = Words([("frak", 1), ("bad word", 1)])
    text = "So, FRÁK it: a bad  word!"
    assert masked(text, words.find(text)) == "So, •••• it: a •••  ••••!"
    dressed = "a fr\u200bak b"
    assert masked(dressed, words.find(dressed)) == "a ••••• b"


@given(st.text(max_size=200), st.text(alphabet="ab*", min_size=1, max_size=6))
def test_no_text_breaks_it_and_what_it_finds_is_within(text: str, word: str) -> None:
    try:
        words = Words([(word, 1)])
    except ValueError:
        return
    last = 0
    for one in words.find(text):
        assert last <= one.start < one.end <= len(text)
        last = one.start


def test_a_long_text_takes_time_that_grows_with_its_length_only() -> None:
    words = Words([("a*" * 20 + "b", 1), ("*a*a*a*a*c", 1)])

    def seconds(length: int) -> float:
        began = time.perf_counter()
        assert not list(words.find("a" * length + "d"))
        return time.perf_counter() - began

    seconds(1000)
    # A pattern that went back and tried again would take years for this one.
    assert seconds(100_000) < 5
