"""`relay version`: the version, and what this relay is made of."""

from __future__ import annotations

import click

from relay import __version__
from relay.cli.base import Command, tell, wants_json


@click.command(cls=Command)
@click.option("--verbose", is_flag=True, help="Also the Python, SQLite, packages and plugins that are inside.")
def version(verbose: bool) -> None:
    """Print the version, and with --verbose what this relay is made of."""
    if not verbose:
        tell(f"relay {__version__}", relay=__version__)
        return
    from relay.app.about import about, packages

    if wants_json():
        tell("", relay=__version__, **about(), packages=packages())
        return
    click.echo(f"relay {__version__}")
    for name, value in about().items():
        click.echo(f"{name}: {value}")
    click.echo("packages:")
    for name, value in packages().items():
        click.echo(f"  {name} {value}")
