"""A report of what did not fit in an export: counts by kind, the first examples, and all of it in a file."""

from __future__ import annotations

from collections import Counter
from typing import IO, Final

import msgspec

EXAMPLES: Final = 3

WORDS: Final = {
    "bad_time": "message left out, as its time cannot be",
    "bot_made_up": "program that is in no list: it has a user here",
    "empty": "message left out, as it says nothing",
    "file_gone": "file left out, as it was deleted there, or is beyond the plan's limit",
    "file_not_in_export": "file that is not in the export: the message has its name, and a link if there is one",
    "left_out_call": "line about a call left out",
    "left_out_conversation": "conversation left out",
    "left_out_deleted": "deleted message left out",
    "left_out_emoji": "picture of an emoji left out",
    "left_out_event": "earlier text of an edited message, or another record of an event, left out",
    "left_out_notice": "line of the system left out",
    "left_out_preview": "preview of a link left out",
    "no_author": "message left out, as its author is not told, or is not in the conversation",
    "own_emoji": "reaction with an emoji of the workspace's own: it has the name only",
    "pin_left_out": "pin left out, as so many are pinned there",
    "reaction_unnamed": "reaction left out in part, as it is not told whose it is",
    "text_cut": "text cut, as it is too long",
    "thread_without_root": "reply whose thread's beginning is missing: it is a message of the conversation",
    "twice": "message that the export has twice: it comes along once",
    "unknown_channel": "channel that is in no list",
    "unknown_folder": "folder left out, as no list names its channel",
    "unknown_subtype": "message of an unknown kind: its text comes along",
    "unreadable_file": "file that cannot be read",
    "unreadable_message": "message or line that cannot be read",
    "user_made_up": "person who is in no list: they have a closed account here",
}
"""What each kind is called, for people."""


class Note(msgspec.Struct, frozen=True, omit_defaults=True):
    """One thing that did not fit.

    Attributes:
        kind: a word for all that are alike, one of `WORDS`.
        where: the file of the export, with the line or the number of the message in it.
        about: what it was, in a few words.
    """

    kind: str
    where: str
    about: str = ""


class Report:
    """Counts what did not fit, and how much did.

    Args:
        file: where each note becomes a line of JSON.
    """

    def __init__(self, file: IO[bytes] | None = None) -> None:
        self.kinds: Counter[str] = Counter()
        self.made: Counter[str] = Counter()
        self.examples: dict[str, list[Note]] = {}
        self._file = file

    @property
    def unreadable(self) -> list[str]:
        """The kinds that are faults of the file, as far as there are any."""
        return [kind for kind in self.kinds if kind.startswith("unreadable_")]

    def note(self, kind: str, where: str, about: object = "") -> None:
        """Add what did not fit; `kind` is one of `WORDS`."""
        note = Note(kind, where, " ".join(str(about).split())[:200])
        self.kinds[kind] += 1
        kept = self.examples.setdefault(kind, [])
        if len(kept) < EXAMPLES:
            kept.append(note)
        if self._file is not None:
            self._file.write(msgspec.json.encode(note) + b"\n")
