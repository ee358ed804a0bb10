"""The authorisation matrix of REST: every call of the route table for everybody, refused and answered as it was decided."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from relay.protocol.kinds import ServerRole
from relay.transports.rest.app import all_calls
from relay.transports.rest.calls import Call
from tests.matrix.rows import ANONYMOUS, CALLERS, ENDED, GUESTS, INSIDE, KNOWN, OUTSIDE, ROWS, Row
from tests.matrix.scene import NAMES, NOTHING, ROLES, SECRET, Scene, filled, nameless, scene
from tests.transports.rest.world import Answer

pytestmark = pytest.mark.real_time  # MCP's library is imported on a thread

LEAST = {"moderator": ServerRole.MODERATOR, "admin": ServerRole.ADMIN, "owner": ServerRole.OWNER}
SCRAPERS = ("scraper", "server admin", "server owner")
"""Those who read `/metrics` from elsewhere."""


async def ask(at: Scene, who: str, call: str, row: Row, things: dict[str, str]) -> Answer:
    """Make a call about things."""
    method, path = call.split(" ")
    things = {**things, "who": who.replace(" ", "-")}
    named = {**things, **filled(row.path or {}, things)}
    body = row.body if call == "POST /mcp" else filled(row.body, things)
    return await at.call(who, method, filled(path, named), body, filled(row.query or {}, things))


def told(answer: Answer, things: dict[str, str]) -> tuple[Any, ...]:
    """Return what a refusal says, without the names of things."""
    body = answer.body
    return answer.status, body["code"], body.get("details"), nameless(body["detail"], things)


def calls(at: Scene, *access: str) -> list[Call]:
    """Return the calls of the route table with one of these kinds of access."""
    return [call for call in all_calls(at.world.engine.registry) if call.access in access]


async def check_refused(at: Scene, who: str, call: str, row: Row, things: dict[str, str]) -> None:
    """See that a call is refused to somebody, and says no more to whom it is hidden from than of nothing."""
    answer = await ask(at, who, call, row, things)
    if who in ANONYMOUS:
        # To a device that was removed a file is gone, as it is to any stranger.
        gone = call == "GET /api/attachments/{attachment_id}" and who != "anonymous"
        answer.refused(*((404, "not_found") if gone else (401, "forbidden")))
    elif who in row.hidden:
        answer.refused(404, "not_found")
        nothing = await ask(at, who, call, row, NOTHING)
        assert told(answer, things) == told(nothing, NOTHING), (who, call)
    else:
        answer.refused(403, "forbidden")
    assert SECRET not in answer.raw.decode(), call


@pytest.mark.parametrize("party", [(*ANONYMOUS, *ENDED), INSIDE, OUTSIDE], ids=["no token", "inside", "outside"])
async def test_every_call_answers_those_it_was_decided_for_and_nobody_else(
    tmp_path: Path, party: tuple[str, ...]
) -> None:
    async with scene(tmp_path) as at:
        assert {f"{call.method} {call.path}" for call in calls(at, "token")} == ROWS.keys()
        for_roles = calls(at, *LEAST)
        things, before = await at.things(), await at.state()
        for who in party:
            for call, row in ROWS.items():
                if who not in row.who:
                    await check_refused(at, who, call, row, things)
            for role_call in for_roles:
                if not reaches(who, LEAST[role_call.access]):
                    await check_role(at, who, role_call)
        after = await at.state()
        assert [name for name in before if before[name] != after[name]] == [], (
            "a call that was refused changed these"
        )
        for who in party:
            await check_answers(at, who, await at.things())


async def check_answers(at: Scene, who: str, things: dict[str, str]) -> None:
    """See that the calls that were decided for somebody answer, with nothing that is not for them."""
    for call, row in ROWS.items():
        if who in row.who:
            if call == "POST /api/logout":
                await at.renew(who)
            answer = await ask(at, who, call, row, things)
            assert answer.status == row.status, (who, call, answer.raw)
            said = answer.raw.decode(errors="replace")
            assert who in INSIDE or SECRET not in said, (who, call)
            assert who not in GUESTS or "farouk" not in said, (who, call)
            if row.spends:
                things = await at.things()


def reaches(who: str, least: ServerRole) -> bool:
    """Tell whether a caller has a role on the server, or a higher one."""
    return who in KNOWN and ROLES.get(NAMES[who], ServerRole.MEMBER).reaches(least)


async def check_role(at: Scene, who: str, call: Call) -> None:
    """See that a call for a role on the server is refused to who does not have it."""
    answer = await at.call(who, call.method, re.sub(r"{\w+}", "1", call.path), None, {})
    if who in ANONYMOUS:
        answer.refused(401, "forbidden")
    elif who in ENDED:
        answer.refused(403, "forbidden")
    else:
        assert answer.refused(403, "forbidden")["details"]["reason"] == f"server_{LEAST[call.access]}", call


async def test_who_is_not_in_a_group_learns_nothing_from_what_answers_everybody(tmp_path: Path) -> None:
    async with scene(tmp_path) as at:
        things = await at.things()
        for call, row in ROWS.items():
            if not row.hidden and call.startswith("GET ") and ("{" in call or row.query):
                for who in ("stranger", "far guest", "server owner"):
                    real, none = [(await ask(at, who, call, row, named)).raw for named in (things, NOTHING)]
                    assert real == none, call


async def test_an_open_call_asks_nobody_for_a_token_and_metrics_ask_everybody(tmp_path: Path) -> None:
    async with scene(tmp_path) as at:
        for call in calls(at, "open"):
            answer = await at.call("anonymous", call.method, re.sub(r"{\w+}", "1", call.path), None, {})
            assert answer.status not in (401, 403), call
        assert [call.path for call in calls(at, "either")] == ["/metrics"]
        for who in CALLERS:
            answer = await at.call(who, "GET", "/metrics", None, {})
            assert answer.status == (401 if who in ANONYMOUS else 200 if who in SCRAPERS else 403), who
