"""The figures of the past: one row for each minute, hour and day, bounded as `aggregates.KEPT` says."""

from __future__ import annotations

import sqlite3
from functools import cache
from typing import Any, Final

import msgspec

from relay.storage.aggregates import KEPT, Buckets, Row, Value, slot, together

_decoder: Final = msgspec.json.Decoder(Row)
_encoder: Final = msgspec.json.Encoder()


def add(connection: sqlite3.Connection, at: float, row: Row) -> None:
    """Add what a minute brought to the slots that it is in, and delete what has been kept for long enough."""
    for step, seconds in KEPT.items():
        place = slot(at, step)
        before = connection.execute(
            "SELECT figures FROM figures WHERE step = ? AND at = ?", (step, place)
        ).fetchone()
        now = row if before is None else together(_decoder.decode(before[0]), row)
        connection.execute(
            "INSERT INTO figures (step, at, figures) VALUES (?, ?, ?)"
            " ON CONFLICT DO UPDATE SET figures = excluded.figures",
            (step, place, _encoder.encode(now)),
        )
        connection.execute("DELETE FROM figures WHERE step = ? AND at < ?", (step, slot(at, step) - seconds))


def read(
    connection: sqlite3.Connection, names: tuple[str, ...], step: int, since: float, until: float
) -> list[tuple[int, Row]]:
    """Return some figures' rows of a step whose slots begin from `since` up to `until`, oldest first."""
    decode = _decoder_of(names).decode
    found = connection.execute(
        "SELECT at, figures FROM figures WHERE step = ? AND at >= ? AND at < ? ORDER BY at",
        (step, slot(since, step), until),
    )
    rows = ((at, decode(figures)) for at, figures in found)
    return [(at, Row(_given(names, row.values), _given(names, row.durations))) for at, row in rows]


@cache
def _decoder_of(names: tuple[str, ...]) -> msgspec.json.Decoder[Any]:
    """Return what reads some figures of a row and skips the others: all those of a day of minutes take 30 ms."""
    values = msgspec.defstruct("Values", [(name, Value | None, None) for name in names], gc=False)
    durations = msgspec.defstruct("Durations", [(name, Buckets | None, None) for name in names], gc=False)
    return msgspec.json.Decoder(msgspec.defstruct("One", [("values", values), ("durations", durations)], gc=False))


def _given(names: tuple[str, ...], part: Any) -> dict[str, Any]:
    return {name: value for name in names if (value := getattr(part, name)) is not None}


def oldest(connection: sqlite3.Connection, step: int) -> int | None:
    """Return where the oldest slot of a step begins; None for none at all."""
    found: int | None = connection.execute("SELECT min(at) FROM figures WHERE step = ?", (step,)).fetchone()[0]
    return found
