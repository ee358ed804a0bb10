"""Webhooks by a real server to real receivers, which are down, slow, and flapping, over restarts and `kill -9`."""

from __future__ import annotations

import json
import shutil
import statistics
import subprocess
import time
from collections.abc import Callable

import httpx
import pytest

from tests.e2e.conftest import MakeWorld
from tests.e2e.server import Tables
from tests.e2e.webhook_receivers import Receiver, add_webhook, receivers
from tests.e2e.wire import PATIENCE
from tests.e2e.world import World

pytestmark = [pytest.mark.e2e, pytest.mark.long]

QUICK: Tables = {
    "plugins": {"also": ["webhooks"]},
    "plugins.webhooks": {
        "retry_seconds": [0.1, 0.2, 0.5, *[1.0] * 40],
        "timeout_seconds": 25.0,
        "attempts_per_second": 0,
    },
}
PACED: Tables = {"plugins": {"also": ["webhooks"]}, "plugins.webhooks": {"retry_seconds": [0.1, 0.5, 1.0]}}


def test_everything_arrives_in_order_over_a_restart_and_a_kill(make_world: MakeWorld) -> None:
    world = make_world(["alice", "bob", "carol"], QUICK)
    names = ("steady", "slow", "failing", "down")
    with receivers(*names) as made:
        for receiver in made.values():
            add_webhook(world.server.relay, receiver, "--type", "chat_message")
        made["slow"].seconds = 0.05
        made["failing"].behave = lambda number: (500, 503, 204)[number % 3]
        sent: dict[str, list[str]] = {"bob": [], "carol": []}

        def talk(phase: str) -> None:
            alice = world.device("alice")
            for number in range(15):
                for target, said in sent.items():
                    said.append(f"{phase} {number}")
                    alice.say(target, said[-1])
            alice.close()

        talk("at first")
        made["down"].down()
        talk("while one is down")
        world.server.restart()
        talk("after a restart")
        world.server.kill()
        world.server.start()
        talk("after a kill")
        made["down"].up()
        talk("with all of them")
        for receiver in made.values():
            receiver.wait_for(150)
    for name, receiver in made.items():
        for target, said in sent.items():
            assert receiver.contents(target) == said, name
        ids: dict[tuple[str, str], set[str]] = {}
        for delivery_id, one in receiver.taken:
            place = (one["meta"]["target_id"], one["payload"]["content"])
            ids.setdefault(place, set()).add(delivery_id)
        assert {len(known) for known in ids.values()} == {1}
        assert receiver.bad == []
        print(f"{name}: {receiver.requests} requests, {len(receiver.taken)} taken, {len(ids)} messages")


def test_the_latency_of_messages_with_receivers_that_hang_and_fail(make_world: MakeWorld) -> None:
    """Prints what messages take without the plugin, with it, and with it in trouble; nothing here is timed."""
    told = []
    for case in ("without", "with", "with receivers that hang, are down, and answer 500"):
        world = make_world(["alice", "bob"], PACED if case != "without" else None)
        with receivers("one", "two", "three") as made:
            if case != "without":
                for receiver in made.values():
                    add_webhook(world.server.relay, receiver)
            if case.startswith("with receivers"):
                made["one"].seconds = 2.0
                made["two"].down()
                made["three"].behave = lambda _number: 500
            times = measure(world)
        told.append(f"{case}: median {times[0]:.2f} ms, 99 % under {times[1]:.2f} ms")
        world.end()
    print("\n" + "\n".join(told))


def measure(world: World, count: int = 400) -> tuple[float, float]:
    alice, bob = world.device("alice"), world.device("bob")
    times = []
    for number in range(count):
        began = time.perf_counter()
        alice.say("bob", f"number {number}")
        times.append(1000 * (time.perf_counter() - began))
    bob.wait_content(f"number {count - 1}")
    return statistics.median(times), statistics.quantiles(times, n=100)[98]


def test_thousands_that_waited_drain_in_bounded_memory(make_world: MakeWorld) -> None:
    world = make_world(["alice", *(f"user{number}" for number in range(20))], QUICK)
    with receivers("late") as made:
        receiver = made["late"]
        receiver.down()
        hook_id = add_webhook(world.server.relay, receiver)
        alice = world.device("alice")
        for number in range(4000):
            alice.wire.send_json(
                {
                    "type": "chat_message",
                    "payload": {"content": f"{number} " + "x" * 1000},
                    "meta": {"target_id": f"user{number % 20}", "id": f"m-{number}"},
                }
            )
            if number % 500 == 499:
                alice.acked(f"m-{number}")
        shown = json.loads(world.server.relay("webhook", "show", hook_id, "--json"))
        assert shown["waiting"] == 20
        before = world.server.rss_bytes()
        receiver.up()
        began = time.monotonic()
        receiver.wait_for(4000, timeout=4 * PATIENCE)
        seconds = time.monotonic() - began
        grown = world.server.rss_bytes() - before
        for number in range(20):
            said = [int(text.split()[0]) for text in receiver.contents(f"user{number}")]
            assert said == list(range(number, 4000, 20))
        print(
            f"\n4,000 messages in {seconds:.1f} s, {4000 / seconds:.0f} a second; {grown / 1e6:.1f} MB more memory"
        )
        assert grown < 40_000_000


