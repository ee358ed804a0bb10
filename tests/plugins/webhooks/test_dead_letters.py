"""What a receiver never took: kept, listed, and delivered once more."""

from __future__ import annotations

import pytest
import trio

from relay.plugin import RelayError
from tests.plugins.webhooks.conftest import Run
from tests.plugins.webhooks.receiver import Posted, Reply, accept, answering


async def refuse_bad(posted: Posted) -> Reply:
    return Reply(422 if "bad" in posted.content else 204)


async def test_a_message_that_is_given_up_lets_the_conversation_go_on_and_can_be_replayed(webhooks: Run) -> None:
    async with webhooks("alice", "bob", retry_seconds=[5, 5]) as world:
        alice = await world.world.connect("alice")
        hook_id, receiver = await world.hook()
        receiver.behaviour = refuse_bad
        ids = await world.say(alice, "bob", "good", "bad one", "fine", "bad two", "well")
        await trio.sleep(100)
        assert receiver.contents() == ["good", "fine", "well"]
        letters = await world.command("dead", hook_id=hook_id)
        assert [(one.message_id, one.attempts, one.status, one.error) for one in letters] == [
            (ids[1], 3, 422, "the receiver answered 422"),
            (ids[3], 3, 422, "the receiver answered 422"),
        ]
        first = [posted.id for posted in receiver.posted if posted.content == "bad one"]
        assert set(first) == {letters[0].delivery_id}
        receiver.behaviour = accept
        assert await world.command("replay", hook_id=hook_id, message=ids[3]) == "1 is delivered once more"
        await trio.sleep(1)
        assert receiver.contents()[3:] == ["bad two"]
        assert await world.command("replay", hook_id=hook_id) == "1 is delivered once more"
        await trio.sleep(1)
        assert receiver.contents()[3:] == ["bad two", "bad one"]
        assert receiver.taken[-1].id == letters[0].delivery_id
        assert await world.command("dead", hook_id=hook_id) == []


async def test_a_replay_that_fails_again_holds_nobody_up_and_is_a_dead_letter_again(webhooks: Run) -> None:
    async with webhooks("alice", "bob", retry_seconds=[10]) as world:
        alice = await world.world.connect("alice")
        hook_id, receiver = await world.hook()
        receiver.behaviour = refuse_bad
        (message_id,) = await world.say(alice, "bob", "bad")
        await trio.sleep(15)
        await world.command("replay", hook_id=hook_id)
        await trio.sleep(1)
        (letter,) = await world.command("dead", hook_id=hook_id)
        assert letter.replaying
        await world.say(alice, "bob", "good")
        await trio.sleep(1)
        assert receiver.contents() == ["good"]
        await trio.sleep(15)
        (letter,) = await world.command("dead", hook_id=hook_id)
        assert (letter.message_id, letter.replaying) == (message_id, False)
        assert len([posted for posted in receiver.posted if posted.content == "bad"]) == 4


async def test_a_replay_goes_on_after_a_restart(webhooks: Run) -> None:
    async with webhooks("alice", "bob", retry_seconds=[5]) as world:
        alice = await world.world.connect("alice")
        hook_id, receiver = await world.hook()
        receiver.behaviour = answering(500)
        await world.say(alice, "bob", "one", "two", "three")
        await trio.sleep(100)
        assert len(await world.command("dead", hook_id=hook_id)) == 3
        receiver.up = False
        await world.command("replay", hook_id=hook_id)
        await trio.sleep(1)
    async with webhooks(retry_seconds=[5]) as world:
        receiver.up, receiver.behaviour = True, accept
        await trio.sleep(30)
        assert receiver.contents() == ["one", "two", "three"]
        assert await world.command("dead", hook_id=hook_id) == []


async def test_what_is_no_dead_letter_is_not_replayed(webhooks: Run) -> None:
    async with webhooks("alice") as world:
        hook_id, _ = await world.hook()
        with pytest.raises(RelayError, match=f"message 7 is no dead letter of the webhook {hook_id}"):
            await world.command("replay", hook_id=hook_id, message=7)
        assert await world.command("replay", hook_id=hook_id) == "0 are delivered once more"
        with pytest.raises(RelayError, match="there is no webhook 'nothing'"):
            await world.command("replay", hook_id="nothing")


async def test_only_so_many_dead_letters_are_kept_the_newest(
    webhooks: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with webhooks("alice", "bob", retry_seconds=[], attempts_per_second=0) as world:
        import relay_plugin_webhooks.ledger as ledger  # type: ignore[import-not-found]

        monkeypatch.setattr(ledger, "KEPT_DEAD", 10)
        hook_id, receiver = await world.hook()
        receiver.behaviour = answering(500)
        await world.world.talk("alice", "bob", 30)
        await trio.sleep(100)
        letters = await world.command("dead", hook_id=hook_id)
        said = await world.world.history("alice", "user", "bob")
        assert [letter.message_id for letter in letters] == [one["meta"]["message_id"] for one in said[-10:]]
