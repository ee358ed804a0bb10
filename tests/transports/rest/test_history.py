"""Pages of a conversation."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.transports.rest.world import World, open_world

BOB = "/api/messages/user/bob"
MANY = 437


def seqs(page: Any) -> list[int]:
    return [envelope["meta"]["seq"] for envelope in page["messages"]]


async def test_a_conversation_reads_the_same_from_both_sides(world: World):
    await world.say("alice", "bob", "one", id="a1", client_id="phone", timestamp=12.5)
    await world.say("bob", "alice", "two")
    mine = (await world.get("alice", BOB)).ok()
    theirs = (await world.get("bob", "/api/messages/user/alice")).ok()
    assert mine == theirs
    assert (mine["has_more"], mine["next_before"], mine["next_after"]) == (False, 1, 2)
    first = mine["messages"][0]
    assert (first["type"], first["payload"]) == ("chat_message", {"content": "one"})
    meta = first["meta"]
    assert (meta["sender_id"], meta["target_id"], meta["id"], meta["client_id"], meta["sent_at"]) == (
        "alice", "bob", "a1", "phone", 12.5,
    )  # fmt: skip
    assert "replay" not in meta


async def test_a_conversation_in_which_nothing_was_said_is_an_empty_page(world: World):
    page = (await world.get("alice", BOB)).ok()
    assert page == {"messages": [], "latest": [], "has_more": False, "next_before": None, "next_after": None}


async def test_a_conversation_with_oneself_is_one_too(world: World):
    await world.say("alice", "alice", "a note")
    assert seqs((await world.get("alice", "/api/messages/user/alice")).ok()) == [1]


@pytest.mark.parametrize("path", ["/api/messages/user/nobody", "/api/messages/group/nobody"])
async def test_what_does_not_exist_is_not_found(world: World, path: str):
    (await world.get("alice", path)).refused(404, "not_found")


async def test_a_user_is_no_group_and_a_group_is_no_user(world: World):
    await world.group("alice", "bob")
    (await world.get("alice", "/api/messages/user/team")).refused(404, "not_found")
    (await world.get("alice", "/api/messages/group/bob")).refused(404, "not_found")


async def test_positions_name_the_page(world: World):
    for number in range(1, 11):
        await world.say("alice", "bob", str(number))
    for query, expected, more in (
        ({}, range(1, 11), False),
        ({"limit": 3}, range(8, 11), True),
        ({"before": 4, "limit": 2}, range(2, 4), True),
        ({"before": 1}, (), False),
        ({"after": 4, "limit": 2}, range(5, 7), True),
        ({"after": 8}, range(9, 11), False),
        ({"after": 10}, (), False),
        ({"around": 5, "limit": 4}, range(4, 8), True),
        ({"around": 5, "limit": 1}, (5,), True),
        ({"around": 1, "limit": 4}, range(1, 5), False),
    ):
        page = (await world.get("alice", BOB, **query)).ok()
        assert seqs(page) == list(expected), query
        assert page["has_more"] is more, query
        assert page["next_before"] == (min(expected) if expected else None)
        assert page["next_after"] == (max(expected) if expected else None)


async def test_filters_narrow_a_page(world: World):
    await world.group("alice", "bob", "carol")
    await world.say("bob", "team", "Lunch at 12?", group=True)
    await world.say("carol", "team", "100% yes_no", group=True)
    await world.say("bob", "team", "lunch is over", group=True)
    for query, expected in (
        ({"q": "lunch"}, [2, 4]),
        ({"q": "100% y"}, [3]),
        ({"q": "s_n"}, [3]),
        ({"q": "u_c"}, []),
        ({"q": "%"}, [3]),
        ({"q": "null"}, []),
        ({"q": "LÚNCH"}, [2, 4]),
        ({"sender": "bob"}, [2, 4]),
        ({"sender": "nobody"}, []),
        ({"type": "group_event"}, [1]),
        ({"type": "group_message", "sender": "carol"}, [3]),
        ({"q": "lunch", "sender": "bob", "before": 4}, [2]),
    ):
        page = (await world.get("alice", "/api/messages/group/team", **query)).ok()
        assert seqs(page) == expected, query


async def test_times_are_unix_seconds_or_iso_8601(tmp_path: Path):
    clock = iter(range(1_800_000_000, 1_800_001_000))
    now = [0.0]

    async with open_world(tmp_path, "alice", "bob", now=lambda: now[0]) as world:
        for _ in range(4):
            now[0] = float(next(clock))
            await world.say("alice", "bob", "tick")
        start = datetime.fromtimestamp(1_800_000_000, UTC)
        second = start + timedelta(seconds=1)
        plus_two = second.astimezone(timezone(timedelta(hours=2)))
        for query, expected in (
            ({"since": "1800000001"}, [2, 3, 4]),
            ({"until": "1800000001.5"}, [1, 2]),
            ({"since": "1800000001", "until": "1800000002"}, [2, 3]),
            ({"since": second.isoformat().replace("+00:00", "Z")}, [2, 3, 4]),
            ({"since": plus_two.isoformat()}, [2, 3, 4]),
            ({"until": second.replace(tzinfo=None).isoformat()}, [1, 2]),
            ({"since": start.date().isoformat()}, [1, 2, 3, 4]),
            ({"until": start.date().isoformat()}, []),
        ):
            assert seqs((await world.get("alice", BOB, **query)).ok()) == expected, query


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("limit", "0"), ("limit", "201"), ("limit", "many"), ("limit", ""), ("limit", "1.5"), ("limit", "null"),
        ("before", "-1"), ("before", "null"), ("after", "9" * 30), ("around", "now"), ("before", str(2**53 + 1)),
        ("since", "yesterday"), ("since", "nan"), ("until", "inf"), ("until", ""), ("since", "2026-13-01"),
        ("since", "null"), ("q", ""), ("q", "x" * 201), ("q", "\u200d"), ("q", " "), ("type", ""), ("sender", "x" * 65),
    ],
)  # fmt: skip
async def test_a_malformed_parameter_is_named_with_what_is_right(world: World, name: str, value: str):
    problem = (await world.get("alice", BOB, **{name: value})).refused(400, "invalid_payload")
    assert name in problem["detail"]
    assert "right is" in problem["detail"]
    assert problem["details"] == {"parameter": name}
    assert problem["retry"] is False


async def test_an_unknown_parameter_is_refused_with_the_nearest_right_one(world: World):
    problem = (await world.get("alice", BOB, befor=3)).refused(400, "invalid_payload")
    assert "did you mean before?" in problem["detail"]
    problem = (await world.get("alice", BOB, zzz=3)).refused(400, "invalid_payload")
    assert "around" in problem["detail"]


async def test_a_parameter_given_twice_is_refused(world: World):
    problem = (await world.get("alice", f"{BOB}?limit=3&limit=4")).refused(400, "invalid_payload")
    assert "limit is given 2 times" in problem["detail"]


async def test_two_positions_at_once_are_refused(world: World):
    (await world.get("alice", BOB, before=3, after=1)).refused(400, "invalid_payload")


async def test_a_newcomer_sees_from_joining_on_and_an_ex_member_nothing(world: World):
    await world.group("alice", "bob")
    await world.say("alice", "team", "before", group=True)
    (await world.call("alice", "PUT", "/api/groups/team/members/carol")).ok()
    await world.say("alice", "team", "after", group=True)
    page = (await world.get("carol", "/api/messages/group/team")).ok()
    assert seqs(page) == [3, 4]
    assert (await world.get("carol", "/api/messages/group/team", before=3)).ok()["messages"] == []
    assert (await world.get("carol", "/api/messages/group/team", around=1)).ok()["messages"][0]["meta"]["seq"] == 3
    (await world.call("alice", "DELETE", "/api/groups/team/members/carol")).done()
    (await world.get("carol", "/api/messages/group/team")).refused(404, "not_found")


async def test_a_group_whose_newcomers_see_everything_shows_it_all(world: World):
    await world.group("alice", "bob", history="start")
    await world.say("alice", "team", "before", group=True)
    (await world.call("alice", "PUT", "/api/groups/team/members/carol")).ok()
    assert seqs((await world.get("carol", "/api/messages/group/team")).ok()) == [1, 2, 3]


@pytest.fixture(scope="module")
def long_conversation(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A database in which two people said a lot, and the token of one of them."""
    folder = tmp_path_factory.mktemp("long")

    async def fill() -> str:
        async with open_world(folder, "alice", "bob") as world:
            for number in range(MANY):
                who, whom = ("alice", "bob") if number % 3 else ("bob", "alice")
                await world.say(who, whom, f"number {number}")
            return world.tokens["alice"]

    return folder, trio.run(fill)


