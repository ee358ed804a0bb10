"""Sign-outs that a provider tells of (OpenID Connect Back-Channel Logout 1.0): all logins of theirs end here."""

from functools import partial
from urllib.parse import parse_qs

from relay.http import Blueprint, endpoint
from relay.plugin import ErrorCode, RelayError, Server, list_tokens

from . import links
from .faults import Failed, refused
from .routes import Desk, in_time

_FORM = "application/x-www-form-urlencoded"
_LONGEST = 16_384


def add_back_channel(blueprint: Blueprint, desk: Desk) -> None:
    """Add the view that a provider calls."""

    @blueprint.post("/api/oidc/<name>/back-channel-logout")
    @endpoint(body=bytes, body_types=[_FORM], answers={204: None}, refusals=[ErrorCode.OVERLOADED], access="open")
    async def back_channel_logout(server: Server, body: bytes, name: str) -> None:
        """End the logins of somebody who has signed out at a provider, or was signed out there."""
        client = desk.client(name)
        try:
            token = _token(body)
            async with in_time(server):
                subject = await client.signed_out(token, server.now())
        except Failed as fault:
            server.count("failed", fault.reason)
            server.log.info("a sign-out told by %s is refused (%s): %s", name, fault.reason, fault)
            code = ErrorCode.OVERLOADED if fault.reason == "sso_unreachable" else ErrorCode.INVALID_PAYLOAD
            raise refused(code, fault.reason, f"the logout token is not valid: {fault}") from None
        await _end_logins(server, client.provider.issuer, subject)
        server.count("signed_out", name)


def _token(body: bytes) -> str:
    """Return the logout token of a form.

    Raises:
        Failed: there is none.
    """
    if len(body) > _LONGEST:
        raise Failed("sso_bad_answer", f"it has over {_LONGEST:,} bytes")
    found = parse_qs(body.decode("ascii", "replace")).get("logout_token", [])
    if len(found) != 1:
        raise Failed("sso_bad_answer", "the form has no logout_token")
    return found[0]


async def _end_logins(server: Server, issuer: str, subject: str) -> None:
    """End all logins of the account that is connected with somebody at a provider; tokens for programs stay."""
    link = await server.read(partial(links.find, issuer=issuer, subject=subject))
    if link is None:
        return  # nobody of theirs was ever here
    for token in await server.read(partial(list_tokens, user_id=link.user_id)):
        if token["origin"] == "login":
            try:
                await server.users.revoke_token(token["token_id"])
            except RelayError as gone:
                if gone.code is not ErrorCode.NOT_FOUND:  # it was signed out meanwhile
                    raise
