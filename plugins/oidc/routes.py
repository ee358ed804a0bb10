"""REST of single sign-on: `/api/oidc/PROVIDER/…`, out to the provider, back from it, and into a login."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import partial
from typing import Annotated, NamedTuple
from urllib.parse import urlsplit

import trio
from msgspec import Meta

from relay.http import Answer, Blueprint, Body, Response, count_attempt, endpoint, redirect, reply, request
from relay.plugin import ErrorCode, Name, RelayError, Server, not_found

from . import people
from .faults import Failed, refused
from .flows import SECONDS, Flows, Known
from .people import NeedsLink
from .provider import Client
from .roles import give_role

Code = Annotated[str, Meta(min_length=1, max_length=200)]
_COOKIE = "relay_oidc"
_BACK = "../../../"
"""The page, from a view here: relative, so that nothing in a request can lead elsewhere."""

_LOCATION = {303: {"Location": "where the browser goes on"}}
_LONGEST_CODE = 4096


class _Kind(NamedTuple):
    """One of this plugin's cookies; `below` is the end of the path that it is sent to."""

    cookie: str
    below: str
    seconds: int
    same_site: str


_IN = _Kind(_COOKIE, "", int(2 * SECONDS), "Lax")
_OUT = _Kind("relay_oidc_out", "/logout", 400 * 86_400, "Strict")
"""No other site's link brings it along: none signs anybody out without being asked."""


class Finish(Body, frozen=True):
    """The code that the page was given, and the device that the login is for."""

    code: Code
    client_id: Name | None = None


class Opened(Answer, frozen=True):
    """A new token, as of `POST /api/login`; `sign_out` is where the browser goes once it has signed out here."""

    token: str
    user_id: Name
    expires_at: float | None
    sign_out: str | None = None


class Desk:
    """The views' common ground: the clients by name, and the sign-ins that are on their way."""

    def __init__(self, clients: Mapping[str, Client]) -> None:
        self._clients = clients

    def client(self, name: str) -> Client:
        """Return a provider's client.

        Raises:
            RelayError: `not_found`.
        """
        found = self._clients.get(name)
        if found is None:
            raise not_found(f"provider {name!r}")
        return found

    def flows(self, server: Server) -> Flows:
        """Return the sign-ins of a server; there is one object for each server, so that a reload loses none."""
        made: Flows | None = server.memory.get("flows")
        if made is None:
            made = server.memory["flows"] = Flows()
        return made

    def known(self, server: Server, name: str, code: str) -> Known:
        """Return whom the page's code stands for.

        Raises:
            RelayError: `forbidden`.
        """
        try:
            return self.flows(server).known(name, request.cookies.get(_COOKIE), code, server.now())
        except Failed as fault:
            raise refused(ErrorCode.FORBIDDEN, fault.reason, "the sign-in has expired; begin it again") from None


def address_of(server: Server, name: str) -> str:
    """Return where the provider sends the browser back to: the `redirect_uri` that is registered there.

    Raises:
        Failed: nobody has said where people open this server.
    """
    return f"{public_address(server)}/api/oidc/{name}/callback"


def public_address(server: Server) -> str:
    """Return where people open this server, without a slash at the end.

    Raises:
        Failed: nobody has said where.
    """
    public = server.settings.server.public_url.rstrip("/")
    if not public:
        raise Failed("sso_no_address", "[server] public_url is empty: the provider could not send anybody back")
    return public


def seal(response: Response, server: Server, name: str, cookie: str) -> Response:
    """Give the browser the cookie of its sign-in."""
    return _set(response, server, name, _IN, cookie)


def _set(
    response: Response, server: Server, name: str, kind: _Kind, value: str, seconds: int | None = None
) -> Response:
    """Set a cookie of one provider's views; for 0 seconds to delete it."""
    public = urlsplit(server.settings.server.public_url.rstrip("/"))
    response.set_cookie(
        kind.cookie,
        value,
        max_age=kind.seconds if seconds is None else seconds,
        path=f"{public.path}/api/oidc/{name}{kind.below}",
        secure=public.scheme == "https",
        httponly=True,
        samesite=kind.same_site,
    )
    return response


def _failed(server: Server, name: str, fault: Failed) -> Response:
    """Log why a sign-in failed, and lead the browser back to the page, which says so in people's words."""
    server.count("failed", fault.reason)
    server.log.warning("sign-in by %s failed (%s): %s", name, fault.reason, fault)
    return redirect(f"{_BACK}#way-failed={fault.reason}")


@asynccontextmanager
async def in_time(server: Server) -> AsyncIterator[None]:
    """Bound what the provider takes, well within the plugin's own deadline: a slow provider is no failure of it.

    Raises:
        Failed
    """
    seconds = server.handler_seconds * 0.8
    with trio.move_on_after(seconds) as waiting:
        yield
    if waiting.cancelled_caught:
        raise Failed("sso_unreachable", f"the provider took more than {seconds:g} s")


