"""Changesets: what a transaction changed, as bytes, and how another copy of the database takes it.

This is SQLite's session extension (https://sqlite.org/sessionintro.html). Python's `sqlite3` does not offer it,
but the SQLite library under it has it, on Debian and its like. It is called by ctypes in that very library: a
second SQLite in one process would drop the locks of the first (https://sqlite.org/howtocorrupt.html, 2.2.1).

Its patchsets are used, which name a deleted row by its primary key alone: what is erased is not in them once more.
A digest stands before them, as SQLite may read damaged ones for ever.
"""

from __future__ import annotations

import ctypes
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from ctypes import CFUNCTYPE, POINTER, byref, c_char_p, c_int, c_void_p
from functools import cache
from hashlib import blake2b
from typing import Any, Final, NamedTuple, TypeVar

from relay.storage.errors import StorageBroken, StorageError

C = TypeVar("C", bound=sqlite3.Connection)

_OK: Final = 0
_DIGEST: Final = 16
"""Bytes of the digest."""

_DEFERRED_FOREIGN_KEYS: Final = 10  # SQLITE_DBSTATUS_DEFERRED_FKS
_ENABLE_TRIGGER: Final = 1003  # SQLITE_DBCONFIG_ENABLE_TRIGGER
_ABORT: Final = 2  # SQLITE_CHANGESET_ABORT
_CONFLICTS: Final = {
    1: "other values are there", 2: "the row is not there", 3: "the row is there already",
    4: "a constraint forbids it", 5: "a row that it refers to is not there",
}  # fmt: skip
"""What `SQLITE_CHANGESET_DATA` and its like mean, by their numbers."""

_OnOpen: Final = CFUNCTYPE(c_int, c_void_p, c_void_p, c_void_p)
_OnConflict: Final = CFUNCTYPE(c_int, c_void_p, c_int, c_void_p)
_opening: Final = threading.Lock()


class NotSupported(StorageError):
    """The SQLite of this Python has no session extension."""


class DoesNotFit(StorageBroken):
    """A changeset that cannot be applied: this copy of the database is not what it was made from."""


@cache
def _library() -> Any:
    """Return the SQLite library that the `sqlite3` module uses.

    Raises:
        NotSupported: it has no session extension.
    """
    import _sqlite3

    place = getattr(_sqlite3, "__file__", None)
    try:
        found = ctypes.CDLL(place)  # names are looked up in what it is linked with as well
        for name, arguments in (
            ("sqlite3_auto_extension", [_OnOpen]),
            ("sqlite3_cancel_auto_extension", [_OnOpen]),
            ("sqlite3_free", [c_void_p]),
            ("sqlite3_db_config", [c_void_p, c_int, c_int, c_void_p]),
            ("sqlite3_db_status", [c_void_p, c_int, POINTER(c_int), POINTER(c_int), c_int]),
            ("sqlite3session_create", [c_void_p, c_char_p, POINTER(c_void_p)]),
            ("sqlite3session_attach", [c_void_p, c_char_p]),
            ("sqlite3session_patchset", [c_void_p, POINTER(c_int), POINTER(c_void_p)]),
            ("sqlite3session_delete", [c_void_p]),
            ("sqlite3changeset_apply", [c_void_p, c_int, c_char_p, c_void_p, _OnConflict, c_void_p]),
            ("sqlite3changeset_op", [c_void_p, POINTER(c_char_p), *[POINTER(c_int)] * 3]),
        ):
            getattr(found, name).argtypes = arguments
    except (AttributeError, OSError) as error:
        raise NotSupported(
            f"SQLite {sqlite3.sqlite_version} of this Python has no session extension, which a cluster needs;"
            " use a Python that is linked with the system's SQLite, such as Debian's"
        ) from error
    return found


def check_supported() -> None:
    """Check that changes can be recorded and applied with the SQLite of this Python.

    Raises:
        NotSupported: they cannot.
    """
    _library()


def open_with_handle(open_: Callable[[], C]) -> tuple[C, int]:
    """Open a connection; return it with its `sqlite3*`, which the functions of SQLite's library take.

    Raises:
        NotSupported: the SQLite of this Python has no session extension.
    """
    library, thread, found = _library(), threading.get_ident(), []

    def note(handle: int, _error: int, _routines: int) -> int:
        if threading.get_ident() == thread:
            found.append(handle)
        return _OK

    on_open = _OnOpen(note)
    with _opening:  # SQLite calls it for every connection of the process that is opened meanwhile
        library.sqlite3_auto_extension(on_open)
        try:
            connection = open_()
        finally:
            library.sqlite3_cancel_auto_extension(on_open)
    return connection, found[-1]


