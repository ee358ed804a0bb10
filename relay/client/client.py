"""The client as an application uses it: send, iterate, read history."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any, Final, Literal, NoReturn

import trio

from relay.client.errors import RelayError, RelayOffline, StateError
from relay.client.events import Ack, Event, decode, encode
from relay.client.history import HistoryReader
from relay.client.inbox import Inbox
from relay.client.outbox import Outbox
from relay.client.pending import PendingSend
from relay.client.persistence import Identity, Persistence
from relay.client.reconnector import Reconnector
from relay.client.rest import RestClient
from relay.client.session import State
from relay.client.streaming import MessageStream
from relay.protocol.errors import ErrorCode
from relay.protocol.limits import MAX_NAME

_NOT_KEPT: Final = frozenset({"typing_indicator", "message_stream", "connection_event"})
"""Types that are only worth sending now; `keep` of the others is true unless given."""


class Client(HistoryReader):
    """A connection that reconnects and resumes by itself; made by `relay.client.connect`.

    `acknowledge` decides when an event counts as processed: "auto" once the iterator is asked for the next one
    (or the block is left without an error), "manual" when `ack` is called.
    """

    def __init__(
        self,
        reconnector: Reconnector,
        identity: Identity,
        inbox: Inbox,
        outbox: Outbox,
        persistence: Persistence,
        rest: Callable[[], RestClient],
        clock: Callable[[], float],
        new_id: Callable[[], str],
    ) -> None:
        super().__init__(rest)
        self.acknowledge: Literal["auto", "manual"] = "auto"
        self._reconnector = reconnector
        self._identity = identity
        self._inbox = inbox
        self._outbox = outbox
        self._persistence = persistence
        self._clock = clock
        self._new_id = new_id
        self._iterating = False
        self._left = False
        self._streams: trio.Nursery | None = None

    # ---- state

    @property
    def state(self) -> State:
        """`connecting`, `replaying`, `live`, `waiting` (before the next try) or `closed`."""
        return self._reconnector.state

    @property
    def trouble(self) -> str | None:
        """Why the last connection failed; None since the client was live again."""
        return self._reconnector.trouble

    @property
    def cursor(self) -> int | None:
        """The position up to which everything is processed."""
        return self._inbox.cursor

    @property
    def epoch(self) -> str | None:
        """The name of the server's log, from the last `ready`."""
        return self._identity.epoch

    @property
    def session_id(self) -> str | None:
        """The id of the lasting session, from the last `ready`."""
        return self._identity.session_id

    @property
    def user_id(self) -> str | None:
        """The user that the token belongs to, or None before the first `ready`."""
        return self._identity.user_id

    @property
    def client_id(self) -> str:
        """The lasting id of this device."""
        return self._identity.client_id

    @property
    def limits(self) -> dict[str, Any]:
        """The server's limits, from the last `ready`."""
        return dict(self._reconnector.limits)

    @property
    def unanswered(self) -> int:
        """The number of messages in the outbox."""
        return len(self._outbox)

    async def wait_live(self) -> None:
        """Wait until connected and caught up.

        Raises:
            RelayClosed: The server does not want this client back, or it said goodbye.
            StateError: The state file cannot be used.
        """
        await self._reconnector.wait_live()

    # ---- sending

    def send_nowait(
        self,
        type: str,
        payload: Mapping[str, Any],
        *,
        target_id: str | None = None,
        id: str | None = None,
        keep: bool | None = None,
    ) -> PendingSend:
        """Put a message in the outbox; it is sent as soon as there is a connection, until it is answered.

        `id` (1 to 64 characters) makes it the same message over any number of tries. With `keep` false (the
        default for typing indicators and connection events) it is only worth sending now: it fails with
        `RelayOffline` when there is no connection or it breaks before the answer.

        Raises:
            ValueError: The id is empty or too long.
            TypeError: The payload holds a value that JSON cannot express.
            OutboxFull: The outbox has no room.
            RelayError: Another message with this id waits for its answer (`conflict`).
            RelayClosed: The client is closed.
        """
        id = self._new_id() if id is None else id
        if not 1 <= len(id) <= MAX_NAME:
            raise ValueError(f"a message's id has 1 to {MAX_NAME} characters")
        keep = type not in _NOT_KEPT if keep is None else keep
        earlier = self._outbox.get(id)
        if earlier is not None:
            if not _is_same(earlier.frame, type, payload, target_id):
                raise RelayError(ErrorCode.CONFLICT, "another message with this id still waits for its answer")
            return earlier.pending
        meta: dict[str, Any] = {"id": id, "client_id": self.client_id, "timestamp": self._clock()}
        if target_id is not None:
            meta["target_id"] = target_id
        frame = encode(type, payload, meta)
        if not keep and self.state not in ("replaying", "live"):
            self._refuse_when_closed()
            return _failed(id, RelayOffline("not connected, and the message is not kept"))
        max_bytes = self._reconnector.limits.get("frame_bytes")
        if isinstance(max_bytes, int) and 0 < max_bytes < len(frame.encode()):
            return _failed(
                id, RelayError(ErrorCode.TOO_LARGE, f"the server takes frames of at most {max_bytes} bytes")
            )
        return self._outbox.add(id, frame, target_id, keep=keep)

    async def send(
        self,
        type: str,
        payload: Mapping[str, Any],
        *,
        target_id: str | None = None,
        id: str | None = None,
        keep: bool | None = None,
        timeout: float | None = None,  # noqa: ASYNC109 - part of the public interface
    ) -> Ack:
        """Send a message and return its ack; waits for room in the outbox first.

        After a timeout (seconds) or a cancellation the message stays in the outbox and may still be sent.

        Raises:
            RelayError: The server refused it.
            RelayClosed: The client was closed first.
            trio.TooSlowError: No answer within `timeout`.
        """
        with trio.fail_after(float("inf") if timeout is None else timeout):
            await self._outbox.wait_room()
            pending = self.send_nowait(type, payload, target_id=target_id, id=id, keep=keep)
            return await pending.wait()

    def stream(self, target_id: str, *, reply_to: int | None = None, id: str | None = None) -> MessageStream:
        """Return a message that grows while it is written; use it with `async with`.

        Its readers see it grow, and get one stored message at its end. An exception in the block stores what there
        is, marked as interrupted.

        Args:
            target_id: a user or a group.
            reply_to: the id of the message that it answers.
            id: its own id, at most 59 characters; a new one unless given.

        Raises:
            ValueError: The id is empty or too long.
            RelayClosed: The client is closed.
        """
        self._refuse_when_closed()
        stream = MessageStream(self, target_id, self._new_id() if id is None else id, reply_to)
        if self._streams is not None:
            self._streams.start_soon(stream.run)
        return stream

    async def flush(self) -> None:
        """Wait until every message in the outbox has its answer.

        Raises:
            RelayClosed: The client was closed first.
        """
        await self._outbox.wait_empty()

    # ---- receiving

    def __aiter__(self) -> AsyncIterator[Event]:
        return self

    async def __anext__(self) -> Event:
        if self._iterating:
            raise trio.BusyResourceError("another task already iterates over this client")
        self._iterating = True
        try:
            if self.acknowledge == "auto":
                self._count_processed()
            await trio.lowlevel.checkpoint()
            await self._save()
            while True:
                if self._left:
                    raise StopAsyncIteration
                # From here to the return there is no checkpoint: a cancelled iterator loses no event.
                event = self._inbox.take()
                if event is not None:
                    return event
                if self.state == "closed":
                    self._raise_closed()
                await self._inbox.changed.park()
        finally:
            self._iterating = False

    async def ack(self, cursor: int) -> None:
        """Count every event delivered so far at a position up to `cursor` as processed; return when that is saved.

        Only delivered events count: a replay comes by priority, so a high position says nothing of the others.

        Raises:
            StateError: The state file cannot be written.
        """
        self._count_processed(cursor)
        await self._save()

    async def goodbye(self) -> None:
        """Leave: acknowledge, say goodbye and close with 1000; iterating ends, who waits gets `RelayClosed`."""
        if not self._left:
            self._left = True
            if self.acknowledge == "auto":
                self._inbox.processed()
            await self._depart()

    # ---- inside

    def _count_processed(self, upto: int | None = None) -> None:
        self._inbox.processed(upto)
        if self._inbox.caught_up:
            self._reconnector.request_resync()

    async def _save(self) -> None:
        await self._persistence.save(self._identity, self._inbox, self._outbox)

    async def _keep_saving(self) -> None:
        try:
            await self._persistence.run(self._save)
        except StateError as error:
            self._reconnector.fail(error)

    async def _run_streams(self, task_status: trio.TaskStatus[None]) -> None:
        async with trio.open_nursery() as self._streams:
            task_status.started()
            await trio.sleep_forever()

    async def _finish(self, clean: bool) -> None:
        try:
            if clean:
                await self.goodbye()
            elif not self._left:
                self._left = True
                await self._depart()
        finally:
            await self._close_rest()

    async def _depart(self) -> None:
        await self._reconnector.leave()
        self._inbox.changed.unpark_all()
        try:
            await self._save()
        except StateError as error:
            self._reconnector.fail(error)

    def _refuse_when_closed(self) -> None:
        if self.state == "closed":
            self._raise_closed()

    def _raise_closed(self) -> NoReturn:
        raise self._reconnector.closed_error()


def _failed(id: str, error: RelayError) -> PendingSend:
    pending = PendingSend(id)
    pending.fail(error)
    return pending


def _is_same(frame: str, type: str, payload: Mapping[str, Any], target_id: str | None) -> bool:
    known, again = decode(frame), decode(encode(type, payload, {}))
    if known is None or again is None:
        return False
    return (known.type, known.payload, known.target_id) == (again.type, again.payload, target_id)
