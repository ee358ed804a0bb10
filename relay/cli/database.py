"""Operations on the database: through the server that runs on it, or in this process if none does."""

from __future__ import annotations

import glob
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

import click

from relay.app.control_client import ControlError, NoServer, call, control_path
from relay.cli.base import Failure, load_settings
from relay.protocol.errors import RelayError
from relay.settings import Settings

_WAIT_SECONDS: Final = 5.0
_PAUSE: Final = 0.05
_PAGE: Final = 1000


def perform(op: str, **arguments: Any) -> Any:
    """Perform one operation of `relay.app.admin` and return its answer.

    Between asking for a server and opening the database, another process may take or release it; so both are tried
    in turn for 5 s.

    Raises:
        Failure: the operation was refused, or the database cannot be used.
    """
    settings = load_settings()
    socket = control_path(Path(settings.storage.path))
    deadline = time.monotonic() + _WAIT_SECONDS
    while True:
        try:
            with suppress(NoServer):
                return call(socket, op, arguments)
            return _perform_here(settings, op, arguments, may_wait=time.monotonic() < deadline)
        except _InUse:
            time.sleep(_PAUSE)
        except (RelayError, ControlError) as error:
            raise Failure(str(error)) from None
        except UnicodeEncodeError:
            raise Failure("an argument is not UTF-8 text") from None


_NEXT_START: Final = "its next start loads each plugin as it is then"


def ask_server(op: str, *, without: str = _NEXT_START, **arguments: Any) -> Any:
    """Have the running server perform an operation of `relay.app.admin` that only it can.

    Args:
        without: what holds where no server runs, for the failure's text.

    Raises:
        Failure: the operation was refused, or no server runs.
    """
    try:
        return call(control_path(Path(load_settings().storage.path)), op, arguments)
    except NoServer:
        raise Failure(f"no server runs on this database; {without}") from None
    except (RelayError, ControlError) as error:
        raise Failure(str(error)) from None


def server_runs() -> bool:
    """Tell whether a server runs on the database."""
    try:
        call(control_path(Path(load_settings().storage.path)), "plugin.list", {})
    except NoServer:
        return False
    except (RelayError, ControlError):
        return True
    return True


def perform_pages(op: str, key: str, **arguments: Any) -> Iterator[dict[str, Any]]:
    """Yield the rows of a listing operation, page by page; `key` is the field they are ordered by."""
    after = ""
    while True:
        page = perform(op, after=after, limit=_PAGE, **arguments)
        yield from page
        if len(page) < _PAGE:
            return
        after = page[-1][key]


class _InUse(Exception):
    """Another process has the database open."""


def _perform_here(settings: Settings, op: str, arguments: dict[str, Any], *, may_wait: bool) -> Any:
    import trio

    from relay.app import admin
    from relay.engine.opening import open_engine
    from relay.storage.errors import StorageError, StorageInUse

    async def work() -> Any:
        refused: Exception | None = None
        async with open_engine(settings, background=False) as engine:
            # Raised after the block: inside, the engine's nursery would wrap it in an exception group.
            try:
                return await admin.perform(engine, op, arguments)
            except (RelayError, StorageError, UnicodeEncodeError) as error:
                refused = error
        raise refused

    with kept_for_owner(Path(settings.storage.path)):
        try:
            return trio.run(work)
        except StorageInUse as error:
            if may_wait:
                raise _InUse from None
            raise Failure(str(error)) from None
        except StorageError as error:
            raise Failure(str(error)) from None
        except BaseExceptionGroup as group:
            if group.subgroup(KeyboardInterrupt):
                raise click.Abort from None
            raise


@contextmanager
def kept_for_owner(database: Path) -> Iterator[None]:
    """Give files that root creates beside a database to the owner of the folder.

    Otherwise a service that runs as its own user could not open its database again after root has worked on it.
    """
    try:
        yield
    finally:
        if os.geteuid() == 0:
            with suppress(OSError):
                folder = database.parent.stat()
                copies = database.parent.glob(f"{glob.escape(database.name)}.schema-*")
                files = [Path(f"{database}{suffix}") for suffix in ("", "-wal", "-shm", ".lock")]
                for file in (*files, *copies):
                    with suppress(FileNotFoundError):
                        os.chown(file, folder.st_uid, folder.st_gid, follow_symlinks=False)
