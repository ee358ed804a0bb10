"""Calls to what users named: never a private network, no redirects, bounded answers, deadlines."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from typing import Any

import httpx
import pytest
import trio

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
    way = plugin("outward").Outward(plugin("options").Options(), trio.current_time)
    for host in ("odd.example", f"[{address}]" if ":" in address else address):
        with pytest.raises(plugin("outward").Failed, match="is in a private network"):
            await way.call("GET", f"https://{host}/x", headers={})
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
        carry = town.outside.carry

        async def one_is_dead(request: httpx.Request) -> httpx.Response:
            if request.url.host == "2600:1406::1":
                town.outside.connected.append(request.url.host)
                raise httpx.ConnectError("no route")
            return await carry(request)

        town.outside.carried = one_is_dead
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


@pytest.mark.filterwarnings("ignore:Async generator")  # httpx cannot end its own when the reader stops early
async def test_an_endless_answer_is_read_to_a_bound(
    outside: Outside, plugin: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    sent = 0

    async def endless(request: httpx.Request) -> httpx.Response:
        async def body() -> Any:
            nonlocal sent
            while True:
                sent += 10_000
                yield b"x" * 10_000

        return httpx.Response(200, content=body())

    monkeypatch.setattr(plugin("outward"), "make_transport", lambda: httpx.MockTransport(endless))
    trio.socket.set_custom_hostname_resolver(outside)
    way = plugin("outward").Outward(plugin("options").Options(), trio.current_time)
    answer = await way.call("GET", "https://ntfy.example/x", headers={}, read=True)
    assert len(answer.body) == 65_536
    assert sent < 100_000


async def test_a_dripping_answer_has_a_deadline(
    outside: Outside, plugin: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def dripping(request: httpx.Request) -> httpx.Response:
        async def body() -> Any:
            while True:
                await trio.sleep(1)
                yield b"x"

        return httpx.Response(200, content=body())

    monkeypatch.setattr(plugin("outward"), "make_transport", lambda: httpx.MockTransport(dripping))
    trio.socket.set_custom_hostname_resolver(outside)
    way = plugin("outward").Outward(plugin("options").Options(timeout_seconds=5), trio.current_time)
    began = trio.current_time()
    with pytest.raises(plugin("outward").Failed, match="no answer within 5 s"):
        await way.call("GET", "https://ntfy.example/x", headers={}, read=True)
    assert trio.current_time() - began == 5


def test_certificates_are_checked(plugin: Callable[[str], Any]) -> None:
    context = plugin("outward").trusted()
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)


@pytest.mark.parametrize(("text", "seconds"), [("30", 30), ("x", None), (None, None), ("999999999", 86_400)])
def test_a_pause_that_is_asked_for_is_bounded(
    plugin: Callable[[str], Any], text: str | None, seconds: float | None
) -> None:
    outward = plugin("outward")
    answer = outward.Answer(503, {} if text is None else {"retry-after": text}, b"")
    with pytest.raises(outward.Failed) as failed:
        outward._checked(answer, "host", 1_700_000_000.0)
    assert failed.value.retry_after == seconds
