"""Preferences of users: quiet hours, muted conversations, privacy; and the REST views for them."""

import sqlite3
from collections.abc import Callable
from datetime import datetime, time
from functools import lru_cache, partial
from typing import Annotated, NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec
from msgspec import UNSET, Meta, UnsetType

from relay.http import Blueprint, Body, Caller, endpoint
from relay.plugin import (
    ConversationKind,
    ErrorCode,
    Kind,
    MessageType,
    Payload,
    RelayError,
    Server,
    group_address,
    kind_of,
    other_party,
    user_address,
)

from .options import Content
from .rules import EVERYBODY


class Preferences(NamedTuple):
    """A row of `notifications_people`.

    Attributes:
        until: do not disturb until then, Unix seconds.
        quiet_from, quiet_to: do not disturb between these times of each day, as 22:00, in `zone`.
        content: how much is said at most; None for as much as the server allows.
    """

    until: float | None = None
    quiet_from: str | None = None
    quiet_to: str | None = None
    zone: str | None = None
    content: Content | None = None


class Muted(NamedTuple):
    """A conversation that a user muted, and for how long.

    Attributes:
        until: Unix seconds; None for ever.
        mentions: whether messages that mention the user notify all the same.
    """

    until: float | None
    mentions: bool


def preferences_of(connection: sqlite3.Connection, user_id: str) -> Preferences:
    """Return a user's preferences."""
    row = connection.execute(
        "SELECT until, quiet_from, quiet_to, zone, content FROM notifications_people WHERE user_id = ?", (user_id,)
    ).fetchone()
    return Preferences(*row) if row else Preferences()


def is_quiet(connection: sqlite3.Connection, user_id: str, now: float) -> bool:
    """Tell whether a user wants no notifications now."""
    chosen = preferences_of(connection, user_id)
    if chosen.until is not None and now < chosen.until:
        return True
    if chosen.quiet_from is None or chosen.quiet_to is None or chosen.zone is None:
        return False
    clock = datetime.fromtimestamp(now, zone(chosen.zone)).time()
    begins, ends = time.fromisoformat(chosen.quiet_from), time.fromisoformat(chosen.quiet_to)
    return begins <= clock < ends if begins <= ends else clock >= begins or clock < ends


def muted(connection: sqlite3.Connection, user_id: str, address: str, now: float) -> Muted | None:
    """Return how a conversation is muted now; None where it is not."""
    row = connection.execute(
        "SELECT until, mentions FROM notifications_muted WHERE user_id = ? AND address = ?", (user_id, address)
    ).fetchone()
    if row is None or (row[0] is not None and row[0] <= now):
        return None
    return Muted(row[0], bool(row[1]))


def wants_everything(connection: sqlite3.Connection, user_id: str, address: str) -> bool:
    """Tell whether a user wants to know of all that is said in a conversation."""
    found = connection.execute(
        "SELECT 1 FROM notifications_everything WHERE user_id = ? AND address = ?", (user_id, address)
    )
    return found.fetchone() is not None


@lru_cache(maxsize=64)
def zone(name: str) -> ZoneInfo:
    """Return a time zone by its name.

    Raises:
        ValueError: this machine knows none of that name.
    """
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(f"there is no time zone {name[:64]!r} here; right is Europe/Berlin") from None


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
    """The preferences of a user; `everything` are the groups of which every message notifies."""

    do_not_disturb_until: float | None
    quiet_hours: QuietHours | None
    content: Content | None
    muted: list[MutedAnswer]
    everything: list[str]


class SettingsChange(Body, frozen=True):
    """Changes of preferences; null takes a choice back."""

    do_not_disturb_until: Until | UnsetType | None = UNSET
    quiet_hours: QuietHours | UnsetType | None = UNSET
    content: Content | UnsetType | None = UNSET


class Mute(Body, frozen=True):
    """Until when a conversation is muted, and whether mentions come through."""

    until: Until | None = None
    mentions: bool = False


class Changed(Payload):
    """A sign that the user's preferences changed, for their own devices; `GET /api/push/settings` has them."""


# A transient type would not reach a device in the background, which may notify all the same.
CHANGED = MessageType(
    name="notification_settings", payload=Changed, kind=Kind.LATEST, targets=frozenset({ConversationKind.SELF}),
    priority=40, from_clients=False,
)  # fmt: skip


def add_views(made: Blueprint) -> None:
    """Add these paths to the plugin's."""
    made.add_url_rule("/api/push/settings", "settings", show_settings, methods=["GET"])
    made.add_url_rule("/api/push/settings", "change_settings", change_settings, methods=["PATCH"])
    made.add_url_rule("/api/push/muted/<target_id>", "mute", mute, methods=["PUT"])
    made.add_url_rule("/api/push/muted/<target_id>", "unmute", unmute, methods=["DELETE"])
    made.add_url_rule("/api/push/everything/<target_id>", "want_everything", want_everything, methods=["PUT"])
    made.add_url_rule("/api/push/everything/<target_id>", "want_usual", want_usual, methods=["DELETE"])


