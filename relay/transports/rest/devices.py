"""The caller's devices: which there are, and ending the session of one."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta
from quart import Blueprint, Response

from relay.http.endpoint import described
from relay.http.requests import MAX_PAGE, Answer, Limit, NoQuery, Query, Word, read_query
from relay.protocol.envelope import Name
from relay.protocol.errors import ErrorCode
from relay.storage.accounts import list_devices
from relay.transports.rest.context import nothing, reply, the_caller, the_engine

blueprint = Blueprint("devices", __name__)


class DevicesQuery(Query, frozen=True):
    """Which page."""

    cursor: Word = None
    limit: Limit = MAX_PAGE


class DeviceQuery(Query, frozen=True):
    """Which device."""

    client_id: Annotated[Name, Meta(description="the device's id, a name of 1 to 64 characters")]


class KnownDevice(Answer, frozen=True):
    """A device; `seen_at` is when it last said hello."""

    client_id: Name
    created_at: float
    seen_at: float
    connected: bool


class KnownDevices(Answer, frozen=True):
    """A page of devices."""

    devices: list[KnownDevice]
    has_more: bool
    next_cursor: Name | None


@blueprint.get("/api/devices")
@described(query=DevicesQuery, answers={200: KnownDevices})
async def devices() -> Response:
    """Answer with the caller's devices that are not revoked, by their client ids."""
    caller = await the_caller()
    asked = read_query(DevicesQuery)
    engine = the_engine()
    found = await engine.runner.read(lambda connection: list_devices(connection, caller.user_id))
    rest = sorted(device for device in found if device.client_id > (asked.cursor or ""))
    connected = engine.connections.of(caller.user_id)
    page = [
        KnownDevice(
            client_id=device.client_id,
            created_at=device.created_at,
            seen_at=device.seen_at,
            connected=device.client_id in connected,
        )
        for device in rest[: asked.limit]
    ]
    further = len(rest) > asked.limit
    next_cursor = page[-1].client_id if further else None
    return reply(KnownDevices(devices=page, has_more=further, next_cursor=next_cursor))


@blueprint.delete("/api/devices")
@described(query=DeviceQuery, answers={204: None}, refusals=[ErrorCode.NOT_FOUND])
async def revoke_any() -> Response:
    """End a device's session whatever its id: a path cannot say `..`, or a line's end."""
    caller = await the_caller()
    asked = read_query(DeviceQuery)
    await the_engine().accounts.revoke_device(caller.user_id, asked.client_id)
    return nothing()


@blueprint.delete("/api/devices/<path:client_id>")
@described(query=NoQuery, answers={204: None})
async def revoke(client_id: str) -> Response:
    """End a device's session; the token it logged in with is void."""
    caller = await the_caller()
    read_query(NoQuery)
    await the_engine().accounts.revoke_device(caller.user_id, client_id)
    return nothing()
