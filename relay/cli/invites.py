"""`relay invite`: makes invitations, lists them with who came by them, and takes them back."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, TypeVar

import click

from relay.cli.base import Group, json_option, load_settings, note, print_rows, tell
from relay.cli.connecting import own_url
from relay.cli.database import perform, perform_pages

Function = TypeVar("Function", bound=Callable[..., Any])


@click.group(cls=Group)
def invite() -> None:
    """Make, list and take back invitations."""


def invite_options(command: Function) -> Function:
    """Add what a new invite may have to a command."""
    options = (
        click.option(
            "--uses", type=click.IntRange(1, 1_000_000), default=1, show_default=True, help="Registrations."
        ),
        click.option(
            "--days",
            type=click.FloatRange(0, 36_500),
            default=7,
            show_default=True,
            help="Days until it expires; 0: never.",
        ),
        click.option("--admin", is_flag=True, help="The same as --role admin."),
        click.option(
            "--role",
            type=click.Choice(["member", "guest", "moderator", "admin"]),
            default="member",
            show_default=True,
            help="The role of who registers with it.",
        ),
        click.option(
            "--group",
            "groups",
            metavar="GROUP_ID",
            multiple=True,
            help="A group that the new user joins; may be repeated.",
        ),
        click.option("--label", metavar="TEXT", default="", help="What it is for, to recognise it in lists."),
        click.option("--qr", is_flag=True, help="Draw the QR code of the link, on standard error."),
    )
    for option in reversed(options):
        command = option(command)
    return command


@invite.command()
@invite_options
def create(**given: Any) -> None:
    """Print the link of a new invite, with which somebody can register an account.

    Its address is [server] public_url, and where that is empty the one at which this machine reaches the server.
    Without relay's own page there is no link, and the code is printed.
    """
    code, link = make_invite(given)
    tell(link or code, code=code, link=link or None)


@invite.command("list")
@click.option("--ended", is_flag=True, help="Also those that are used up, expired or taken back.")
@json_option
def list_invites(ended: bool, as_json: bool) -> None:
    """List the invites that can still be used, with who registered by them; the codes cannot be shown again."""
    rows = list(perform_pages("invite.list", "invite_id", ended=ended))
    if not as_json:
        rows = [row | {"used_by": [use["user_id"] for use in row["used_by"]]} for row in rows]
    columns = ("invite_id", "label", "uses_left", "expires_at", "role", "group_ids", "created_by", "used_by")
    print_rows(rows, columns, as_json=as_json)


@invite.command()
@click.argument("invite")
def revoke(invite: str) -> None:
    """Take INVITE back: its id, its code or its whole link. Who has registered by it stays."""
    perform("invite.revoke", invite=invite)
    tell("invite: taken back", invite=invite)


def make_invite(given: dict[str, Any]) -> tuple[str, str]:
    """Make an invite of the values of `invite_options`; return its code, and its link or "" without a page."""
    settings = load_settings()
    if settings.accounts.registration == "closed":
        note('nobody can use it while [accounts] registration is "closed"')
    draws, admin, role = given.pop("qr"), given.pop("admin"), given.pop("role")
    given["role"] = "admin" if admin else "user" if role == "member" else role
    code = perform("user.invite", **given)
    page = page_address()
    link = f"{page}/#invite={code}" if page else ""
    if draws:
        draw_qr(link or code)
    return code, link


def page_address() -> str:
    """Return the address of relay's own page without a slash at its end; "" where none is served, or known."""
    settings = load_settings()
    if not settings.web.page:
        return ""
    page = settings.server.public_url or (own_url(settings.server) if settings.server.port else "")
    return page.rstrip("/")


def draw_qr(text: str) -> None:
    """Draw a QR code on standard error, so that standard output has the text alone."""
    from relay.http import qr_codes

    qr_codes.draw(text, sys.stderr)
