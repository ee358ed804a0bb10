"""The shapes of Mattermost's bulk export, as far as they are read; times are milliseconds."""

from __future__ import annotations

from typing import Any

import msgspec


class Team(msgspec.Struct):
    """A team."""

    name: str
    display_name: str | None = None


class Channel(msgspec.Struct):
    """A channel of a team; `type` is O for one that everybody may join."""

    team: str
    name: str
    display_name: str | None = None
    type: str | None = None
    header: str | None = None
    purpose: str | None = None
    deleted_at: int | None = None


class ChannelMember(msgspec.Struct):
    """A channel that a user is in, and as what."""

    name: str
    roles: str | None = None


class TeamMember(msgspec.Struct):
    """A team that a user is in."""

    name: str
    channels: list[ChannelMember] | None = None


class User(msgspec.Struct):
    """A user."""

    username: str
    email: str | None = None
    nickname: str | None = None
    first_name: str | None = None
    last_name: str | None = None
    roles: str | None = None
    delete_at: int | None = None
    teams: list[TeamMember] | None = None


class Bot(msgspec.Struct):
    """A bot."""

    username: str
    display_name: str | None = None
    delete_at: int | None = None


class Participant(msgspec.Struct):
    """Somebody in a direct conversation, in exports of newer versions."""

    username: str | None = None


class DirectChannel(msgspec.Struct):
    """A conversation of two or a few."""

    members: list[str] | None = None
    participants: list[Participant] | None = None
    header: str | None = None


class Reaction(msgspec.Struct):
    """An emoji, who gave it, and when."""

    user: str
    emoji_name: str
    create_at: int | None = None


class Attachment(msgspec.Struct):
    """A file, by its path below `data`."""

    path: str | None = None


class Follower(msgspec.Struct):
    """Somebody who follows a thread."""

    user: str | None = None


class Said(msgspec.Struct):
    """The fields that posts and replies have alike."""

    user: str
    create_at: int
    message: str | None = None
    type: str | None = None
    edit_at: int | None = None
    props: Any = None
    reactions: list[Reaction] | None = None
    attachments: list[Attachment] | None = None
    flagged_by: list[str] | None = None


class Post(Said):
    """A post in a channel, or in a direct conversation, with the replies to it."""

    team: str | None = None
    channel: str | None = None
    channel_members: list[str] | None = None
    replies: list[Said] | None = None
    thread_followers: list[Follower] | None = None
    is_pinned: bool | None = None


class Line(msgspec.Struct):
    """One line: its type, and the object of that type."""

    type: str
    team: Team | None = None
    channel: Channel | None = None
    user: User | None = None
    bot: Bot | None = None
    post: Post | None = None
    direct_channel: DirectChannel | None = None
    direct_post: Post | None = None
