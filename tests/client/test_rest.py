"""REST: paths and parameters, problems as errors, pages, gaps and conversations."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from relay.client import Gap, RelayError, RelayOffline, RestClient
from relay.client.history import read_all, read_conversations, read_gap, read_page

pytestmark = pytest.mark.real_time

Answer = Callable[[httpx.Request], httpx.Response]


def rest_with(answer: Answer) -> RestClient:
    return RestClient("http://relay.test", "the-token", transport=httpx.MockTransport(answer))


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


async def test_a_call_carries_the_token_in_its_header_and_skips_what_is_not_given() -> None:
    seen: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(200, json={"messages": [], "has_more": False})

    async with rest_with(answer) as rest:
        since = datetime(2026, 1, 1, tzinfo=UTC)
        page = await read_page(rest, "a/b ü", None, since=since, q="c&d", limit=None)
    assert page.messages == []
    [request] = seen
    assert request.headers["authorization"] == "Bearer the-token"
    assert request.url.raw_path == b"/api/messages/user/a%2Fb%20%C3%BC?since=1767225600.0&q=c%26d"


async def test_bodies_are_json_both_ways() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        assert request.headers["content-type"] == "application/json"
        assert request.headers["idempotency-key"] == "k1"
        return httpx.Response(201, json={"echo": json.loads(request.content)})

    async with rest_with(answer) as rest:
        assert await rest.post("/api/x", {"a": [1]}, idempotency_key="k1") == {"echo": {"a": [1]}}


@pytest.mark.parametrize(
    ("device", "body"), [({}, {"cursor": 7}), ({"client_id": "cron"}, {"cursor": 7, "client_id": "cron"})]
)
async def test_who_only_looks_in_acknowledges_by_a_call(device: dict[str, str], body: dict[str, Any]) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        assert (request.method, request.url.path) == ("POST", "/api/messages/acknowledge")
        assert json.loads(request.content) == body
        return httpx.Response(200, json={"cursor": 7})

    async with rest_with(answer) as rest:
        assert await rest.acknowledge(7, **device) == 7


@pytest.mark.parametrize("method", ["put", "patch", "delete"])
async def test_an_empty_answer_is_none(method: str) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        assert request.method == method.upper()
        return httpx.Response(204)

    async with rest_with(answer) as rest:
        assert await getattr(rest, method)("/api/x") is None


async def test_a_problem_document_becomes_the_error_it_describes() -> None:
    problem = {"title": "Slow down", "detail": "too many", "code": "rate_limited", "retry": True, "retry_after": 2}

    def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(429, json=problem, headers={"content-type": "application/problem+json"})

    async with rest_with(answer) as rest:
        with pytest.raises(RelayError) as refused:
            await rest.get("/api/x")
    error = refused.value
    assert (error.code, error.message, error.retry, error.retry_after) == ("rate_limited", "too many", True, 2.0)


@pytest.mark.parametrize(
    ("status", "code", "retry"), [(404, "not_found", False), (502, "internal", True), (503, "overloaded", True)]
)
async def test_a_proxys_error_page_becomes_an_error_too(status: int, code: str, retry: bool) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(status, html="<h1>oops</h1>", headers={"retry-after": "9"})

    async with rest_with(answer) as rest:
        with pytest.raises(RelayError) as refused:
            await rest.get("/api/x")
    assert (refused.value.code, refused.value.retry, refused.value.retry_after) == (code, retry, 9.0)


async def test_no_answer_is_offline() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("nobody there")

    async with rest_with(answer) as rest:
        with pytest.raises(RelayOffline, match="nobody there"):
            await rest.get("/api/x")


async def test_a_whole_conversation_is_read_page_by_page_either_way() -> None:
    async with rest_with(conversation(7)) as rest:
        upward = [event.seq async for event in read_all(rest, "bob", None, newest_first=False, limit=3)]
        downward = [event.seq async for event in read_all(rest, "bob", None, newest_first=True, limit=3)]
    assert upward == [1, 2, 3, 4, 5, 6, 7]
    assert downward == [7, 6, 5, 4, 3, 2, 1]


async def test_reading_lazily_fetches_no_page_that_is_not_asked_for() -> None:
    calls: list[str] = []
    serve = conversation(500)

    def answer(request: httpx.Request) -> httpx.Response:
        calls.append(str(request.url))
        return serve(request)

    async with rest_with(answer) as rest:
        reading = read_all(rest, None, "team", newest_first=True, limit=10)
        assert [(await anext(reading)).seq for _ in range(10)] == list(range(500, 490, -1))
    assert len(calls) == 1


@pytest.mark.parametrize(("low", "high"), [(3, 3), (1, 450), (250, 451)])
async def test_a_gap_is_filled_with_its_messages_and_no_others(low: int, high: int) -> None:
    async with rest_with(conversation(1_000)) as rest:
        found = [event.seq async for event in read_gap(rest, Gap("group", "team", low, high))]
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

    async with rest_with(answer) as rest:
        own = [event async for event in read_gap(rest, Gap("self", "alice", 2, 5))]
        everybodys = [event async for event in read_gap(rest, Gap("broadcast", "*", 3, 4))]
    assert [(event.seq, event.target_id) for event in own] == [(seq, "alice") for seq in (5, 4, 3, 2)]
    assert [(event.seq, event.target_id) for event in everybodys] == [(4, "*"), (3, "*")]


async def test_history_needs_exactly_one_conversation() -> None:
    async with rest_with(conversation(1)) as rest:
        with pytest.raises(ValueError, match="either"):
            await read_page(rest, None, None)
        with pytest.raises(ValueError, match="either"):
            await read_page(rest, "a", "b")


async def test_all_conversations_come_over_all_pages() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.params.get("cursor") == "next":
            return httpx.Response(200, json={"conversations": [{"target_id": "b"}], "has_more": False})
        body = {"conversations": [{"target_id": "a"}], "has_more": True, "next_cursor": "next"}
        return httpx.Response(200, json=body)

    async with rest_with(answer) as rest:
        assert [found["target_id"] for found in await read_conversations(rest)] == ["a", "b"]
