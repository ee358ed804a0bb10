"""Probes of `relay doctor`: how a request arrived here, and how much of its body."""

from __future__ import annotations

from typing import Annotated, Any, Final, cast

from msgspec import Meta
from quart import Blueprint, request

from relay.engine.engine import Engine
from relay.http.endpoint import endpoint
from relay.http.requests import Answer
from relay.protocol.envelope import Integer
from relay.protocol.errors import ErrorCode, RelayError, not_found
from relay.settings import Settings
from relay.transports.head import is_trusted
from relay.transports.rest.access import caller_address, peer_address
from relay.transports.rest.bodies import pace_body

blueprint = Blueprint("probe", __name__)

PREFIX: Final = "/api/probe/"
_SHOWN: Final = 500


class Arrival(Answer, frozen=True):
    """A request as it arrived: what the proxies on its way made of it."""

    peer: Annotated[str, Meta(description="where the connection comes from: the nearest proxy, or the client")]
    peer_port: Annotated[Integer, Meta(description="its port; 0 where there is none")]
    trusted: Annotated[bool, Meta(description="whether `peer` is in [server] trusted_proxies")]
    address: Annotated[str, Meta(description="whose address limits count")]
    http_version: str
    host: str
    forwarded_for: Annotated[list[str], Meta(description="each X-Forwarded-For, as it came")]


class Taken(Answer, frozen=True):
    """A body that was read and forgotten."""

    bytes: Integer


def most_body_bytes(settings: Settings) -> int:
    """Return the size of the largest body that a server takes, of any call; 0 means no limit."""
    sizes = (settings.attachments.max_bytes, settings.limits.body_bytes)
    return 0 if 0 in sizes else max(sizes)


@blueprint.get(f"{PREFIX}<probe_id>")
@endpoint(query=None, answers={200: Arrival}, access="open")
async def arrival(engine: Engine, probe_id: str) -> Arrival:
    """Answer with how this request arrived, for `relay doctor`."""
    _require(engine, probe_id)
    peer, headers, scope = peer_address(), request.headers, cast(dict[str, Any], request.scope)
    return Arrival(
        peer=peer,
        peer_port=(scope.get("client") or ("", 0))[1] or 0,
        trusted=is_trusted(peer, engine.settings.server.trusted_proxies),
        address=caller_address(),
        http_version=str(scope.get("http_version", "")),
        host=headers.get("Host", "")[:_SHOWN],
        forwarded_for=[value[:_SHOWN] for value in headers.getlist("X-Forwarded-For")],
    )


@blueprint.post(f"{PREFIX}<probe_id>")
@endpoint(
    query=None,
    body=bytes,
    body_types=["application/octet-stream"],
    answers={200: Taken},
    access="open",
)
async def take(engine: Engine, probe_id: str) -> Taken:
    """Read a body, as large a one as a file may be, and answer with its size, for `relay doctor`."""
    _require(engine, probe_id)
    most, taken = most_body_bytes(engine.settings), 0
    flow = pace_body()
    async for part in request.body:
        taken += len(part)
        if most and taken > most:
            raise RelayError(ErrorCode.TOO_LARGE, f"the body is over the limit of {most} bytes")
        flow.taken(len(part))
    return Taken(bytes=taken)


def _require(engine: Engine, probe_id: str) -> None:
    if not engine.probes.is_open(probe_id):
        raise not_found("such probe: relay doctor makes one, which is good for some minutes")
