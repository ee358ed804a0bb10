"""REST: what a user mutes, when they want quiet, and how much of a message leaves the server for them."""

import sqlite3
from functools import partial
from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, UnsetType

from relay.http import Blueprint, Body, NoQuery, caller, described, read_body, read_query, reply
from relay.http import server as the_server
from relay.plugin import ErrorCode, RelayError, group_address, other_party, user_address

from .options import Content
from .quiet import Person, person, zone
from .rules import EVERYBODY

Clock = Annotated[str, Meta(pattern=r"^([01]\d|2[0-3]):[0-5]\d$(?!\n)", description="a time of day, as 22:00")]
Until = Annotated[float, Meta(ge=0, le=2**53, description="Unix seconds")]


class QuietHours(Body, frozen=True):
    """Hours of every day; from 22:00 to 07:00 goes over midnight."""

    from_: Clock = msgspec.field(name="from")
    to: Clock
    zone: Annotated[str, Meta(min_length=1, max_length=64, description="a time zone, as Europe/Berlin")]


class MutedAnswer(msgspec.Struct):
    """A muted conversation, as its user names it; `until` is null for ever."""

    target_id: str
    until: float | None
    mentions: bool


class Settings(msgspec.Struct):
    """What a user chose."""

    do_not_disturb_until: float | None
    quiet_hours: QuietHours | None
    content: Content | None
    muted: list[MutedAnswer]


class SettingsChange(Body, frozen=True):
    """What is to be changed; null takes a choice back."""

    do_not_disturb_until: Until | UnsetType | None = UNSET
    quiet_hours: QuietHours | UnsetType | None = UNSET
    content: Content | UnsetType | None = UNSET


class Mute(Body, frozen=True):
    """Until when a conversation is muted, and whether mentions come through."""

    until: Until | None = None
    mentions: bool = False


def add_views(made: Blueprint) -> None:
    """Add these paths to the plugin's."""
    made.add_url_rule("/api/push/settings", "settings", show_settings, methods=["GET"])
    made.add_url_rule("/api/push/settings", "change_settings", change_settings, methods=["PATCH"])
    made.add_url_rule("/api/push/muted/<target_id>", "mute", mute, methods=["PUT"])
    made.add_url_rule("/api/push/muted/<target_id>", "unmute", unmute, methods=["DELETE"])


@described(answers={200: Settings})
async def show_settings() -> Any:
    """Answer with what the caller chose."""
    read_query(NoQuery)
    user_id, now = caller().user_id, the_server().now()
    return reply(await the_server().read(partial(_settings, user_id=user_id, now=now)))


@described(body=SettingsChange, answers={200: Settings})
async def change_settings() -> Any:
    """Change when the caller wants quiet, and how much is told."""
    read_query(NoQuery)
    body = await read_body(SettingsChange)
    server, user_id, now = the_server(), caller().user_id, the_server().now()
    if isinstance(body.quiet_hours, QuietHours):
        try:
            zone(body.quiet_hours.zone)
        except ValueError as error:
            raise RelayError(ErrorCode.INVALID_PAYLOAD, f"quiet_hours: {error}") from None

    def write(connection: sqlite3.Connection) -> Settings:
        chosen = _changed(person(connection, user_id), body)
        connection.execute(
            "INSERT OR REPLACE INTO notifications_people VALUES (?, ?, ?, ?, ?, ?)", (user_id, *chosen)
        )
        return _settings(connection, user_id, now)

    return reply(await server.write(write))


def _changed(chosen: Person, body: SettingsChange) -> Person:
    if body.do_not_disturb_until is not UNSET:
        chosen = chosen._replace(until=body.do_not_disturb_until)
    if body.content is not UNSET:
        chosen = chosen._replace(content=body.content)
    hours = body.quiet_hours
    if hours is None:
        chosen = chosen._replace(quiet_from=None, quiet_to=None, zone=None)
    elif hours is not UNSET:
        chosen = chosen._replace(quiet_from=hours.from_, quiet_to=hours.to, zone=hours.zone)
    return chosen


@described(body=Mute, answers={204: None}, refusals=[ErrorCode.NOT_FOUND])
async def mute(target_id: str) -> Any:
    """Mute a conversation, by the other user, the group, or * for everybody's."""
    read_query(NoQuery)
    body = await read_body(Mute, optional=True)
    user_id = caller().user_id

    def write(connection: sqlite3.Connection) -> None:
        address = _address(connection, user_id, target_id)
        connection.execute(
            "INSERT OR REPLACE INTO notifications_muted VALUES (?, ?, ?, ?)",
            (user_id, address, body.until, body.mentions),
        )

    await the_server().write(write)
    return "", 204


@described(answers={204: None}, refusals=[ErrorCode.NOT_FOUND])
async def unmute(target_id: str) -> Any:
    """Have a conversation notify again."""
    read_query(NoQuery)
    user_id = caller().user_id

    def write(connection: sqlite3.Connection) -> None:
        address = _address(connection, user_id, target_id)
        connection.execute("DELETE FROM notifications_muted WHERE user_id = ? AND address = ?", (user_id, address))

    await the_server().write(write)
    return "", 204


def _address(connection: sqlite3.Connection, user_id: str, target_id: str) -> str:
    """Return the address of a conversation as the caller names it.

    Raises:
        RelayError: `not_found` for what is not there or not theirs to see.
    """
    if target_id == EVERYBODY:
        return EVERYBODY
    kind = connection.execute("SELECT kind FROM names WHERE name = ?", (target_id,)).fetchone()
    if kind is not None and kind[0] == "user":
        return user_address(user_id, target_id)
    address = group_address(target_id)
    member = connection.execute(
        "SELECT 1 FROM channels c JOIN members m USING (channel_id)"
        " WHERE c.address = ? AND m.user_id = ? AND m.visible_until IS NULL",
        (address, user_id),
    ).fetchone()
    if member is None:
        raise RelayError(ErrorCode.NOT_FOUND, f"there is no user or group {target_id[:64]!r}")
    return address


def _settings(connection: sqlite3.Connection, user_id: str, now: float) -> Settings:
    chosen = person(connection, user_id)
    hours = None
    if chosen.quiet_from is not None and chosen.quiet_to is not None and chosen.zone is not None:
        hours = QuietHours(from_=chosen.quiet_from, to=chosen.quiet_to, zone=chosen.zone)
    rows = connection.execute(
        "SELECT address, until, mentions FROM notifications_muted WHERE user_id = ? ORDER BY address", (user_id,)
    )
    muted = [
        MutedAnswer(other_party(address, user_id), until, bool(mentions))
        for address, until, mentions in rows
        if until is None or until > now
    ]
    until = chosen.until if chosen.until is not None and chosen.until > now else None
    return Settings(until, hours, chosen.content, muted)
