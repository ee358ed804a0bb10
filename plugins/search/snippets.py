"""Ranking of matches, and snippets with the matches marked.

However long the messages are and however long the query is, a page takes a bounded time.
"""

import html
from collections import Counter
from collections.abc import Container, Sequence

from .query import Query, Term
from .words import located, words

RANKED = 2_000
"""Words of a message, from its beginning, that count towards its score."""

LOOKED = 200_000
"""The budget of work for the marks of one page: reading a word costs 1, comparing it costs the words compared.
The rest is shown without marks.
"""

_LONGEST = 20_000
_SNIPPET = 160


def score(said: str, wanted: Container[str], sought: Sequence[Term]) -> int:
    """Return the score of a message: how often it has the terms, relative to its length (as in BM25).

    Args:
        wanted: all words of `sought`. Each word of the message is looked up in it once.
    """
    times = Counter(word for word in said.split(" ", RANKED)[:RANKED] if word in wanted)
    most = 1.2 * (0.25 + 0.75 * (said.count(" ") + 1) / 20)
    points = 0.0
    for term in sought:
        often = min(times[word] for word in term.words) or 0.5
        points += often * 2.2 / (often + most)
    return round(points * 1e6)


class Snippets:
    """Makes the snippets of one page.

    Attributes:
        left: the rest of the budget.
    """

    def __init__(self, query: Query, left: int = LOOKED) -> None:
        self.left = left
        self._ends: dict[str, list[Term]] = {}
        self._open: list[Term] = []
        for term in query.sought:
            if term.begins or term.inside:
                self._open.append(term)
            else:
                self._ends.setdefault(term.words[-1], []).append(term)

    def of(self, text: str) -> str:
        """Return the part of a text around the first match, HTML-escaped, with `<mark>` around the matches."""
        spans = self._spans(text)
        start = max(0, spans[0][0] - _SNIPPET // 3) if spans else 0
        end = min(len(text), start + _SNIPPET)
        shown, at = [], start
        for first, last in spans:
            if first < at or last > end:
                continue
            shown.append(html.escape(text[at:first]) + f"<mark>{html.escape(text[first:last])}</mark>")
            at = last
        shown.append(html.escape(text[at:end]))
        return ("…" if start else "") + "".join(shown) + ("…" if end < len(text) else "")

    def _spans(self, text: str) -> list[tuple[int, int]]:
        """Return the matches in a text, as far as its snippet reaches; adjoining ones are joined."""
        spans: list[tuple[int, int]] = []
        if not (self._ends or self._open):
            return spans
        placed: list[tuple[str, int, int]] = []
        for word, first, last in located(text[:_LONGEST]):
            if self.left <= 0 or (spans and first > spans[0][0] + _SNIPPET):
                break
            placed.append((word, first, last))
            self.left -= 1
            for term in (*self._ends.get(word, ()), *self._open):
                said = placed[-len(term.words) :]
                self.left -= len(said)
                if is_said([one for one, _, _ in said], term):
                    spans.append((said[0][1], last))
        return _joined(spans)


def _joined(spans: list[tuple[int, int]]) -> list[tuple[int, int]]:
    joined: list[tuple[int, int]] = []
    for first, last in sorted(spans):
        if joined and first <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(last, joined[-1][1]))
        else:
            joined.append((first, last))
    return joined


def is_said(said: list[str], term: Term) -> bool:
    """Return whether some words, as many as a term has, match the term."""
    if term.inside:
        return term.words[0] in said[0]
    if term.begins:
        return said[:-1] == term.words[:-1] and said[-1].startswith(term.words[-1])
    return said == term.words


def matches(text: str, query: Query) -> bool:
    """Return whether a text matches a query, without the index: tests compare the index with it."""
    said = words(text)
    return all(_has(said, term) is not term.excluded for term in query.terms)


def _has(said: list[str], term: Term) -> bool:
    size = len(term.words)
    return any(is_said(said[index : index + size], term) for index in range(len(said) - size + 1))
