"""History, gaps and conversations, read page by page."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest

from relay.client import Gap
from relay.client.history import HistoryReader
from tests.client.test_rest import Answer, rest_with

pytestmark = pytest.mark.real_time


@asynccontextmanager
async def reader_of(answer: Answer) -> AsyncIterator[HistoryReader]:
    async with rest_with(answer) as rest:
        yield HistoryReader(lambda: rest)


def envelope(seq: int, **meta: Any) -> dict[str, Any]:
    return {"type": "chat_message", "payload": {"content": str(seq)}, "meta": {"seq": seq} | meta}


def conversation(last: int) -> Answer:
    """Answer as a server whose conversation holds the messages 1 to `last`."""

    def answer(request: httpx.Request) -> httpx.Response:
        query = request.url.params
        limit = int(query.get("limit", 50))
        if "after" in query:
            low = int(query["after"]) + 1
            seqs = range(low, min(low + limit, last + 1))
            more = bool(seqs) and seqs[-1] < last
        else:
            high = int(query.get("before", last + 1)) - 1
            seqs = range(max(1, high - limit + 1), high + 1)
            more = bool(seqs) and seqs[0] > 1
        body = {
            "messages": [envelope(seq) for seq in seqs],
            "has_more": more,
            "next_before": seqs[0] if seqs else None,
            "next_after": seqs[-1] if seqs else None,
        }
        return httpx.Response(200, json=body)

    return answer


async def test_a_whole_conversation_is_read_page_by_page_either_way() -> None:
    async with reader_of(conversation(7)) as reader:
        upward = [event.seq async for event in reader.history_all(user="bob", limit=3)]
        downward = [event.seq async for event in reader.history_all(user="bob", newest_first=True, limit=3)]
    assert upward == [1, 2, 3, 4, 5, 6, 7]
    assert downward == [7, 6, 5, 4, 3, 2, 1]


async def test_reading_lazily_fetches_no_page_that_is_not_asked_for() -> None:
    calls: list[str] = []
    serve = conversation(500)

    def answer(request: httpx.Request) -> httpx.Response:
        calls.append(str(request.url))
        return serve(request)

    async with reader_of(answer) as reader:
        reading = reader.history_all(group="team", newest_first=True, limit=10)
        assert [(await anext(reading)).seq for _ in range(10)] == list(range(500, 490, -1))
    assert len(calls) == 1


@pytest.mark.parametrize(("low", "high"), [(3, 3), (1, 450), (250, 451)])
async def test_a_gap_is_filled_with_its_messages_and_no_others(low: int, high: int) -> None:
    async with reader_of(conversation(1_000)) as reader:
        found = [event.seq async for event in reader.read_gap(Gap("group", "team", low, high))]
    assert found == list(range(low, high + 1))


async def test_a_gap_in_a_notification_channel_is_read_from_the_notifications() -> None:
    both = [
        envelope(seq, message_id=10 * seq + broadcast, target_id="*" if broadcast else "alice")
        for seq in range(1, 9)
        for broadcast in (0, 1)
    ]

    def answer(request: httpx.Request) -> httpx.Response:
        before = int(request.url.params.get("before", 1_000))
        older = [found for found in both if found["meta"]["message_id"] < before]
        body = {
            "messages": older[-5:],
            "has_more": len(older) > 5,
            "next_before": older[-5:][0]["meta"]["message_id"] if older else None,
            "next_after": None,
        }
        return httpx.Response(200, json=body)

    async with reader_of(answer) as reader:
        own = [event async for event in reader.read_gap(Gap("self", "alice", 2, 5))]
        everybodys = [event async for event in reader.read_gap(Gap("broadcast", "*", 3, 4))]
    assert [(event.seq, event.target_id) for event in own] == [(seq, "alice") for seq in (5, 4, 3, 2)]
    assert [(event.seq, event.target_id) for event in everybodys] == [(4, "*"), (3, "*")]


async def test_history_needs_exactly_one_conversation() -> None:
    async with reader_of(conversation(1)) as reader:
        with pytest.raises(ValueError, match="either"):
            await reader.history()
        with pytest.raises(ValueError, match="either"):
            await reader.history(user="a", group="b")


async def test_all_conversations_come_over_all_pages() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.params.get("cursor") == "next":
            return httpx.Response(200, json={"conversations": [{"target_id": "b"}], "has_more": False})
        body = {"conversations": [{"target_id": "a"}], "has_more": True, "next_cursor": "next"}
        return httpx.Response(200, json=body)

    async with reader_of(answer) as reader:
        assert [found["target_id"] for found in await reader.conversations()] == ["a", "b"]
