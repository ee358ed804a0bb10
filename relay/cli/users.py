"""`relay user`: accounts, their passwords, and invites."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from typing import Any, Final

import click

from relay.cli.base import (
    Failure,
    Group,
    file_label,
    json_option,
    note,
    print_fields,
    print_rows,
    progress,
    tell,
    wants_json,
)
from relay.cli.database import perform, perform_pages
from relay.cli.exporting import export_user
from relay.cli.invites import draw_qr, invite_options, make_invite, page_address
from relay.protocol.errors import RelayError

_ROLES: Final = ("owner", "admin", "moderator", "member", "guest")
_CHUNK: Final = 10_000
"""User ids of one transaction: enough for speed, few enough that a running server's messages hardly wait."""

_password_option = click.option(
    "--password-stdin", is_flag=True, help="Read the password from the first line of standard input."
)

_reason_option = click.option("--reason", metavar="TEXT", default="", help="A reason, for the audit log.")
_role_option = click.option(
    "--role",
    type=click.Choice(_ROLES),
    default="member",
    show_default=True,
    help="What the user may do on this server.",
)


@click.group(cls=Group)
def user() -> None:
    """Add, list, show, disable and import users; set passwords; invite."""


@user.command()
@click.argument("name")
@click.option("--admin", is_flag=True, help="The same as --role admin: may administer the server.")
@_role_option
@click.option("--display-name", metavar="TEXT", help="The name that others see.  [default: NAME]")
@_password_option
def add(name: str, admin: bool, role: str, display_name: str | None, password_stdin: bool) -> None:
    """Create the user NAME. The first admin of a server is its owner.

    Without a password they log in with tokens only (`relay token create`), until one is set
    (`relay user passwd`).
    """
    password = _first_line() if password_stdin else None
    role = "admin" if admin else role
    given = perform("user.add", user_id=name, display_name=display_name, role=role, password=password)["role"]
    tell(f"user {name}: created", user_id=name, role=given)
    if given != role:
        note(f"{name} is the {given} of this server, as its first admin")


@user.command("list")
@json_option
def list_users(as_json: bool) -> None:
    """List all users, by their ids."""
    columns = ("user_id", "display_name", "role", "disabled", "created_at")
    print_rows(list(perform_pages("user.list", "user_id")), columns, as_json=as_json)


@user.command()
@click.argument("name")
@json_option
def show(name: str, as_json: bool) -> None:
    """Show the account of the user NAME: role, how they are let in, what they have, and their groups."""
    found = perform("user.show", user_id=name)
    if as_json:
        click.echo(json.dumps(found, ensure_ascii=False))
        return
    groups = found.pop("groups")
    print_fields(found)
    if groups:
        click.echo()
        print_rows(groups, ("group_id", "name", "role"), as_json=False)


@user.command()
@click.argument("name")
@click.argument("role", type=click.Choice(_ROLES), metavar="ROLE")
@_reason_option
def role(name: str, role: str, reason: str) -> None:
    """Give the user NAME another ROLE on this server; it takes effect at once.

    The last owner stays: make somebody else an owner first.
    """
    owners = perform("user.role", user_id=name, role=role, reason=reason)["owners"]
    tell(f"user {name}: {role}", user_id=name, role=role)
    if not owners:
        note(f"this server has no owner yet, who alone makes admins; to make one: relay user role {name} owner")


@user.command()
@click.argument("name")
@click.argument("display_name")
def rename(name: str, display_name: str) -> None:
    """Give the user NAME another name that others see, DISPLAY_NAME."""
    perform("user.rename", user_id=name, display_name=display_name)
    tell(f"user {name}: renamed", user_id=name, display_name=display_name)


@user.command()
@click.argument("name")
@json_option
def devices(name: str, as_json: bool) -> None:
    """List the devices of the user NAME that are not revoked, the one that was seen last first."""
    columns = ("client_id", "agent", "seen_at", "connected", "address")
    print_rows(perform("user.devices", user_id=name), columns, as_json=as_json)


@user.command("revoke-device")
@click.argument("name")
@click.argument("client_id")
def revoke_device(name: str, client_id: str) -> None:
    """Revoke the device CLIENT_ID of the user NAME: its connection ends, and the login it came with is void."""
    perform("user.revoke_device", user_id=name, client_id=client_id)
    tell(f"user {name}: device {client_id} revoked", user_id=name, client_id=client_id)


