"""A caller's text is a value, a caller's fault is the caller's, and pages do not depend on what vanishes."""

from typing import Any

import pytest

from relay.testing import RelayWorld, World
from tests.plugins.search.asking import ask, found, load, say


@pytest.mark.parametrize(
    "type_", ['"', 'a" OR "b', "chat_message) OR marks : (p616c696365", "a b", "é", "NEAR", "*"]
)
async def test_a_type_is_a_value_and_never_part_of_an_expression(relay_world: RelayWorld, type_: str) -> None:
    async with relay_world(None, "alice", "bob") as world:
        alice = await world.connect("alice")
        await say(alice, "bob", "a b")
        for _ in range(12):
            answer = await ask(world, "alice", "a", type=type_)
            assert (answer.status, answer.body.get("results")) == (200, [])
        refused = await alice.request("search", {"q": "a", "type": type_})
        assert refused["payload"]["results"] == []
        server = world.engine.server_of("search")
        assert (server.guard.failures, server.guard.quarantined) == (0, False)
        assert await found(world, "alice", "a", type="chat_message") == ["a b"]


@pytest.mark.parametrize(
    "more",
    [
        {"sender": '" OR "'},
        {"user": "' --"},
        {"group": '"'},
        {"q": 'from:"\\" OR" a'},
        {"q": "\x00 a"},
        {"q": "a NOT b ^c {d} NEAR(e f)"},
        {"cursor": "1.2"},
        {"cursor": "٣"},
        {"cursor": "9" * 60},
    ],
)
async def test_whatever_is_asked_never_counts_against_the_plugin(
    relay_world: RelayWorld, more: dict[str, Any]
) -> None:
    async with relay_world(None, "alice", "bob") as world:
        await say(await world.connect("alice"), "bob", "a")
        answer = await ask(world, "alice", more.pop("q", "a"), **more)
        assert answer.status in (200, 400, 404)
        assert world.engine.server_of("search").guard.failures == 0


async def pages(world: World, q: str, between: Any) -> list[str]:
    got: list[str] = []
    cursor: dict[str, str] = {}
    while True:
        page = await ask(world, "bob", q, limit=3, **cursor)
        got += [one["message"]["payload"]["content"] for one in page.body["results"]]
        if not page.body["has_more"]:
            return got
        cursor = {"cursor": page.body["next_cursor"]}
        await between(len(got))


async def test_what_is_deleted_on_an_earlier_page_leaves_none_out(relay_world: RelayWorld) -> None:
    async with relay_world(None, "alice", "bob") as world:
        alice = await world.connect("alice")
        said = [f"word {'word ' * (number % 4)}number {number}" for number in range(14)]
        ids = dict(zip(said, await say(alice, "bob", *said), strict=True))
        seen = await found(world, "bob", "word", limit=100)
        gone = iter(seen)

        async def delete_one(_count: int) -> None:
            await alice.request("message_delete", {"message_id": ids[next(gone)]}, "bob")

        assert await pages(world, "word", delete_one) == seen


async def test_a_search_is_answered_at_few_moments_whatever_it_took(
    relay_world: RelayWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    load()
    from relay_plugin_search import ANSWERED_SECONDS, _told_after  # type: ignore[import-not-found]

    assert [_told_after(seconds) for seconds in (0, 0.0001, 0.0049)] == [ANSWERED_SECONDS] * 3
    assert [_told_after(seconds) for seconds in (0.0051, 0.0099, 0.011, 0.03)] == [0.01, 0.01, 0.02, 0.04]
    import trio

    async with relay_world(None, "alice", "bob", "carol") as world:
        await say(await world.connect("alice"), "bob", *["secret"] * 20)
        for q in ("secret", "nothing"):
            began = trio.current_time()
            assert await found(world, "carol", q) == []
            assert trio.current_time() - began > ANSWERED_SECONDS * 0.99
