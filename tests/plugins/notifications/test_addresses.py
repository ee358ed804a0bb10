"""Addresses that users give: never one of a private network, whatever a name says later, and what is refused at once."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from typing import Any

import pytest
import trio

from tests.http.network import Asked
from tests.http.network import Reply as Answer
from tests.plugins.notifications.conftest import SOON, Notifying, Outside
from tests.plugins.notifications.receivers import Ntfy, Reply

PRIVATE = [
    "127.0.0.1", "127.9.9.9", "10.1.2.3", "192.168.1.1", "172.16.0.1", "169.254.169.254", "100.64.0.1", "0.0.0.0",
    "224.0.0.1", "255.255.255.255", "240.0.0.1", "::1", "::", "fe80::1", "fc00::1", "ff02::1", "::ffff:127.0.0.1",
    "::ffff:10.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::", "2001:0:7f00:1::", "::7f00:1",
]  # fmt: skip


async def test_a_name_that_leads_into_a_private_network_is_not_called(notifying: Notifying) -> None:
    async with notifying() as town:
        await town.ntfy("bob")
        town.outside.addresses["ntfy.example"] = ["93.184.215.14", "127.0.0.1"]
        await town.say("alice", "bob", "Lunch?")
        await trio.sleep(SOON)
        assert town.outside.connected == []
        (target,) = await town.targets("bob")
        assert (
            target["last_error"] == "'ntfy.example' is in a private network, and this server does not call those"
        )


@pytest.mark.parametrize("address", PRIVATE)
async def test_no_address_of_a_private_network_is_called_by_name_or_number(
    outside: Outside, plugin: Callable[[str], Any], address: str
) -> None:
    trio.socket.set_custom_hostname_resolver(outside)
    outside.addresses["odd.example"] = [address]
    options = plugin("options").Options()
    async with plugin("senders").make_client(options) as client:
        calls = plugin("senders").Calls(options, client, trio.current_time)
        for host in ("odd.example", f"[{address}]" if ":" in address else address):
            with pytest.raises(plugin("targets").Failed, match="is in a private network"):
                await calls.call("GET", f"https://{host}/x", headers={})
    assert outside.connected == []


async def test_an_address_of_a_private_network_is_refused_at_once(notifying: Notifying) -> None:
    async with notifying() as town:
        for host in ("127.0.0.1", "[::1]", "169.254.169.254"):
            body = {"kind": "gotify", "url": f"https://{host}/", "app_token": "x"}
            answer = await town.rest("POST", "/api/push/targets", "bob", 400, **body)
            assert answer["code"] == "invalid_payload"
            assert "private network" in answer["detail"]


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("http://ntfy.example/bob", "begins with https://"),
        ("ftp://ntfy.example/bob", "begins with https://"),
        ("https:///bob-without-host", "begins with https://"),
        ("https://user:secret@ntfy.example/bob", "a token has a field of its own"),
        ("https://ntfy.example/bob#x", "fragment"),
        ("https://ntfy.example/", "ends with the topic"),
        ("https://ntfy.example/my%20topic", "ends with the topic"),
        ("https://ntfy.example/bob?auth=x", "has no query"),
        ("https://ntfy.example:99999/bob", "is no URL"),
        ("https://ntfy[.example/bob", "is no URL"),
        ("https://ntfy].example/bob", "is no URL"),
        ("https://0x7f000001/bob", None),
        ("not a url at all", "begins with https://"),
    ],
)
async def test_an_odd_url_is_refused_with_what_would_be_right(
    notifying: Notifying, url: str, told: str | None
) -> None:
    async with notifying() as town:
        answer = await town.world.rest("POST", "/api/push/targets", "bob", json_body={"kind": "ntfy", "url": url})
        if told is None:  # a name like any other, to be resolved when it is called
            assert answer.status == 201
        else:
            assert (answer.status, answer.body["code"]) == (400, "invalid_payload")
            assert told in answer.body["detail"]


async def test_the_administrator_says_which_hosts_may_be_called(notifying: Notifying) -> None:
    async with notifying(allow_hosts='["*.example", "push.services"]') as town:
        await town.ntfy("bob")
        body = {"kind": "ntfy", "url": "https://elsewhere.test/bob"}
        answer = await town.rest("POST", "/api/push/targets", "bob", 400, **body)
        assert "does not call 'elsewhere.test'" in answer["detail"]


async def test_a_named_network_may_be_called_without_tls(notifying: Notifying) -> None:
    async with notifying(allow_networks='["10.0.0.0/8"]') as town:
        town.outside.add(Ntfy("http://ntfy.lan"))
        town.outside.addresses["ntfy.lan"] = ["10.0.0.7"]
        await town.target("bob", kind="ntfy", url="http://ntfy.lan/bob")
        town.outside.addresses["public.example"] = ["93.184.215.14"]
        await town.target("bob", kind="ntfy", url="http://public.example/bob")
        await town.say("alice", "bob", "Lunch?")
        await trio.sleep(SOON)
        assert town.outside.connected == ["10.0.0.7"]
        errors = {target["place"]: target["last_error"] for target in await town.targets("bob")}
        assert errors["http://ntfy.lan/bob"] is None
        assert "http:// is for networks" in errors["http://public.example/bob"]


async def test_a_name_is_resolved_once_and_the_checked_address_is_called(notifying: Notifying) -> None:
    async with notifying() as town:
        await town.ntfy("bob")
        asked = []
        resolve = town.outside.getaddrinfo

        async def rebinding(host: Any, port: Any, *more: Any, **named: Any) -> Any:
            found = await resolve(host, port)
            asked.append(host)
            town.outside.addresses["ntfy.example"] = ["127.0.0.1"]
            return found

        town.outside.getaddrinfo = rebinding  # type: ignore[method-assign]
        await town.say("alice", "bob", "Lunch?")
        await trio.sleep(SOON)
        assert town.outside.connected == ["93.184.215.14"]
        assert len(asked) == 1


async def test_the_next_address_is_tried_where_one_cannot_be_reached(notifying: Notifying) -> None:
    async with notifying() as town:
        await town.ntfy("bob")
        town.outside.addresses["ntfy.example"] = ["2600:1406::1", "93.184.215.14"]
        town.outside.dead["2600:1406::1"] = 0
        await town.say("alice", "bob", "Lunch?")
        await trio.sleep(SOON)
        assert town.outside.connected == ["2600:1406::1", "93.184.215.14"]
        assert len(town.outside.ntfy.shown) == 1


async def test_a_redirect_is_not_followed(notifying: Notifying) -> None:
    async with notifying() as town:
        await town.ntfy("bob")
        town.outside.ntfy.replies = [Reply(307, headers={"Location": "https://127.0.0.1/"})]
        await town.say("alice", "bob", "Lunch?")
        await trio.sleep(SOON)
        assert (await town.targets("bob"))[0]["last_error"] == "'ntfy.example' answered 307"
        assert len(town.outside.connected) == 1


async def test_a_gotify_server_whose_answer_does_not_end_is_tried_again(notifying: Notifying) -> None:
    async with notifying() as town:
        await town.gotify("bob")

        async def drip() -> AsyncGenerator[bytes, None]:
            while True:
                await trio.sleep(1)
                yield b"x"

        async def dripping(_asked: Asked) -> Answer:
            return Answer(200, drip())

        town.outside.serve = dripping
        await town.say("alice", "bob", "Lunch?")
        await trio.sleep(SOON + 8)
        (target,) = await town.targets("bob")
        assert (target["failures"], target["last_error"]) == (
            1, "'gotify.example': the answer did not end within 8 s"
        )  # fmt: skip
