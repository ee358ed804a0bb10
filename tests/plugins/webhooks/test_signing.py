"""Signatures, held against the specification's own example and an independent implementation by hand."""

from __future__ import annotations

import base64
import hashlib
import hmac

import trio

from tests.plugins.webhooks.conftest import Run
from tests.plugins.webhooks.receiver import Posted


def verified(posted: Posted, secret: str) -> bool:
    key = base64.b64decode(secret.removeprefix("whsec_"))
    content = f"{posted.id}.{posted.headers['webhook-timestamp']}.{posted.body.decode()}"
    expected = base64.b64encode(hmac.new(key, content.encode(), hashlib.sha256).digest()).decode()
    return f"v1,{expected}" in posted.headers["webhook-signature"].split(" ")


async def test_a_delivery_is_signed_with_its_own_secret_at_its_own_time(webhooks: Run) -> None:
    async with webhooks("alice", "bob") as world:
        alice = await world.world.connect("alice")
        one = await world.command("add", url="http://one/")
        two = await world.command("add", url="http://two/")
        await world.say(alice, "bob", "h\u00e9llo \U0001f44b")
        await trio.sleep(1)
        (first,), (second,) = world.receivers["one"].posted, world.receivers["two"].posted
        assert verified(first, one.secret)
        assert verified(second, two.secret)
        assert not verified(first, two.secret)
        assert abs(int(first.headers["webhook-timestamp"]) - world.world.engine.now()) < 3


def test_the_example_of_the_specification() -> None:
    """As github.com/standard-webhooks/standard-webhooks has it in its libraries' tests."""
    from relay_plugin_webhooks.signing import signed_headers  # type: ignore[import-not-found]

    headers = signed_headers(
        ["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"],
        "msg_p5jXN8AQM9LWM0D4loKWxJek",
        1614265330,
        b'{"test": 2432232314}',
    )
    assert headers["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


async def test_after_a_rotation_both_secrets_are_good_for_a_while(webhooks: Run) -> None:
    async with webhooks("alice", "bob") as world:
        hook_id, receiver = await world.hook(secret="whsec_" + base64.b64encode(b"k" * 32).decode())
        old = "whsec_" + base64.b64encode(b"k" * 32).decode()
        new = (await world.command("rotate", hook_id=hook_id, hours=2)).secret
        for wait, good in ((3600, (True, True)), (3700, (False, True))):
            await trio.sleep(wait)
            alice = await world.world.connect("alice")
            await world.say(alice, "bob", "hello")
            await trio.sleep(1)
            assert (verified(receiver.posted[-1], old), verified(receiver.posted[-1], new)) == good
