"""The base of all commands: `--config`, the settings, failures, and the printing of text and tables."""

from __future__ import annotations

import json
import os
import stat
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any, Final, TypeVar

import click

from relay.settings import Settings, SettingsError, load_for_server

Function = TypeVar("Function", bound=Callable[..., Any] | click.Command)

DEFAULT_CONFIG: Final = Path("relay.toml")
_CHOSEN: Final = "relay.cli.config"
_AS_JSON: Final = "relay.cli.json"
_JSON_HELP: Final = "One JSON object a line, for programs."
_JOINERS: Final = "\u200c\u200d"


class Failure(click.ClickException):
    """A command could not do its work; exit status 1."""

    exit_code = 1

    def show(self, file: IO[Any] | None = None) -> None:
        """Print the reason to standard error."""
        click.echo(f"relay: {printable(self.message)}", file=file, err=file is None)


class BadSettings(Failure):
    """The settings cannot be used; every problem has a line of its own; exit status 2."""

    exit_code = 2

    def show(self, file: IO[Any] | None = None) -> None:
        """Print all problems to standard error."""
        click.echo(self.message, file=file, err=file is None)


class Command(click.Command):
    """A command that takes `--config` after its own arguments, and `--json`.

    One that does not read `as_json` itself prints by `tell`, which knows what is wanted.
    """

    has_json = True

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.has_json and not any("--json" in one.opts for one in self.params):
            self.params.append(_json_option(expose_value=False, callback=_want_json))
        self.params.append(_config_option())


class Document(Command):
    """A command without `--json`: it prints a whole document of a form of its own, or serves."""

    has_json = False


class Group(click.Group):
    """A group of commands; without a command it prints its help. It takes `--config` before the command."""

    command_class = Command
    group_class = type

    def __init__(self, *args: Any, config_variable: str | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.no_args_is_help = False
        self.params.append(_config_option(config_variable))

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Print the help, as an answer and not as an error, if no command is given."""
        if not args and not ctx.resilient_parsing:
            click.echo(ctx.get_help(), color=ctx.color)
            ctx.exit()
        return super().parse_args(ctx, args)


def _config_option(variable: str | None = None) -> click.Option:
    default = f"[default: {DEFAULT_CONFIG} here, if there is one, else built-in defaults]"
    return click.Option(
        ["--config"],
        type=click.Path(path_type=Path),
        metavar="FILE",
        envvar=variable,
        expose_value=False,
        callback=_choose,
        help=f"The settings file, also RELAY_CONFIG.  {default}",
    )


def _choose(context: click.Context, _option: click.Parameter, value: Path | None) -> None:
    """Store the chosen file; the option nearest to the command is read last, and wins."""
    if value is not None:
        context.meta[_CHOSEN] = value


def choose_ahead(context: click.Context, arguments: Sequence[str]) -> None:
    """Store the settings file that is named in arguments which click has not read yet."""
    for position, argument in enumerate(arguments):
        name, equals, value = argument.partition("=")
        if name == "--config" and (equals or position + 1 < len(arguments)):
            context.meta[_CHOSEN] = Path(value if equals else arguments[position + 1])


def config_file() -> Path | None:
    """Return the settings file in force, or None for the built-in defaults."""
    context = click.get_current_context(silent=True)  # there is none while a shell completes words
    chosen = None if context is None else context.meta.get(_CHOSEN)
    if chosen is not None:
        return Path(chosen)
    return DEFAULT_CONFIG if DEFAULT_CONFIG.exists() else None


def load_settings() -> Settings:
    """Return the settings in force.

    Raises:
        BadSettings: with every problem in them.
    """
    try:
        return load_for_server(config_file(), os.environ)
    except SettingsError as error:
        raise BadSettings(str(error)) from None


def json_option(command: Function) -> Function:
    """Add `--json` to a command; its value arrives as `as_json`."""
    option = click.option("--json", "as_json", is_flag=True, help=_JSON_HELP)
    return option(command)


def _json_option(**more: Any) -> click.Option:
    return click.Option(["--json", "as_json"], is_flag=True, help=_JSON_HELP, **more)


def _want_json(context: click.Context, _option: click.Parameter, value: bool) -> None:
    context.meta[_AS_JSON] = value


def wants_json() -> bool:
    """Tell whether the command that runs was given `--json`."""
    context = click.get_current_context(silent=True)
    return context is not None and bool(context.meta.get(_AS_JSON))


def tell(text: str, **fields: Any) -> None:
    """Print what was done: in words, or with `--json` as one object of these fields."""
    click.echo(json.dumps(fields, ensure_ascii=False) if wants_json() else text)


def note(text: str) -> None:
    """Print a remark for the person at the terminal that is not part of the answer."""
    click.echo(f"relay: {printable(text)}", err=True)


def has_terminal() -> bool:
    """Tell whether somebody looks at standard error."""
    return sys.stderr is not None and sys.stderr.isatty()


@contextmanager
def progress(total: int, label: str) -> Iterator[Callable[[int], object]]:
    """Yield a function that is told of each part that is done; at a terminal a bar shows it and the time left.

    Args:
        total: the sum of all parts; 0 where that is not known, and no bar is shown.
    """
    if not total or not has_terminal():
        yield lambda _done: None
        return
    with click.progressbar(length=total, label=f"relay: {label}", file=sys.stderr, show_eta=True) as bar:
        yield bar.update


def file_size(file: Any) -> int:
    """Return the bytes of a file that was opened for a command; 0 for a pipe or a terminal."""
    try:
        found = os.fstat(file.fileno())
    except (OSError, ValueError, AttributeError):
        return 0
    return found.st_size if stat.S_ISREG(found.st_mode) else 0


def file_label(file: Any) -> str:
    """Return the name of a file that was opened for a command."""
    name = getattr(file, "name", "<stdin>")
    return "standard input" if name == "<stdin>" else str(name)


def printable(text: str) -> str:
    """Return text that is safe on a terminal and on one line, whoever wrote it.

    Control characters could move the cursor or change the colours of the reader's terminal, and invisible Unicode
    characters can turn the reading direction; they are shown as escapes. Joiners stay, since emoji contain them.
    """
    if text.isprintable():
        return text
    return "".join(
        one if one.isprintable() or one in _JOINERS else one.encode("unicode_escape").decode() for one in text
    )


def print_rows(rows: Sequence[Mapping[str, Any]], columns: Sequence[str], *, as_json: bool) -> None:
    """Print rows as a table of some columns, or each row whole as JSON."""
    if as_json:
        for row in rows:
            click.echo(json.dumps(row, ensure_ascii=False))
        return
    table = [[column.removesuffix("_at").replace("_", " ").upper() for column in columns]]
    table += [[_cell(column, row[column]) for column in columns] for row in rows]
    widths = [max(map(len, cells)) for cells in zip(*table, strict=True)]
    for cells in table:
        line = "  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True))
        click.echo(line.rstrip())


def print_fields(fields: Mapping[str, Any]) -> None:
    """Print one thing, with one field a line."""
    for name, value in fields.items():
        click.echo(f"{name.removesuffix('_at').replace('_', ' ')}: {_cell(name, value)}")


def _cell(column: str, value: object) -> str:
    if value is None or value == "":
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if (column in ("at", "last_seen") or column.endswith("_at")) and isinstance(value, int | float):
        return datetime.fromtimestamp(value, UTC).strftime("%Y-%m-%d %H:%MZ")
    if isinstance(value, list):
        return printable(", ".join(map(str, value))) or "-"
    return printable(str(value))