class Recorder:
    """Records what transactions change, one after the other.

    Args:
        handle: the connection's, from `open_with_handle`.
    """

    def __init__(self, handle: int) -> None:
        self._library = _library()
        self._handle = handle
        self._session = c_void_p()

    def begin(self) -> None:
        """Record from now on; what was recorded and not taken is dropped."""
        self.drop()
        _check(self._library.sqlite3session_create(self._handle, b"main", byref(self._session)), "recording")
        _check(self._library.sqlite3session_attach(self._session, None), "recording")

    def take(self) -> bytes:
        """Return what the open transaction has changed since `begin`: empty if nothing. Recording ends."""
        size, data = c_int(), c_void_p()
        _check(self._library.sqlite3session_patchset(self._session, byref(size), byref(data)), "recording")
        try:
            return _sealed(ctypes.string_at(data, size.value)) if size.value else b""
        finally:
            self._library.sqlite3_free(data)
            self.drop()

    def check_foreign_keys(self) -> None:
        """Check that no row refers to one that is missing, as the commit will.

        Raises:
            sqlite3.IntegrityError: one does.
        """
        unmet, unused = c_int(), c_int()
        arguments = (_DEFERRED_FOREIGN_KEYS, byref(unmet), byref(unused), 0)
        _check(self._library.sqlite3_db_status(self._handle, *arguments), "recording")
        if unmet.value:
            raise sqlite3.IntegrityError("FOREIGN KEY constraint failed")

    def drop(self) -> None:
        """End the recording; needed before the connection is closed."""
        if self._session:
            self._library.sqlite3session_delete(self._session)
            self._session = c_void_p()


def _sealed(patchset: bytes) -> bytes:
    return blake2b(patchset, digest_size=_DIGEST).digest() + patchset


def apply(connection: sqlite3.Connection, handle: int, changeset: bytes) -> None:
    """Make the changes of a transaction in this database as well, inside the caller's transaction.

    Triggers and foreign keys do nothing meanwhile: what they did is among the changes.

    Raises:
        DoesNotFit: a row is not as it was where the changes were made, or the changeset is damaged; the caller
            rolls back.
    """
    patchset = changeset[_DIGEST:]
    if _sealed(patchset) != changeset:
        raise DoesNotFit(f"a changeset of {len(changeset)} bytes is damaged")
    conflicts: list[str] = []
    library = _library()

    def note(_context: int, kind: int, change: int) -> int:
        conflicts.append(f"{_table(library, change)}: {_CONFLICTS.get(kind, kind)}")
        return _ABORT

    with _without_reactions(connection, handle):
        code = library.sqlite3changeset_apply(handle, len(patchset), patchset, None, _OnConflict(note), None)
    if conflicts:
        raise DoesNotFit(f"a change does not fit this copy of the database: {conflicts[0]}")
    _check(code, "applying")


@contextmanager
def _without_reactions(connection: sqlite3.Connection, handle: int) -> Iterator[None]:
    """Have no trigger fire in the block; foreign keys are switched off by who opens the connection."""
    if connection.execute("PRAGMA foreign_keys").fetchone()[0]:
        raise sqlite3.ProgrammingError("changes are applied on a connection without foreign keys")
    library = _library()
    _check(library.sqlite3_db_config(handle, _ENABLE_TRIGGER, 0, None), "applying")
    try:
        yield
    finally:
        _check(library.sqlite3_db_config(handle, _ENABLE_TRIGGER, 1, None), "applying")


def _table(library: Any, change: int) -> str:
    """Return the table that a change is of."""
    name, numbers = c_char_p(), [c_int() for _ in range(3)]
    if change and library.sqlite3changeset_op(change, byref(name), *map(byref, numbers)) == _OK and name.value:
        return name.value.decode()
    return "the database"


def _check(code: int, what: str) -> None:
    if code != _OK:
        raise StorageBroken(f"{what} changes failed: SQLite's error {code}")


class Unrecorded(NamedTuple):
    """A table whose changes are not recorded, and why."""

    table: str
    reason: str


def unrecorded(connection: sqlite3.Connection) -> list[Unrecorded]:
    """Return the tables that changesets leave out: rows are told apart by their primary keys alone."""
    found = []
    for name, kind, without_rowid in connection.execute(
        "SELECT name, type, wr FROM pragma_table_list WHERE schema = 'main' AND name NOT LIKE 'sqlite_%'"
        " AND type IN ('table', 'shadow') ORDER BY name"
    ).fetchall():
        keys = connection.execute(
            'SELECT type, "notnull" FROM pragma_table_info(?) WHERE pk > 0', (name,)
        ).fetchall()
        if not keys:
            found.append(Unrecorded(name, "it has no primary key"))
        elif kind == "table" and not without_rowid and not _is_rowid(keys) and not all(row[1] for row in keys):
            found.append(Unrecorded(name, "its primary key may be NULL"))
    return found


def _is_rowid(keys: list[tuple[str, int]]) -> bool:
    return len(keys) == 1 and keys[0][0].upper() == "INTEGER"
