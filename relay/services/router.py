"""MessageRouter: gather, commit, then fan out.

Whoever has a message to store hands it over with `submit_nowait`, which never waits. One task takes
everything that waits as one batch, has it committed in one transaction, and only then sends acks and
deliveries, in the order of their positions, while the next batch gathers. Every append to the log goes
through here, so that no connection ever sees a position out of order.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Final, NamedTuple, Protocol

import trio

from relay.protocol.envelope import SentMeta, encode, encode_error, encode_json
from relay.protocol.errors import ErrorCode, RelayError, not_found, not_saved
from relay.protocol.framing import text_frame
from relay.protocol.kinds import ConversationKind, Kind
from relay.services.channels import Conversation
from relay.services.connections import Connection, WebSocketManager
from relay.services.ephemeral import Indicators, Lasting
from relay.storage.errors import StorageFailed
from relay.storage.jobs import Runner
from relay.storage.log import Entry, Log

_log: Final = logging.getLogger("relay.router")
_FANOUT_SLICE: Final = 20_000
"""Deliveries between two flushes; with more, others would wait for the interpreter."""

_FANOUT_BYTES: Final = 8_388_608
"""The same in bytes over all connections: copying them into the kernel takes time too."""

_SLICE_BYTES: Final = 131_072
"""Bytes of messages between two flushes: far below what may wait for one connection, so who reads is not cut."""

BATCH_CHARACTERS: Final = 131_072
"""A batch ends with the message that brings it to so much JSON: what reads it there takes its time."""


class Submission:
    """A message on its way through the router.

    Attributes:
        origin: the connection that sent it and gets the ack instead of the message.
        recheck: look again at the commit whether the sender is a member still.
        changes_members: ends its batch, so that the next message meets the new membership.
        committed: called after the commit and before the fan-out, to bring memory up to date.
        answered: called with the entry once it was stored, refused or failed.
        lasting: for a transient message that ends later; see Indicators.
    """

    __slots__ = (
        "answered", "changes_members", "committed", "conversation", "entry", "lasting", "origin", "recheck",
    )  # fmt: skip

    def __init__(
        self,
        entry: Entry,
        conversation: Conversation,
        origin: Connection | None = None,
        *,
        recheck: bool = False,
        changes_members: bool = False,
        committed: Callable[[Entry], None] | None = None,
        answered: Callable[[Entry], None] | None = None,
        lasting: Lasting | None = None,
    ) -> None:
        self.entry = entry
        self.conversation = conversation
        self.origin = origin
        self.recheck = recheck
        self.changes_members = changes_members
        self.committed = committed
        self.answered = answered
        self.lasting = lasting


class Observer(Protocol):
    """Something that wants to know of each message after its commit; must not block or raise."""

    def __call__(self, submission: Submission) -> None:
        """Take note of one stored message."""


class RouterStatistics(NamedTuple):
    """A moment's figures of the router."""

    waiting: int
    position: int
    batches: int
    stored: int


