"""Calls to other servers: which addresses, to what bound, until when, and what is said of a failure."""

from __future__ import annotations

import ipaddress
import ssl
import subprocess
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import httpcore
import pytest
import trio

from relay.http import AddressPolicy, AddressRefused, CallFailed, HttpClient, TimedOut, UnknownHost, Unreachable
from relay.http.client import certificates, seconds_to_wait, words_of
from tests.e2e.receivers import make_certificate
from tests.http.network import Asked, Network, Reply

PUBLIC, OTHER, LAN = "93.184.215.14", "2600:1406::1", "10.0.0.7"
NOW = 1_700_000_000.0
ANY = AddressPolicy()


def client(policy: AddressPolicy | None = ANY, **options: Any) -> HttpClient:
    return HttpClient(**{"seconds": 8, "answer_bytes": 1000, "policy": policy, **options})


@pytest.fixture
async def network(monkeypatch: pytest.MonkeyPatch) -> Network:
    made = Network(a_example=[PUBLIC])
    monkeypatch.setattr(httpcore, "TrioBackend", lambda: made)
    trio.socket.set_custom_hostname_resolver(made)
    return made


def parts(
    every: float, *said: bytes, then: Callable[[], Awaitable[Any]] | None = None
) -> AsyncGenerator[bytes, None]:
    async def body() -> AsyncGenerator[bytes, None]:
        for part in said:
            await trio.sleep(every)
            yield part
        if then is not None:
            await then()

    return body()


def answering(network: Network, status: int = 200, body: Any = b"", **headers: str) -> None:
    async def serve(_asked: Asked) -> Reply:
        return Reply(status, body, headers)

    network.serve = serve


async def test_a_call_is_answered(network: Network) -> None:
    answering(network, 404, b"not here", x_y="1")
    async with client() as calls:
        answer = await calls.call("PUT", "https://a.example/b?c=d", headers={"X-Token": "t"}, content=b"said")
        assert (answer.status, answer.body, answer.cut, answer.headers["x_y"]) == (404, b"not here", None, "1")
    (asked,) = network.asked
    assert asked == Asked(
        PUBLIC, "a.example", "PUT", "/b?c=d",
        {"host": "a.example", "user-agent": "relay", "accept-encoding": "identity", "x-token": "t", "content-length": "4"},
        b"said",
    )  # fmt: skip


async def test_a_name_of_another_alphabet_and_a_port_are_called_by_what_they_stand_for(network: Network) -> None:
    network.addresses["xn--bcher-kva.example"] = [PUBLIC]
    async with client() as calls:
        await calls.call("GET", "https://Bücher.example:8443/ä", headers={"User-Agent": "mine"})
        with pytest.raises(UnknownHost, match=r"there is no host 'käse.example'"):
            await calls.call("GET", "https://käse.example")
    (asked,) = network.asked
    assert (asked.certified, asked.target) == ("xn--bcher-kva.example", "/%C3%A4")
    assert (asked.headers["host"], asked.headers["user-agent"]) == ("xn--bcher-kva.example:8443", "mine")


async def test_a_user_in_a_url_is_sent_by_basic_authentication(network: Network) -> None:
    async with client() as calls:
        await calls.call("GET", "https://user:secret@a.example/")
    assert network.asked[0].headers["authorization"] == "Basic dXNlcjpzZWNyZXQ="


@pytest.mark.parametrize("addresses", [[LAN], [PUBLIC, LAN], [LAN, PUBLIC], ["::1"], ["fe80::1%eth0"]])
async def test_a_name_with_one_private_address_is_not_called_at_all(
    network: Network, addresses: list[str]
) -> None:
    network.addresses["a.example"] = addresses
    async with client() as calls:
        with pytest.raises(AddressRefused, match=r"'a.example' is in a private network, and this server does not"):
            await calls.call("GET", "https://a.example/")
    assert network.connected == []


async def test_a_named_network_may_be_called_and_plain_http_may_be_for_those_only(network: Network) -> None:
    policy = AddressPolicy((ipaddress.ip_network("10.0.0.0/8"),), http_anywhere=False)
    network.addresses["lan.example"] = [LAN]
    async with client(policy) as calls:
        assert (await calls.call("GET", "http://lan.example/")).status == 200
        assert (await calls.call("GET", "https://lan.example/")).status == 200
        assert (await calls.call("GET", "https://a.example/")).status == 200
        with pytest.raises(AddressRefused, match="http:// is for networks that"):
            await calls.call("GET", "http://a.example/")
    assert network.connected == [LAN, LAN, PUBLIC]


