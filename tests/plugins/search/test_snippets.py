"""Ranking and snippets, and what they may cost."""

import pytest

from tests.plugins.search.asking import load

load()
from relay_plugin_search.query import parse  # type: ignore[import-not-found]  # noqa: E402
from relay_plugin_search.snippets import LOOKED, RANKED, Snippets, score  # type: ignore[import-not-found]  # noqa: E402


class Counting(set[str]):
    asked = 0

    def __contains__(self, word: object) -> bool:
        self.asked += 1
        return super().__contains__(word)


def test_ranking_a_long_message_costs_so_many_words_however_many_are_sought() -> None:
    sought = parse(" ".join("abcdefghijklmnopqrstuvwxyz012345"), "alice").sought
    assert len(sought) == 32
    wanted = Counting(word for term in sought for word in term.words)
    assert score(" ".join(["a", "z"] * 10_000), wanted, sought) > 0
    assert wanted.asked == RANKED


def test_a_message_that_says_it_more_often_for_its_length_is_better() -> None:
    sought = parse("relay", "alice").sought
    texts = ["relay relay", "relay", "relay and so on and on", "nothing of it"]
    scores = [score(text, {"relay"}, sought) for text in texts]
    assert scores == sorted(scores, reverse=True)
    assert len(set(scores)) == 4


@pytest.mark.parametrize(
    "q", [" ".join("bcdefghijklmnop"), " ".join(f"{one}*" for one in "bcdefgh"), '"' + "a " * 400 + 'b"']
)
def test_a_page_of_snippets_costs_so_much_and_the_rest_comes_without_marks(q: str) -> None:
    snippets = Snippets(parse(q, "alice"))
    long = "a " * 9_000
    shown = [snippets.of(long + "b c") for _ in range(200)]
    assert -1_000 < snippets.left <= 0
    assert shown[-1].startswith("a a")
    assert LOOKED > 100_000


def test_nothing_behind_a_snippet_is_looked_at() -> None:
    snippets = Snippets(parse("needle", "alice"))
    text = "hay " * 20 + "needle " + "hay " * 4_000
    assert "<mark>needle</mark>" in snippets.of(text)
    assert LOOKED - snippets.left < 100


def test_a_phrase_and_a_beginning_are_marked_whole() -> None:
    assert Snippets(parse('"on friday"', "alice")).of("lunch on Friday, on us") == (
        "lunch <mark>on Friday</mark>, on us"
    )
    assert (
        Snippets(parse("fri* *unc*", "alice")).of("lunch on Friday") == "<mark>lunch</mark> on <mark>Friday</mark>"
    )
    assert Snippets(parse("東京", "alice")).of("今日は東京で") == "今日は<mark>東京</mark>で"
