"""Queries as people type them into a search field; nothing that can be typed is a server error.

lunch friday          both words, anywhere          "on friday"    these words, in this order
-lunch                not this word                 frid*          words that begin like this
*iday*                words with this part          from:alice     (or from:me)  in:bob  in:team
after:2026-01-31      before:2026-02-01T12:00Z      has:attachment
"""

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime

from relay.plugin import ErrorCode, RelayError

from .words import words

_PART = re.compile(r'(?P<not>-)?(?:(?P<key>from|in|before|after|has):)?(?:"(?P<quoted>[^"]*)"?|(?P<bare>[^\s"]+))')
MAX_TERMS = 32


@dataclass
class Term:
    """One condition: words in a row, of which the last may be the beginning or a part of a word."""

    words: list[str]
    excluded: bool = False
    begins: bool = False
    inside: bool = False


@dataclass
class Query:
    """A parsed query."""

    terms: list[Term] = field(default_factory=list)
    senders: list[str] = field(default_factory=list)
    targets: list[str] = field(default_factory=list)
    since: float | None = None
    until: float | None = None
    attachments: bool = False

    @property
    def sought(self) -> list[Term]:
        """The terms that a message must have."""
        return [term for term in self.terms if not term.excluded]

    def is_in(self, text: str) -> bool:
        """Tell whether a text has all terms that it must have."""
        said = f" {' '.join(words(text))} "
        return all(
            f"{'' if term.inside else ' '}{' '.join(term.words)}{'' if term.begins else ' '}" in said
            for term in self.sought
        )


def parse(text: str, user_id: str) -> Query:
    """Parse a query.

    Raises:
        RelayError: `invalid_payload` for an invalid day, more than 32 terms, or a text without anything to search
            for, such as `???`.
    """
    query, left_out = Query(), False
    for part in _PART.finditer(text):
        key, quoted = part["key"], part["quoted"]
        value = quoted if quoted is not None else part["bare"]
        if key is not None and not part["not"]:
            _filter(query, key, value, user_id)
        else:
            whole = f"{key}:{value}" if key else value
            left_out |= not _term(query, whole, excluded=bool(part["not"]), quoted=quoted is not None)
    if len(query.terms) > MAX_TERMS:
        raise RelayError(ErrorCode.INVALID_PAYLOAD, f"a search has at most {MAX_TERMS} terms")
    if left_out and not query.terms:
        raise RelayError(
            ErrorCode.INVALID_PAYLOAD,
            f"{text[:40]!r} has nothing to search for; give a word, a number or a sign such as 🎉",
        )
    return query


def _term(query: Query, text: str, *, excluded: bool, quoted: bool) -> bool:
    """Add a term to a query; return False if the text has nothing to search for."""
    found = words(text)
    if not found:
        return False
    begins = not quoted and text.endswith("*")
    inside = begins and text.startswith("*") and len(found) == 1
    query.terms.append(Term(found, excluded, begins and not inside, inside))
    return True


def _filter(query: Query, key: str, value: str, user_id: str) -> None:
    if not value:
        return
    if key == "from":
        query.senders.append(user_id if value == "me" else value)
    elif key == "in":
        query.targets.append(value)
    elif key == "has":
        if value not in ("attachment", "attachments", "file"):
            raise RelayError(ErrorCode.INVALID_PAYLOAD, f"has:{value[:40]} is not known; use has:attachment")
        query.attachments = True
    elif key == "after":
        query.since = max(query.since or 0.0, moment(value))
    else:
        query.until = min(query.until or 1e12, moment(value))


def moment(text: str) -> float:
    """Return the Unix seconds of a day or a time, in UTC if it names no zone.

    Raises:
        RelayError: `invalid_payload`.
    """
    try:
        given = datetime.fromisoformat(text)
        return (given if given.tzinfo else given.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        raise RelayError(
            ErrorCode.INVALID_PAYLOAD, f"{text[:40]!r} is not a day; for example 2026-01-31, or 2026-01-31T12:00Z"
        ) from None
