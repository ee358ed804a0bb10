"""The options of `relay import` for exports of other systems, and the report of what of one did not fit."""

from __future__ import annotations

import csv
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Any, Final, NamedTuple, TypeVar

import click

from relay.app.converting.archives import ExportError
from relay.app.converting.naming import read_map
from relay.app.converting.records import SYSTEMS, Conversion, open_export
from relay.app.converting.report import WORDS, Report
from relay.cli.base import Failure, note, tell
from relay.protocol.errors import said

Function = TypeVar("Function", bound=Callable[..., Any])

_FILE: Final = click.Path(path_type=Path, dir_okay=False)


class Wanted(NamedTuple):
    """The options for an export of another system; without a system, FILE is relay's own."""

    system: str | None
    users: Path | None
    people: Path | None
    source: str | None
    dry_run: bool
    report: Path | None

    def check(self, file: Path, *, create_users: bool) -> bool:
        """Tell whether a conversion is wanted.

        Raises:
            click.UsageError: for options that do not fit each other.
        """
        if self.system is None:
            given = [name for name in self._fields if getattr(self, name)]
            if given:
                option = f"--{given[0].replace('_', '-')}"
                raise click.UsageError(f"{option} is for an export of another system; say which by --from")
            return False
        if create_users:
            raise click.UsageError("--create-users is for envelopes; an export names its users itself")
        if str(file) == "-":
            raise click.UsageError("an export of another system is a file or a folder, and no standard input")
        return True


def conversion_options(command: Function) -> Function:
    """Add the options for exports of other systems to a command."""
    options = (
        click.option(
            "--from", "system", type=click.Choice(SYSTEMS), help="The system that FILE was exported from."
        ),
        click.option(
            "--users", type=_FILE, metavar="MAP", help="A CSV file: a user there, a comma, their id here."
        ),
        click.option("--people", type=_FILE, metavar="MAP", help="Write who gets which id, as --users reads it."),
        click.option("--source", metavar="NAME", help="Names the system, where there are two of one kind."),
        click.option("--dry-run", is_flag=True, help="Only say what would come along, and what not."),
        click.option(
            "--report", type=_FILE, metavar="FILE", help="Write all that does not fit, as lines of JSON."
        ),
    )
    for option in reversed(options):
        command = option(command)
    return command


@contextmanager
def converted(wanted: Wanted, path: Path, *, go_on: bool) -> Iterator[Conversion]:
    """Yield the conversion of an export; say at the end what did not fit.

    Args:
        go_on: leave out what cannot be read.

    Raises:
        Failure: the export, or a file for it, cannot be read, or some of it cannot.
    """
    assert wanted.system is not None  # noqa: S101 - the caller has looked
    with ExitStack() as stack:
        try:
            report = Report(_opened(stack, wanted.report))
            people = read_map(wanted.users) if wanted.users is not None else None
            conversion = stack.enter_context(open_export(wanted.system, path, report, time.time(), people=people))
            if wanted.people is not None:
                _write_people(wanted.people, conversion)
            if not wanted.dry_run and not go_on:
                _check(report)
            try:
                yield conversion
            except Failure:
                _tell(report)
                raise
        except ExportError as error:
            raise Failure(str(error)) from None
        except OSError as error:
            raise Failure(f"{error.filename or path}: {error.strerror or said(error)}") from None
        _tell(report)


def _opened(stack: ExitStack, path: Path | None) -> IO[bytes] | None:
    return stack.enter_context(path.open("wb")) if path is not None else None


def _write_people(path: Path, conversion: Conversion) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows((there, here, name) for here, there, name in conversion.people())


def _check(report: Report) -> None:
    """Refuse an export of which a part cannot be read, before anything of it is stored."""
    if not report.unreadable:
        return
    first = next(one for kind in report.unreadable for one in report.examples[kind])
    count = sum(report.kinds[kind] for kind in report.unreadable)
    parts = f"{count:,} parts of the export cannot be read, the first of them " if count > 1 else ""
    raise Failure(
        f"{parts}{first.where}: {first.about}; nothing was imported; leave such parts out with --continue"
    )


def _tell(report: Report) -> None:
    """Print what comes along, and what did not fit: each kind with its first examples."""
    for kind, count in report.kinds.most_common():
        note(f"{count:,} times: {WORDS[kind]}")
        for one in report.examples[kind]:
            note(f"    {one.where}: {one.about}")
    made = {kind: report.made[kind] for kind in ("users", "bots", "groups", "messages", "reactions", "files")}
    text = ", ".join(f"{count:,} {kind}" for kind, count in made.items())
    fields = {
        kind: {"count": count, "means": WORDS[kind], "examples": [one.where for one in report.examples[kind]]}
        for kind, count in report.kinds.most_common()
    }
    tell(f"in the export: {text}", export=made, did_not_fit=fields)
