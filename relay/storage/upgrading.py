"""Bringing a database to the newest schema: checked, copied where its rows will change, and told in the log."""

from __future__ import annotations

import logging
import os
import sqlite3
import time
from contextlib import closing, suppress
from pathlib import Path
from typing import Final

from relay.storage import migrations, views
from relay.storage.cluster import read_position
from relay.storage.errors import StorageError
from relay.storage.identity import check_ours, stamp

_log: Final = logging.getLogger("relay.storage")

CHANGING: Final = frozenset({
    "groups_chosen", "stays", "folded_names", "who_spoke", "pictures_sizes", "files_of_conversations",
    "server_roles",
})  # fmt: skip
"""The steps that change or remove what older ones have stored; the others add to it."""


def migrate(path: Path, *, copy: bool = True, of_cluster: bool = False) -> None:
    """Bring the database at `path` to the newest schema; create it if there is none.

    Args:
        of_cluster: whether it may be a node's of a cluster, as what is changed goes to the others as well.
        copy: before the steps of `CHANGING`, copy the database to a file beside it.

    Raises:
        sqlite3.Error: the file is not a database, or cannot be written.
        StorageError: it is another program's, a newer relay's or a cluster's; or there is no room for the copy.
    """
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        check_ours(connection, path)
        if not of_cluster:
            _check_alone(connection, path)
        connection.execute("PRAGMA journal_mode = WAL")
        done = migrations.applied(connection)
        pending = [name for name in migrations.steps() if name not in done]
        if not (done and pending):
            if pending:
                migrations.apply(connection)
            views.create(connection)
            stamp(connection)
            return
        before = len(done)
        if copy and not CHANGING.isdisjoint(pending):
            kept = _copy(connection, path, before)
            _log.info("before the upgrade the database was copied to %s; delete it once all is well", kept)
        began = time.monotonic()
        views.drop(connection)
        migrations.apply(connection)
        views.create(connection)
        stamp(connection)
        _log.info(
            "the schema of %s was brought from version %d to %d in %.1f s: %s",
            *(path, before, before + len(pending), time.monotonic() - began, ", ".join(pending)),
        )


def _check_alone(connection: sqlite3.Connection, path: Path) -> None:
    """Check that the database is no node's of a cluster: nobody would tell the others what is changed here.

    Raises:
        StorageError: it is.
    """
    if (position := read_position(connection)) is not None:
        raise StorageError(
            f"{path} is a node's of the cluster {position.cluster}, which is served with [cluster] in the"
            " settings. Nothing was changed in it. To make it a database of its own: `relay cluster leave`"
        )


def _copy(connection: sqlite3.Connection, path: Path, version: int) -> Path:
    """Copy the database to a file that is named after its schema's version, and return the file.

    Raises:
        StorageError: there is no room for it, or it cannot be written.
    """
    kept = path.with_name(f"{path.name}.schema-{version}")
    pages, size = (int(connection.execute(f"PRAGMA {name}").fetchone()[0]) for name in ("page_count", "page_size"))
    room = os.statvfs(path.parent)
    if room.f_bavail * room.f_frsize < pages * size * 2:  # the upgrade itself needs some as well
        raise _no_copy(path, f"it takes {pages * size:,} bytes twice, and the disk has less")
    unfinished = kept.with_name(kept.name + ".unfinished")
    try:
        unfinished.unlink(missing_ok=True)
        os.close(os.open(unfinished, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        connection.execute("VACUUM INTO ?", (str(unfinished),))
        with unfinished.open("rb") as file:
            os.fsync(file.fileno())
        unfinished.replace(kept)
    except (OSError, sqlite3.Error) as error:
        with suppress(OSError):
            unfinished.unlink(missing_ok=True)
        raise _no_copy(path, str(error)) from error
    return kept


def _no_copy(path: Path, why: str) -> StorageError:
    return StorageError(
        f"{path} cannot be copied before its upgrade: {why}. Make room, or, with a backup of your own, set"
        " [storage] copy_before_upgrade = false; nothing was changed in it"
    )
