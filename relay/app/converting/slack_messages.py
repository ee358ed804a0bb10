"""Slack's messages, one by one: which of them people said, what they say, and what belongs to them."""

from __future__ import annotations

import math
import re
from typing import Any, Final
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from relay.app.converting import emoji, slack_blocks
from relay.app.converting.model import File, Reacted
from relay.app.converting.people import People
from relay.app.converting.report import Report
from relay.app.converting.slack_shapes import Message, Reaction, SharedFile

LEFT_OUT: Final = {
    **dict.fromkeys(
        (
            "bot_add", "bot_remove", "bot_enable", "bot_disable", "app_conversation_join",
            "app_conversation_leave", "joiner_notification", "joiner_notification_for_inviter",
            "channel_posting_permissions", "pinned_item", "unpinned_item", "bookmark_added",
            "channel_canvas_updated", "tabbed_canvas_updated", "document_mention", "reminder_add",
            "reminder_delete", "ekm_access_denied",
        ),
        "left_out_notice",
    ),
    **dict.fromkeys(("sh_room_created", "sh_room_shared", "huddle_thread"), "left_out_call"),
    **dict.fromkeys(("tombstone", "message_deleted"), "left_out_deleted"),
    **dict.fromkeys(("message_changed", "message_replied", "reply_broadcast"), "left_out_event"),
}  # fmt: skip
"""The subtypes that are left out, by what they are in the report."""

SAID: Final = frozenset({
    "", "bot_message", "me_message", "file_share", "file_comment", "file_mention", "thread_broadcast",
    "slackbot_response", "slack_image", "slack_audio", "slack_video", "assistant_app_thread",
})  # fmt: skip
"""The subtypes that somebody said. An unknown one is taken as such where it has a text."""

_TIME: Final = re.compile(r"\d{9,10}\.\d{1,9}|\d{9,10}")
_GONE: Final = frozenset({"tombstone", "hidden_by_limit"})
_MOST_FILES: Final = 20
"""The most attachments of a message here."""


def time_of(ts: str | None, now: float) -> float | None:
    """Return a time of Slack's, Unix seconds; None for what cannot be one, as Slack began in 2013."""
    if ts is None or not _TIME.fullmatch(ts):
        return None
    found = float(ts)
    return found if math.isfinite(found) and 1_000_000_000 < found <= now else None


def event_of(message: Message, user_id: str) -> dict[str, Any] | None:
    """Return what the system says of a channel, as a `group_event` has it; None for what somebody said."""
    _, _, act = (message.subtype or "").partition("_")
    if not (message.subtype or "").startswith(("channel_", "group_")):
        return None
    made: dict[str, dict[str, Any]] = {
        "join": {"event": "member_added", "user_id": user_id},
        "leave": {"event": "member_removed", "user_id": user_id},
        "name": {"event": "renamed", "name": message.name},
        "topic": {"event": "changed", "description": message.topic or ""},
        "purpose": {"event": "changed", "description": message.purpose or ""},
        "archive": {"event": "changed", "closed": True},
        "unarchive": {"event": "changed", "closed": False},
        "convert_to_private": {"event": "changed", "public": False},
        "convert_to_public": {"event": "changed", "public": True},
    }
    found = made.get(act)
    return None if found is None or None in found.values() else found


def text_of(message: Message, report: Report, where: str) -> str:
    """Return what a message says, in mrkdwn."""
    text = message.text or ""
    if message.subtype == "file_comment" and message.comment is not None:
        text = message.comment.comment or text
    said = text if text.strip() else slack_blocks.written(message.blocks)
    attached, left_out = slack_blocks.attached(message.attachments)
    if left_out:
        report.note("left_out_preview", where, f"{left_out} of links")
    whole = "\n".join(part for part in (said.rstrip(), attached) if part.strip())
    if message.subtype == "me_message" and whole and "\n" not in whole and "_" not in whole:
        return f"_{whole}_"
    return whole


def files_of(message: Message, stored: dict[str, str], report: Report, where: str) -> tuple[list[File], list[str]]:
    """Return the files of a message that are in the archive, and for the others lines with links, in mrkdwn.

    Args:
        stored: the names in the archive by the ids of files.
    """
    found: list[File] = []
    lines: list[str] = []
    given = [*(message.files or ()), *([message.file] if message.file is not None and not message.files else ())]
    for file in given:
        name = file.name or file.title or file.id or "file"
        inside = stored.get(file.id or "")
        if inside is not None and len(found) < _MOST_FILES:
            found.append(File(name, inside))
        elif file.mode in _GONE:
            report.note("file_gone", where, name)
        else:
            report.note("file_not_in_export", where, f"{file.id} {name}")
            lines.append(_linked(file, name))
    return found, lines


def _linked(file: SharedFile, name: str) -> str:
    """Return a line about a file that is elsewhere, without the token that each link of an export has."""
    label = re.sub(r"[<>|\n]", " ", file.title or name)
    try:
        address = urlsplit(file.url_private or file.permalink or "")
    except ValueError:  # of what looks like an address of IPv6, and is none
        return f"\U0001f4ce {label}"
    if address.scheme not in {"http", "https"}:
        return f"\U0001f4ce {label}"
    kept = urlencode([(key, value) for key, value in parse_qsl(address.query) if key != "t"])
    return f"\U0001f4ce <{urlunsplit((*address[:3], kept, ''))}|{label}>"


def reactions_of(given: list[Reaction] | None, people: People, report: Report, where: str) -> list[Reacted]:
    """Return reactions, each once; those of people whom the export does not name are counted."""
    found: dict[Reacted, None] = {}
    for one in given or ():
        sign = emoji.find(one.name)
        if sign is None:
            sign = emoji.known_as(one.name)
            report.note("own_emoji", where, one.name)
        users = [people.id_of(key) for key in one.users or ()]
        unnamed = users.count(None) + max(0, (one.count or 0) - len(users))
        if unnamed:
            report.note("reaction_unnamed", where, f"{one.name}, {unnamed} of {max(len(users), one.count or 0)}")
        found |= dict.fromkeys(Reacted(user, sign) for user in users if user is not None)
    return list(found)