class MessageRouter:
    """The one way into the log and out to the connections.

    Args:
        batch: the most messages of one transaction.
        pending: the most messages that may wait; one more is answered `overloaded`. 0 means no limit.
    """

    def __init__(
        self,
        runner: Runner,
        log: Log,
        connections: WebSocketManager,
        now: Callable[[], float],
        *,
        batch: int = 512,
        pending: int = 20_000,
        position: int = 0,
    ) -> None:
        self._runner = runner
        self._log = log
        self._connections = connections
        self._now = now
        self._batch = batch
        self._pending = pending or 1 << 62
        self._waiting: deque[Submission] = deque()
        self._wake = trio.Event()
        self._idle = trio.Event()
        self._batches = self._stored = 0
        self._storing = False
        self._followers = trio.lowlevel.ParkingLot()
        self.position = position
        self.indicators = Indicators(self._pass_to_members)
        self.observers: list[Observer] = []

    def submit_nowait(self, submission: Submission) -> None:
        """Take a message; its sender is answered after the commit.

        Raises:
            RelayError: `overloaded` when too many wait for the disk.
        """
        if submission.entry.kind is Kind.TRANSIENT:
            self._pass_on(submission)
            return
        if len(self._waiting) >= self._pending:
            raise RelayError(
                ErrorCode.OVERLOADED, "too many messages wait for the disk; send again later", retry_after=1.0
            )
        self._waiting.append(submission)
        self._wake.set()

    async def send(self, submission: Submission) -> Entry:
        """Take a message and wait until it is stored.

        Raises:
            RelayError: it was refused, or could not be stored.
        """
        done = trio.Event()
        submission.answered = lambda _entry: done.set()
        self.submit_nowait(submission)
        await done.wait()
        if submission.entry.error is not None:
            raise submission.entry.error
        return submission.entry

    async def run(self) -> None:
        """Route for ever. A fault here is the server's own and ends it: who cannot save must not ack."""
        while True:
            await self._wake.wait()
            batch = self._take()
            if not self._waiting:
                self._wake = trio.Event()
            if batch:
                await self._fan_out(batch, await self._commit(batch))
                self._storing = False
            else:
                self._connections.flush()  # refusals, which nothing else would send
            if not self._waiting:
                self._idle.set()
                self._idle = trio.Event()

    async def wait_idle(self) -> None:
        """Return once nothing waits, is being stored or being sent out, for a drain."""
        if self._waiting or self._storing:
            await self._idle.wait()

    async def wait_beyond(self, position: int) -> int:
        """Wait until the log's end is beyond a position, and return it."""
        while self.position <= position:
            await self._followers.park()
        return self.position

    def _take(self) -> list[Submission]:
        """Take what waits, up to a batch, or to the first change of a membership."""
        batch: list[Submission] = []
        waiting, characters = self._waiting, 0
        while waiting and len(batch) < self._batch and characters < BATCH_CHARACTERS:
            submission = waiting.popleft()
            if submission.recheck and submission.entry.sender_id not in submission.conversation.members:
                submission.entry.error = not_found(f"user or group {submission.entry.target_id!r}")
                self._answer(submission)
                continue
            batch.append(submission)
            characters += len(submission.entry.payload)
            if submission.changes_members:
                break
        return batch

    async def _commit(self, batch: Sequence[Submission]) -> int:
        """Store a batch and return the log's end; what could not be stored has its `error` set."""
        self._storing = True
        entries = [submission.entry for submission in batch]
        now = self._now()
        end = self.position
        try:
            end = await self._runner.write(lambda connection: self._log.append(connection, entries, now))
        except StorageFailed:
            failed = not_saved()
            for entry in entries:
                entry.stored, entry.error, entry.message_id = False, failed, None
        else:
            self._batches += 1
        return end

    async def _fan_out(self, batch: Sequence[Submission], end: int) -> None:
        """Send acks and deliveries; `position` follows, so that a hello in between meets no hole and no double."""
        pushed = size = spread = 0
        for submission in batch:
            entry = submission.entry
            if entry.stored:
                self._stored += 1
                deliveries = self._deliver(submission, entry)
                pushed += deliveries
                size += len(entry.payload)
                spread += deliveries * len(entry.payload)
            self._answer(submission)
            if pushed > _FANOUT_SLICE or size > _SLICE_BYTES or spread > _FANOUT_BYTES:
                pushed = size = spread = 0
                self.position = max(self.position, entry.message_id or 0)
                self._connections.flush()
                await trio.lowlevel.checkpoint()
        self.position = end
        self._followers.unpark_all()
        self._connections.flush()

    def _deliver(self, submission: Submission, entry: Entry) -> int:
        """Push one stored message to every connection that should have it, and say to how many."""
        members: Iterable[str] = self._recipients(submission.conversation)
        if submission.committed is not None:
            before = set(members)
            submission.committed(entry)
            members = before.union(submission.conversation.members)
        if entry.only_for is not None:
            members = (entry.only_for,)
        if len(self.indicators) and entry.kind is Kind.STREAM:
            self.indicators.spoke(entry, submission.conversation)
        frame = text_frame(encode_entry(entry))
        connections, origin, position = self._connections, submission.origin, entry.message_id or 0
        pushed = 0
        for user_id in members:
            for connection in connections.of(user_id).values():
                if connection is origin:
                    continue
                connection.sent_cursor = position
                if entry.kind is Kind.STREAM:
                    connection.push(frame)
                else:
                    connection.push_latest(frame, (entry.channel_id, entry.type, entry.sender_id, entry.key))
                pushed += 1
        for observer in self.observers:
            observer(submission)
        return pushed

    def _recipients(self, conversation: Conversation) -> Iterable[str]:
        if conversation.kind is ConversationKind.BROADCAST:
            return self._connections.users()
        return conversation.members

    def _answer(self, submission: Submission) -> None:
        entry, origin = submission.entry, submission.origin
        if entry.fault is not None:
            _log.error("the plugin for %r failed in its message's transaction", entry.type, exc_info=entry.fault)
        if origin is not None:
            origin.push(text_frame(encode_answer(entry)))
            if entry.message_id is not None and entry.message_id > origin.sent_cursor:
                origin.sent_cursor = entry.message_id
            origin.settle()
        if submission.answered is not None:
            submission.answered(entry)

    def _pass_on(self, submission: Submission) -> None:
        """Send what is never stored to who is there now, and ack it where it carried an id."""
        entry, origin = submission.entry, submission.origin
        entry.timestamp = self._now()
        if entry.own_id is not None or origin is None:
            self._answer(submission)
        else:
            origin.settle()
        lasting = submission.lasting
        if lasting is None or self.indicators.note(entry, submission.conversation, lasting):
            self._send_transient(entry, submission.conversation, origin)
        self._connections.flush()

    def _pass_to_members(self, entry: Entry, conversation: Conversation) -> None:
        """Send the end of what a device did to everybody but that device."""
        entry.timestamp = self._now()
        origin = self._connections.of(entry.sender_id).get(entry.client_id or "")
        self._send_transient(entry, conversation, origin)
        self._connections.flush()

    def _send_transient(self, entry: Entry, conversation: Conversation, origin: Connection | None) -> None:
        users = self._recipients(conversation) if entry.only_for is None else (entry.only_for,)
        self.fan_out_transient(text_frame(encode_entry(entry)), users, origin)

    def fan_out_transient(self, frame: bytes, users: Iterable[str], origin: Connection | None = None) -> None:
        """Send what is never stored to users' live, active devices, now."""
        for user_id in users:
            for connection in self._connections.of(user_id).values():
                if connection is not origin:
                    connection.push_transient(frame)
        self._connections.flush()

    def statistics(self) -> RouterStatistics:
        """Return this moment's figures."""
        return RouterStatistics(len(self._waiting), self.position, self._batches, self._stored)


