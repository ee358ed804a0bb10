"""What is shown of what was found: the best first, and the part of each where it is, marked.

However long the messages are and however much is looked for, a page costs so much and no more.
"""

import html
from collections import Counter
from collections.abc import Container, Sequence

from .query import Query, Term
from .words import located, words

RANKED = 2_000
"""So many of a message's first words count towards how good it is."""

LOOKED = 200_000
"""How much looking for what to mark a page is worth: a word of a message is 1, and comparing it as many as are
compared. What is left is shown without marks."""

_LONGEST = 20_000
_SNIPPET = 160


def score(said: str, wanted: Container[str], sought: Sequence[Term]) -> int:
    """Return how good a message's words are: how often they have what is sought, for its length (as BM25 has it).

    Args:
        wanted: all words of `sought`. Each word of the message is looked for in it once.
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
        left: how much may still be looked at.
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
        """Return the part of a text where the first is found, HTML-escaped, with what was found in `<mark>`."""
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
        """Return where a text says what is sought, joined where parts touch, as far as its snippet goes."""
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
    """Return whether words, as many as a term's, are what it looks for."""
    if term.inside:
        return term.words[0] in said[0]
    if term.begins:
        return said[:-1] == term.words[:-1] and said[-1].startswith(term.words[-1])
    return said == term.words


def matches(text: str, query: Query) -> bool:
    """Tell, without the index, whether a text has what is sought; what tests compare the index with."""
    said = words(text)
    return all(_has(said, term) is not term.excluded for term in query.terms)


def _has(said: list[str], term: Term) -> bool:
    size = len(term.words)
    return any(is_said(said[index : index + size], term) for index in range(len(said) - size + 1))
