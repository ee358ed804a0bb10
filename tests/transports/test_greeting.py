"""The greeting of a connection on virtual time: what is answered, who is refused, and when."""

from __future__ import annotations

import pytest
import trio

from relay.plugin.registrations import Credentials
from relay.protocol.errors import Disconnect
from relay.storage import accounts, devices
from relay.testing import Closed, World
from relay.transports.greeting import attach_device
from tests.actors import OPERATOR


@pytest.mark.world("alice")
async def test_hello_is_answered_by_ready_and_synced(world: World) -> None:
    alice = await world.connect("alice")
    assert alice.ready["user_id"] == "alice"
    assert alice.ready["client_id"] == "alice-1"
    assert alice.ready["resumed"] is False
    assert alice.ready["epoch"] == world.engine.epoch
    assert alice.ready["server"].startswith("relay/")
    assert alice.synced == {"event": "synced", "cursor": 0, "replayed": 0, "limited": False, "gaps": []}


@pytest.mark.world("alice")
async def test_a_revoked_device_is_closed_and_stays_out(world: World) -> None:
    alice = await world.connect("alice")
    await trio.sleep(1)
    await world.engine.accounts.revoke_device("alice", "alice-1")
    assert (await alice.closed()).code == 4503
    device = await world.upgrade()
    hello = {"event": "hello", "token": world.tokens["alice"], "session_id": alice.ready["session_id"]}
    await device.send({"type": "connection_event", "payload": hello, "meta": {"client_id": "alice-1"}})
    assert (await device.closed()).code == 4503
    assert world.engine.connections.statistics().connections == 0


@pytest.mark.world("alice")
async def test_a_device_that_is_revoked_while_it_says_hello_stays_out(world: World) -> None:
    engine = world.engine
    await world.connect("alice")
    known = await engine.runner.read(lambda database: devices.get_device(database, "alice", "alice-1"))
    identity = await engine.authentication.identify(Credentials(world.tokens["alice"], {}, "127.0.0.1"))
    await trio.sleep(7200)  # it is noted again that the device is here
    await engine.accounts.revoke_device("alice", "alice-1")
    with pytest.raises(Disconnect) as refused:
        await attach_device(engine, identity, "alice-1", known)
    assert refused.value.code == 4503


@pytest.mark.world("alice")
async def test_to_revoke_a_device_ends_the_login_that_it_came_with_last(world: World) -> None:
    await world.connect("alice")
    second = world.tokens["second"] = await world.engine.runner.write(
        lambda database: accounts.create_token(database, "alice", world.engine.now(), origin="login")
    )
    await world.connect("second", "alice-1")
    await world.engine.accounts.revoke_device("alice", "alice-1")
    with pytest.raises(Closed) as refused:
        await world.connect(second, "alice-2")
    assert refused.value.code == 4501
    await world.connect("alice", "alice-2")


@pytest.mark.world("alice")
async def test_who_says_hello_while_the_server_ends_is_sent_away(world: World) -> None:
    device = await world.upgrade()
    world.engine.drain.begin()
    await device.send({"type": "connection_event", "payload": {"event": "hello", "token": world.tokens["alice"]}})
    with trio.fail_after(5):
        assert (await device.closed()).code == 4404


@pytest.mark.world("alice")
async def test_a_disabled_account_is_closed_and_stays_out(world: World) -> None:
    alice = await world.connect("alice")
    await world.engine.administration.set_disabled(OPERATOR, "alice", True)
    assert (await alice.closed()).code == 4502
    with pytest.raises(Closed) as refused:
        await world.connect("alice")
    assert refused.value.code == 4502


@pytest.mark.world("alice", "bob")
async def test_a_cursor_ahead_is_not_set_back_by_who_may_no_longer_lead(world: World) -> None:
    leads = False

    async def ask() -> bool:
        await trio.lowlevel.checkpoint()
        return leads

    world.engine.leads = ask
    await world.talk("bob", "alice", 3)
    assert (await world.connect("alice", cursor=3)).ready["resumed"]
    for epoch in ({}, {"epoch": world.engine.epoch}):
        with pytest.raises(Closed) as refused:
            await world.connect("alice", cursor=4, **epoch)
        assert refused.value.code == 4404
    assert not (await world.connect("alice", cursor=4, epoch="another")).ready["resumed"]
    leads = True  # the database was set back, and nobody else has more of it
    assert not (await world.connect("alice", cursor=4)).ready["resumed"]


@pytest.mark.world
async def test_a_wrong_token_is_refused(world: World) -> None:
    with pytest.raises(Closed) as refused:
        await world.connect("rly_nonsense")
    assert refused.value.code == 4501


@pytest.mark.world
async def test_no_hello_in_time_is_closed_at_exactly_the_deadline(world: World) -> None:
    device = await world.upgrade()
    began = trio.current_time()
    assert (await device.closed()).code == 4401
    assert trio.current_time() - began == world.engine.settings.timeouts.hello_seconds


@pytest.mark.world("alice", RELAY_LIMITS__CONNECTIONS_PER_USER="2")
async def test_the_connections_of_a_user_are_limited(world: World) -> None:
    await world.connect("alice", "a")
    await world.connect("alice", "b")
    with pytest.raises(Closed) as refused:
        await world.connect("alice", "c")
    assert refused.value.code == 4504
    await world.connect("alice", "a")


@pytest.mark.world("alice", "bob", RELAY_LIMITS__DEVICES_PER_USER="2")
async def test_a_user_has_so_many_devices_and_loses_nothing_by_it(world: World) -> None:
    oldest = await world.connect("alice", "a")
    cursor = oldest.synced["cursor"]
    await oldest.cut()
    for name in ("b", "c"):
        await trio.sleep(1)
        await world.connect("alice", name)
    assert [one.client_id for one in await world.engine.access.devices("alice")] == ["c", "b"]
    bob = await world.connect("bob")
    await bob.say("alice", "while a was away")
    await bob.next("ack")
    back = await world.connect("alice", "a", cursor=cursor, epoch=world.engine.epoch)
    assert back.ready["resumed"]
    assert [frame["payload"]["content"] for frame in back.replayed] == ["while a was away"]


@pytest.mark.world("alice")
async def test_a_goodbye_right_behind_the_hello_closes_normally(world: World) -> None:
    alice = await world.upgrade()
    hello = {"event": "hello", "token": world.tokens["alice"]}
    await alice.send({"type": "connection_event", "payload": hello})
    await alice.event("goodbye")
    assert (await alice.closed()).code == 1000
    assert world.engine.connections.statistics().connections == 0


@pytest.mark.world("alice", RELAY_LIMITS__HELLOS_PER_MINUTE="2")
async def test_the_hellos_of_an_address_are_limited(world: World) -> None:
    for number in range(2):
        await world.connect("alice", f"phone-{number}")
    with pytest.raises(Closed) as refused:
        await world.connect("alice", "phone-2")
    assert refused.value.code == 4405
    await trio.sleep(30)
    await world.connect("alice", "phone-2")
