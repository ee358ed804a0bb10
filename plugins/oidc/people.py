"""Accounts of those whom a provider knows: by their link, or a new one."""

import sqlite3
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from relay.plugin import About, Claim, ErrorCode, RelayError, Server, SignedInUser, check_name, not_found

from . import links
from .faults import refused
from .links import Link
from .provider import Client, look_up

_NEED_LINK = (
    "there is an account of this name here; whoever it belongs to signs in to it once, which connects it with the"
    " sign-in"
)


class NeedsLink(Exception):
    """There is an account of somebody's name, and it is not connected with them.

    Attributes:
        refusal: what the page is answered.
    """

    def __init__(self, user_id: str) -> None:
        super().__init__(user_id)
        self.user_id = user_id
        self.refusal = refused(ErrorCode.CONFLICT, "sso_needs_link", _NEED_LINK, user_id=user_id)


async def sign_in(
    server: Server, client: Client, claims: Mapping[str, Any], address: str, client_id: str | None
) -> SignedInUser:
    """Sign somebody in whom a provider knows; where they are new, and may come, with a new account.

    Raises:
        NeedsLink: their name is that of an account which they may sign in to.
        RelayError: they may not come in.
    """
    issuer, subject = client.provider.issuer, claims["sub"]
    known = await server.read(lambda connection: links.find(connection, issuer, subject), inline=True)
    if known is None:
        known = await _linked_by_mail(server, client, claims)
    if known is not None:
        user_id, created = known.user_id, None
    else:
        user_id = await _new_name(server, client, claims)
        created = partial(links.add, link=link_of(client, claims, user_id, server.now()))
    now = server.now()

    def check(connection: sqlite3.Connection) -> None:
        found = links.find(connection, issuer, subject)
        if found is None or found.user_id != user_id:  # another came first, with the name or for the link
            raise refused(ErrorCode.CONFLICT, "sso_name_taken", _taken(user_id))
        links.note_use(connection, found, now)

    claim = Claim(user_id, display_name=_display_name(client, claims), create=known is None)
    return await server.users.sign_in(claim, address=address, client_id=client_id, created=created, check=check)


async def _linked_by_mail(server: Server, client: Client, claims: Mapping[str, Any]) -> Link | None:
    """Connect somebody with the account that has their address; both the provider and relay have verified it.

    Raises:
        RelayError: `conflict`: the account is connected with somebody else there.
    """
    address = claims.get("email")
    # Some providers say "true" as a text, and leave open who has verified it: that does not count.
    if client.provider.link != "email-verified" or claims.get("email_verified") is not True:
        return None
    there = await server.users.by_mail(address) if isinstance(address, str) else None
    if there is None:
        return None
    made = link_of(client, claims, there.user_id, server.now())
    await connect(server, client, made)
    return made


async def _new_name(server: Server, client: Client, claims: Mapping[str, Any]) -> str:
    """Return the user id of somebody who is new here.

    Raises:
        NeedsLink, RelayError
    """
    provider = client.provider
    wanted = look_up(claims, provider.user_claim)
    try:
        user_id = check_name(wanted if isinstance(wanted, str) else "", "user id")
    except RelayError:
        text = f"{client.title} says no name for you that can be a user id here: its {provider.user_claim} is "
        raise refused(ErrorCode.FORBIDDEN, "sso_no_name", text + repr(wanted)[:80], title=client.title) from None
    there = await server.users.find(user_id)
    if there is not None:
        if provider.link != "never" and await server.users.has_password(there.user_id):
            raise NeedsLink(there.user_id)
        raise refused(ErrorCode.CONFLICT, "sso_name_taken", _taken(there.user_id), user_id=there.user_id)
    if not provider.allow_registration:
        text = "you have no account here, and this server makes none for those who sign in; ask its admin"
        raise refused(ErrorCode.FORBIDDEN, "sso_not_registered", text)
    return user_id


def _taken(user_id: str) -> str:
    return f"the name {user_id!r} belongs to an account that is not connected with this sign-in; ask the admin"


def _display_name(client: Client, claims: Mapping[str, Any]) -> str | None:
    path = client.provider.name_claim
    found = None if path is None else look_up(claims, path)
    return found[:100] if isinstance(found, str) and found.strip() else None


def link_of(client: Client, claims: Mapping[str, Any], user_id: str, now: float) -> Link:
    """Return the link of an account with somebody at a provider."""
    told = (claims.get(name) for name in ("email", "preferred_username", "name", "sub"))
    shown = next(one for one in told if isinstance(one, str) and one.strip())[:200]
    return Link(client.provider.issuer, claims["sub"], user_id, shown, now, None)


async def connect(server: Server, client: Client, link: Link) -> None:
    """Connect an account with somebody at a provider.

    Raises:
        RelayError: `conflict`: somebody else's account is, or the account with another one there.
    """
    actor = server.actor

    def add(connection: sqlite3.Connection) -> None:
        links.add(connection, link)
        details = {"provider": client.name, "subject": link.subject}
        server.audit(connection, actor, "user.connected", About("user", link.user_id), details)

    await server.write(add)


async def disconnect(
    server: Server, client: Client, user_id: str, check: Callable[[sqlite3.Connection], None] | None = None
) -> None:
    """Disconnect an account from a provider.

    Args:
        check: may refuse, in the same transaction.

    Raises:
        RelayError: `not_found`; or the refusal of `check`.
    """
    actor = server.actor

    def remove(connection: sqlite3.Connection) -> None:
        if check is not None:
            check(connection)
        if not links.remove(connection, client.provider.issuer, user_id):
            raise not_found(f"a connection of {user_id!r} with {client.name!r}")
        server.audit(connection, actor, "user.disconnected", About("user", user_id), {"provider": client.name})

    await server.write(remove)
