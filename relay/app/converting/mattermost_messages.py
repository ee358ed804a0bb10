"""Mattermost's people and posts, one by one: who they are, what they say, and what belongs to it."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Any, Final

from relay.app.converting import emoji
from relay.app.converting.mattermost_shapes import Bot, Reaction, Said, User
from relay.app.converting.model import File, Person, Reacted
from relay.app.converting.people import People
from relay.app.converting.report import Report

_SYSTEM: Final = "system_"
_JOINED: Final = frozenset({
    "system_join_channel", "system_add_to_channel", "system_join_team", "system_add_to_team",
    "system_guest_join_channel", "system_add_guest_to_chan",
})  # fmt: skip
_LEFT: Final = frozenset({
    "system_leave_channel", "system_remove_from_channel", "system_leave_team", "system_remove_from_team",
})  # fmt: skip
_MOST_FILES: Final = 20
_FIRST: Final = 1_000_000_000_000
"""The earliest time, in milliseconds: 2001, well before Mattermost."""


def time_of(milliseconds: int | None, now: float) -> float | None:
    """Return a time of Mattermost's in Unix seconds; None for what cannot be one."""
    if milliseconds is None or not _FIRST < milliseconds <= now * 1000:
        return None
    return milliseconds / 1000


def person_of(user: User) -> Person:
    """Return a person of a line `user`."""
    full = " ".join(part for part in (user.first_name, user.last_name) if part)
    return Person(
        key=user.username,
        called=user.username,
        display_name=user.nickname or full,
        email=user.email or None,
        guest="system_guest" in (user.roles or "").split(),
        disabled=bool(user.delete_at),
    )


def bot_of(bot: Bot) -> Person:
    """Return a program of a line `bot`."""
    shown = bot.display_name or ""
    return Person(bot.username, bot.username, display_name=shown, bot=True, disabled=bool(bot.delete_at))


def is_system(said: Said) -> bool:
    """Tell whether nobody wrote a post."""
    return (said.type or "").startswith(_SYSTEM)


def event_of(said: Said, people: People, user_id: str) -> dict[str, Any] | None:
    """Return what the system says of a channel, as a `group_event` has it; None for what relay has no line for."""
    kind = said.type or ""
    about = people.id_of(_property(said, "addedUsername") or _property(said, "removedUsername"))
    if kind in _JOINED:
        return {"event": "member_added", "user_id": about or user_id}
    if kind in _LEFT:
        return {"event": "member_removed", "user_id": about or user_id}
    if kind == "system_displayname_change" and (name := _property(said, "new_displayname")):
        return {"event": "renamed", "name": name}
    if kind == "system_header_change":
        return {"event": "changed", "description": _property(said, "new_header")}
    if kind == "system_purpose_change":
        return {"event": "changed", "description": _property(said, "new_purpose")}
    if kind in {"system_channel_deleted", "system_channel_restored"}:
        return {"event": "changed", "closed": kind == "system_channel_deleted"}
    return None


def text_of(said: Said) -> str:
    """Return what a post says, with what a program attached to it."""
    attached = said.props.get("attachments") if isinstance(said.props, dict) else None
    parts = [said.message or ""]
    parts += [_attached(one) for one in attached if isinstance(one, dict)] if isinstance(attached, list) else []
    whole = "\n".join(part for part in parts if part.strip())
    return f"*{whole}*" if said.type == "me" and whole and not set(whole) & {"\n", "*"} else whole


def spoken_as(said: Said) -> str:
    """Return the name under which a webhook posted; empty for everybody else."""
    from_webhook = isinstance(said.props, dict) and said.props.get("from_webhook") in {"true", True}
    return _property(said, "override_username") if from_webhook else ""


def files_of(said: Said, present: dict[str, str], report: Report, where: str) -> tuple[list[File], list[str]]:
    """Return the files of a post that are in the archive, and lines about the others.

    Args:
        present: the names in the archive, by what posts call them.
    """
    found: list[File] = []
    lines: list[str] = []
    for one in said.attachments or ():
        path = one.path or ""
        name = PurePosixPath(path).name or "file"
        if path in present and len(found) < _MOST_FILES:
            found.append(File(name, present[path]))
        else:
            report.note("file_not_in_export", where, path)
            lines.append(f"\U0001f4ce {name}")
    return found, lines


def reactions_of(given: list[Reaction] | None, people: People, report: Report, where: str) -> list[Reacted]:
    """Return reactions, each once."""
    found: dict[tuple[str, str], Reacted] = {}
    for one in given or ():
        sign = emoji.find(one.emoji_name)
        if sign is None:
            sign = emoji.known_as(one.emoji_name)
            report.note("own_emoji", where, one.emoji_name)
        user_id = people.id_of(one.user)
        if user_id is None:
            report.note("reaction_unnamed", where, f"{one.emoji_name} of {one.user}")
        else:
            found.setdefault((user_id, sign), Reacted(user_id, sign, (one.create_at or 0) / 1000))
    return list(found.values())


def _attached(one: dict[str, Any]) -> str:
    """Return what a program attached to its post; these texts are Markdown, too."""

    def text(name: str, of: dict[str, Any] = one) -> str:
        found = of.get(name)
        return found.strip() if isinstance(found, str) else ""

    title, address = text("title"), text("title_link")
    fields = one.get("fields")
    listed = [field for field in fields if isinstance(field, dict)] if isinstance(fields, list) else []
    parts = [
        text("pretext"),
        text("author_name"),
        f"[{title}]({address})" if title and address else f"**{title}**" if title else "",
        text("text"),
        *(f"**{text('title', field)}**\n{field.get('value', '')}" for field in listed),
        text("image_url"),
        text("footer"),
    ]
    return "\n".join(part for part in parts if part) or text("fallback")


def _property(said: Said, name: str) -> str:
    found = said.props.get(name) if isinstance(said.props, dict) else None
    return found if isinstance(found, str) else ""
