"""`relay user`: accounts, their passwords, and invites."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Final

import click

from relay.cli.base import Failure, Group, file_label, json_option, load_settings, note, print_rows
from relay.cli.database import perform, perform_pages
from relay.protocol.errors import RelayError

_CHUNK: Final = 10_000
"""User ids of one transaction: enough for speed, few enough that a running server's messages hardly wait."""

_password_option = click.option(
    "--password-stdin", is_flag=True, help="Read the password from the first line of standard input."
)


@click.group(cls=Group)
def user() -> None:
    """Add, list, disable and import users; set passwords; invite."""


@user.command()
@click.argument("name")
@click.option("--admin", is_flag=True, help="May administer the server: send to everybody, see all figures.")
@click.option("--display-name", metavar="TEXT", help="The name that others see.  [default: NAME]")
@_password_option
def add(name: str, admin: bool, display_name: str | None, password_stdin: bool) -> None:
    """Create the user NAME.

    Without a password they log in with tokens only (`relay token create`), until one is set
    (`relay user passwd`).
    """
    password = _first_line() if password_stdin else None
    perform("user.add", user_id=name, display_name=display_name, admin=admin, password=password)
    click.echo(f"user {name}: created")


@user.command("list")
@json_option
def list_users(as_json: bool) -> None:
    """List all users, by their ids."""
    columns = ("user_id", "display_name", "admin", "disabled", "created_at")
    print_rows(list(perform_pages("user.list", "user_id")), columns, as_json=as_json)


@user.command()
@click.argument("name")
def disable(name: str) -> None:
    """Disable the user NAME: their connections end now, their tokens and password are refused.

    Nothing is deleted; `relay user enable` undoes it.
    """
    perform("user.disable", user_id=name)
    click.echo(f"user {name}: disabled")


@user.command()
@click.argument("name")
@click.option("--yes", is_flag=True, help="Really do it: the account cannot be brought back.")
def erase(name: str, yes: bool) -> None:
    """Erase the user NAME for good: account, messages, files, reactions. Their id stays taken.

    Their connections end now, their messages become tombstones in every conversation, and a group that they own
    goes to the admin or member who has been in it longest. What is on legal hold stays, and is counted.
    """
    if not yes:
        raise click.UsageError(f"this erases {name} and all that they wrote, for good; say --yes if you mean it")
    while True:
        found = perform("user.erase", user_id=name)
        if found["done_at"] is not None:
            break
        click.echo(f"user {name}: {_count(found['erased'], 'message')} erased so far", err=True)
    click.echo(f"user {name}: erased, with {_count(found['erased'], 'message')}")
    if found["kept"] or found["files_kept"]:
        held = f"{_count(found['kept'], 'message')} and {_count(found['files_kept'], 'file')}"
        click.echo(f"user {name}: {held} stay, as they are on legal hold")


@user.command()
@click.argument("name")
def enable(name: str) -> None:
    """Enable the disabled user NAME again, with the tokens and the password they had."""
    perform("user.enable", user_id=name)
    click.echo(f"user {name}: enabled")


@user.command()
@click.argument("name")
@_password_option
def passwd(name: str, password_stdin: bool) -> None:
    """Set the password of the user NAME, asked for twice on a terminal.

    Devices that logged in with the old one are logged out; tokens made by `relay token create` stay valid.
    """
    password = _first_line() if password_stdin else _ask_twice()
    ended = perform("user.passwd", user_id=name, password=password)["logins_ended"]
    click.echo(f"user {name}: password set, {_count(ended, 'login')} ended")


@user.command("import")
@click.argument("file", type=click.File("rb"))
@click.option("--tokens", is_flag=True, help="Print a new token for each user, as USER<TAB>TOKEN lines.")
def import_users(file: Iterable[bytes], tokens: bool) -> None:
    """Create many users from FILE, one user id a line; `-` is standard input.

    Blank lines and what follows a # are skipped, and users that are there already stay as they are: importing
    the same file again does no harm. With a name that cannot be a user's, nothing is imported. Every 10,000
    users are one transaction.
    """
    names = _read_names(file)
    created = 0
    for start in range(0, len(names), _CHUNK):
        answer = perform("user.import", user_ids=names[start : start + _CHUNK], tokens=tokens)
        created += answer["created"]
        click.echo("".join(f"{name}\t{token}\n" for name, token in answer["tokens"]), nl=False)
    click.echo(f"{_count(created, 'user')} created, {len(names) - created} there already", err=tokens)


@user.command()
@click.option("--uses", type=click.IntRange(1, 1_000_000), default=1, show_default=True, help="Registrations.")
@click.option(
    "--days",
    type=click.FloatRange(0, 36_500),
    default=7,
    show_default=True,
    help="Days until it expires; 0: never.",
)
@click.option("--admin", is_flag=True, help="The new user may administer the server.")
def invite(uses: int, days: float, admin: bool) -> None:
    """Print the code of a new invite, with which somebody can register an account.

    On relay's own page they do so at https://chat.example.org/#invite=CODE.
    """
    if load_settings().accounts.registration == "closed":
        note('nobody can use it while [accounts] registration is "closed"')
    click.echo(perform("user.invite", uses=uses, days=days, admin=admin))


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _ask_twice() -> str:
    if not sys.stdin.isatty():
        raise click.UsageError("there is no terminal to ask on; use --password-stdin")
    password: str = click.prompt("Password", hide_input=True, confirmation_prompt="Again")
    return password


def _first_line() -> str:
    try:
        password = sys.stdin.buffer.readline().decode().rstrip("\r\n")
    except UnicodeDecodeError:
        raise click.UsageError("standard input is not UTF-8 text") from None
    if not password:
        raise click.UsageError("there is no password on standard input")
    return password


def _read_names(file: Iterable[bytes]) -> list[str]:
    """Return the user ids of a file, each once, in their order.

    Raises:
        Failure: with every line that is not a user id.
    """
    from relay.storage.accounts import check_name

    names: dict[str, None] = {}
    wrong = []
    label = file_label(file)
    for number, line in enumerate(file, 1):
        try:
            text = line.decode("utf-8-sig" if number == 1 else "utf-8")
            name = text.partition("#")[0].strip()
            if name:
                names[check_name(name, "user id")] = None
        except UnicodeDecodeError:
            wrong.append(f"{label}:{number}: not UTF-8 text")
        except RelayError as error:
            wrong.append(f"{label}:{number}: {error}")
    if wrong:
        for problem in wrong[:20]:
            note(problem)
        raise Failure(f"{_count(len(wrong), 'line')} cannot be imported; nothing was")
    return list(names)
