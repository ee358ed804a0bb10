"""A real server against its own /openapi.json: whatever is asked, it answers as it says."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import quote

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some

from tests.e2e.fuzzing import BYSTANDER, CALLERS, Target
from tests.e2e.wire import Wire, request

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    target = Target(tmp_path_factory.mktemp("fuzzed"))
    yield target
    target.end()


@pytest.mark.parametrize("caller", CALLERS)
def test_made_up_requests_are_answered_as_it_says(target: Target, caller: str | None) -> None:
    found = target.fuzz(caller, 4, 1, phases=["examples", "fuzzing"], seconds=240)
    assert found == ""


@pytest.fixture(scope="module")
def searching(target: Target) -> Iterator[httpx.Client]:
    with target.server.rest(target.tokens[BYSTANDER]) as rest:
        yield rest


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(q=some.text(max_size=80) | some.text(alphabet="ab\"*-:^()+ NEAR{}~\x00'%_\\", max_size=60))
def test_whatever_is_searched_for_is_never_a_fault(searching: httpx.Client, q: str) -> None:
    text = quote(q.encode("utf-8", "surrogatepass"), safe="")
    assert searching.get(f"/api/search?q={text}").status_code in (200, 400)


def test_a_request_whose_head_is_wrong_is_refused_by_a_problem_first_on_a_connection_and_later(
    target: Target,
) -> None:
    wrong = request("/api/login", {"Content-Length": "five"}, method="POST", upgrade=False)
    for before in (0, 1):
        with Wire(target.server.address, target.server.described) as wire:
            for _ in range(before):
                wire.send_bytes(request("/healthz", upgrade=False))
                assert wire.read_response().status == 200
            wire.send_bytes(wrong)
            refused = wire.read_response()
            kind = {"content-type": refused.headers["content-type"]}
            target.server.answers.check("POST", "/api/login", refused.status, kind, refused.body)
            assert refused.status == 400


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("PATCH", "/api/groups/team1", 415), ("TRACE", "/api/attachments", 405), ("OPTIONS", "/api/login", 204)],
)
def test_a_request_that_is_answered_before_its_body_came_leaves_the_connection_in_order(
    target: Target, method: str, path: str, status: int
) -> None:
    headers = {"Content-Length": "13", "Content-Type": "text/plain"}
    headers["Authorization"] = f"Bearer {target.tokens[BYSTANDER]}"
    with Wire(target.server.address, target.server.described) as wire:
        for _ in range(5):
            wire.send_bytes(request(path, headers, method=method, upgrade=False))
            assert wire.read_response().status == status
            wire.send_bytes(b'{"name": "x"}')
            wire.send_bytes(request("/healthz", upgrade=False))
            assert wire.read_response().status == 200
