"""Names as people see them: visible, on one line, and without characters that turn the direction of text.

The check is made wherever a name can be given: for users, groups, files, tokens, devices and polls.
"""

from __future__ import annotations

import unicodedata
from typing import Final

from relay.protocol.errors import ErrorCode, RelayError

TURNS: Final = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""Characters that turn the direction of the text after them: Unicode's Bidi_Control."""

_BLANK: Final = frozenset("\u115f\u1160\u2800\u3164\uffa0\U0001d159")
"""Letters and signs that look like empty space."""

_BREAKS: Final = frozenset({"Cc", "Cs", "Zl", "Zp"})
_VISIBLE: Final = frozenset("LNPS")


def is_fit(character: str) -> bool:
    """Return whether a character may be in a name: no line breaks, control characters or changes of direction."""
    return character not in TURNS and unicodedata.category(character) not in _BREAKS


def shows(text: str) -> bool:
    """Return whether a text has at least one visible character."""
    return any(unicodedata.category(one)[0] in _VISIBLE and one not in _BLANK for one in text)


def check_shown(text: str, field: str, *, lines: bool = False) -> str:
    """Return a name without the space around it.

    Args:
        field: the field it was given in, for the error.
        lines: whether it may have several lines.

    Raises:
        RelayError: `invalid_payload` for a name that shows nothing, has line breaks or turns the direction of
            text.
    """
    trimmed = text.strip()
    if not shows(trimmed) or not all(is_fit(one) or (lines and one in "\n\t") for one in trimmed):
        raise RelayError(
            ErrorCode.INVALID_PAYLOAD,
            f"{field} is a text{'' if lines else ' of one line'} that shows something, without characters that"
            " turn its direction",
            details={"reason": "shows_nothing", "field": field},
        )
    return trimmed


def cleaned(text: str) -> str:
    """Return a name without the characters that may not be in one; for a source that cannot be asked."""
    kept = "".join(filter(is_fit, text)).strip()
    return kept if shows(kept) else ""
