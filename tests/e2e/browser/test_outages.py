"""relay's page in a real browser, while its network, its server and its tabs come and go."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e.browser.people import SAID, SETTINGS, come_back, open_place, send, shows, state, stored

pytestmark = pytest.mark.e2e

BANNER = "document.querySelector('.banner').textContent"
NOT_CONNECTED = f"{BANNER}.includes('No connection')"
AT_HAND = """(await Promise.all(["/", ...performance.getEntriesByType("resource").map(({ name }) => name)]
    .filter((url) => !url.includes("/api/"))
    .map((url) => caches.match(url, { ignoreVary: true })))).every(Boolean)"""


@pytest.mark.parametrize("fault", ["cut", "hold"])
async def test_a_network_that_goes_and_comes_back_costs_nothing(chromium: str, tmp_path: Path, fault: str) -> None:
    quick = {**SETTINGS, "heartbeat": {"interval_seconds": 1}}  # or a connection that is held is long believed
    async with open_place(chromium, tmp_path, "alice", "bob", settings=quick, service_worker=True) as place:
        alice = await place.signed_in("alice", "bob")
        await send(alice, "before")
        await state(alice, "before", "sent")
        getattr(place.network, fault)()
        for number in range(3):
            await send(alice, f"meanwhile {number}")
        place.say("bob", "alice", "from the other side")
        await alice.wait(NOT_CONNECTED)
        await state(alice, "meanwhile 2", "queued")
        place.network.restore()
        if fault == "cut":
            await come_back(alice)
        await state(alice, "meanwhile 2", "sent")
        await alice.wait(f"{BANNER} === ''")
        await send(alice, "after")
        await state(alice, "after", "sent")
        said = ["before", "from the other side", "meanwhile 0", "meanwhile 1", "meanwhile 2", "after"]
        assert place.said("bob", "alice") == said
        await shows(alice, said)


async def test_a_killed_server_loses_and_doubles_nothing(chromium: str, tmp_path: Path) -> None:
    async with open_place(chromium, tmp_path, "alice", "bob", service_worker=True) as place:
        alice, bob = await place.signed_in("alice", "bob"), await place.signed_in("bob", "alice")
        for number in range(12):
            if number == 4:
                place.server.kill()
            if number == 8:
                place.server.start()
            await send(alice if number % 2 else bob, f"message {number}")
        await state(alice, "message 11", "sent")
        await state(bob, "message 10", "sent")
        said = place.said("bob", "alice")
        assert sorted(said) == sorted(f"message {number}" for number in range(12))
        for parity in (0, 1):
            own = [one for one in said if int(one.split()[1]) % 2 == parity]
            assert own == sorted(own, key=lambda one: int(one.split()[1]))
        await shows(alice, said)
        await shows(bob, said)


async def test_what_waits_outlives_a_reload_and_a_closed_tab(chromium: str, tmp_path: Path) -> None:
    async with open_place(chromium, tmp_path, "alice", "bob", service_worker=True) as place:
        alice = await place.signed_in("alice", "bob")
        await send(alice, "before")
        await state(alice, "before", "sent")
        await alice.wait(AT_HAND)
        place.network.cut()
        await send(alice, "before the reload")
        await stored(alice, "before the reload")
        await alice.reload()
        await alice.wait(f"{SAID}.includes('before the reload')")
        await send(alice, "after the reload")
        await state(alice, "after the reload", "queued")
        await stored(alice, "after the reload")
        await alice.close()
        place.network.restore()
        again = await place.tab("alice", "/#/bob")
        await state(again, "after the reload", "sent")
        said = ["before", "before the reload", "after the reload"]
        assert place.said("bob", "alice") == said
        await shows(again, said)


async def test_ten_tabs_share_one_connection_and_outlive_the_one_that_has_it(
    chromium: str, tmp_path: Path
) -> None:
    async with open_place(chromium, tmp_path, "alice", "bob", service_worker=True) as place:
        tabs = [await place.signed_in("alice", "bob")]
        tabs += [await place.tab("alice", "/#/bob") for _ in range(9)]
        for tab in tabs:
            await tab.wait("document.querySelector('.me strong')")
        await send(tabs[7], "from the eighth")
        for tab in tabs:
            await shows(tab, ["from the eighth"])
        assert (place.connected("alice"), place.network.sockets) == (1, 1)
        (leader,) = [tab for tab in tabs if tab.sockets]
        tabs.remove(leader)
        await leader.crash()
        place.say("bob", "alice", "to those who are left")
        for tab in tabs:
            await shows(tab, ["from the eighth", "to those who are left"])
        await send(tabs[0], "still here")
        for tab in tabs:
            await state(tab, "still here", "sent")
        assert place.said("bob", "alice") == ["from the eighth", "to those who are left", "still here"]
        assert (place.connected("alice"), place.network.sockets) == (1, 1)
