"""Calls of the REST API: parameters, bodies, and problems as errors."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from relay.client import RelayError, RelayOffline, RestClient
from relay.client.history import HistoryReader

pytestmark = pytest.mark.real_time

Answer = Callable[[httpx.Request], httpx.Response]


def rest_with(answer: Answer) -> RestClient:
    return RestClient("http://relay.test", "the-token", transport=httpx.MockTransport(answer))


async def test_a_call_carries_the_token_in_its_header_and_skips_what_is_not_given() -> None:
    seen: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(200, json={"messages": [], "has_more": False})

    async with rest_with(answer) as rest:
        since = datetime(2026, 1, 1, tzinfo=UTC)
        page = await HistoryReader(lambda: rest).history(user="a/b ü", since=since, q="c&d", limit=None)
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
