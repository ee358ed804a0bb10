"""Records, which stand in the stream: each has a number, its writer's term, and the digest of the one before.

The stream already refuses who writes behind something else; a chain of digests shows it where that ever fails
(https://jepsen.io/analyses/nats-2.12.1). A record that is larger than an entry may be goes as parts.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum
from hashlib import blake2b
from typing import Final

import msgspec

DIGEST: Final = 16
"""Bytes of a digest."""

START: Final = bytes(DIGEST)
"""What stands for the digest before the first record."""

_HEAD_BYTES: Final = 300
"""Room for what stands in a part beside its body."""


class Damaged(Exception):
    """An entry of the stream that is no part of a record, or not the one that must come."""


class Kind(StrEnum):
    """The kinds of records."""

    TERM = "term"
    """Who leads from here on; the body is the node's name. With it begins a term."""

    CHANGE = "change"
    """What a transaction changed; the body is a changeset."""

    SCHEMA = "schema"
    """The tables themselves are others from here on; the body is the digest of the schema, and who made them."""


class Record(msgspec.Struct, frozen=True, array_like=True):
    """One record.

    Attributes:
        number: from 1 on, without a hole.
        term: of the leader who wrote it.
        before: the digest of the record before.
    """

    kind: Kind
    number: int
    term: int
    before: bytes
    body: bytes

    def digest(self) -> bytes:
        """Return what the next record has as `before`: it is of this one and of all that came before."""
        head = msgspec.msgpack.encode((self.kind, self.number, self.term))
        return blake2b(self.before + head + self.body, digest_size=DIGEST).digest()


class Part(msgspec.Struct, frozen=True, array_like=True):
    """A part of a record, as it stands in the stream.

    Attributes:
        index, count: which part it is, from 0 on, and of how many.
        record: the record, with this part of its body.
    """

    index: int
    count: int
    record: Record


_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(Part).decode


def parts(record: Record, most_bytes: int) -> list[bytes]:
    """Return a record as entries of at most so many bytes."""
    size = most_bytes - _HEAD_BYTES
    bodies = [record.body[start : start + size] for start in range(0, len(record.body), size)] or [b""]
    return [
        _encode(Part(index, len(bodies), msgspec.structs.replace(record, body=body)))
        for index, body in enumerate(bodies)
    ]


class Assembler:
    """Puts records together again from the stream's entries, in their order."""

    def __init__(self) -> None:
        self._parts: list[Part] = []

    @property
    def is_whole(self) -> bool:
        """Whether no part of a record waits for the others."""
        return not self._parts

    def add(self, data: bytes) -> Iterator[Record]:
        """Take an entry; yield the record that it completes.

        A record whose writer died halfway is dropped when another record begins: it was never committed.

        Raises:
            Damaged: the entry is not a part that may come here.
        """
        try:
            part = _decode(data)
        except msgspec.MsgspecError as error:
            raise Damaged(f"an entry of the stream is no record: {error}") from error
        if part.index == 0:
            self._parts.clear()
        if part.index != len(self._parts) or not self._continues(part):
            raise Damaged(f"part {part.index} of record {part.record.number} comes out of its order")
        self._parts.append(part)
        if len(self._parts) == part.count:
            body = b"".join(one.record.body for one in self._parts)
            self._parts.clear()
            yield msgspec.structs.replace(part.record, body=body)

    def _continues(self, part: Part) -> bool:
        return not self._parts or _name(self._parts[0]) == _name(part)


def _name(part: Part) -> tuple[int, int, bytes, int]:
    record = part.record
    return record.number, record.term, record.before, part.count
