"""The shapes of Slack's exports, as far as they are read. Any field may be missing, and many may be null."""

from __future__ import annotations

from typing import Any

import msgspec


class Profile(msgspec.Struct):
    """The names that somebody goes by; in a message, of an author who is in no list."""

    display_name: str | None = None
    real_name: str | None = None
    name: str | None = None
    email: str | None = None


class User(msgspec.Struct):
    """A line of users.json."""

    id: str
    team_id: str | None = None
    name: str | None = None
    real_name: str | None = None
    deleted: bool | None = None
    is_bot: bool | None = None
    is_app_user: bool | None = None
    is_restricted: bool | None = None
    is_ultra_restricted: bool | None = None
    profile: Profile | None = None


class Words(msgspec.Struct):
    """A channel's topic or purpose."""

    value: str | None = None


class Pinned(msgspec.Struct):
    """A pinned message, by its time."""

    id: str | None = None


class Channel(msgspec.Struct):
    """A line of channels.json, groups.json, mpims.json or dms.json."""

    id: str
    name: str | None = None
    created: float | None = None
    creator: str | None = None
    is_archived: bool | None = None
    members: list[str] | None = None
    topic: Words | None = None
    purpose: Words | None = None
    pins: list[Pinned] | None = None


class Edited(msgspec.Struct):
    """The time of a message's last edit."""

    ts: str | None = None


class Reaction(msgspec.Struct):
    """An emoji, and who gave it; `users` may name fewer than `count`."""

    name: str
    users: list[str] | None = None
    count: int | None = None


class SharedFile(msgspec.Struct):
    """A file: its description, as the export has links only."""

    id: str | None = None
    name: str | None = None
    title: str | None = None
    mode: str | None = None
    url_private: str | None = None
    permalink: str | None = None


class Comment(msgspec.Struct):
    """A comment on a file, until 2018."""

    user: str | None = None
    comment: str | None = None


class Message(msgspec.Struct):
    """A message of a day's file."""

    ts: str
    type: str | None = None
    subtype: str | None = None
    user: str | None = None
    text: str | None = None
    thread_ts: str | None = None
    parent_user_id: str | None = None
    bot_id: str | None = None
    username: str | None = None
    bot_profile: Profile | None = None
    user_profile: Profile | None = None
    edited: Edited | None = None
    reactions: list[Reaction] | None = None
    files: list[SharedFile] | None = None
    file: SharedFile | None = None
    comment: Comment | None = None
    inviter: str | None = None
    name: str | None = None
    topic: str | None = None
    purpose: str | None = None
    blocks: Any = None
    attachments: Any = None
