"""Tables of plugins that an export carries over: which of their columns name messages and conversations."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from relay.protocol.errors import ErrorCode, RelayError, not_found, said
from relay.protocol.records import Row
from relay.storage import imported_facts, imports
from relay.storage.imports import Source

_CARRIED: Final = (str, int, float, type(None))


@dataclass(frozen=True, kw_only=True)
class PortableTable:
    """A table of a plugin's that is part of an export. Register it from `relay_portable_tables`.

    An import adds the rows that are not there, so the table needs a key that says what is the same row. Users keep
    their ids.

    Args:
        name: of the table.
        messages: columns with the `message_id` of a message.
        channel: the column with the `channel_id` of a conversation; None where there is none.
        seqs: columns with a `seq` of that conversation.
    """

    name: str
    messages: tuple[str, ...] = ()
    channel: str | None = None
    seqs: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not self.name.isidentifier():
            raise ValueError(f"portable table {self.name!r}: give the name of a table, such as polls_votes")
        if self.seqs and self.channel is None:
            raise ValueError(
                f"portable table {self.name!r}: seqs are of a conversation; name its column as channel"
            )


Tables = Mapping[str, PortableTable]


def read(connection: sqlite3.Connection, table: PortableTable, until: int) -> Iterator[Row]:
    """Yield the rows of a table that are about nothing after the position `until`.

    A column with bytes is left out.
    """
    rows = connection.execute(f'SELECT * FROM "{table.name}"')
    names = [column[0] for column in rows.description]
    for row in rows:
        values = {name: one for name, one in zip(names, row, strict=True) if isinstance(one, _CARRIED)}
        if any(isinstance(old := values.get(name), int) and old > until for name in table.messages):
            continue
        if table.channel is not None:
            found = connection.execute(
                "SELECT address FROM channels WHERE channel_id = ?", (values[table.channel],)
            ).fetchone()
            values[table.channel] = None if found is None else found[0]
        yield Row(table=table.name, values=values)


def put(connection: sqlite3.Connection, source: Source, tables: Tables, row: Row) -> bool:
    """Add a row that is not there; return whether it was missing.

    Raises:
        RelayError: `not_found` for a table that no plugin carries over; `invalid_payload` for another column, or a
            row that the table does not take; and as `imports.new_id`.
    """
    table = tables.get(row.table)
    if table is None:
        raise not_found(f"plugin here whose table {row.table!r} an import fills; enable it, and import again: it")
    columns = {found[1] for found in connection.execute(f'PRAGMA table_info("{table.name}")')}
    if strange := row.values.keys() - columns:
        text = f"{table.name} has no column {min(strange)!r}; its columns are {', '.join(sorted(columns))}"
        raise RelayError(ErrorCode.INVALID_PAYLOAD, text)
    values = dict(row.values)
    for name in table.messages:
        if isinstance(old := values.get(name), str | int):
            values[name] = imports.new_id(connection, source, old, f"{table.name}.{name}")
    if table.channel is not None:
        channel_id = imported_facts.channel_of(connection, str(values.get(table.channel)))
        values[table.channel] = channel_id
        for name in table.seqs:
            if type(old := values.get(name)) is int:
                values[name] = imports.new_seq(connection, source, channel_id, old)
    names, marks = ", ".join(f'"{name}"' for name in values), ", ".join("?" * len(values))
    try:
        made = connection.execute(
            f'INSERT OR IGNORE INTO "{table.name}" ({names}) VALUES ({marks})', tuple(values.values())
        )
    except sqlite3.IntegrityError as error:
        raise RelayError(ErrorCode.INVALID_PAYLOAD, f"{table.name} does not take the row: {said(error)}") from None
    return made.rowcount > 0
