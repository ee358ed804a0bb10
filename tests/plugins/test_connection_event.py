"""`connection_event`: the session handles it; what is registered is its schema."""

from __future__ import annotations

from typing import Any

import pytest

from relay.protocol.kinds import Kind
from relay.protocol.session import ConnectionEvent
from relay.testing import World


@pytest.mark.world
async def test_its_schema_is_registered_and_it_has_no_target(world: World) -> None:
    type_ = world.engine.registry.types["connection_event"]
    assert (type_.payload, type_.kind, type_.targets) == (ConnectionEvent, Kind.TRANSIENT, frozenset())


@pytest.mark.parametrize(
    ("payload", "code"),
    [
        ({"event": "hello"}, "bad_envelope"),
        ({"event": "ready"}, "bad_envelope"),
        ({"event": "nonsense"}, "invalid_payload"),
        ({"event": "ack"}, "invalid_payload"),
        ({"event": "ack", "cursor": -1}, "invalid_payload"),
        ({"event": "heartbeat", "colour": "red"}, "invalid_payload"),
        ({}, "invalid_payload"),
    ],
    ids=str,
)
@pytest.mark.world("alice")
async def test_what_does_not_belong_is_refused_and_the_connection_goes_on(
    world: World, payload: dict[str, Any], code: str
) -> None:
    alice = await world.connect("alice")
    await alice.send({"type": "connection_event", "payload": payload, "meta": {"id": "1"}})
    error = await alice.next("error")
    assert (error["payload"]["code"], error["meta"]["ref"]) == (code, "1")
    await alice.send({"type": "connection_event", "payload": {"event": "heartbeat"}, "meta": {"id": "2"}})
    assert (await alice.next("ack"))["meta"]["ref"] == "2"


@pytest.mark.world("alice")
async def test_a_device_in_the_background_is_noted_until_it_is_back(world: World) -> None:
    alice = await world.connect("alice")
    for event, active in (("inactive", False), ("active", True)):
        await alice.send({"type": "connection_event", "payload": {"event": event}, "meta": {"id": event}})
        await alice.next("ack")
        assert world.engine.connections.of("alice")["alice-1"].active is active


@pytest.mark.parametrize(("before", "active"), [("active", True), ("inactive", False)])
@pytest.mark.world("alice")
async def test_a_heartbeat_leaves_a_device_where_it_is(world: World, before: str, active: bool) -> None:
    alice = await world.connect("alice")
    for event in (before, "heartbeat"):
        await alice.send({"type": "connection_event", "payload": {"event": event}, "meta": {"id": event}})
        await alice.next("ack")
    assert world.engine.connections.of("alice")["alice-1"].active is active
