"""Single sign-on by OpenID Connect: people sign in at Keycloak, Authentik, Google and their like."""

import sqlite3

import msgspec
import trio

from relay.http import Blueprint
from relay.plugin import BackgroundTask, Command, Migration, Routes, Server, SessionHook, SignInWay, hookimpl

from . import links
from .back_channel import add_back_channel
from .commands import commands_of, problems_of
from .link_routes import add_changes, add_links
from .options import Options
from .provider import Client
from .routes import Desk, add_finish, add_logout, add_ways


def _clients(options: Options) -> dict[str, Client]:
    """Return the clients by the names of their providers.

    Raises:
        ValueError: a secret cannot be read; the plugin is left out.
    """
    found: dict[str, Client] = {}
    for name, provider in options.providers.items():
        try:
            found[name] = Client(name, provider, options)
        except ValueError as fault:
            raise ValueError(f"[plugins.oidc.providers.{name}] {fault}") from None
    return found


@hookimpl
def relay_options() -> type[msgspec.Struct]:
    """Read `[plugins.oidc]` into `Options`."""
    return Options


@hookimpl
def relay_migrations() -> list[Migration]:
    """Make the table of links."""
    return [Migration(name="links", sql=links.SCHEMA)]


@hookimpl
def relay_sign_in_ways(options: Options) -> list[SignInWay]:
    """Show a button for each provider."""
    return [
        SignInWay(name=name, title=client.title, path=f"/api/oidc/{name}", linkable=True)
        for name, client in _clients(options).items()
    ]


@hookimpl
def relay_routes(options: Options) -> list[Routes]:
    """Serve the way out to the providers and back."""
    blueprint, desk = Blueprint("oidc", __name__), Desk(_clients(options))
    for add in (add_ways, add_finish, add_logout, add_back_channel, add_links, add_changes):
        add(blueprint, desk)
    return [Routes(blueprint=blueprint)]


@hookimpl
def relay_commands(options: Options) -> list[Command]:
    """Add `relay oidc test`, `links`, `link` and `unlink`."""
    return commands_of(_clients(options))


@hookimpl
def relay_session_hooks() -> list[SessionHook]:
    """Forget the links of an account that is erased."""

    def left(_server: Server, connection: sqlite3.Connection, user_id: str) -> None:
        links.forget_user(connection, user_id)

    return [SessionHook(left=left)]


@hookimpl
def relay_background(options: Options) -> list[BackgroundTask]:
    """Ask each provider once, at the start, and say in the log what does not work."""

    async def look(server: Server) -> None:
        async with trio.open_nursery() as nursery:
            for client in _clients(options).values():
                nursery.start_soon(_say_problems, server, client)

    return [BackgroundTask(name="providers", run=look)]


async def _say_problems(server: Server, client: Client) -> None:
    for problem in await problems_of(server, client):
        server.log.warning("provider %s: %s", client.name, problem)
