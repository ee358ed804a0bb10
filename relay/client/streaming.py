"""A streamed message on its sender's side: pieces while it is written, and one stored message at its end.

Contract:
    The end goes through the outbox, like any message: it is stored once, over reconnects and, with a state file,
    restarts. Pieces may be lost; the server tells from where to go on.
    Written text is gathered: one piece is on its way at a time, at most ten leave in a second.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import TracebackType
from typing import Any, Final, Protocol

import msgspec
import trio

from relay.client.errors import OutboxFull, RelayClosed, RelayError, RelayOffline, StateError
from relay.client.events import Ack
from relay.client.pending import PendingSend
from relay.protocol.errors import ErrorCode
from relay.protocol.limits import MAX_NAME

TYPE: Final = "message_stream"
_FINAL: Final = ("chat_message", "group_message")
_EDIT: Final = "-edit"
_PIECE_SECONDS: Final = 0.1
_ALIVE_SECONDS: Final = 10.0
"""The longest silence: the server ends a stream after half a minute without a piece."""

_NOT_STREAMED: Final = frozenset({ErrorCode.UNKNOWN_TYPE, ErrorCode.PLUGIN_FAILED, ErrorCode.CONFLICT})
"""Refusals of pieces that do not touch the end: the server does not stream, or not any more."""


class Sender(Protocol):
    """The client, as far as a stream needs it: see `relay.client.Client`."""

    async def wait_live(self) -> None:
        """Wait until connected and caught up."""

    def send_nowait(
        self, type: str, payload: Mapping[str, Any], *, target_id: str | None = None, id: str | None = None
    ) -> PendingSend:
        """Put a message in the outbox."""

    async def send(
        self,
        type: str,
        payload: Mapping[str, Any],
        *,
        target_id: str | None = None,
        id: str | None = None,
        keep: bool | None = None,
    ) -> Ack:
        """Send a message and return its ack."""


class MessageStream:
    """A message that is written piece by piece; `Client.stream` makes it, and `async with` ends it.

    Attributes:
        id: its `stream_id`, and the id of the message at its end.
        text: what was written so far.
        ack: the answer to the message at its end; None before that, and where there is none.
    """

    def __init__(self, client: Sender, target_id: str, id: str, reply_to: int | None) -> None:
        if not 1 <= len(id) <= MAX_NAME - len(_EDIT):
            raise ValueError(f"a stream's id has 1 to {MAX_NAME - len(_EDIT)} characters")
        self.id = id
        self.text = ""
        self.ack: Ack | None = None
        self._client = client
        self._target_id = target_id
        self._reply_to = reply_to
        self._sent = 0
        self._types: tuple[str, ...] = _FINAL
        self._over = trio.Event()
        self._failure: RelayError | None = None
        self._written = trio.Event()

    async def __aenter__(self) -> MessageStream:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        if self._over.is_set():
            return
        if kind is None:
            await self.end()
        else:
            self._interrupt()

    async def write(self, text: str) -> None:
        """Add to the text; it is sent a moment later, with what is written meanwhile.

        Raises:
            RelayError: The server refuses the text, and nothing is left of the stream.
            ValueError: The stream is over.
        """
        if self._failure is not None:
            raise self._failure
        if self._over.is_set():
            raise ValueError("this stream is over")
        self.text += text
        self._written.set()
        await trio.lowlevel.checkpoint()

    async def end(self, **more: Any) -> Ack | None:
        """Store the whole text as one message, and return its ack; an empty text leaves nothing, and None.

        Where the server has stored a part of it already, since nothing was heard of this client for too long, that
        message is edited.

        Args:
            more: `attachments`, `mentions`, `extra` of the message.

        Raises:
            RelayError: The server refused it.
            RelayClosed: The client was closed first.
        """
        if not self.text and not more:
            await self.cancel()
            return None
        self._stop()
        if self._failure is not None:
            raise self._failure
        payload = self._payload(more)
        for type in self._types:
            try:
                self.ack = await self._client.send(type, payload, target_id=self._target_id, id=self.id)
                return self.ack
            except RelayError as refused:
                stored = (refused.details or {}).get("message_id")
                if refused.code == ErrorCode.CONFLICT and isinstance(stored, int):
                    self.ack = await self._edit(stored, payload)
                    return self.ack
                # What the target is, a user or a group, is known by the first ack only.
                if refused.code != ErrorCode.INVALID_PAYLOAD or type == self._types[-1]:
                    raise
        return None

    async def cancel(self) -> None:
        """End without a message; readers see the text go."""
        self._stop()
        payload = {"stream_id": self.id, "cancelled": True}
        try:
            await self._client.send(TYPE, payload, target_id=self._target_id, keep=False)
        except (RelayError, RelayClosed):
            return  # the server forgets it by itself

    # ---- inside

    async def run(self) -> None:
        """Send what was written, piece by piece, until the stream is over; for the client."""
        while not self._over.is_set():
            try:
                await self._client.wait_live()
                if self._over.is_set():
                    return
                ack = await self._client.send(TYPE, self._piece(), target_id=self._target_id, keep=False)
            except (RelayClosed, StateError):
                return
            except RelayOffline:
                await trio.sleep(_PIECE_SECONDS)
            except RelayError as refused:
                if not await self._goes_on(refused):
                    return
            else:
                self._sent = int(ack.payload.get("offset") or 0)
                self._types = (str(ack.payload.get("type") or _FINAL[0]),)
                await self._gather()

    async def _gather(self) -> None:
        """Wait until there is something to send: text, or after a while a sign of life."""
        await trio.sleep(_PIECE_SECONDS)
        with trio.move_on_after(_ALIVE_SECONDS):
            while self._sent == len(self.text) and not self._over.is_set():
                self._written = trio.Event()
                await self._written.wait()

    async def _goes_on(self, refused: RelayError) -> bool:
        """Take the refusal of a piece, and tell whether to send another one."""
        offset = (refused.details or {}).get("offset")
        if isinstance(offset, int):
            self._sent = min(offset, len(self.text))
            return True
        if (refused.details or {}).get("reason") == "slow_mode":
            return False  # its end waits in the outbox
        if refused.retry:
            await trio.sleep(1.0 if refused.retry_after is None else refused.retry_after)
            return True
        if refused.code not in _NOT_STREAMED:
            self._failure = refused
        return False

    def _piece(self) -> dict[str, Any]:
        piece: dict[str, Any] = {"stream_id": self.id, "offset": self._sent, "text": self.text[self._sent :]}
        if self._sent == 0 and self._reply_to is not None:
            piece["reply_to"] = self._reply_to
        return piece

    def _payload(self, more: dict[str, Any]) -> dict[str, Any]:
        payload: dict[str, Any] = {"content": self.text}
        if self._reply_to is not None:
            payload["reply_to"] = self._reply_to
        return payload | more

    async def _edit(self, message_id: int, payload: dict[str, Any]) -> Ack:
        edit: dict[str, Any] = {"message_id": message_id, "content": self.text}
        if "mentions" in payload:
            edit["mentions"] = payload["mentions"]
        ack = await self._client.send("message_edit", edit, target_id=self._target_id, id=self.id + _EDIT)
        return msgspec.structs.replace(ack, message_id=message_id, seq=None)

    def _interrupt(self) -> None:
        """Have what there is stored, marked as interrupted, and wait for nothing: an exception is on its way."""
        self._stop()
        if not self.text or self._failure is not None or len(self._types) > 1:
            return  # readers have seen nothing, or the server ends it
        try:
            self._client.send_nowait(
                self._types[0], self._payload({"interrupted": True}), target_id=self._target_id, id=self.id
            )
        except (RelayError, RelayClosed, OutboxFull, StateError):
            return

    def _stop(self) -> None:
        self._over.set()
        self._written.set()
