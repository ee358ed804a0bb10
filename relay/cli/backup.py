"""`relay backup`, `relay verify`, `relay restore`: a copy of everything, whether it is good, putting it back."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from relay.app.control_client import ControlError, NoServer, call, control_path
from relay.cli.base import Command, Failure, json_option, load_settings, note, print_rows, printable
from relay.cli.database import ask_server, kept_for_owner
from relay.protocol.errors import RelayError

if TYPE_CHECKING:
    from relay.storage.checking import Contents
    from relay.storage.copying import Progress

T = TypeVar("T")
_POLL_SECONDS: Final = 0.2
_LONGEST_POLL: Final = 5.0
"""The server has a line in its log for each look."""

_BAR_SECONDS: Final = 1.0
_COLUMNS: Final = ("at", "way", "file", "size", "seconds", "messages", "result")


@click.command("backup", cls=Command)
@click.argument("file", type=click.Path(path_type=Path), required=False)
@click.option("--list", "listed", is_flag=True, help="Show the newest backups instead, those that failed as well.")
@json_option
def backup(file: Path | None, listed: bool, as_json: bool) -> None:
    """Copy the database, with all attachments, into the new FILE, and check the copy; the server may run.

    The copy is the state at one moment: every message that was acked before is in it. If FILE is a folder, the
    copy gets a name in it. Without FILE the running server makes one in its [backup] folder.
    """
    if listed:
        _list(as_json=as_json)
    elif file is None:
        _have_made(as_json=as_json)
    else:
        _make(file, as_json=as_json)


@click.command("verify", cls=Command)
@click.argument("file", type=click.Path(path_type=Path))
@json_option
def verify(file: Path, as_json: bool) -> None:
    """Check the backup FILE: each page of it, each attachment's bytes, and whether all parts fit together.

    Exit status 1 when something is wrong with it.
    """
    from relay.storage.checking import check

    contents = work_on(file, lambda progress: check(file, progress))
    _show(file, contents, as_json=as_json)
    if contents.problems:
        raise Failure(f"{file} is damaged: it cannot be restored")


@click.command("restore", cls=Command)
@click.argument("file", type=click.Path(path_type=Path))
@json_option
def restore(file: Path, as_json: bool) -> None:
    """Put the backup FILE in the place of the database, which [storage] path names; no server may run on it.

    FILE is checked first, and stays. What was there before is kept beside, under another name. Clients notice that
    they begin anew, and lose nothing that they have not sent yet.
    """
    from relay.storage.restoring import restore as put_back

    database = Path(load_settings().storage.path)
    _require_no_server(database)
    with kept_for_owner(database):
        done = work_on(database, lambda progress: put_back(file, database, progress, uid=os.geteuid()))
    if as_json:
        told = {"database": str(database), "aside": done.aside, "erased": done.erased}
        click.echo(json.dumps(told | _fields(file, done.contents), ensure_ascii=False))
        return
    click.echo(printable(f"{database} is restored from {file}: {_in_words(done.contents)}"))
    if done.aside is not None:
        click.echo(printable(f"the old database is {done.aside} now; delete it when you need it no more"))
    if done.erased:
        click.echo(printable(f"erased since that backup, and here again: {', '.join(done.erased)}"))
        click.echo("erase them again once the server runs: relay user erase NAME")


def _require_no_server(database: Path) -> None:
    try:
        call(control_path(database), "backup.list", {})
    except NoServer:
        return
    except (RelayError, ControlError):
        pass
    raise Failure(f"a server runs on {database}; stop it first, and start it after the restore")


def _make(file: Path, *, as_json: bool) -> None:
    """Copy the database in this process."""
    from relay.services.backups import check_copy
    from relay.storage.copying import copy
    from relay.storage.reading import reading

    database = Path(load_settings().storage.path)
    at, begun = time.time(), time.monotonic()
    target = file / f"{database.stem}-{time.strftime('%Y%m%d-%H%M%S')}.db" if file.is_dir() else file
    if not target.parent.is_dir():
        raise Failure(f"the folder {target.parent} does not exist; make it, or name another one")

    def work(progress: Progress) -> Contents:
        found: list[Contents] = []

        def finish(part: Path) -> None:
            found.append(check_copy(part, progress))

        with reading(database) as alone:
            copy(database, target, progress, alone=alone, finish=finish)
        return found[0]

    with kept_for_owner(database):
        contents = work_on(target, work)
    seconds = time.monotonic() - begun
    fields = {"file": str(target.absolute()), "bytes": contents.bytes, "messages": contents.messages}
    try:
        call(control_path(database), "backup.record", {**fields, "at": at, "seconds": seconds})
    except NoServer:
        pass  # nobody to tell it to: what is written into a stopped database would have to upgrade it first
    except (RelayError, ControlError) as error:
        note(f"the backup is good, but the server could not note it: {error}")
    _show(target, contents, as_json=as_json)


def _have_made(*, as_json: bool) -> None:
    """Have the running server make a backup, and wait for it."""
    instead = "name a FILE for the backup: relay backup FILE works without one"
    before = ask_server("backup.list", without=instead)["backups"]
    ask_server("backup.start", without=instead)
    last = None if not before else before[0]["at"]
    pause = _POLL_SECONDS
    with _bar() as told:
        while True:
            time.sleep(pause)
            pause = min(1.2 * pause, _LONGEST_POLL)
            state = ask_server("backup.list", without="it ended, and its backup with it")
            running, rows = state["running"], state["backups"]
            if running is not None:
                told(running["doing"], running["done_bytes"], running["total_bytes"])
            elif rows and rows[0]["at"] != last:
                break
    if rows[0]["problem"] is not None:
        raise Failure(f"the backup failed: {rows[0]['problem']}")
    if as_json:
        click.echo(json.dumps({**rows[0], "folder": state["folder"]}, ensure_ascii=False))
    else:
        click.echo(printable(str(Path(state["folder"], rows[0]["file"]))))


def _list(*, as_json: bool) -> None:
    state = ask_server("backup.list", without="only a running server knows its backups; look into the folder")
    if as_json:
        click.echo(json.dumps(state, ensure_ascii=False))
        return
    print_rows([_row(one) for one in state["backups"]], _COLUMNS, as_json=False)


def _row(made: Mapping[str, Any]) -> dict[str, Any]:
    from relay.storage.copying import in_units

    size = None if made["bytes"] is None else in_units(made["bytes"])
    result = made["problem"] or "good"
    return {**made, "size": size, "seconds": f"{made['seconds']:.1f}", "result": result}


def _fields(file: Path, contents: Contents) -> dict[str, Any]:
    import msgspec

    return {"file": str(file), **msgspec.structs.asdict(contents)}


def _show(file: Path, contents: Contents, *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(_fields(file, contents), ensure_ascii=False))
        return
    click.echo(printable(f"{file}: {'damaged' if contents.problems else 'ok'}: {_in_words(contents)}"))
    for problem in contents.problems:
        click.echo(printable(f"  ! {problem}"))
    if contents.steps_behind:
        click.echo(f"  its schema lacks {contents.steps_behind} steps, which the first start after a restore adds")


def _in_words(contents: Contents) -> str:
    from relay.storage.copying import in_units

    newest = ""
    if contents.newest_at is not None:
        newest = f", the newest of {datetime.fromtimestamp(contents.newest_at, UTC):%Y-%m-%d %H:%M:%SZ}"
    return (
        f"{in_units(contents.bytes)}, {contents.users:,} users, {contents.groups:,} groups,"
        f" {contents.messages:,} messages{newest}, {contents.files:,} files of {in_units(contents.file_bytes)}"
    )


def work_on(file: Path, work: Callable[[Progress], T]) -> T:
    """Do long work on a file: with a bar on a terminal, and ended by Ctrl-C or SIGTERM.

    It runs on a thread, as a signal is not seen while SQLite works on the main one.

    Raises:
        Failure: it was refused, or stopped.
    """
    from relay.storage.copying import Progress, be_modest
    from relay.storage.errors import StorageError

    caught: list[int] = []
    with _bar() as told:
        progress = Progress(lambda one: told(one.doing, one.done, one.total))

        def stop(number: int, _frame: FrameType | None) -> None:
            caught.append(number)
            progress.stop()

        before = {one: signal.signal(one, stop) for one in (signal.SIGINT, signal.SIGTERM)}
        try:
            with ThreadPoolExecutor(1, initializer=be_modest) as threads:
                return threads.submit(work, progress).result()
        except StorageError as error:
            if caught:
                raise Failure(f"{file}: stopped; nothing is left of it, and nothing was changed") from None
            raise Failure(str(error)) from None
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


Told = Callable[[str, int, int], None]


@contextmanager
def _bar() -> Iterator[Told]:
    """Yield what draws a bar on standard error: on a terminal only, and once the work has taken a second."""
    if not sys.stderr.isatty():
        yield lambda _doing, _done, _total: None
        return
    begun, drawn = time.monotonic(), list[Any]()

    def told(doing: str, done: int, total: int) -> None:
        if not total and drawn:
            close()
            click.echo(f"{doing} …", err=True)
        if time.monotonic() - begun < _BAR_SECONDS or not total:
            return
        if not drawn or drawn[0].label != doing:
            close()
            drawn.append(click.progressbar(length=total, label=doing, file=sys.stderr).__enter__())
        drawn[0].update(done - drawn[0].pos)

    def close() -> None:
        while drawn:
            drawn.pop().__exit__(None, None, None)

    try:
        yield told
    finally:
        close()
