"""Tracing: the whole life of one message, and for each recipient why they have it, or why not yet.

Everything is derived from what is stored, or known of connections at this moment. What nobody keeps is said to be
not kept. How far somebody has read who does not show it to others is not shown here, either.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from relay.protocol.errors import ErrorCode, RelayError
from relay.services.acts import Act
from relay.services.audit import About, Actor, AuditLog
from relay.services.connections import WebSocketManager
from relay.services.departures import Departures
from relay.services.diagnosis import Diagnosis, ToldNote
from relay.services.envelopes import ForUser
from relay.services.tally import Commit, Tally
from relay.services.trace_devices import Devices, DeviceTrace
from relay.services.trace_times import when
from relay.services.trace_words import ENDINGS, recipient_text
from relay.storage import messages, replay, tracing
from relay.storage.devices import Device
from relay.storage.history import Record
from relay.storage.jobs import Runner
from relay.storage.replay import Plan
from relay.storage.tracing import Counts, Ending, Recipient, TracedMessage

_PLANNED: Final = 20
"""The most devices of one answer whose next replay is planned, to see whether it would leave the message out."""


class CommitTrace(msgspec.Struct, frozen=True, kw_only=True):
    """The transaction that stored a message: the positions in it, and how long it took."""

    first: int
    last: int
    messages: int
    done_at: float
    seconds: float


class TraceEvent(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that happened to a message; `plugin` says which plugin tells it."""

    what: str
    text: str
    at: float | None
    by: str | None = None
    plugin: str | None = None


class RecipientTrace(msgspec.Struct, frozen=True, kw_only=True):
    """One user, and why they have a message or why not; `shown` says what plugins make of it for them.

    `blocks_since`: since when they block the sender, null where they do not.
    """

    user_id: str
    state: str
    text: str
    read: bool
    shown: str
    shown_by: str | None
    blocks_since: float | None
    devices: list[DeviceTrace]
    notes: list[ToldNote]


class MessageTrace(msgspec.Struct, frozen=True, kw_only=True):
    """A message as it is stored, without what it says; `id` is the one that its sender gave it."""

    message_id: int
    type: str
    kind: str
    conversation: str
    seq: int | None
    sender_id: str
    client_id: str | None
    id: str | None
    stored_at: float
    sent_at: float | None
    bytes: int | None
    edited_at: float | None
    deleted_at: float | None
    expires_at: float | None
    depth: int
    only_for: str | None
    commit: CommitTrace | None


class TraceCounts(msgspec.Struct, frozen=True, kw_only=True):
    """Present members whom it is for, but its sender; those of whom a device has it; who show that they read."""

    members: int
    delivered: int
    read: int


class Trace(msgspec.Struct, frozen=True, kw_only=True):
    """The life of one message; `next` is what to go on after, null at the end."""

    message: MessageTrace
    events: list[TraceEvent]
    counts: TraceCounts
    recipients: list[RecipientTrace]
    next: str | None


class _Facts(msgspec.Struct, frozen=True):
    """The facts that were read of the database, on one snapshot."""

    message: TracedMessage
    record: Record
    ending: Ending | None
    editor: str | None
    counts: Counts
    recipients: list[Recipient]
    visible: dict[str, bool]
    devices: dict[str, list[Device]]
    last_seen: dict[str, float]
    plans: dict[tuple[str, str], Plan]