@user.command()
@click.argument("name")
@_reason_option
def disable(name: str, reason: str) -> None:
    """Disable the user NAME: their connections end now, their tokens and password are refused.

    Nothing is deleted; `relay user enable` undoes it.
    """
    perform("user.disable", user_id=name, reason=reason)
    tell(f"user {name}: disabled", user_id=name, disabled=True)


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
    _erase(name)


def _erase(name: str) -> None:
    """Erase an account, and tell how far it is while that takes."""
    while True:
        found = perform("user.erase", user_id=name)
        if found["done_at"] is not None:
            break
        click.echo(f"user {name}: {_count(found['erased'], 'message')} erased so far", err=True)
    tell(f"user {name}: erased, with {_count(found['erased'], 'message')}", **{"user_id": name, **found})
    if (found["kept"] or found["files_kept"]) and not wants_json():
        held = f"{_count(found['kept'], 'message')} and {_count(found['files_kept'], 'file')}"
        click.echo(f"user {name}: {held} stay, as they are on legal hold")


@user.command()
@click.argument("name")
@click.option(
    "--erase", "also_erase", is_flag=True, help="Erase what they said as well, as `relay user erase` does."
)
@click.option("--yes", is_flag=True, help="Really do it: the account cannot be brought back.")
def delete(name: str, also_erase: bool, yes: bool) -> None:
    """Delete the account of the user NAME for good; what they said stays, under their name. Their id stays taken.

    Their connections end now, their password, tokens, devices and addresses are deleted, and they leave their
    groups, as with `relay user erase`.
    """
    if not yes:
        raise click.UsageError(f"nothing brings the account of {name} back; say --yes if you mean it")
    if also_erase:
        _erase(name)
        return
    perform("user.delete", user_id=name)
    tell(f"user {name}: deleted", user_id=name, deleted=True)


user.add_command(export_user)


@user.command()
@click.argument("name")
@_reason_option
def enable(name: str, reason: str) -> None:
    """Enable the disabled user NAME again, with the tokens and the password they had."""
    perform("user.enable", user_id=name, reason=reason)
    tell(f"user {name}: enabled", user_id=name, disabled=False)


@user.command()
@click.argument("name")
@_password_option
def passwd(name: str, password_stdin: bool) -> None:
    """Set the password of the user NAME, asked for twice on a terminal.

    Devices that logged in with the old one are logged out; tokens made by `relay token create` stay valid.
    """
    password = _first_line() if password_stdin else _ask_twice()
    ended = perform("user.passwd", user_id=name, password=password)["logins_ended"]
    tell(f"user {name}: password set, {_count(ended, 'login')} ended", user_id=name, logins_ended=ended)


@user.command("reset-link")
@click.argument("name")
@click.option("--qr", is_flag=True, help="Draw the QR code of the link, on standard error.")
def reset_link(name: str, qr: bool) -> None:
    """Print a link with which the user NAME sets a new password, once and within a day.

    All their sessions end when they do; a second factor stays. Whoever has the link can use it: give it to nobody
    else. Without relay's own page the code is printed, for `POST /api/password-reset`.
    """
    code = perform("user.reset_link", user_id=name)
    page = page_address()
    link = f"{page}/#reset={code}" if page else code
    if qr:
        draw_qr(link)
    tell(link, user_id=name, code=code, link=link if page else None)


@user.command("reset-second-factor")
@click.argument("name")
def reset_second_factor(name: str) -> None:
    """Remove the second factor of the user NAME, who has lost it and the recovery codes.

    Their password alone lets them in again, until they set up another one.
    """
    perform("user.reset_second_factor", user_id=name)
    tell(f"user {name}: second factor removed", user_id=name)


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
    with progress(len(names) if len(names) > _CHUNK else 0, "import") as done:
        for start in range(0, len(names), _CHUNK):
            chunk = names[start : start + _CHUNK]
            answer = perform("user.import", user_ids=chunk, tokens=tokens)
            created += answer["created"]
            for name, token in answer["tokens"]:
                tell(f"{name}\t{token}", user_id=name, token=token)
            done(len(chunk))
    there = len(names) - created
    if wants_json():
        tell("", created=created, there_already=there)
    else:
        click.echo(f"{_count(created, 'user')} created, {there} there already", err=tokens)


@user.command()
@invite_options
def invite(**given: Any) -> None:
    """Print the code of a new invite, with which somebody can register an account.

    The code is alone on standard output, for scripts; the link to relay's own page with it is on standard error.
    `relay invite create` is the same the other way round.
    """
    code, link = make_invite(given)
    if link and not wants_json():
        note(f"as a link: {link}")
    tell(code, code=code, link=link or None)


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