def add_ways(blueprint: Blueprint, desk: Desk) -> None:
    """Add the views that the browser itself opens."""
    opened = partial(endpoint, query=None, answers={303: None}, answer_headers=_LOCATION, access="open")

    @blueprint.get("/api/oidc/<name>/start")
    @opened(refusals=[ErrorCode.RATE_LIMITED])
    async def start(server: Server, name: str) -> Response:
        """Lead a browser to a provider, to sign in there."""
        client = desk.client(name)
        count_attempt()
        try:
            attempt, cookie = desk.flows(server).begin(name, None, server.now())
            async with in_time(server):
                url = await client.address(attempt, address_of(server, name))
        except Failed as fault:
            return _failed(server, name, fault)
        return seal(redirect(url), server, name, cookie)

    @blueprint.get("/api/oidc/<name>/callback")
    @opened(refusals=[ErrorCode.RATE_LIMITED])
    async def callback(server: Server, name: str) -> Response:
        """Take a browser back from a provider, and lead it to the page with a code."""
        client = desk.client(name)
        count_attempt()
        try:
            code = await _take_back(server, desk, client)
        except Failed as fault:
            return _failed(server, name, fault)
        return redirect(f"{_BACK}#way={name}:{code}")


async def _take_back(server: Server, desk: Desk, client: Client) -> str:
    """Return the page's code for who comes back from a provider.

    Raises:
        Failed
    """
    told, flows, now = request.args, desk.flows(server), server.now()
    flow = flows.come_back(client.name, request.cookies.get(_COOKIE), told.get("state", ""), now)
    if told.get("iss", client.provider.issuer) != client.provider.issuer:  # RFC 9207: another one's answer
        raise Failed("sso_wrong_issuer", f"the answer is from {told['iss']!r:.200}")
    if error := told.get("error"):
        reason = "sso_denied" if error == "access_denied" else "sso_bad_answer"
        raise Failed(reason, f"it answered {error[:100]!r}: {told.get('error_description', '')[:200]!r}")
    code = told.get("code", "")
    if not 0 < len(code) <= _LONGEST_CODE:
        raise Failed("sso_bad_answer", "its answer has no code")
    async with in_time(server):
        answered = await client.exchange(code, flow.attempt, address_of(server, client.name), now)
    return flows.hand_over(flow, answered, now)


def add_logout(blueprint: Blueprint, desk: Desk) -> None:
    """Add the view that the browser opens once somebody has signed out here."""

    @blueprint.get("/api/oidc/<name>/logout")
    @endpoint(
        query=None,
        answers={303: None},
        answer_headers=_LOCATION,
        refusals=[ErrorCode.RATE_LIMITED],
        access="open",
    )
    async def logout(server: Server, name: str) -> Response:
        """Lead a browser to a provider, to sign out there as well, and from there back to the page."""
        client = desk.client(name)
        if not client.provider.logout:
            raise not_found(f"sign-out of provider {name!r}")
        count_attempt()
        hint = desk.flows(server).unsealed(request.cookies.get(_OUT.cookie))
        try:
            back = f"{public_address(server)}/"
            async with in_time(server):
                url = await client.logout_address(back, hint)
        except Failed as fault:  # they are signed out of relay, which is what they asked for
            server.count("failed", fault.reason)
            server.log.warning("sign-out of %s failed (%s): %s", name, fault.reason, fault)
            url = _BACK
        return _set(redirect(url), server, name, _OUT, "", 0)


def add_finish(blueprint: Blueprint, desk: Desk) -> None:
    """Add the view that signs somebody in."""

    @blueprint.post("/api/oidc/<name>/finish")
    @endpoint(
        body=Finish,
        answers={200: Opened},
        refusals=[ErrorCode.FORBIDDEN, ErrorCode.CONFLICT, ErrorCode.RATE_LIMITED, ErrorCode.PLUGIN_FAILED],
        access="open",
    )
    async def finish(server: Server, body: Finish, name: str) -> Response:
        """Exchange the code that the page was given for a login."""
        client, address, flows = desk.client(name), count_attempt(), desk.flows(server)
        known = desk.known(server, name, body.code)
        if known.user_id is not None:
            text = "this code connects an account; it signs nobody in"
            raise refused(ErrorCode.FORBIDDEN, "sso_expired", text)
        flows.use(body.code)
        try:
            made = await people.sign_in(server, client, known.claims, address, body.client_id)
        except NeedsLink as needed:
            flows.ask_for(body.code, known, needed.user_id)
            raise needed.refusal from None
        except RelayError as fault:
            server.log.warning("sign-in by %s from %s is refused: %s", name, address, fault.message)
            raise
        await give_role(server, client, known.claims, made.user_id, address)
        server.count("signed_in", name)
        sign_out = f"/api/oidc/{name}/logout" if client.provider.logout else None
        opened = Opened(token=made.token, user_id=made.user_id, expires_at=made.expires_at, sign_out=sign_out)
        hint = flows.sealed(known.id_token) if sign_out else None
        return reply(opened) if hint is None else _set(reply(opened), server, name, _OUT, hint)
