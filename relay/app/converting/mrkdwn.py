"""Slack's markup of texts, mrkdwn, as the part of Markdown that relay shows."""

from __future__ import annotations

import html
import re
from collections.abc import Callable
from typing import Final, NamedTuple

from relay.app.converting import emoji
from relay.app.converting.written import Written, fenced

EVERYBODY: Final = "*"

_TOKEN: Final = re.compile(r"\n?```(?P<block>.+?)```\n?|`(?P<code>[^`\n]+)`|<(?P<token>[^<>\n]+)>", re.DOTALL)
_INSIDE: Final = re.compile(r"<([^<>\n]+)>")


def _pair(mark: str) -> re.Pattern[str]:
    """Return the pattern of a text between two marks, which Slack formats between words only."""
    sign = re.escape(mark)
    return re.compile(rf"(?<![^\W_]|{sign}){sign}(?=[^\s{sign}])([^{sign}\n]*[^\s{sign}]){sign}(?![^\W_]|{sign})")


_BOLD: Final = _pair("*")
_ITALIC: Final = _pair("_")
_STRUCK: Final = _pair("~")
_DUNDER: Final = re.compile(r"(?<![\w\\])__(?=\w)")
_WEB: Final = re.compile(r"https?://", re.IGNORECASE)
_ADDRESS: Final = re.compile(r"(?:mailto|tel):", re.IGNORECASE)


class Names(NamedTuple):
    """The names here of people and channels of Slack's; each returns None for one that is not known."""

    user: Callable[[str], str | None]
    channel: Callable[[str], str | None]


class Converted(NamedTuple):
    """A text of relay's, and the ids of whom it mentions."""

    text: str
    mentions: tuple[str, ...]


def to_markdown(text: str, names: Names) -> Converted:
    """Return a text in relay's Markdown."""
    written = Written(text)

    def taken(match: re.Match[str]) -> str:
        if match["block"] is not None:
            return fenced(_plain(match["block"], names))
        if match["code"] is not None:
            return f"`{_plain(match['code'], names)}`"
        return _token(match, written, names)

    written.set_aside(_TOKEN, taken)
    lines = _quoted(_formatted(emoji.replace(written.text)).split("\n"))
    written.text = html.unescape("\n".join(lines)) if "&" in text else "\n".join(lines)
    return Converted(written.finish(), tuple(written.mentions))


def _formatted(text: str) -> str:
    """Return a text with Markdown's marks in the place of Slack's."""
    text = _DUNDER.sub(r"\\_\\_", text)
    text = _BOLD.sub(r"**\1**", text)
    text = _ITALIC.sub(r"*\1*", text)
    return _STRUCK.sub(r"~~\1~~", text)


def _quoted(lines: list[str]) -> list[str]:
    """Return lines with Markdown's quotes; Slack's `>>>` quotes all that follows."""
    quoted: list[str] = []
    to_the_end = False
    for line in lines:
        if line.startswith("&gt;&gt;&gt;"):
            to_the_end, line = True, line[12:]
            quoted.append(f"> {line.lstrip()}")
        elif to_the_end:
            quoted.append(f"> {line}")
        elif line.startswith("&gt;"):
            quoted.append(f"> {line[4:].lstrip()}")
        else:
            quoted.append(line)
    return quoted


def _token(match: re.Match[str], written: Written, names: Names) -> str:
    """Return what stands between `<` and `>`: a mention, a channel, a link."""
    inside, _, label = match["token"].partition("|")
    label = html.unescape(label).strip()
    sign, rest = inside[:1], inside[1:]
    if sign == "@":
        user_id = names.user(rest)
        return written.mention(user_id, match) if user_id is not None else f"@{label or rest}"
    if sign == "#":
        return f"#{names.channel(rest) or label or rest}"
    if sign == "!":
        if rest in {"here", "channel", "everyone", "group"}:
            return written.mention(EVERYBODY, match)
        return label or rest.partition("^")[0]  # a group of users, a date
    return _link(html.unescape(inside), label)


def _link(address: str, label: str) -> str:
    """Return a link of Markdown's, or the address alone where that is what it says."""
    if _ADDRESS.match(address):
        return label or address.partition(":")[2]
    if not _WEB.match(address):
        return label or address
    if not label or label in {address, _WEB.sub("", address), _WEB.sub("", address).rstrip("/")}:
        return address
    safe = address.replace("(", "%28").replace(")", "%29").replace(" ", "%20")
    shown = label.replace("[", "(").replace("]", ")").replace("\n", " ")
    return f"[{shown}]({safe})"


def _plain(code: str, names: Names) -> str:
    """Return code as it was typed: Slack marks links and people in it all the same."""

    def typed(match: re.Match[str]) -> str:
        inside, _, label = match[1].partition("|")
        if inside.startswith("@"):
            return f"@{names.user(inside[1:]) or label or inside[1:]}"
        if inside.startswith("#"):
            return f"#{names.channel(inside[1:]) or label or inside[1:]}"
        return label or inside.removeprefix("!")

    return html.unescape(_INSIDE.sub(typed, code))