async def test_without_a_policy_names_are_the_networks_own(network: Network) -> None:
    async with client(None) as calls:
        assert (await calls.call("GET", "http://receiver/")).status == 200
    assert (network.connected, network.resolved) == (["receiver"], [])


async def test_the_checked_address_is_called_whatever_the_name_says_later(network: Network) -> None:
    resolve = network.getaddrinfo

    async def rebinding(*arguments: Any, **named: Any) -> Any:
        found = await resolve(*arguments, **named)
        network.addresses["a.example"] = ["127.0.0.1"]
        return found

    network.getaddrinfo = rebinding  # type: ignore[method-assign]
    async with client() as calls:
        await calls.call("GET", "https://a.example/")
        with pytest.raises(AddressRefused):
            await calls.call("GET", "https://a.example/")
    assert network.connected == [PUBLIC]


@pytest.mark.parametrize("seconds", [0, 60])
async def test_the_next_address_is_tried_where_one_cannot_be_reached(network: Network, seconds: float) -> None:
    network.addresses["a.example"] = [OTHER, PUBLIC]
    network.dead[OTHER] = seconds
    async with client() as calls:
        assert (await calls.call("GET", "https://a.example/")).status == 200
        assert trio.current_time() == min(seconds, 4)
        network.dead[PUBLIC] = 1
        with pytest.raises(Unreachable, match=r"^'a.example' cannot be reached: no route$") as failed:
            await calls.call("GET", "https://a.example/")
        assert failed.value.words == "no route"
    assert network.connected == [OTHER, PUBLIC, OTHER, PUBLIC]


async def test_a_connection_is_kept_only_as_long_as_is_said(network: Network) -> None:
    for idle_seconds, connections in ((0, 2), (5, 1)):
        network.connected.clear()
        async with client(idle_seconds=idle_seconds) as calls:
            await calls.call("GET", "https://a.example/")
            await calls.call("GET", "https://a.example/")
        assert len(network.connected) == connections


async def test_a_redirect_is_an_answer(network: Network) -> None:
    answering(network, 307, location="https://127.0.0.1/")
    async with client() as calls:
        answer = await calls.call("GET", "https://a.example/")
    assert (answer.status, answer.headers["location"]) == (307, "https://127.0.0.1/")
    assert network.connected == [PUBLIC]


@pytest.mark.parametrize("size", [999, 1000, 1001, 100_000])
async def test_an_answer_is_read_to_a_bound(network: Network, size: int) -> None:
    answering(network, body=b"x" * size if size < 50_000 else parts(0.01, *[b"x" * 500] * 200))
    async with client() as calls:
        answer = await calls.call("GET", "https://a.example/")
    assert len(answer.body) == min(size, 1000)
    assert answer.cut == (None if size <= 1000 else "the answer has more than 1,000 bytes")


async def test_an_answer_has_a_deadline_and_a_body_is_cut_there(network: Network) -> None:
    answering(network, body=parts(3, *[b"x"] * 100))
    async with client() as calls:
        answer = await calls.call("GET", "https://a.example/")
        assert (answer.body, answer.cut) == (b"xx", "the answer did not end within 8 s")
        assert trio.current_time() == 8

        async def silent(_asked: Asked) -> Reply:
            await trio.sleep_forever()
            raise AssertionError

        network.serve = silent
        with pytest.raises(TimedOut, match=r"^no answer within 8 s$"):
            await calls.call("GET", "https://a.example/")
        assert trio.current_time() == 16
        network.dead[PUBLIC] = 60
        with pytest.raises(TimedOut):
            await calls.call("GET", "https://a.example/")


async def test_a_body_that_nobody_wants_is_not_waited_for(network: Network) -> None:
    answering(network, 201, parts(3, *[b"x"] * 100))
    async with client() as calls:
        answer = await calls.call("GET", "https://a.example/", read=False)
    assert (answer.status, answer.body, answer.cut) == (201, b"", None)
    assert trio.current_time() == 0