async def _walk(world: World, token: str, side: str, start: int | None, limit: int, **filters: Any) -> list[int]:
    """Follow pages to their end, and return every seq in the order of the log."""
    found: list[int] = []
    position = start
    while True:
        query = {"limit": limit} | ({} if position is None else {side: position}) | filters
        page = (await world.get(token, BOB, **query)).ok()
        got = seqs(page)
        assert got == sorted(got)
        assert len(got) <= limit
        assert len(got) == limit or not page["has_more"], "only the last page is short"
        found = got + found if side == "before" else found + got
        if not page["has_more"]:
            return found
        position = page["next_before"] if side == "before" else page["next_after"]


@settings(max_examples=25, deadline=None)
@given(
    limit=st.integers(1, 200),
    start=st.integers(0, MANY + 2),
    forward=st.booleans(),
    sender=st.sampled_from([None, "alice", "bob"]),
)
def test_pages_tile_a_conversation_exactly(
    long_conversation: tuple[Path, str], limit: int, start: int, forward: bool, sender: str | None
):
    folder, token = long_conversation
    limit = max(limit, 15)  # a page each of MANY messages would only be slow
    wanted = [
        seq
        for seq in (range(start + 1, MANY + 1) if forward else range(1, min(start, MANY + 1)))
        if sender is None or (sender == "alice") == bool((seq - 1) % 3)
    ]
    filters = {} if sender is None else {"sender": sender}

    async def check() -> None:
        async with open_world(folder) as world:
            found = await _walk(world, token, "after" if forward else "before", start, limit, **filters)
            assert found == wanted

    trio.run(check)


async def test_the_newest_page_and_those_before_it_are_everything_once(long_conversation: tuple[Path, str]):
    folder, token = long_conversation
    async with open_world(folder) as world:
        for limit in (1 + MANY // 50, 50, 200):
            assert await _walk(world, token, "before", None, limit) == list(range(1, MANY + 1))
        assert await _walk(world, token, "after", 0, 199) == list(range(1, MANY + 1))
