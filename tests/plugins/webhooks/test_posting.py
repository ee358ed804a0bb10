"""What is connected to, and what is read of an answer."""

from __future__ import annotations

import shutil
import socket
import ssl
import subprocess
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio

from tests.plugins.webhooks.conftest import Run
from tests.plugins.webhooks.receiver import Posted, Reply, answering, hang


class Names(trio.abc.HostnameResolver):
    """A name server that answers what a test says, one answer after the other."""

    def __init__(self, *answers: list[str]) -> None:
        self.answers = list(answers)

    async def getaddrinfo(self, host: Any, port: Any, *_more: Any, **_named: Any) -> list[Any]:
        await trio.lowlevel.checkpoint()
        addresses = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if not addresses:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in addresses]

    async def getnameinfo(self, sockaddr: Any, flags: int) -> tuple[str, str]:
        raise NotImplementedError


@pytest.mark.parametrize(
    ("addresses", "connected"),
    [
        (["203.0.114.7"], "203.0.114.7"),
        (["127.0.0.1"], None),
        (["10.1.2.3"], None),
        (["169.254.169.254"], None),
        (["100.64.0.1"], None),
        (["0.0.0.0"], None),
        (["::1"], None),
        (["fd00::1"], None),
        (["fe80::1%eth0"], None),
        (["::ffff:127.0.0.1"], None),
        (["224.0.0.1"], None),
        (["192.168.0.1", "203.0.114.7"], "203.0.114.7"),
        (["2a00:1450:4001:81b::200e"], "2a00:1450:4001:81b::200e"),
        ([], None),
    ],
)
async def test_with_allow_private_off_only_public_addresses_are_connected_to(
    webhooks: Run, addresses: list[str], connected: str | None
) -> None:
    trio.socket.set_custom_hostname_resolver(Names(addresses, ["127.0.0.1"]))
    async with webhooks("alice", "bob", allow_private=False) as world:
        hook_id, _ = await world.hook("receiver.example")
        attempt = await world.command("test", hook_id=hook_id)
        assert list(world.receivers.hosts) == [*["receiver.example"], *([connected] if connected else [])]
        if connected:
            assert (attempt.status, attempt.error) == (204, None)
        elif addresses:
            assert attempt.error == (
                "ConnectError: receiver.example is in a private network, and [plugins.webhooks] allow_private is false"
            )
        else:
            assert attempt.error == "ConnectError: receiver.example: Name or service not known"


async def test_a_test_is_one_attempt_also_while_the_webhook_is_paused(webhooks: Run) -> None:
    async with webhooks("alice", "bob") as world:
        hook_id, receiver = await world.hook()
        await world.command("pause", hook_id=hook_id)
        receiver.behaviour = answering(418, {"teapot": True})
        attempt = await world.command("test", hook_id=hook_id)
        assert (attempt.status, attempt.answer) == (418, '{"teapot": true}')
        assert attempt.error == "the receiver answered 418"
        (posted,) = receiver.posted
        assert posted.json["type"] == "webhook_test"
        assert posted.id.startswith(f"test_{hook_id}_")


async def test_an_answer_whose_body_never_ends_is_an_answer(webhooks: Run) -> None:
    async with webhooks("alice", "bob", timeout_seconds=3) as world:
        alice = await world.world.connect("alice")
        hook_id, receiver = await world.hook()
        receiver.cut = 4

        async def endless(_posted: Posted) -> Reply:
            return Reply(200, b"this never comes to its end")

        receiver.behaviour = endless
        await world.say(alice, "bob", "one", "two")
        await trio.sleep(20)
        assert receiver.contents() == ["one", "two"]
        newest, _ = await world.command("deliveries", hook_id=hook_id)
        assert (newest.status, newest.answer, newest.attempt, newest.milliseconds) == (200, "this", 1, 3000)


async def test_a_receiver_that_hangs_at_a_test_is_told_and_is_no_failure_of_the_plugins(webhooks: Run) -> None:
    async with webhooks("alice", timeout_seconds=20) as world:
        hook_id, receiver = await world.hook()
        receiver.behaviour = hang
        answer = await world.rest("POST", f"/api/webhooks/{hook_id}/test")
        assert (answer.status, answer.body["status"], answer.body["error"]) == (200, None, "no answer within 4 s")
        guard = world.world.engine.registry.guard("webhooks")
        assert guard is not None
        assert guard.failures == 0


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """Make a certificate for localhost that nobody has signed."""
    command = (
        "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -addext subjectAltName=DNS:localhost"
        f" -keyout {tmp_path}/key.pem -out {tmp_path}/certificate.pem"
    )
    subprocess.run(command.split(), check=True, capture_output=True, timeout=30)
    return tmp_path / "certificate.pem"


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")
@pytest.mark.parametrize("trusted", [True, False])
@pytest.mark.real_time
async def test_a_receivers_certificate_is_checked(
    certificate: Path, trusted: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    from relay_plugin_webhooks.posting import Poster, PostFailed  # type: ignore[import-not-found]

    if trusted:
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, certificate.with_name("key.pem"))

    async def answer(stream: Any) -> None:
        try:
            while b"{}" not in await stream.receive_some():
                pass
            await stream.send_all(b"HTTP/1.1 204 No Content\r\n\r\n")
        except trio.BrokenResourceError:
            pass  # it went away at the handshake

    async with trio.open_nursery() as nursery:
        serve = partial(trio.serve_ssl_over_tcp, answer, 0, context, host="127.0.0.1")
        (listener,) = await nursery.start(serve)
        url = f"https://localhost:{listener.transport_listener.socket.getsockname()[1]}/"
        async with Poster(at_once=1, seconds=10, answer_bytes=100, allow_private=True) as poster:
            if trusted:
                assert (await poster.post(url, {}, b"{}")).status == 204
            else:
                with pytest.raises(PostFailed, match="CERTIFICATE_VERIFY_FAILED"):
                    await poster.post(url, {}, b"{}")
        nursery.cancel_scope.cancel()
