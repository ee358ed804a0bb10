"""A text on its way to relay's Markdown. Finished parts are set aside, so that no later step reads them again."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

_ASIDE: Final = "\ufffc"
"""Stands for a part that is set aside, in the order of the text."""

_BREAK: Final = "\n"
_IN_MENTION: Final = re.compile(r"[A-Za-z0-9]|[_.@+-]+[A-Za-z0-9]")
"""What, right behind an id, would be read as its end."""


class Written:
    """A text, and whom it mentions.

    Attributes:
        text: the text, with signs for what is set aside.
        mentions: the ids of whom it mentions; `*` for everybody.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        self.mentions: dict[str, None] = {}
        self._aside: list[str] = []

    def set_aside(self, pattern: re.Pattern[str], made: Callable[[re.Match[str]], str | None]) -> None:
        """Have each match of a pattern replaced by what is made of it; with None it stays, to be read later.

        Called once for a text, as the parts are found again by their order.
        """

        def taken(match: re.Match[str]) -> str:
            found = match[0] if match[0] == _ASIDE else made(match)
            if found is None:
                return match[0]
            self._aside.append(found.strip("\n"))
            # The ends of lines stay, for what reads line by line.
            return f"{_BREAK if found[:1] == _BREAK else ''}{_ASIDE}{_BREAK if found[-1:] == _BREAK else ''}"

        self.text = re.sub(f"{pattern.pattern}|{_ASIDE}", taken, self.text, flags=pattern.flags)

    def mention(self, user_id: str, match: re.Match[str]) -> str:
        """Note a mention and return how it is written, so that what stands beside it is not read with it."""
        self.mentions[user_id] = None
        before, behind = match.string[: match.start()][-1:], match.string[match.end() :]
        name = "all" if user_id == "*" else user_id
        return f"{' ' if before.isalnum() else ''}@{name}{' ' if _IN_MENTION.match(behind) else ''}"

    def finish(self) -> str:
        """Return the text with all its parts."""
        parts = iter(self._aside)
        whole = re.sub(_ASIDE, lambda _match: next(parts), self.text)
        return whole.strip("\n").rstrip()


def fenced(code: str) -> str:
    """Return code between fences, which have lines of their own."""
    inside = code.strip("\n")
    return f"\n```\n{inside}\n```\n"
