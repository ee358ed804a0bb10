"""Streams in memory: the texts so far, bounded in number and size."""

from collections import deque
from collections.abc import Iterator
from typing import Any

import trio

from relay.plugin import Conversation, ConversationKind, Entry, ErrorCode, RelayError, Server, Wakeup

TYPE = "message_stream"
FINAL = {ConversationKind.USER: "chat_message", ConversationKind.GROUP: "group_message"}
"""The types of the messages that end streams, by the kind of conversation."""

REMEMBERED = 1000
"""The most streams that are remembered after their end, so that a late piece does not begin them again."""

Key = tuple[str, str]
"""The sender of a stream and its `stream_id`: unique, as ids of messages are."""


class Stream:
    """A message that grows.

    Attributes:
        text: what its sender has written so far.
        shown: the text as `before` hooks left it, which others may see.
        told: the part of it that the readers were sent.
        client_id: the sender's device, which is not sent its own pieces.
        alive: whether there is a sign of life to pass on, though the text has not grown.
        begun_at: Unix seconds.
        heard_at, told_at: when the last piece came and went, on trio's clock.
    """

    def __init__(self, key: Key, conversation: Conversation, reply_to: int | None, now: float) -> None:
        self.key = key
        self.conversation = conversation
        self.reply_to = reply_to
        self.type = FINAL[conversation.kind]
        self.text = self.shown = self.told = ""
        self.client_id: str | None = None
        self.alive = True
        self.begun_at = now
        self.heard_at = trio.current_time()
        self.told_at = -1.0
        self.ending = False

    @property
    def sender_id(self) -> str:
        """The user who writes it."""
        return self.key[0]

    @property
    def waits(self) -> bool:
        """Whether there is something that the readers have not been sent."""
        return self.alive or self.shown != self.told

    def extended(self, offset: int, text: str) -> str:
        """Return what the text will be with a piece.

        Raises:
            RelayError: `conflict`, with the right offset: pieces before this one are missing.
        """
        if offset > len(self.text):
            raise gap(offset, len(self.text))
        return self.text[:offset] + text

    def whole(self) -> dict[str, Any]:
        """Return the payload that brings all of it so far."""
        return self._payload(0, self.shown)

    def news(self) -> dict[str, Any]:
        """Return the payload that brings the readers from `told` to `shown`, and note that it is told."""
        offset = _common(self.told, self.shown)
        payload = self._payload(offset, self.shown[offset:])
        self.told, self.alive, self.told_at = self.shown, False, trio.current_time()
        return payload

    def _payload(self, offset: int, text: str) -> dict[str, Any]:
        payload: dict[str, Any] = {"stream_id": self.key[1], "offset": offset, "text": text}
        if self.reply_to is not None and offset == 0:
            payload["reply_to"] = self.reply_to
        return payload


class Streams:
    """All streams of a server.

    Attributes:
        wakeup: set when there is something to pass on.
    """

    def __init__(self) -> None:
        self.by_key: dict[Key, Stream] = {}
        self.wakeup = Wakeup()
        self._ended: dict[Key, None] = {}
        self._left: deque[str] = deque()

    def __iter__(self) -> Iterator[Stream]:
        return iter(list(self.by_key.values()))

    def count_of(self, user_id: str) -> int:
        """Return the number of a user's streams."""
        return sum(stream.sender_id == user_id for stream in self.by_key.values())

    def has_ended(self, key: Key) -> bool:
        """Tell whether a stream was ended not long ago."""
        return key in self._ended

    def begin(self, server: Server, stream: Stream) -> None:
        """Hold a stream until it is ended, by the message that it becomes or by `end`."""

        def stored(_entry: Entry) -> None:
            self.end(server, stream)

        self.by_key[stream.key] = stream
        server.when_stored(*stream.key, stored)

    def end(self, server: Server, stream: Stream, *, cancelled: bool = False) -> None:
        """Forget a stream; one that is cancelled is told to its readers."""
        if self.by_key.pop(stream.key, None) is None:
            return
        server.when_stored(*stream.key, None)
        self._ended[stream.key] = None
        if len(self._ended) > REMEMBERED:
            del self._ended[next(iter(self._ended))]
        if cancelled:
            payload = {"stream_id": stream.key[1], "cancelled": True}
            server.tell(stream.conversation, TYPE, payload, sender_id=stream.sender_id, client_id=stream.client_id)

    def leave(self, user_id: str) -> None:
        """Have the streams of a user whose account is erased ended; from any thread."""
        self._left.append(user_id)
        self.wakeup.set()

    def of_left(self) -> list[Stream]:
        """Return the streams of users who have left since the last call."""
        gone = {self._left.popleft() for _ in range(len(self._left))}
        return [stream for stream in self if stream.sender_id in gone]


def streams_of(server: Server) -> Streams:
    """Return the streams of a server; the plugin's own memory holds them."""
    found: Streams = server.memory.setdefault("streams", Streams())
    return found


def gap(offset: int, right: int) -> RelayError:
    """Return the refusal of a piece that begins beyond the end of the text."""
    said = f"the piece begins at {offset}, and the text so far has {right} characters; go on from there"
    return RelayError(ErrorCode.CONFLICT, said, details={"offset": right})


def _common(one: str, other: str) -> int:
    """Return how many characters two texts begin with alike."""
    if other.startswith(one):
        return len(one)  # nearly always
    return next(
        (at for at, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other))
    )
