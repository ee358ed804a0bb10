"""MessageRouter: gathers messages into a batch, has it committed, then sends acks and deliveries.

`submit_nowait` takes a message and never waits. One task takes everything that is pending as one batch, has it
committed in one transaction, and only then sends acks and deliveries, in the order of their positions, while the
next batch gathers. Every append to the log goes through here, so no connection ever sees positions out of order.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Final, NamedTuple

import trio

from relay.protocol.errors import ErrorCode, RelayError, not_saved
from relay.protocol.framing import text_frame
from relay.protocol.kinds import ConversationKind, Kind
from relay.services.channels import Conversation
from relay.services.connections import Connection, WebSocketManager
from relay.services.envelopes import ALIKE, PerRecipient, encode_answer, encode_entry, encode_for
from relay.services.ephemeral import Indicators
from relay.services.permissions import refused
from relay.services.submission import Observer as Observer
from relay.services.submission import Submission as Submission
from relay.services.tally import Commit, Tally
from relay.storage.entry import Entry
from relay.storage.errors import StorageFailed
from relay.storage.jobs import Runner
from relay.storage.log import Log
from relay.wakeup import Wakeup

_log: Final = logging.getLogger("relay.router")
_FANOUT_SLICE: Final = 20_000
"""Deliveries between two flushes. Other tasks get no turn between two flushes."""

_FANOUT_BYTES: Final = 8_388_608
"""Bytes of deliveries, over all connections, between two flushes. Copying them into the kernel takes time too."""

_SLICE_BYTES: Final = 131_072
"""Bytes of messages between two flushes: far less than an outbox holds, so no connection that reads is cut off."""

BATCH_CHARACTERS: Final = 131_072
"""A batch ends with the message that brings its payloads to this size, as reading them takes time as well."""


class RouterStatistics(NamedTuple):
    """The router's figures at one moment."""

    waiting: int
    position: int
    batches: int
    stored: int


