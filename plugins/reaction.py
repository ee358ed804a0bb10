"""`reaction`: an emoji on a message, on or off; the newest of each (message, emoji, sender) counts.

An emoji is recognised by its form and not by a list, which would be outdated every year: either one emoji as
    Unicode
builds them (UTS #51, ED-17), or a name, for applications with pictures of their own.
"""

import re
import sqlite3
import unicodedata
from typing import Annotated, Any, Final

from msgspec import Meta

from relay.plugin import (
    Draft,
    Entry,
    ErrorCode,
    Integer,
    Kind,
    MessageType,
    Payload,
    RelayError,
    find_message,
    hookimpl,
)

_SIGN: Final = "[\u00a9\u00ae\u203c\u2049\u2100-\u2bff\u3030\u303d\u3297\u3299\U0001f000-\U0001faff]"
_ONE: Final = f"{_SIGN}[\ufe0e\ufe0f]?[\U0001f3fb-\U0001f3ff]?\ufe0f?\u20e3?"
_EMOJI: Final = re.compile(
    "[\U0001f1e6-\U0001f1ff]{1,2}"  # a flag, of two letters
    "|[0-9#*]\ufe0f?\u20e3"  # a keycap
    f"|{_ONE}(?:[\U000e0020-\U000e007e]{{1,8}}\U000e007f)?(?:\u200d{_ONE}){{0,7}}"  # tagged, or joined
)
_NAME: Final = re.compile(r"\S{1,32}")
_MARKS: Final = 2
"""Marks that may stand on one letter of a name; some scripts need two."""


class Reaction(Payload):
    """The message, the emoji, and whether it is on."""

    message_id: Annotated[Integer, Meta(description="the message")]
    emoji: Annotated[
        str,
        Meta(min_length=1, max_length=64, description="one emoji, or a name of 1 to 32 characters without spaces"),
    ]
    on: Annotated[bool, Meta(description="whether the reaction is there from now on")]


def is_emoji(text: str) -> bool:
    """Return whether a text is one emoji, or a name for one: letters, numbers and signs, without spaces."""
    if _EMOJI.fullmatch(text):
        return True
    if not _NAME.fullmatch(text):
        return False
    marks = 0
    for character in text:
        category = unicodedata.category(character)
        marks = marks + 1 if category[0] == "M" else 0
        if marks > _MARKS or category[0] in "CZ" or category == "So":
            return False
    return True


def prepare(draft: Draft) -> None:
    """Check the emoji; look up the message and the sender's other reactions in the transaction."""
    reaction: Reaction = draft.payload
    most = draft.server.settings.limits.reactions_per_message
    if not is_emoji(reaction.emoji):
        raise RelayError(
            ErrorCode.INVALID_PAYLOAD, "emoji is one emoji, or a name of 1 to 32 characters without spaces"
        )

    def apply(connection: sqlite3.Connection, entry: Entry) -> None:
        find_message(connection, entry, reaction.message_id, "to react to")
        if most and others(connection, entry, reaction.message_id) >= most:
            raise RelayError(
                ErrorCode.FORBIDDEN,
                f"you have {most} different reactions to this message, those taken back included; use one of them",
            )

    draft.apply = apply


def others(connection: sqlite3.Connection, entry: Entry, message_id: int) -> int:
    """Return the number of other emojis that the sender has used on a message, removed ones included."""
    prefix = f"{message_id} "
    row = connection.execute(
        "SELECT count(*) FROM latest WHERE channel_id = ? AND type = ? AND sender_id = ?"
        " AND key >= ? AND key < ? AND key <> ?",
        (entry.channel_id, entry.type, entry.sender_id, prefix, f"{message_id}!", entry.key),
    ).fetchone()
    return int(row[0])


@hookimpl
def relay_message_types(options: dict[str, Any]) -> list[MessageType]:
    """Add `reaction`."""
    return [
        MessageType(
            name="reaction",
            payload=Reaction,
            kind=Kind.LATEST,
            priority=40,
            key=lambda reaction: f"{reaction.message_id} {reaction.emoji}",
            about=lambda reaction: reaction.message_id,
            prepare=prepare,
        )
    ]
