"""The outbox of one connection: a bounded queue of the frames that wait to be sent.

Requirements on `push`:

1. MUST NOT block, and MUST NOT raise: overflow is a value.
2. MUST NOT reorder stored messages.
3. MUST be bounded, in bytes and in count.
4. MUST give up transient frames before anything else, and nothing stored ever.
"""

from __future__ import annotations

from typing import NamedTuple


class OutboxStatistics(NamedTuple):
    """The figures of one outbox at this moment."""

    frames: int
    bytes: int
    dropped: int


class Replaceable:
    """A frame that may be dropped: for a newer value of its `key`, or, without a key, for lack of room."""

    __slots__ = ("frame", "key")

    def __init__(self, frame: bytes, key: tuple[object, ...] | None) -> None:
        self.frame = frame
        self.key = key


class Outbox:
    """A bounded queue of frames. One reader takes everything that waits, joined.

    Args:
        max_bytes: bound on the bytes waiting; 0 means none.
        max_frames: bound on the frames waiting; 0 means none.
    """

    __slots__ = ("_dropped", "_frames", "_max_bytes", "_max_frames", "_replaceable", "_size")

    def __init__(self, max_bytes: int, max_frames: int) -> None:
        self._frames: list[bytes | Replaceable] = []
        self._replaceable: dict[tuple[object, ...], Replaceable] | None = None
        self._size = 0
        self._dropped = 0
        self._max_bytes = max_bytes or 1 << 62
        self._max_frames = max_frames or 1 << 62

    def __len__(self) -> int:
        return len(self._frames)

    def push(self, frame: bytes) -> bool:
        """Queue a frame that must not be lost; False means overflow: the connection is too slow."""
        self._frames.append(frame)
        self._size += len(frame)
        if self._size > self._max_bytes or len(self._frames) > self._max_frames:
            return self._relieve()
        return True

    def push_latest(self, frame: bytes, key: tuple[object, ...]) -> bool:
        """Queue the newest value of `key`; an older one still waiting is dropped."""
        if self._replaceable is None:
            self._replaceable = {}
        elif (older := self._replaceable.get(key)) is not None:
            # The older one is emptied and stays in the list: to take it out, all that waits would be searched.
            self._size -= len(older.frame)
            older.frame = b""
        item = self._replaceable[key] = Replaceable(frame, key)
        self._frames.append(item)
        self._size += len(frame)
        if self._size > self._max_bytes or len(self._frames) > self._max_frames:
            return self._relieve()
        return True

    def push_transient(self, frame: bytes) -> None:
        """Queue a frame that nobody will miss. It is dropped at once when the queue is half full."""
        if self._size + len(frame) > self._max_bytes // 2 or len(self._frames) >= self._max_frames // 2:
            self._dropped += 1
            return
        self._frames.append(Replaceable(frame, None))
        self._size += len(frame)

    def _relieve(self) -> bool:
        """Drop what may be dropped; tell whether the rest is within bounds."""
        kept: list[bytes | Replaceable] = []
        for item in self._frames:
            if isinstance(item, Replaceable) and (item.key is None or not item.frame):
                self._size -= len(item.frame)
                self._dropped += bool(item.frame)
            else:
                kept.append(item)
        self._frames = kept
        return self.fits

    @property
    def fits(self) -> bool:
        """Whether what waits is within the bounds."""
        return self._size <= self._max_bytes and len(self._frames) <= self._max_frames

    def take(self, max_bytes: int = 1 << 62) -> bytes:
        """Return waiting frames joined, whole frames only, stopping once `max_bytes` is reached."""
        frames = self._frames
        # Nearly always one frame waits, or some that none may replace: acks, messages. One is given out as it is,
        # without a copy: its bytes are shared by all whom it goes to. Some are joined without a look at each.
        if len(frames) == 1 and type(frames[0]) is bytes:
            data = frames.pop()
            self._size = 0
            return data  # type: ignore[return-value]
        if self._replaceable is None and self._size <= max_bytes and not self._has_replaceable():
            data = b"".join(frames)  # type: ignore[arg-type]
            frames.clear()
            self._size = 0
            return data
        return self._take_one_by_one(max_bytes)

    def _has_replaceable(self) -> bool:
        return any(type(item) is not bytes for item in self._frames)

    def _take_one_by_one(self, max_bytes: int) -> bytes:
        parts: list[bytes] = []
        taken = 0
        count = 0
        for item in self._frames:
            if taken >= max_bytes:
                break
            count += 1
            frame = self._give_out(item) if isinstance(item, Replaceable) else item
            parts.append(frame)
            taken += len(frame)
        del self._frames[:count]
        self._size -= taken
        if not self._frames:
            self._replaceable = None
        return b"".join(parts)

    def _give_out(self, item: Replaceable) -> bytes:
        """Return a frame that is about to be sent; a newer value does not replace it from here on."""
        if self._replaceable is not None and self._replaceable.get(item.key or ()) is item:
            del self._replaceable[item.key or ()]
        return item.frame

    def clear(self) -> None:
        """Drop everything that waits: the connection is over."""
        self._frames.clear()
        self._replaceable = None
        self._size = 0

    def statistics(self) -> OutboxStatistics:
        """Return the figures of this moment."""
        return OutboxStatistics(len(self._frames), self._size, self._dropped)