class MessageRouter:
    """The one way into the log and out to the connections.

    Args:
        batch: the most messages in one transaction.
        pending: the most messages that may wait for theirs; one more is refused as `overloaded`. 0 means no limit.
        position: where the log ends at the start.
        observers: called with each stored message after its commit, in this order.
        recipients: what plugins change for single recipients.
        tally: counts commits, deliveries and refusals.

    Attributes:
        position: the log's end, up to which everything has been sent out.
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
        observers: Sequence[Observer] = (),
        recipients: PerRecipient = ALIKE,
        tally: Tally | None = None,
    ) -> None:
        self._runner = runner
        self._log = log
        self._connections = connections
        self._now = now
        self._batch = batch
        self._pending = pending or 1 << 62
        self._waiting: deque[Submission] = deque()
        self._wakeup = Wakeup()
        self._idle = trio.Event()
        self._batches = self._stored = 0
        self._storing = False
        self._position_waiters = trio.lowlevel.ParkingLot()
        self.position = position
        self.indicators = Indicators(self.tell)
        self._observers = observers
        self._awaited: dict[tuple[str, str], Callable[[Entry], None]] = {}
        self._per_recipient = recipients
        self._tally = tally or Tally()

    def submit_nowait(self, submission: Submission) -> None:
        """Take a message; its sender is answered after the commit.

        Raises:
            RelayError: `overloaded` if too many wait for the disk.
        """
        if submission.entry.kind is Kind.TRANSIENT:
            self._send_transient(submission)
            return
        if len(self._waiting) >= self._pending:
            raise _too_many()
        self._waiting.append(submission)
        self._wakeup.set()

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

    async def send_together(self, submissions: Sequence[Submission]) -> list[Entry]:
        """Take messages that one transaction is to store, and wait until they are stored.

        Raises:
            RelayError: one was refused, or they could not be stored.
        """
        if len(self._waiting) + len(submissions) > self._pending:
            raise _too_many()
        left, done = len(submissions), trio.Event()

        def answered(_entry: Entry) -> None:
            nonlocal left
            left -= 1
            if not left:
                done.set()

        for number, submission in enumerate(submissions):
            submission.answered, submission.with_previous = answered, number > 0
            self.submit_nowait(submission)
        await done.wait()
        entries = [submission.entry for submission in submissions]
        for entry in entries:
            if entry.error is not None:
                raise entry.error
        return entries

    async def run(self) -> None:
        """Route for ever. A fault here is the server's own and ends it: a server that cannot save must not ack."""
        while True:
            await self._wakeup.wait()
            batch = self._take()
            if self._waiting:
                self._wakeup.set()
            if batch:
                await self._fan_out(batch, await self._commit(batch))
                self._storing = False
            else:
                self._connections.flush()  # refusals, which nothing else would send
            if not self._waiting:
                self._idle.set()
                self._idle = trio.Event()

    async def wait_idle(self) -> None:
        """Wait until nothing is pending, being stored or being sent out, for a drain."""
        if self._waiting or self._storing:
            await self._idle.wait()

    async def wait_beyond(self, position: int) -> int:
        """Wait until the log's end is beyond a position, and return the end."""
        while self.position <= position:
            await self._position_waiters.park()
        return self.position

    def _take(self) -> list[Submission]:
        """Take what is pending: at most a batch, and nothing behind a change of members."""
        batch: list[Submission] = []
        waiting, characters = self._waiting, 0
        while waiting and (
            (len(batch) < self._batch and characters < BATCH_CHARACTERS) or waiting[0].with_previous
        ):
            submission = waiting.popleft()
            entry, conversation, act = submission.entry, submission.conversation, submission.recheck
            if act is not None and (conversation.restricted or entry.sender_id not in conversation.members):
                entry.error = refused(entry.sender_id, act, conversation, f"user or group {entry.target_id!r}")
            if entry.error is not None:
                self._answer(submission)
                continue
            batch.append(submission)
            characters += len(submission.entry.payload)
            if submission.changes_members:
                break
        return batch

    async def _commit(self, batch: Sequence[Submission]) -> int:
        """Store a batch and return the log's end; a message that could not be stored has its `error` set."""
        self._storing = True
        entries = [submission.entry for submission in batch]
        now, lone = self._now(), len(entries) == 1 and entries[0].plain
        end, began = self.position, trio.current_time()
        try:
            end = await self._runner.write(lambda database: self._log.append(database, entries, now), lone=lone)
        except StorageFailed:
            failed = not_saved()
            for entry in entries:
                entry.stored, entry.error, entry.message_id = False, failed, None
        else:
            self._batches += 1
            took = trio.current_time() - began
            self._tally.committed(Commit(self.position + 1, end, len(entries), now, self._now(), took))
        return end

    async def _fan_out(self, batch: Sequence[Submission], end: int) -> None:
        """Send acks and deliveries, with turns for other tasks in between.

        `position` follows: a hello in between replays up to it and is sent the rest live, without gaps or doubles.
        """
        pushed = size = spread = 0
        for submission in batch:
            entry = submission.entry
            self._answer(submission)
            if len(batch) == 1:
                self._connections.flush()  # its sender need not wait until it is encoded, and sent to all
            if entry.stored:
                self._stored += 1
                deliveries = self._deliver(submission, entry)
                self._tally.deliveries += deliveries
                pushed += deliveries
                size += len(entry.payload)
                spread += deliveries * len(entry.payload)
            elif entry.error is not None:
                self._tally.refused += 1
            if pushed > _FANOUT_SLICE or size > _SLICE_BYTES or spread > _FANOUT_BYTES:
                pushed = size = spread = 0
                self.position = max(self.position, entry.message_id or 0)
                self._connections.flush()
                await trio.lowlevel.checkpoint()
        self.position = end
        self._position_waiters.unpark_all()
        self._connections.flush()

    def _deliver(self, submission: Submission, entry: Entry) -> int:
        """Push a stored message to every connection that should have it, and return their number."""
        members: Iterable[str] = self._recipients(submission.conversation)
        if submission.committed is not None:
            before = set(members)  # who is removed by this message is still sent it
            submission.committed(entry)
            members = before.union(submission.conversation.members)
        if entry.only_for is not None:
            members = (entry.only_for,)
        if entry.kind is Kind.STREAM:
            self.indicators.message_stored(entry, submission.conversation)
        if self._awaited and (told := self._awaited.pop((entry.sender_id, entry.own_id or ""), None)) is not None:
            told(entry)
        plain = submission.frame or text_frame(encode_entry(entry))
        frames = self._frames(entry, members) if self._per_recipient.any and submission.frame is None else None
        connections, origin, position = self._connections, submission.origin, entry.message_id or 0
        pushed = 0
        for user_id in members:
            frame = plain if frames is None else frames.get(user_id, plain)
            for connection in connections.of(user_id).values():
                if connection is origin:
                    continue
                connection.sent_cursor = position
                if entry.kind is Kind.STREAM:
                    connection.push(frame)
                else:
                    connection.push_latest(frame, (entry.channel_id, entry.type, entry.sender_id, entry.key))
                pushed += 1
        for observer in self._observers:
            observer(submission)
        return pushed

    def _frames(self, entry: Entry, users: Iterable[str]) -> dict[str, bytes] | None:
        """Return the frames of a message for those who are connected, where plugins may make them differ."""
        differing = self._per_recipient
        if not differing.concern(entry.type):
            return None
        online = [user_id for user_id in users if self._connections.of(user_id)]
        return {user_id: text_frame(text) for user_id, text in encode_for(entry, online, differing).items()}

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
            if entry.error is not None:
                self._tally.errors["socket", entry.error.code] += 1
            if entry.message_id is not None and entry.message_id > origin.sent_cursor:
                origin.sent_cursor = entry.message_id
            origin.settle()
        if submission.answered is not None:
            submission.answered(entry)

    def _send_transient(self, submission: Submission) -> None:
        """Send a transient message to those who are connected, and ack it if it has an id."""
        entry, origin = submission.entry, submission.origin
        entry.timestamp = self._now()
        if entry.own_id is not None or origin is None:
            self._answer(submission)
        else:
            origin.settle()
        timeout = submission.timeout
        if timeout is None or self.indicators.note(entry, submission.conversation, timeout):
            self._push_transient(entry, submission.conversation, origin)
        self._connections.flush()

    def _push_transient(self, entry: Entry, conversation: Conversation, origin: Connection | None) -> None:
        users = self._recipients(conversation) if entry.only_for is None else (entry.only_for,)
        frames = self._frames(entry, users)
        if frames is None:
            self.fan_out_transient(text_frame(encode_entry(entry)), users, origin)
            return
        for user_id, frame in frames.items():
            self.fan_out_transient(frame, (user_id,), origin)

    def when_stored(self, user_id: str, own_id: str, call: Callable[[Entry], None] | None) -> None:
        """Call a function once, when a message of a user with this id is stored; None forgets it."""
        if call is None:
            self._awaited.pop((user_id, own_id), None)
        else:
            self._awaited[user_id, own_id] = call

    def tell(self, entry: Entry, conversation: Conversation, only: tuple[str, str] | None = None) -> None:
        """Send a transient message to the members' devices but the one it is from, or to one device, now."""
        entry.timestamp = self._now()
        if only is None:
            origin = self._connections.of(entry.sender_id).get(entry.client_id or "")
            self._push_transient(entry, conversation, origin)
        elif (connection := self._connections.of(only[0]).get(only[1])) is not None:
            frames = self._frames(entry, (only[0],))
            frame = text_frame(encode_entry(entry)) if frames is None else frames[only[0]]
            connection.push_transient(frame)
        self._connections.flush()

    def fan_out_transient(self, frame: bytes, users: Iterable[str], origin: Connection | None = None) -> None:
        """Queue a frame that is never stored for users' devices that are live and active; it goes with a flush."""
        for user_id in users:
            for connection in self._connections.of(user_id).values():
                if connection is not origin:
                    connection.push_transient(frame)

    def statistics(self) -> RouterStatistics:
        """Return the figures of this moment."""
        return RouterStatistics(len(self._waiting), self.position, self._batches, self._stored)


def _too_many() -> RelayError:
    text = "too many messages wait for the disk; send again later"
    return RelayError(ErrorCode.OVERLOADED, text, retry_after=1.0)