async def test_what_breaks_is_said_in_words(network: Network) -> None:
    async def broken() -> None:
        raise httpcore.ReadError("it was reset")

    async def breaks(_asked: Asked) -> Reply:
        raise httpcore.ReadError("it was reset")

    answering(network, body=parts(0, b"begun", then=broken))
    async with client() as calls:
        answer = await calls.call("GET", "https://a.example/")
        assert (answer.body, answer.cut) == (b"begun", "the answer broke off: it was reset")
        network.serve = breaks
        with pytest.raises(CallFailed, match=r"^'a.example': it was reset$") as failed:
            await calls.call("GET", "https://a.example/")
        assert (failed.value.words, type(failed.value.__cause__)) == ("it was reset", httpcore.ReadError)


async def test_who_waits_for_others_has_all_the_time_then(network: Network) -> None:
    now: set[str] = set()
    most = {"": 0}

    async def slow(asked: Asked) -> Reply:
        now.add(str(asked))
        for host in ("", asked.headers["host"]):
            most[host] = max(most.get(host, 0), sum(host in one for one in now))
        await trio.sleep(5)
        now.remove(str(asked))
        return Reply()

    network.addresses |= {f"{name}.example": [PUBLIC] for name in "bcd"}
    network.serve = slow
    async with client(at_once=6, at_once_per_host=2) as calls, trio.open_nursery() as nursery:
        for name in "abcd" * 5:
            nursery.start_soon(calls.call, "GET", f"https://{name}.example/{len(nursery.child_tasks)}")
    assert most == {"": 6, **{f"{name}.example": 2 for name in "abcd"}}
    assert len(network.asked) == 20


async def serve_tls(certificate: Path, nursery: trio.Nursery) -> int:
    """Serve one answer to everybody with a certificate, and return the port."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)

    async def answer(stream: Any) -> None:
        with suppress(trio.BrokenResourceError):  # it went away at the handshake
            while b"\r\n\r\n" not in await stream.receive_some():
                pass
            await stream.send_all(b"HTTP/1.1 204 No Content\r\n\r\n")

    serve = partial(trio.serve_ssl_over_tcp, answer, 0, context, host="127.0.0.1")
    (listener,) = await nursery.start(serve)
    port: int = listener.transport_listener.socket.getsockname()[1]
    return port


@pytest.mark.real_time
@pytest.mark.parametrize(
    ("name", "trusted", "problem"),
    [
        ("localhost", True, None),
        ("localhost", False, r"'localhost' cannot be reached: .*CERTIFICATE_VERIFY_FAILED"),
        ("other.example", True, r"'localhost' cannot be reached: .*Hostname mismatch"),
    ],
)
async def test_a_certificate_is_checked_against_the_name_that_was_called(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, trusted: bool, problem: str | None
) -> None:
    certificate = make_certificate(tmp_path / "certificate.pem", name)
    if trusted:
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    certificates.cache_clear()
    policy = AddressPolicy((ipaddress.ip_network("127.0.0.0/8"), ipaddress.ip_network("::1/128")))
    try:
        async with trio.open_nursery() as nursery, client(policy) as calls:
            url = f"https://localhost:{await serve_tls(certificate, nursery)}/"
            if problem is None:
                assert (await calls.call("GET", url)).status == 204
            else:
                with pytest.raises(Unreachable, match=problem):
                    await calls.call("GET", url)
            nursery.cancel_scope.cancel()
    finally:
        certificates.cache_clear()


def test_certificates_are_checked_by_the_machines_authorities() -> None:
    assert (certificates().verify_mode, certificates().check_hostname) == (ssl.CERT_REQUIRED, True)


def test_a_server_that_calls_nobody_imports_no_client() -> None:
    script = "import sys, relay.http, relay.plugin; sys.exit('httpcore' in sys.modules or 'httpx' in sys.modules)"
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("120", 120),
        (" 5 ", 5),
        ("Tue, 14 Nov 2023 22:13:30 GMT", 10),
        ("Tue, 14 Nov 2023 22:13:00 GMT", 0),
        ("9" * 400, 999_999_999),
        *((text, None) for text in (None, "", "soon", "-5", "1e9", "\u0665", "Tue, 99 Nov 2023 22:13:30 GMT")),
    ],
)
def test_what_retry_after_asks_for(text: str | None, seconds: float | None) -> None:
    assert seconds_to_wait(text, NOW) == seconds


def test_the_first_of_an_errors_causes_that_has_words_is_told() -> None:
    silent = ConnectionError()
    silent.__cause__ = OSError("no route to the host")
    assert words_of(silent) == "no route to the host"
    assert words_of(ConnectionError()) == "ConnectionError"
    assert words_of(ValueError("x" * 1000)) == "x" * 300
