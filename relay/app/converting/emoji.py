"""Emoji by the short names that Slack and Mattermost export, such as `tada` and `wave::skin-tone-3`."""

from __future__ import annotations

import re
from functools import cache
from importlib.resources import files
from typing import Final

_TONES: Final = dict(zip("23456", "\U0001f3fb\U0001f3fc\U0001f3fd\U0001f3fe\U0001f3ff", strict=True))
_WORDS: Final = {"light": "2", "medium_light": "3", "medium": "4", "medium_dark": "5", "dark": "6"}
"""Mattermost's words for the tones, `wave_medium_dark_skin_tone`, with the numbers that Slack has for them."""

_WORD: Final = re.compile(rf"(.+?)_({'|'.join(_WORDS)})_skin_tone")
_IN_TEXT: Final = re.compile(
    r":([a-z0-9_+'-]{1,100})(?:::skin-tone-([2-6]))?:(?::skin-tone-([2-6]):)?", re.IGNORECASE
)
_SELECTOR: Final = "\ufe0f"


@cache
def _table() -> dict[str, tuple[str, bool]]:
    """Return the emoji by name, and whether each takes a skin tone; `make emoji` makes the file."""
    found: dict[str, tuple[str, bool]] = {}
    for line in (files("relay.app.converting") / "emoji.txt").read_text(encoding="utf-8").splitlines():
        sign, *names = line.split(" ")
        for name in names:
            found[name] = (sign.removesuffix("+"), sign.endswith("+"))
    found["simple_smile"] = found["slightly_smiling_face"]  # Slack's own, until 2017
    return found


def find(name: str) -> str | None:
    """Return the emoji of a short name, with its skin tone; None for one of the workspace's own."""
    base, _, tone = name.strip(":").casefold().partition("::skin-tone-")
    if tone == "" and (worded := _WORD.fullmatch(base)):
        base, tone = worded[1], _WORDS[worded[2]]
    sign, takes_tone = _table().get(base, (None, False))
    if sign is None or not takes_tone or tone not in _TONES:
        return sign
    rest = sign[1:]
    return sign[0] + _TONES[tone] + rest.removeprefix(_SELECTOR)


def replace(text: str) -> str:
    """Put emoji in the place of their names in a text; other names stay as they are."""

    def found(match: re.Match[str]) -> str:
        tone = match[2] or match[3]
        return find(match[1] + (f"::skin-tone-{tone}" if tone else "")) or match[0]

    return _IN_TEXT.sub(found, text) if ":" in text else text


def known_as(name: str) -> str:
    """Return what a reaction is called that has no emoji: the name of the workspace's own, as relay takes it."""
    return re.sub(r"[^\w+'-]+", "_", name.strip(":"))[:32] or "_"
