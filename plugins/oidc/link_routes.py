"""REST of links: a signed-in user connects their account with somebody at a provider."""

import sqlite3
from functools import partial

from relay.http import Answer, Blueprint, Body, Caller, Response, count_attempt, endpoint, reply
from relay.plugin import ErrorCode, Server

from . import links, people
from .faults import Failed, refused
from .roles import give_role
from .routes import Code, Desk, address_of, in_time, seal


class LinkCode(Body, frozen=True):
    """The code that the page was given."""

    code: Code


class Begun(Answer, frozen=True):
    """The provider's address; the browser goes there."""

    url: str


class Linked(Answer, frozen=True):
    """The link of the caller's account, where `linked`; `shown` is what the provider called them then."""

    linked: bool
    shown: str | None = None
    linked_at: float | None = None
    used_at: float | None = None


def add_links(blueprint: Blueprint, desk: Desk) -> None:
    """Add the views that show a link, and begin one."""

    @blueprint.get("/api/oidc/<name>/link")
    @endpoint(answers={200: Linked})
    async def show(server: Server, caller: Caller, name: str) -> Linked:
        """Answer whether the caller's account is connected with a provider."""
        issuer = desk.client(name).provider.issuer
        found = await server.read(partial(links.of_user, user_id=caller.user_id))
        link = next((one for one in found if one.issuer == issuer), None)
        if link is None:
            return Linked(linked=False)
        return Linked(linked=True, shown=link.shown, linked_at=link.linked_at, used_at=link.used_at)

    @blueprint.post("/api/oidc/<name>/link/start")
    @endpoint(answers={200: Begun}, refusals=[ErrorCode.OVERLOADED, ErrorCode.FORBIDDEN, ErrorCode.RATE_LIMITED])
    async def start_link(server: Server, caller: Caller, name: str) -> Response:
        """Begin to connect the caller's account with a provider."""
        client = desk.client(name)
        count_attempt()
        try:
            attempt, cookie = desk.flows(server).begin(name, caller.user_id, server.now())
            async with in_time(server):
                url = await client.address(attempt, address_of(server, name))
        except Failed as fault:
            server.log.warning("connecting with %s failed (%s): %s", name, fault.reason, fault)
            code = ErrorCode.OVERLOADED if fault.reason == "sso_unreachable" else ErrorCode.FORBIDDEN
            raise refused(code, fault.reason, f"{client.title} cannot be asked: {fault}") from None
        return seal(reply(Begun(url=url)), server, name, cookie)


def add_changes(blueprint: Blueprint, desk: Desk) -> None:
    """Add the views that make a link, and end it."""

    @blueprint.post("/api/oidc/<name>/link")
    @endpoint(body=LinkCode, answers={200: Linked}, refusals=[ErrorCode.FORBIDDEN, ErrorCode.CONFLICT])
    async def link(server: Server, caller: Caller, body: LinkCode, name: str) -> Linked:
        """Connect the caller's account with whom a code stands for."""
        client, known = desk.client(name), desk.known(server, name, body.code)
        if caller.user_id not in (known.user_id, known.named):
            text = "this code is for another account; begin again"
            raise refused(ErrorCode.FORBIDDEN, "sso_other_account", text)
        desk.flows(server).use(body.code)
        made = people.link_of(client, known.claims, caller.user_id, server.now())
        await people.connect(server, client, made)
        await give_role(server, client, known.claims, caller.user_id, caller.address)
        return Linked(linked=True, shown=made.shown, linked_at=made.linked_at)

    @blueprint.delete("/api/oidc/<name>/link")
    @endpoint(answers={204: None}, refusals=[ErrorCode.CONFLICT])
    async def unlink(server: Server, caller: Caller, name: str) -> None:
        """Disconnect the caller's account from a provider."""
        client, by_password = desk.client(name), await server.users.has_password(caller.user_id)

        def check(connection: sqlite3.Connection) -> None:
            if not by_password and len(links.of_user(connection, caller.user_id)) < 2:
                text = "your account has no other way to sign in; ask the admin for a password first"
                raise refused(ErrorCode.CONFLICT, "sso_last_way", text)

        await people.disconnect(server, client, caller.user_id, check)