class Tracing:
    """Traces messages.

    Args:
        replay_limit: the most messages of one replay.
        priority: returns a type's place in the order of a replay.
        now: Unix seconds.
    """

    def __init__(
        self,
        runner: Runner,
        connections: WebSocketManager,
        departures: Departures,
        tally: Tally,
        diagnosis: Diagnosis,
        audit: AuditLog,
        now: Callable[[], float],
        replay_limit: int,
        priority: Callable[[str], int],
    ) -> None:
        self._runner = runner
        self._connections = connections
        self._departures = departures
        self._tally = tally
        self._diagnosis = diagnosis
        self._audit = audit
        self._now = now
        self._limit = replay_limit
        self._priority = priority

    async def look(
        self,
        actor: Actor,
        message_id: int,
        position: int,
        *,
        user: str | None = None,
        after: str = "",
        limit: int = 50,
    ) -> Trace:
        """Trace a message for somebody, which the audit log has, once for all pages; see `trace`."""
        found = await self.trace(message_id, position, user=user, after=after, limit=limit)
        if not after:
            details = {} if user is None else {"user": user}
            await self._audit.record(actor, Act.MESSAGE_TRACED, About("message", str(message_id)), details)
        return found

    async def trace(
        self, message_id: int, position: int, *, user: str | None = None, after: str = "", limit: int = 50
    ) -> Trace:
        """Return the life of a message, and up to `limit` of those who were to get it.

        Args:
            position: the log's end.
            user: one recipient alone.
            after: the user id to go on after.

        Raises:
            RelayError: `not_found` for a message that is not there, or a user who never was in its conversation.
        """

        def read(connection: sqlite3.Connection) -> _Facts | None:
            return self._read(connection, message_id, position, after, limit + 1, user)

        facts = await self._runner.read(read)
        if facts is None:
            raise _unknown(message_id, position)
        if user is not None and not facts.recipients:
            text = f"user {user!r} never was in the conversation of message {message_id}"
            raise RelayError(ErrorCode.NOT_FOUND, text)
        more = len(facts.recipients) > limit
        shown = facts.recipients[:limit]
        commit = self._tally.commit_of(message_id)
        notes = await self._diagnosis.notes(facts.message, [one.user_id for one in shown])
        return Trace(
            message=_message(facts.message, commit),
            events=self._events(facts, [note for note in notes if note.user_id is None]),
            counts=TraceCounts(**facts.counts._asdict()),
            recipients=[self._recipient(facts, one, commit, notes) for one in shown],
            next=shown[-1].user_id if more else None,
        )

    def _read(
        self,
        connection: sqlite3.Connection,
        message_id: int,
        position: int,
        after: str,
        limit: int,
        user: str | None,
    ) -> _Facts | None:
        message = tracing.find(connection, message_id)
        if message is None:
            return None
        found = tracing.recipients(connection, message, after, limit, user)
        user_ids = [one.user_id for one in found]
        devices = tracing.devices(connection, user_ids)
        return _Facts(
            message,
            messages.read_records(connection, [message_id])[message_id],
            tracing.ending(connection, message),
            None if message.edit_id is None else tracing.editor(connection, message),
            tracing.counts(connection, message),
            found,
            {one.user_id: _sees(connection, one, message) for one in found},
            devices,
            tracing.last_seen(connection, user_ids),
            self._plans(connection, message, devices, position),
        )

    def _plans(
        self,
        connection: sqlite3.Connection,
        message: TracedMessage,
        devices: dict[str, list[Device]],
        position: int,
    ) -> dict[tuple[str, str], Plan]:
        """Return the next replays of some devices that are away, and so far behind that the limit may cut them."""
        plans: dict[tuple[str, str], Plan] = {}
        for user_id, owned in devices.items():
            for device in owned:
                behind = device.acked < message.message_id and position - device.acked > self._limit
                away = device.revoked_at is None and device.client_id not in self._connections.of(user_id)
                if behind and away and len(plans) < _PLANNED:
                    start = device.acked
                    plans[user_id, device.client_id] = replay.plan(
                        connection, user_id, start, position, self._limit, self._priority
                    )
        return plans

    def _events(self, facts: _Facts, notes: Sequence[ToldNote]) -> list[TraceEvent]:
        """Return what happened to the message as a whole, in its order; what is still to come is last."""
        message, ending = facts.message, facts.ending
        where = f"by device {message.client_id}" if message.client_id else "by the server, or by REST"
        events = [
            TraceEvent(
                what="stored",
                text=f"{message.sender_id} sent it {where}; it was stored {when(message.stored_at)}.",
                at=message.stored_at,
                by=message.sender_id,
            )
        ]
        if message.edited_at is not None:
            text = f"{facts.editor or 'Somebody'} edited it last {when(message.edited_at)}."
            events.append(TraceEvent(what="edited", text=text, at=message.edited_at, by=facts.editor))
        if ending is not None and message.deleted_at is not None:
            text = ENDINGS[ending.what].format(
                by=ending.by, at=when(message.deleted_at), message_id=ending.message_id
            )
            events.append(TraceEvent(what=ending.what, text=text, at=message.deleted_at, by=ending.by))
        elif message.expires_at is not None:
            text = f"It expires {when(message.expires_at)}."
            events.append(TraceEvent(what="expires", text=text, at=message.expires_at))
        told = [TraceEvent(what=one.what, text=one.text, at=one.at, plugin=one.plugin) for one in notes]
        return sorted([*events, *told], key=lambda event: event.at if event.at is not None else float("inf"))

    def _recipient(
        self, facts: _Facts, one: Recipient, commit: Commit | None, notes: Sequence[ToldNote]
    ) -> RecipientTrace:
        message, user_id = facts.message, one.user_id
        visible = facts.visible[user_id]
        known = Devices(self._connections, self._departures, self._limit)
        traced = [
            known.trace(message, one, device, commit, facts.last_seen.get(user_id), facts.plans)
            for device in facts.devices[user_id]
        ]
        read = message.seq is not None and one.read_seq >= message.seq and user_id != message.sender_id
        shown, shown_by = self._shown(facts, user_id) if visible else ("nothing", None)
        state = _state(message, one, visible, read, traced)
        return RecipientTrace(
            user_id=user_id,
            state=state,
            text=recipient_text(state, message, one, traced, shown, shown_by),
            read=read and visible,
            shown=shown,
            shown_by=shown_by,
            blocks_since=one.blocks_since if visible else None,
            devices=traced if visible else [],
            notes=[note for note in notes if note.user_id == user_id],
        )

    def _shown(self, facts: _Facts, user_id: str) -> tuple[str, str | None]:
        """Return what a user gets of the message, and by which plugin that differs from what is stored."""
        if facts.message.deleted_at is not None:
            return "nothing", None
        verdicts = self._diagnosis.verdicts(ForUser(facts.record, user_id))
        for what in ("withheld", "changed"):
            for verdict in verdicts:
                if verdict.what == what:
                    return what, verdict.plugin
        return "whole", None


