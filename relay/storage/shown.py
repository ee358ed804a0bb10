"""What people are shown as a name: something that can be seen, on one line, that turns nothing else around.

It is asked wherever a name can be given: of people, groups, files, tokens, devices and polls.
"""

from __future__ import annotations

import unicodedata
from typing import Final

from relay.protocol.errors import ErrorCode, RelayError

TURNS: Final = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""Characters that turn the direction of what follows: Unicode's Bidi_Control."""

_BLANK: Final = frozenset("\u115f\u1160\u2800\u3164\uffa0\U0001d159")
"""Letters and signs that leave their place empty."""

_BREAKS: Final = frozenset({"Cc", "Cs", "Zl", "Zp"})
_VISIBLE: Final = frozenset("LNPS")


def is_fit(character: str) -> bool:
    """Tell whether a character may be in a name: no control of lines, devices or direction."""
    return character not in TURNS and unicodedata.category(character) not in _BREAKS


def shows(text: str) -> bool:
    """Tell whether a text has anything to see."""
    return any(unicodedata.category(one)[0] in _VISIBLE and one not in _BLANK for one in text)


def check_shown(text: str, field: str, *, lines: bool = False) -> str:
    """Return a name without the space around it.

    Args:
        field: what the name is called where it is given.
        lines: whether it may have several lines.

    Raises:
        RelayError: `invalid_payload` for one that shows nothing, breaks lines or turns the direction of text.
    """
    trimmed = text.strip()
    if not shows(trimmed) or not all(is_fit(one) or (lines and one in "\n\t") for one in trimmed):
        raise RelayError(
            ErrorCode.INVALID_PAYLOAD,
            f"{field} is a text{'' if lines else ' of one line'} that shows something, without characters that"
            " turn its direction",
            details={"field": field},
        )
    return trimmed


def cleaned(text: str) -> str:
    """Return a name that nobody can be asked about without what may not be in it; "" where nothing shows."""
    kept = "".join(filter(is_fit, text)).strip()
    return kept if shows(kept) else ""
