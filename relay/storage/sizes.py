"""The sizes of the database: of its files, and of what is in it."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final, NamedTuple

_PARTS: Final = {
    "messages": (
        "log", "latest", "versions", "newest", "mentions", "thread_replies", "thread_members", "pointers",
        "channels", "audit_entries",
    ),
    "files": ("blobs", "chunks", "attachments", "holds"),
    "figures": ("figures",),
}  # fmt: skip
OTHER: Final = "accounts and groups"
LARGEST: Final = ("log", "chunks")
"""The tables that are measured last, as that may take too long."""


class FileSizes(NamedTuple):
    """The sizes of the database's files, in bytes.

    Attributes:
        database: the file.
        free: its free pages, which are used again before it grows.
        wal: the write-ahead log beside it.
    """

    database: int
    free: int
    wal: int

    @property
    def used(self) -> int:
        """The file without its free pages."""
        return self.database - self.free


def file_sizes(connection: sqlite3.Connection, path: Path) -> FileSizes:
    """Return the sizes of the database's files; two pragmas that read one page."""
    page, pages, free = (
        int(connection.execute(f"PRAGMA {name}").fetchone()[0])
        for name in ("page_size", "page_count", "freelist_count")
    )
    wal = 0
    with suppress(FileNotFoundError):
        wal = path.with_name(path.name + "-wal").stat().st_size
    return FileSizes(page * pages, page * free, wal)


class Tree(NamedTuple):
    """A table or an index, which are b-trees of their own.

    Attributes:
        part: what it belongs to; see `part_of`.
    """

    name: str
    table: str
    part: str


def trees(connection: sqlite3.Connection, plugins: Collection[str]) -> list[Tree]:
    """Return all tables and indexes, the largest tables last."""
    rows = connection.execute(
        "SELECT name, tbl_name FROM sqlite_schema WHERE rootpage > 0 AND type IN ('table', 'index')"
    ).fetchall()
    schema = ("sqlite_schema", "sqlite_schema")  # the one table that is not listed in itself
    found = [Tree(name, table, part_of(table, plugins)) for name, table in (*rows, schema)]
    return sorted(found, key=lambda tree: (tree.name in LARGEST, tree.name))


def part_of(table: str, plugins: Collection[str]) -> str:
    """Return what a table belongs to: a part of the server's own, or `plugin NAME`."""
    for part, tables in _PARTS.items():
        if table in tables:
            return part
    owners = [name for name in plugins if table == name or table.startswith(f"{name}_")]
    return f"plugin {max(owners, key=len)}" if owners else OTHER


def plugins_with_tables(connection: sqlite3.Connection) -> list[str]:
    """Return the plugins that have made tables, also those that are off now."""
    return [row[0] for row in connection.execute("SELECT DISTINCT plugin FROM plugin_migrations")]


def measures(connection: sqlite3.Connection) -> bool:
    """Return whether SQLite can tell the size of a table: it was compiled with `dbstat`."""
    try:
        connection.execute("SELECT 1 FROM dbstat WHERE name = 'facts' AND aggregate = 1").fetchone()
    except sqlite3.OperationalError:
        return False
    return True


def tree_sizes(connection: sqlite3.Connection, names: Sequence[str]) -> list[int]:
    """Return the bytes of tables and indexes, in this order; it reads each of their pages."""
    size = "SELECT pgsize FROM dbstat WHERE name = ? AND aggregate = 1"
    rows = (connection.execute(size, (name,)).fetchone() for name in names)
    return [0 if row is None or row[0] is None else int(row[0]) for row in rows]


def file_bytes(connection: sqlite3.Connection) -> int:
    """Return the bytes of all uploaded files, each counted once."""
    return int(connection.execute("SELECT coalesce(sum(size), 0) FROM blobs").fetchone()[0])


def expiring(connection: sqlite3.Connection, until: float) -> tuple[int, int]:
    """Return how many messages expire up to a moment, and the bytes of what they say."""
    row = connection.execute(
        "SELECT count(*), coalesce(sum(length(CAST(payload AS BLOB))), 0) FROM log"
        " WHERE expires_at <= ? AND deleted_at IS NULL",
        (until,),
    ).fetchone()
    return int(row[0]), int(row[1])


def waiting_devices(
    connection: sqlite3.Connection, connected: Collection[tuple[str, str]]
) -> tuple[int, int, int | None]:
    """Return how many devices are away, how many of them miss messages, and the lowest ack of those."""
    away = missing = 0
    lowest: int | None = None
    for user_id, client_id, acked, newest in connection.execute(
        "SELECT d.user_id, d.client_id, d.acked, (SELECT max((SELECT message_id FROM log l"
        " WHERE l.channel_id = m.channel_id AND l.seq >= m.visible_from ORDER BY seq DESC LIMIT 1)) FROM members m"
        " WHERE m.user_id = d.user_id AND m.visible_until IS NULL) FROM devices d WHERE d.revoked_at IS NULL"
    ):
        if (user_id, client_id) in connected:
            continue
        away += 1
        if newest is not None and newest > acked:
            missing += 1
            lowest = acked if lowest is None else min(lowest, acked)
    return away, missing, lowest
