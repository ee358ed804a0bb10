"""Options of the commands that connect to a server as one of its users: its address and a token."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from relay.cli.base import Failure, load_settings
from relay.protocol.errors import said
from relay.settings.sections import ServerSettings
from relay.transports.urls import reachable

Function = TypeVar("Function", bound=Callable[..., Any])


def connection_options(command: Function) -> Function:
    """Add `--url`, `--token` and `--token-file` to a command."""
    options = (
        click.option(
            "--url",
            metavar="URL",
            help="The server: http(s)://HOST:PORT.  [default: RELAY_URL, else as [server] in the settings]",
        ),
        click.option(
            "--token",
            metavar="TOKEN",
            help="Others can see it in the list of processes; better use RELAY_TOKEN, or:",
        ),
        click.option(
            "--token-file", type=click.Path(path_type=Path), metavar="FILE", help="A file with the token."
        ),
    )
    for option in reversed(options):
        command = option(command)
    return command


def find_url(url: str | None) -> str:
    """Return the server's address from the option, the environment or the settings, in this order."""
    given = url or os.environ.get("RELAY_URL")
    if given:
        return given
    server = load_settings().server
    if server.port == 0:
        raise click.UsageError("[server] port is 0, so the port is not known; use --url")
    return own_url(server)


def own_url(server: ServerSettings) -> str:
    """Return the address at which this machine reaches the server."""
    return f"{'https' if server.tls_certificate else 'http'}://{reachable(server.host)}:{server.port}"


def find_token(token: str | None, token_file: Path | None) -> str:
    """Return the token from the option, the file or the environment, in this order.

    Raises:
        Failure: the file cannot be read.
    """
    if token:
        return token
    if token_file is not None:
        try:
            return token_file.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise Failure(
                f"{token_file}: cannot be read: {getattr(error, 'strerror', None) or said(error)}"
            ) from None
    found = os.environ.get("RELAY_TOKEN")
    if not found:
        raise click.UsageError("a token is needed: RELAY_TOKEN, --token-file or --token")
    return found
