"""What a cluster promises, held against a ledger and the files of its nodes."""

from __future__ import annotations

import contextlib
import sqlite3
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from relay.storage.cluster import Position, read_position
from tests.cluster.crowd import MESSAGES, Ledger
from tests.simulation.replica import differences, rows

HOLES = (
    "SELECT channel_id, min(seq), max(seq), count(*) FROM log GROUP BY channel_id"
    " HAVING min(seq) != 1 OR max(seq) != count(*)"
)


def broken_by_devices(ledger: Ledger) -> Iterator[str]:
    """Yield what devices saw that they must not see, or have not seen: nothing lost, nothing twice, one order."""
    yield from ledger.wrong
    due: Counter[str] = Counter()
    for ref, sent in ledger.sent.items():
        if ref not in ledger.acked:
            yield f"{ref} was never acknowledged"
        for device in ledger.entitled(sent):
            due[device] += 1
    for device, came in ledger.received.items():
        refs = Counter(one.ref for one in came)
        for ref, times in refs.items():
            if times > 1:
                yield f"{device} received {ref} {times} times"
        wanted = {ref for ref, sent in ledger.sent.items() if device in ledger.entitled(sent)}
        # What a device sent itself comes to it where the ack was lost.
        own = {ref for ref, sent in ledger.sent.items() if sent.device == device}
        if lost := sorted(wanted - set(refs)):
            yield f"{device} never received {len(lost)}: {lost[:5]}"
        if strange := sorted(set(refs) - wanted - own):
            yield f"{device} received what is not for it: {strange[:5]}"
        yield from _out_of_order(device, ledger)
    if silent := [device for device, count in due.items() if count and device not in ledger.received]:
        yield f"these received nothing at all: {silent}"


def _out_of_order(device: str, ledger: Ledger) -> Iterator[str]:
    """Yield messages of one conversation that came behind later ones, or that others have at another place."""
    newest: dict[str, int] = {}
    for one in ledger.received[device]:
        if one.seq <= newest.get(one.conversation, 0):
            yield f"{device}: {one.ref} ({one.seq} of {one.conversation}) came after {newest[one.conversation]}"
        newest[one.conversation] = max(one.seq, newest.get(one.conversation, 0))
        acked = ledger.acked.get(one.ref)
        if acked is not None and (acked.message_id, acked.seq) != (one.message_id, one.seq):
            yield f"{device}: {one.ref} came as {one[:2]}, and was acknowledged as {acked[:2]}"


def broken_in_file(ledger: Ledger, file: Path) -> Iterator[str]:
    """Yield what is wrong in a copy of a database: damage, holes, and what is not where an ack said.

    Each message that was acknowledged is in it once; what a leader acknowledged that led no more would not be.
    """
    with contextlib.closing(sqlite3.connect(file)) as connection:
        verdicts = [one for (one,) in connection.execute("PRAGMA integrity_check").fetchall()]
        holes = connection.execute(HOLES).fetchall()
        found = connection.execute(
            "SELECT own_id, message_id, seq FROM log WHERE own_id IS NOT NULL AND type IN (?, ?)", MESSAGES
        ).fetchall()
    if verdicts != ["ok"]:
        yield f"integrity_check: {verdicts}"
    if holes:
        yield f"sequences with holes (channel, min, max, count): {holes}"
    stored = {ref: (message_id, seq) for ref, message_id, seq in found}
    if len(stored) != len(found):
        yield f"stored twice: {[ref for ref, times in Counter(one[0] for one in found).items() if times > 1][:5]}"
    for ref, acked in ledger.acked.items():
        if stored.get(ref) != (acked.message_id, acked.seq):
            yield f"{ref} was acknowledged as {acked[:2]} by node {acked.node}; the database has {stored.get(ref)}"
    if more := sorted(set(stored) - set(ledger.sent)):
        yield f"stored and never sent: {more[:5]}"


def copy(database: Path, to: Path) -> Position | None:
    """Make a copy of a database that may be in use; return how far it has come."""
    with (
        contextlib.closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as source,
        contextlib.closing(sqlite3.connect(to)) as target,
    ):
        source.backup(target)
        return read_position(target)


def different(files: Sequence[Path]) -> Iterator[str]:
    """Yield where copies of several nodes' databases differ, row by row."""
    for other in files[1:]:
        for difference in differences(files[0], other):
            yield f"{other.name} and {files[0].name}: {difference}"


def count_rows(file: Path) -> int:
    """Return how many rows a database has, those of indexes for words included."""
    return sum(map(len, rows(file).values()))
