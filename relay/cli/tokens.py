"""`relay token`: creates, lists and revokes the tokens of programs and devices."""

from __future__ import annotations

import click

from relay.cli.base import Group, json_option, print_rows, tell
from relay.cli.database import perform


@click.group(cls=Group)
def token() -> None:
    """Create, list and revoke tokens."""


@token.command()
@click.argument("name")
@click.option("--label", metavar="TEXT", default="", help="What it is for, to recognise it in lists.")
@click.option(
    "--scope",
    "scopes",
    metavar="SCOPE",
    multiple=True,
    help="A right that its user alone does not have, e.g. notify; may be repeated.",
)
@click.option(
    "--days",
    type=click.FloatRange(0, 36_500),
    default=0,
    show_default=True,
    help="Days until it expires; 0: never.",
)
def create(name: str, label: str, scopes: tuple[str, ...], days: float) -> None:
    """Print a new token of the user NAME, alone on standard output.

    Only its hash is stored, so it cannot be shown again; `relay token list` shows everything else about it.
    """
    made = perform("token.create", user_id=name, label=label, scopes=scopes, days=days)
    tell(made, user_id=name, token=made)


@token.command("list")
@click.argument("name", required=False)
@json_option
def list_tokens(name: str | None, as_json: bool) -> None:
    """List the tokens of everybody, or of the user NAME, oldest first; never the tokens themselves."""
    columns = ("token_id", "user_id", "origin", "label", "scopes", "created_at", "expires_at", "last_used_at")
    print_rows(perform("token.list", user_id=name), columns, as_json=as_json)


@token.command()
@click.argument("token_id")
def revoke(token_id: str) -> None:
    """Revoke the token TOKEN_ID, as `relay token list` names it; connections that used it end now."""
    perform("token.revoke", token_id=token_id)
    tell(f"token {token_id}: revoked", token_id=token_id)
