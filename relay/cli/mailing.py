"""`relay mail`: tries out whether mails can be sent."""

from __future__ import annotations

import click

from relay.cli.base import Failure, Group, tell
from relay.cli.database import perform


@click.group(cls=Group)
def mail() -> None:
    """Try out the mails that the server sends."""


@mail.command()
@click.argument("address")
def test(address: str) -> None:
    """Send a test mail to ADDRESS at once, by the server of [mail], and say what became of it."""
    outcome = perform("mail.test", address=address)
    if outcome["error"]:
        raise Failure(f"not sent: {outcome['error']}")
    tell(f"mail to {address}: taken by the server", address=address, sent=True)
