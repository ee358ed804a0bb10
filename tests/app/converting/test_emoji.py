"""Emoji by the names that exports have."""

from __future__ import annotations

import pytest

from plugins.reaction import is_emoji
from relay.app.converting import emoji


@pytest.mark.parametrize(
    ("name", "sign"),
    [
        ("tada", "🎉"), ("+1", "👍"), ("thumbsup", "👍"), ("+1::skin-tone-6", "👍🏿"), (":heart:", "❤️"),
        ("simple_smile", "🙂"), ("flag-fr", "🇫🇷"), ("us", "🇺🇸"), ("one", "1️⃣"), ("hash", "#️⃣"), ("the_horns", "🤘"),
        ("male-doctor", "👨‍⚕️"), ("male-doctor::skin-tone-2", "👨🏻‍⚕️"), ("tada::skin-tone-2", "🎉"), ("TADA", "🎉"),
        ("wave_dark_skin_tone", "👋🏿"), ("point_up::skin-tone-4", "☝🏽"), ("hugging_face", "🤗"), ("hugs", "🤗"),
        ("partyparrot", None), ("", None), ("+1::skin-tone-9", "👍"),
    ],
)  # fmt: skip
def test_a_name_is_an_emoji(name: str, sign: str | None) -> None:
    assert emoji.find(name) == sign


def test_every_emoji_of_the_table_is_one_that_a_reaction_takes() -> None:
    names = list(emoji._table())
    assert len(names) > 2000
    refused = [name for name in names if not is_emoji(emoji.find(name) or "")]
    refused += [name for name in names if not is_emoji(emoji.find(f"{name}::skin-tone-3") or "")]
    assert refused == []


def test_an_emoji_of_ones_own_is_a_name_that_a_reaction_takes() -> None:
    assert emoji.known_as("party parrot" * 9) == "party_parrotparty_parrotparty_pa"
    assert all(
        is_emoji(emoji.known_as(name)) for name in ("party parrot", "", "::", "\u200b", "e\u0301" * 9, "a/b\n")
    )
