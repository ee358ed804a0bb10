"""What one user looks for costs the others nothing: a real server, whose users go on talking meanwhile."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

from tests.e2e.conftest import MakeWorld
from tests.e2e.test_slow_reader import conversation
from tests.e2e.world import World, message, unique

pytestmark = pytest.mark.e2e

LONG = 20_000


def say_much(world: World, *contents: str) -> None:
    mallory = world.device("mallory")
    refs = [unique("long") for _ in contents]
    for ref, content in zip(refs, contents, strict=True):
        mallory.send_all([message("accomplice", content, id=ref)])
        mallory.acked(ref)


def ask_at_once(world: World, times: int, ask: Callable[[Any], int]) -> set[int]:
    """Ask many times at once while two others talk, and return the statuses of the answers."""
    statuses: list[int] = []
    threads = [threading.Thread(target=lambda: statuses.append(ask(world.rest("mallory")))) for _ in range(times)]
    probe = world.rest(None)
    with conversation(world, "alice", "bob") as waits:
        for thread in threads:
            thread.start()
        while any(thread.is_alive() for thread in threads):
            assert probe.get("/readyz").status_code == 200
            threads[0].join(0.05)
        for thread in threads:
            thread.join()
    assert waits
    assert len(statuses) == times
    return set(statuses)


def test_looking_for_a_text_in_long_messages_holds_nobody_up(make_world: MakeWorld) -> None:
    world = make_world(["mallory", "accomplice", "alice", "bob"])
    say_much(world, *["a" * LONG] * 150)
    sought = "a" * 199 + "b"

    def ask(rest: Any) -> int:
        answer = rest.get("/api/messages/user/accomplice", params={"q": sought})
        if answer.status_code == 200:
            page = answer.json()
            assert (page["messages"], page["has_more"]) == ([], True)
        return int(answer.status_code)

    assert ask_at_once(world, 24, ask) <= {200, 503}
    found = world.rest("mallory").get("/api/messages/user/accomplice", params={"q": "A" * 150}).json()
    assert len(found["messages"]) == 50


def test_many_terms_over_long_messages_hold_nobody_up(make_world: MakeWorld) -> None:
    world = make_world(["mallory", "accomplice", "alice", "bob"], {"timeouts": {"handler_seconds": 60}})
    letters = "abcdefghijklmnopqrstuvwxyz012345"
    say_much(world, *[" ".join(letters) * 300] * 60)

    def ask(rest: Any) -> int:
        return int(rest.get("/api/search", params={"q": " ".join(letters), "limit": 50}).status_code)

    assert ask_at_once(world, 12, ask) <= {200, 503}
    assert ask(world.rest("mallory")) == 200


def test_a_message_of_marks_alone_is_stored_and_found_by_its_letter(make_world: MakeWorld) -> None:
    world = make_world(["mallory", "accomplice", "alice", "bob"])
    marks = "zalgo" + "\u0301\u0323" * 5_000
    with conversation(world, "alice", "bob"):
        say_much(world, *[marks] * 5)
        found = world.rest("mallory").get("/api/search", params={"q": "zalgo"}).json()
    assert len(found["results"]) == 5
