"""One form for what a reader takes for the same, in any script."""

import unicodedata

import pytest

from relay.testing import RelayWorld
from tests.plugins.search.asking import ask, found, load, say

load()
from relay_plugin_search.words import located, words  # type: ignore[import-not-found]  # noqa: E402

ALIKE = [
    ("مُحَمَّد", "محمد"),
    ("محـــمد", "محمد"),
    ("أحمد", "احمد"),
    ("שָׁלוֹם", "שלום"),
    ("می\u200cخواهم", "میخواهم"),  # noqa: RUF001
    ("ܫܠܵܡܵܐ", "ܫܠܡܐ"),
    ("soft\u00adhyphen", "softhyphen"),
    ("co\u2060op", "coop"),
    ("\u202egnol\u202c", "gnol"),
    ("ПРИВЕТ", "привет"),
    ("Özil", "o\u0308zil"),
    ("ᾳ", "\u03b1\u0345"),
    ("❤\ufe0f", "❤"),
    ("ｶﾞ", "が".translate({0x304C: 0x30AC})),
]


@pytest.mark.parametrize(("one", "other"), ALIKE)
def test_what_a_reader_takes_for_the_same_is_the_same(one: str, other: str) -> None:
    assert words(one) == words(other)
    assert len(words(one)) == 1
    for form in ("NFC", "NFD"):
        assert words(unicodedata.normalize(form, one)) == words(one)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("हिन्दी भाषा", ["हिन्दी", "भाषा"]),
        ("தமிழ்", ["தமிழ்"]),
        ("কলকাতা", ["কলকাতা"]),
        ("🎉🎉party", ["🎉", "🎉", "party"]),
        ("👍🏽", ["👍", "🏽"]),
        ("a👩\u200d👧b", ["a", "👩", "👧", "b"]),
        ("5€ → 6", ["5", "€", "→", "6"]),
        ("½", ["1", "2"]),
        ("!? … «» 。", []),
        ("a\u200bb", ["a", "b"]),
    ],
)
def test_vowels_of_a_script_stay_and_signs_are_words(text: str, expected: list[str]) -> None:
    assert words(text) == expected
    assert [word for word, _, _ in located(text)] == expected


def test_no_more_than_thirty_marks_in_a_row_are_put_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    from relay.storage import folding

    longest = 0

    class Watched:
        combining = staticmethod(unicodedata.combining)

        @staticmethod
        def normalize(form: str, text: str) -> str:
            nonlocal longest
            run = 0
            for character in text:
                run = run + 1 if unicodedata.combining(character) else 0
                longest = max(longest, run)
            return unicodedata.normalize(form, text)

    for marks in ("\u0301\u0323", "\u0f71\u0f72", "\u3099\u0e38\u05b0\u094d", "\U0001d165\U0001d16d"):
        text = "a" + marks * (20_000 // len(marks))
        monkeypatch.setattr(folding, "unicodedata", Watched)
        assert len(words(text)) >= 1
        assert len(list(located(text))) >= 1
        assert 0 < longest <= folding.MOST_MARKS


async def test_marks_of_arabic_and_signs_are_found_and_marked(relay_world: RelayWorld) -> None:
    async with relay_world(None, "alice", "bob") as world:
        alice = await world.connect("alice")
        await say(alice, "bob", "قال مُحَمَّد نعم", "we won 🎉", "we lost", "हिन्दी भाषा")
        assert await found(world, "bob", "محمد") == ["قال مُحَمَّد نعم"]
        assert await found(world, "bob", "🎉") == ["we won 🎉"]
        assert await found(world, "bob", "हिन्दी") == ["हिन्दी भाषा"]
        assert await found(world, "bob", "हिन्द") == await found(world, "bob", "न") == []
        snippet = (await ask(world, "bob", "محمد")).body["results"][0]["snippet"]
        assert snippet == "قال <mark>مُحَمَّد</mark> نعم"
        assert (await ask(world, "bob", "🎉")).body["results"][0]["snippet"] == "we won <mark>🎉</mark>"


@pytest.mark.parametrize("q", ["???", "-", "…", "in:alice !!", "\u200d\u200d", '""'])
async def test_a_text_with_nothing_to_look_for_is_refused_and_says_what_would_be_right(
    relay_world: RelayWorld, q: str
) -> None:
    async with relay_world(None, "alice", "bob") as world:
        await say(await world.connect("alice"), "bob", "hello")
        answer = await ask(world, "bob", q)
        assert answer.status == 400
        assert answer.body["code"] == "invalid_payload"
        assert "a word, a number or a sign" in answer.body["detail"]
        assert await found(world, "bob", "hello ???") == ["hello"]
