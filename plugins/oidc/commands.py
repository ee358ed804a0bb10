"""The commands `relay oidc …`."""

from collections.abc import Mapping
from functools import partial
from typing import Annotated, Any

from msgspec import Meta

from relay.plugin import Command, Server, not_found

from . import links, people
from .faults import Failed
from .links import Link
from .provider import NO_LOGOUT, Client
from .routes import address_of

Subject = Annotated[str, Meta(min_length=1, max_length=255)]


async def problems_of(server: Server, client: Client) -> list[str]:
    """Return what keeps people from signing in by a provider; it is asked now."""
    found = []
    try:
        address_of(server, client.name)
    except Failed as fault:
        found.append(str(fault))
    try:
        told = await client.metadata(fresh=True)
        if client.provider.logout and told.end_session_endpoint is None:
            found.append(NO_LOGOUT)
        await client.keys(fresh=True)
    except Failed as fault:
        found.append(str(fault))
    return found


class Commands:
    """The commands of some providers' clients."""

    def __init__(self, clients: Mapping[str, Client]) -> None:
        self._clients = clients

    def _named(self, name: str) -> Client:
        if name not in self._clients:
            raise not_found(f"provider {name!r}; there are {', '.join(sorted(self._clients))}")
        return self._clients[name]

    async def test(self, server: Server, name: str) -> dict[str, Any]:
        """Ask the provider NAME what it says of itself and for its keys, and print what was found."""
        client = self._named(name)
        problems = await problems_of(server, client)
        if problems:
            return {"provider": name, "ok": False, "problem": "; ".join(problems)}
        told, keys = await client.metadata(), await client.keys()
        return {
            "provider": name,
            "ok": True,
            "issuer": told.issuer,
            "redirect_uri": address_of(server, name),
            "signs_in_at": told.authorization_endpoint,
            "signs_out_at": told.end_session_endpoint if client.provider.logout else None,
            "keys": len(keys.all.keys),
            "client_secret": "from its file" if client.provider.client_secret_file else "none: a public client",
        }

    async def list_links(self, server: Server, *, user: str | None = None) -> list[dict[str, Any]]:
        """List which accounts are connected with whom at a provider; with --user one account's."""
        names = {client.provider.issuer: name for name, client in self._clients.items()}
        job = links.every if user is None else partial(links.of_user, user_id=user)
        return [
            {
                "user": one.user_id,
                "provider": names.get(one.issuer, one.issuer),
                "subject": one.subject,
                "shown": one.shown,
                "used_at": one.used_at,
            }
            for one in await server.read(job)
        ]

    async def link(self, server: Server, name: str, user: str, subject: Subject) -> str:
        """Connect the account USER with SUBJECT at the provider NAME: what the provider's tokens have as sub."""
        client = self._named(name)
        issuer, there = client.provider.issuer, await server.users.find(user)
        if there is None:
            raise not_found(f"user {user!r}")
        await people.connect(server, client, Link(issuer, subject, there.user_id, subject, server.now(), None))
        return f"{there.user_id} signs in by {name}"

    async def unlink(self, server: Server, name: str, user: str) -> str:
        """Disconnect the account USER from the provider NAME."""
        client, there = self._named(name), await server.users.find(user)
        if there is None:
            raise not_found(f"user {user!r}")
        await people.disconnect(server, client, there.user_id)
        return f"{there.user_id} no longer signs in by {name}"


def commands_of(clients: Mapping[str, Client]) -> list[Command]:
    """Return the commands."""
    made = Commands(clients)
    return [
        Command(name="oidc test", run=made.test),
        Command(name="oidc links", run=made.list_links),
        Command(name="oidc link", run=made.link),
        Command(name="oidc unlink", run=made.unlink),
    ]
