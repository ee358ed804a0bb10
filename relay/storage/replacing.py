"""A node's database replaced by a copy of another's, so that a kill at any step leaves one of the two, whole.

`NAME.copying` is a copy that still arrives. Once it is whole, checked and on the disk it is `NAME.copied`; from
then on it is what the node goes on with, whatever happens: who finds one, puts it in place. The old database is
`NAME.before-copy` until the new one was opened.
"""

from __future__ import annotations

import glob
import os
from pathlib import Path
from typing import Final

from relay.storage.copying import sync_folder
from relay.storage.write_ahead import log_of

_COPYING: Final = ".copying"
_COPIED: Final = ".copied"
_BEFORE: Final = ".before-copy"
_OUTGOING: Final = ".for-node-"
_INDEX: Final = "-shm"


def beside(path: Path, end: str) -> Path:
    """Return the path of a file beside a database that is named after it."""
    return path.with_name(path.name + end)


def arriving(path: Path) -> Path:
    """Return the path of a copy that still arrives, for the database at `path`."""
    return beside(path, _COPYING)


def outgoing(path: Path, number: int) -> Path:
    """Return the path of a copy that is made of the database at `path`, for another node."""
    return beside(path, f"{_OUTGOING}{number}")


def put_in_place(path: Path) -> None:
    """Put the copy that has arrived, whole and on the disk, in the place of the database; keep the old one.

    The caller holds the database's lock, and nobody has the database open.

    Raises:
        OSError: the folder cannot be written to. The next `settle` goes on.
    """
    os.rename(arriving(path), beside(path, _COPIED))
    sync_folder(path.parent)
    settle(path)


def settle(path: Path) -> bool:
    """Finish what `put_in_place` had begun; remove copies that did not arrive whole, or that a killed leader made.

    The caller holds the database's lock, and nobody has the database open.

    Returns:
        Whether another file is there now.

    Raises:
        OSError: the folder cannot be written to.
    """
    for killed in path.parent.glob(f"{glob.escape(path.name)}{_OUTGOING}*"):
        killed.unlink(missing_ok=True)
    copied = beside(path, _COPIED)
    if not copied.exists():
        arriving(path).unlink(missing_ok=True)
        return False
    _keep_old(path)
    for old in (log_of(path), beside(path, _INDEX)):  # beside the new file they would destroy it
        old.unlink(missing_ok=True)
    sync_folder(path.parent)
    os.rename(copied, path)
    sync_folder(path.parent)
    return True


def _keep_old(path: Path) -> None:
    """Give the old database and its write-ahead log a second name; what has one already keeps it."""
    kept = beside(path, _BEFORE)
    if not path.exists() or not path.stat().st_size:
        return
    if kept.exists() and not kept.samefile(path):  # of a replacement before this one
        drop_old(path)
    for file, name in ((path, kept), (log_of(path), log_of(kept))):
        if file.exists() and not name.exists():
            os.link(file, name)
    sync_folder(path.parent)


def drop_old(path: Path) -> None:
    """Remove the old database, now that the new one was opened.

    Raises:
        OSError: it cannot be removed.
    """
    kept = beside(path, _BEFORE)
    for file in (log_of(kept), kept):
        file.unlink(missing_ok=True)
