"""A cluster's stream, read past relay: with nats-py alone, and with the rules that every record must keep."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence

import nats
from nats.js.api import StreamInfo

from relay.cluster.records import Assembler, Damaged, Kind
from tests.cluster.nodes import NAME

STREAM = f"relay-{NAME}"
SECONDS = 60.0


def read_stream(urls: Sequence[str]) -> list[bytes]:
    """Return all entries of the stream, in their order."""
    return asyncio.run(_read(urls))


async def _read(urls: Sequence[str]) -> list[bytes]:
    client = await nats.connect(list(urls))
    try:
        stream = client.jetstream()
        info: StreamInfo = await stream.stream_info(STREAM)
        [subject] = info.config.subjects or []
        found: list[bytes] = []
        reading = await stream.subscribe(subject, ordered_consumer=True)
        while len(found) < info.state.messages:
            found.append((await reading.next_msg(SECONDS)).data)
        return found
    finally:
        await client.close()


def purge(urls: Sequence[str]) -> None:
    """Have the stream forget all that it has, as it does with what is older than it is kept."""

    async def run() -> None:
        client = await nats.connect(list(urls))
        try:
            await client.jetstream().purge_stream(STREAM)
        finally:
            await client.close()

    asyncio.run(run())


def broken_in_stream(entries: Sequence[bytes]) -> Iterator[str]:
    """Yield where the stream breaks its rules: a hole, another's term, something behind what it was not written for.

    So a leader that was deposed has published nothing behind the record of its successor's term.
    """
    number, term, digest, assembler = 0, 0, b"", Assembler()
    for place, entry in enumerate(entries, 1):
        try:
            records = list(assembler.add(entry))
        except Damaged as error:
            yield f"entry {place}: {error!r}"
            continue
        for record in records:
            if (record.number, record.before) != (number + 1, digest or record.before):
                yield f"entry {place}: record {record.number} stands behind record {number}, or another one"
            if record.term != term + (record.kind is Kind.TERM):
                yield f"entry {place}: a {record.kind} of term {record.term} in term {term}"
            number, term, digest = record.number, record.term, record.digest()
