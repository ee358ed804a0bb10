"""Mattermost's texts as relay shows them: both are Markdown, so only mentions, emoji and pictures change."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from relay.app.converting import emoji
from relay.app.converting.mrkdwn import EVERYBODY, Converted
from relay.app.converting.written import Written

_TOKEN: Final = re.compile(
    r"^ {0,3}(?P<fence>```+|~~~+).*?(?:^ {0,3}(?P=fence)[`~]*[ \t]*$|\Z)"  # as far as its end, or the text's
    r"|(?P<ticks>`+)(?:.*?[^`])(?P=ticks)(?!`)"
    r"|!\[(?P<picture>[^\]\n]{0,500})\]\((?P<address>https?://[^\s()]{1,2000})[^)\n]{0,500}\)"
    r"|https?://[^\s<>]+"
    r"|(?<![\w@])@(?P<name>[A-Za-z0-9_][A-Za-z0-9_.-]{0,63})",
    re.DOTALL | re.MULTILINE,
)
_EVERYBODY: Final = frozenset({"all", "channel", "here"})


def to_relay(text: str, user: Callable[[str], str | None]) -> Converted:
    """Return a text of Mattermost's as relay shows it.

    Args:
        user: returns the id here of a user by the name there; None for one that is not known.
    """
    written = Written(text)

    def taken(match: re.Match[str]) -> str | None:
        if match["picture"] is not None:
            return f"[{match['picture'] or match['address']}]({match['address']})"
        if match["name"] is None:
            return match[0]  # code, and addresses, which may hold what looks like an emoji
        return _mention(match, written, user)

    written.set_aside(_TOKEN, taken)
    written.text = emoji.replace(written.text)
    return Converted(written.finish(), tuple(written.mentions))


def _mention(match: re.Match[str], written: Written, user: Callable[[str], str | None]) -> str:
    """Return a mention; dots and dashes behind it may be the end of a sentence."""
    name = match["name"]
    for called in (name, name.rstrip(".-"), name.rstrip(".-_")):
        found = EVERYBODY if called.lower() in _EVERYBODY else user(called.lower())
        if found is not None:
            return written.mention(found, match) + name[len(called) :]
    return match[0]