def _unknown(message_id: int, position: int) -> RelayError:
    if message_id > position:
        text = f"there is no message {message_id}: the newest one is {position}"
        return RelayError(ErrorCode.NOT_FOUND, text)
    why = "it was a reaction, a receipt or the like, and a newer one has taken its place"
    return RelayError(ErrorCode.NOT_FOUND, f"there is no message {message_id} any more: {why}")


def _message(message: TracedMessage, commit: Commit | None) -> MessageTrace:
    return MessageTrace(
        message_id=message.message_id,
        type=message.type,
        kind=message.kind,
        conversation=message.address,
        seq=message.seq,
        sender_id=message.sender_id,
        client_id=message.client_id,
        id=message.own_id,
        stored_at=message.stored_at,
        sent_at=message.sent_at,
        bytes=message.size,
        edited_at=message.edited_at,
        deleted_at=message.deleted_at,
        expires_at=message.expires_at,
        depth=message.depth,
        only_for=message.only_for,
        commit=None if commit is None else _commit(commit),
    )


def _commit(commit: Commit) -> CommitTrace:
    return CommitTrace(
        first=commit.first,
        last=commit.last,
        messages=commit.messages,
        done_at=commit.done_at,
        seconds=commit.seconds,
    )


def _sees(connection: sqlite3.Connection, one: Recipient, message: TracedMessage) -> bool:
    """Return whether a user may see the message; values of latest types are for who is a member now."""
    return one.view.open if message.seq is None else one.view.sees(connection, message.seq)


def _state(
    message: TracedMessage, one: Recipient, visible: bool, read: bool, devices: Sequence[DeviceTrace]
) -> str:
    """Return in one word why a user has the message, or why not."""
    if not visible:
        return _outside(message, one)
    if one.erased_at is not None:
        return "erased"
    if one.user_id == message.sender_id:
        return "sender"
    if read:
        return "read"
    states = {device.state for device in devices}
    if "acked" in states or one.delivered >= message.message_id:
        return "delivered"
    if one.disabled:
        return "disabled"
    for state in ("sent", "queued", "replaying", "left_out", "waiting"):
        if state in states:
            return state
    return "no_device"


def _outside(message: TracedMessage, one: Recipient) -> str:
    """Return why a user does not see the message: before they came, after they went, or in between."""
    seq, view = message.seq, one.view
    if seq is None:
        return "left"
    if view.last is not None and seq > view.last:
        return "left"
    return "joined_later" if seq < view.start else "between"