def test_dead_letters_are_replayed_on_the_command_line(make_world: MakeWorld) -> None:
    settings = {**QUICK, "plugins.webhooks": {"retry_seconds": [0.1]}}
    world = make_world(["alice", "bob"], settings)
    relay = world.server.relay
    with receivers("picky") as made:
        picky = made["picky"]
        hook_id = add_webhook(relay, picky)
        picky.behave = lambda _number: 422
        alice = world.device("alice")
        place = alice.say("bob", "rejected")
        wait_until(lambda: bool(relay("webhook", "dead", hook_id, "--json").strip()))
        (letter,) = map(json.loads, relay("webhook", "dead", hook_id, "--json").splitlines())
        assert (letter["message_id"], letter["attempts"], letter["status"]) == (place["message_id"], 2, 422)
        picky.behave = lambda _number: 200
        alice.say("bob", "accepted")
        picky.wait_for(1)
        assert relay("webhook", "replay", hook_id) == "1 is delivered once more\n"
        picky.wait_for(2)
        assert picky.contents() == ["accepted", "rejected"]
        assert picky.taken[-1][0] == letter["delivery_id"]
        assert relay("webhook", "dead", hook_id) == ""


def wait_until(condition: Callable[[], bool], timeout: float = PATIENCE) -> None:
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_the_command_line_with_and_without_a_server(make_world: MakeWorld) -> None:
    world = make_world(["alice", "bob"], QUICK)
    relay = world.server.relay
    with receivers("here") as made:
        here = made["here"]
        world.server.stop()
        hook_id = add_webhook(relay, here, "--user", "bob", "--sender", "alice")
        assert "204" in relay("webhook", "test", hook_id)
        assert relay("webhook", "pause", hook_id) == f"{hook_id}: paused\n"
        lines = relay("webhook", "list").splitlines()
        assert lines[0].split() == ["HOOK", "ID", "STATE", "WAITING", "DEAD", "URL", "MESSAGES"]
        assert lines[1].split(maxsplit=5) == [
            hook_id, "paused", "0", "0", here.url, "all types with bob from alice",
        ]  # fmt: skip
        world.server.start()
        world.device("alice").say("bob", "while it was paused")
        assert relay("webhook", "resume", hook_id) == f"{hook_id}: active\n"
        here.wait_for(2)
        assert here.taken[-1][1]["payload"] == {"content": "while it was paused"}
        shown = relay("webhook", "show", hook_id)
        assert "state: active\n" in shown
        assert "messages: all types with bob from alice\n" in shown
        assert "while it was" not in relay("webhook", "deliveries", hook_id)
        here.secret = json.loads(relay("webhook", "rotate", hook_id, "--json"))["secret"]
        world.device("alice").say("bob", "signed anew")
        here.wait_for(3)
        assert here.bad == []
        assert relay("webhook", "remove", hook_id) == f"{hook_id}: removed\n"
        assert relay("webhook", "list") == ""


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_curl_posts_to_an_incoming_webhook(make_world: MakeWorld) -> None:
    world = make_world(["alice"], QUICK)
    printed = world.server.relay("webhook", "incoming", "builds", "--as", "ci", "--to", "alice", "--json")
    path = json.loads(printed)["path"]
    alice = world.device("alice")
    command = ["curl", "--silent", "--show-error", "-d", "Build 7 failed: a=b", world.server.url + path]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=True)
    said = alice.wait_content("Build 7 failed: a=b")
    assert json.loads(done.stdout)["message_id"] == said["meta"]["message_id"]
    assert said["meta"]["sender_id"] == "ci"
    listed = world.server.relay("webhook", "incoming")
    assert "builds" in listed
    assert path.removeprefix("/hook/") not in listed
    world.server.relay("webhook", "revoke", "builds")
    assert httpx.post(world.server.url + path, content="more", trust_env=False).status_code == 404


def test_a_receiver_that_was_never_there_does_not_keep_the_server_from_ending(make_world: MakeWorld) -> None:
    world = make_world(["alice", "bob"], QUICK)
    with receivers("hanging") as made:
        hanging: Receiver = made["hanging"]
        hanging.seconds = 60.0
        add_webhook(world.server.relay, hanging)
        world.device("alice").say("bob", "hello")
        wait_until(lambda: hanging.requests > 0)
        began = time.monotonic()
        assert world.server.stop() == 0
        assert time.monotonic() - began < 20