@endpoint(answers={200: Settings})
async def show_settings(server: Server, caller: Caller) -> Settings:
    """Answer with what the caller chose."""
    return await server.read(partial(_settings, user_id=caller.user_id, now=server.now()))


@endpoint(body=SettingsChange, answers={200: Settings})
async def change_settings(server: Server, caller: Caller, body: SettingsChange) -> Settings:
    """Change when the caller wants quiet, and how much is told."""
    user_id, now = caller.user_id, server.now()
    if isinstance(body.quiet_hours, QuietHours):
        try:
            zone(body.quiet_hours.zone)
        except ValueError as error:
            raise RelayError(ErrorCode.INVALID_PAYLOAD, f"quiet_hours: {error}") from None

    def write(connection: sqlite3.Connection) -> Settings:
        chosen = _changed(preferences_of(connection, user_id), body)
        connection.execute(
            "INSERT OR REPLACE INTO notifications_people VALUES (?, ?, ?, ?, ?, ?)", (user_id, *chosen)
        )
        return _settings(connection, user_id, now)

    settings: Settings = await server.write(write)
    await _tell_devices(server, user_id)
    return settings


def _changed(chosen: Preferences, body: SettingsChange) -> Preferences:
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


@endpoint(body=Mute, optional_body=True, answers={204: None}, refusals=[ErrorCode.NOT_FOUND])
async def mute(server: Server, caller: Caller, body: Mute, target_id: str) -> None:
    """Mute a conversation, by the other user, the group, or * for everybody's."""
    added = "INSERT OR REPLACE INTO notifications_muted VALUES (?, ?, ?, ?)"

    def change(connection: sqlite3.Connection, address: str) -> None:
        connection.execute(added, (caller.user_id, address, body.until, body.mentions))

    await _choose(server, caller.user_id, target_id, change)


@endpoint(answers={204: None}, refusals=[ErrorCode.NOT_FOUND])
async def unmute(server: Server, caller: Caller, target_id: str) -> None:
    """Have a conversation notify again."""
    removed = "DELETE FROM notifications_muted WHERE user_id = ? AND address = ?"

    def change(connection: sqlite3.Connection, address: str) -> None:
        connection.execute(removed, (caller.user_id, address))

    await _choose(server, caller.user_id, target_id, change)


@endpoint(answers={204: None}, refusals=[ErrorCode.NOT_FOUND])
async def want_everything(server: Server, caller: Caller, target_id: str) -> None:
    """Have all that is said in a group notify, as what is said to oneself does."""
    added = "INSERT OR IGNORE INTO notifications_everything VALUES (?, ?)"

    def change(connection: sqlite3.Connection, address: str) -> None:
        connection.execute(added, (caller.user_id, address))

    await _choose(server, caller.user_id, target_id, change)


@endpoint(answers={204: None}, refusals=[ErrorCode.NOT_FOUND])
async def want_usual(server: Server, caller: Caller, target_id: str) -> None:
    """Have a group notify by the rules again."""
    removed = "DELETE FROM notifications_everything WHERE user_id = ? AND address = ?"

    def change(connection: sqlite3.Connection, address: str) -> None:
        connection.execute(removed, (caller.user_id, address))

    await _choose(server, caller.user_id, target_id, change)


async def _choose(
    server: Server, user_id: str, target_id: str, change: Callable[[sqlite3.Connection, str], object]
) -> None:
    """Change what notifies of a conversation, by its address, and tell the user's devices."""
    await server.write(lambda connection: change(connection, _address(connection, user_id, target_id)))
    await _tell_devices(server, user_id)


async def _tell_devices(server: Server, user_id: str) -> None:
    """Tell the user's devices that their preferences changed."""
    try:
        await server.post(user_id, CHANGED.name, {}, await server.conversations.own(user_id))
    except RelayError as refused:
        server.log.warning("the devices of %s are not told of changed preferences: %s", user_id, refused)


def _address(connection: sqlite3.Connection, user_id: str, target_id: str) -> str:
    """Return the address of a conversation as the caller names it.

    Raises:
        RelayError: `not_found` for what is not there or not theirs to see.
    """
    if target_id == EVERYBODY:
        return EVERYBODY
    if kind_of(connection, target_id) == "user":
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
    chosen = preferences_of(connection, user_id)
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
    everything = connection.execute(
        "SELECT address FROM notifications_everything WHERE user_id = ? ORDER BY address", (user_id,)
    )
    wanted = [other_party(address, user_id) for (address,) in everything]
    return Settings(until, hours, chosen.content, muted, wanted)
