"""The position of this database in the stream of its cluster: a row of each node's own, in no changeset."""

from __future__ import annotations

import sqlite3
from hashlib import blake2b
from typing import Final, NamedTuple

_DIGEST: Final = 16


class Position(NamedTuple):
    """The newest record of the cluster's stream that a database has.

    Attributes:
        cluster: the name of the cluster.
        number: of the record, from 1 on; 0 for a database with which a cluster is about to begin.
        term: of the leader who wrote it.
        digest: of that record and of all before.
        sequence: the place of its last entry in the stream.
    """

    cluster: str
    number: int
    term: int
    digest: bytes
    sequence: int


def read_position(connection: sqlite3.Connection) -> Position | None:
    """Return how far a database has come; None for one that is no cluster's."""
    if connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'cluster'").fetchone() is None:
        return None  # of an older schema, from before there were clusters
    row = connection.execute("SELECT name, number, term, digest, sequence FROM cluster").fetchone()
    return None if row is None else Position(*row)


def write_position(connection: sqlite3.Connection, position: Position) -> None:
    """Note how far a database has come, in the transaction that brings it there."""
    connection.execute(
        "INSERT OR REPLACE INTO cluster (one, name, number, term, digest, sequence) VALUES (1, ?, ?, ?, ?, ?)",
        position,
    )


def forget_position(connection: sqlite3.Connection) -> None:
    """Make the database one that is no cluster's."""
    if read_position(connection) is not None:
        connection.execute("DELETE FROM cluster")


def schema_digest(connection: sqlite3.Connection) -> bytes:
    """Return a digest of the tables, indexes, triggers and views, and of the schema's version."""
    digest = blake2b(digest_size=_DIGEST)
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    for row in ((version,), *connection.execute(
        "SELECT type, name, sql FROM sqlite_master WHERE name NOT LIKE 'sqlite_stat%' ORDER BY type, name"
    )):  # fmt: skip
        digest.update(repr(tuple(row)).encode())
    return digest.digest()