def encode_entry(entry: Entry) -> bytes:
    """Return the envelope of a message as its recipients get it live."""
    return encode(
        entry.type,
        entry.payload.encode(),
        SentMeta(
            message_id=entry.message_id,
            seq=entry.seq,
            id=entry.own_id,
            sender_id=entry.sender_id,
            target_id=entry.target_id or None,
            client_id=entry.client_id,
            timestamp=entry.timestamp,
            sent_at=entry.sent_at,
            expires_at=entry.expires_at,
            replaces=entry.replaces,
            depth=entry.depth or None,
        ),
    )


def ack_payload(entry: Entry) -> dict[str, object]:
    """Return what an ack says of a message, as far as its type has it."""
    payload: dict[str, object] = {"timestamp": entry.timestamp, "duplicate": entry.duplicate}
    if entry.message_id is not None:
        payload["message_id"] = entry.message_id
    if entry.seq is not None and not entry.elsewhere:
        payload["seq"] = entry.seq
    if entry.replaces is not None:
        payload["replaces"] = entry.replaces
    if entry.answer is not None:
        payload |= entry.answer
    return payload


def encode_answer(entry: Entry) -> bytes:
    """Return the ack or the error that answers a message."""
    if entry.error is not None:
        return encode_error(entry.error, entry.own_id)
    return encode("ack", encode_json(ack_payload(entry)), SentMeta(ref=entry.own_id))
