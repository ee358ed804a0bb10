"""The caller's devices: their list, and the end of a device's session."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta
from quart import Blueprint

from relay.engine.engine import Engine
from relay.http.endpoint import endpoint
from relay.http.requests import MAX_PAGE, Answer, Limit, Query, Word
from relay.http.views import Caller, page_of
from relay.protocol.envelope import Name
from relay.protocol.errors import ErrorCode
from relay.storage.devices import list_devices

blueprint = Blueprint("devices", __name__)


class DevicesQuery(Query, frozen=True):
    """The page."""

    cursor: Word = None
    limit: Limit = MAX_PAGE


class DeviceQuery(Query, frozen=True):
    """The device."""

    client_id: Annotated[Name, Meta(description="the device's id, a name of 1 to 64 characters")]


class KnownDevice(Answer, frozen=True):
    """A device; `seen_at` is when it last said hello, `agent` how its program names itself, or empty."""

    client_id: Name
    agent: str
    created_at: float
    seen_at: float
    connected: bool


class KnownDevices(Answer, frozen=True):
    """A page of devices."""

    devices: list[KnownDevice]
    has_more: bool
    next_cursor: Name | None


@blueprint.get("/api/devices")
@endpoint(query=DevicesQuery, answers={200: KnownDevices})
async def devices(engine: Engine, caller: Caller, query: DevicesQuery) -> KnownDevices:
    """Answer with the caller's devices that are not revoked, by their client ids."""
    found = await engine.runner.read(lambda connection: list_devices(connection, caller.user_id))
    rows = sorted(device for device in found if device.client_id > (query.cursor or ""))
    page, has_more, next_cursor = page_of(rows, query.limit, lambda device: device.client_id)
    connected = engine.connections.of(caller.user_id)
    shown = [
        KnownDevice(
            client_id=device.client_id,
            agent=device.agent,
            created_at=device.created_at,
            seen_at=device.seen_at,
            connected=device.client_id in connected,
        )
        for device in page
    ]
    return KnownDevices(devices=shown, has_more=has_more, next_cursor=next_cursor)


@blueprint.delete("/api/devices")
@endpoint(query=DeviceQuery, answers={204: None}, refusals=[ErrorCode.NOT_FOUND])
async def revoke_any(engine: Engine, caller: Caller, query: DeviceQuery) -> None:
    """End a device's session whatever its id: a path cannot say `..`, or a line's end."""
    await engine.accounts.revoke_device(caller.user_id, query.client_id)


@blueprint.delete("/api/devices/<path:client_id>")
@endpoint(answers={204: None})
async def revoke(engine: Engine, caller: Caller, client_id: str) -> None:
    """End a device's session; the token it logged in with is void."""
    await engine.accounts.revoke_device(caller.user_id, client_id)
