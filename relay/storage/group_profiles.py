"""Profiles of groups: a group's purpose, picture and the like beside its name, and their changes."""

from __future__ import annotations

import sqlite3
from typing import TypedDict

import msgspec

from relay.storage import conversations, pictures, public_groups


class Profile(TypedDict, total=False):
    """A part of a group's profile: its picture (None for none), what it is for, whether everybody may join.

    `rights` are those that it gives otherwise than an ordinary group; `closed`: nobody writes in it any more.
    """

    picture: str | None
    description: str
    public: bool
    rights: dict[str, str]
    closed: bool


def change(
    connection: sqlite3.Connection, group_id: str, channel_id: int, profile: Profile, by: str, now: float
) -> None:
    """Change what a profile names, and nothing else of the group's.

    Args:
        by: the user who uploaded the picture.
        now: Unix seconds.

    Raises:
        RelayError: as `pictures.check`.
    """
    if "picture" in profile:
        pictures.show(connection, group_id, profile["picture"], by)
    if "description" in profile:
        conversations.describe_group(connection, channel_id, profile["description"])
    if "public" in profile:
        public_groups.publish(connection, channel_id, public=profile["public"])
    if "rights" in profile:
        rights = msgspec.json.encode(profile["rights"]).decode()
        connection.execute("UPDATE groups SET rights = ? WHERE channel_id = ?", (rights, channel_id))
    if "closed" in profile:
        closed_at = now if profile["closed"] else None
        connection.execute("UPDATE groups SET closed_at = ? WHERE channel_id = ?", (closed_at, channel_id))
