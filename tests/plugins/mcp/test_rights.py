"""The authorisation matrix of the tools: each for everybody who could try it, refused and answered as it was decided."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import pytest

from tests.matrix.rows import ANONYMOUS, ENDED, GUESTS, INSIDE, OUTSIDE, TOOLS, Row
from tests.matrix.scene import NOTHING, SECRET, Scene, filled, nameless, scene
from tests.transports.rest.world import Answer

pytestmark = pytest.mark.real_time  # the library is imported on a thread


async def ask(at: Scene, who: str, named: str, row: Row, things: dict[str, str]) -> Answer:
    """Call a tool."""
    arguments = filled(row.body, {**things, "who": who.replace(" ", "-")})
    if "message_id" in arguments:
        arguments["message_id"] = int(arguments["message_id"])
    params = {"name": named.partition(" ")[0], "arguments": arguments}
    body = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
    return await at.call(who, "POST", "/mcp", body, {})


def refusal_of(answer: Answer, things: dict[str, str]) -> tuple[Any, ...]:
    """Return what a tool was refused with, without the names of things."""
    result = answer.ok()["result"]
    told = result["structuredContent"]
    assert result["isError"], told
    return told["code"], told.get("details"), nameless(told["message"], things)


async def check_refused(at: Scene, who: str, named: str, row: Row, things: dict[str, str]) -> None:
    """See that a tool is refused to somebody, and says no more to whom it is hidden from than of nothing."""
    answer = await ask(at, who, named, row, things)
    assert SECRET not in answer.raw.decode(), (who, named)
    if who in (*ANONYMOUS, *ENDED):
        answer.refused(401 if who in ANONYMOUS else 403, "forbidden")
        return
    refusal = refusal_of(answer, things)
    if who in row.hidden:
        assert refusal[0] == "not_found", (who, named, refusal)
        assert refusal == refusal_of(await ask(at, who, named, row, NOTHING), NOTHING), (who, named)
    else:
        assert refusal[0] == "forbidden", (who, named, refusal)


async def check_answers(at: Scene, who: str, things: dict[str, str]) -> None:
    """See that the tools that were decided for somebody answer, with nothing that is not for them."""
    for named, row in TOOLS.items():
        if who in row.who:
            answer = await ask(at, who, named, row, things)
            assert answer.ok()["result"]["isError"] is False, (who, named, answer.raw)
            said = answer.raw.decode()
            assert who in INSIDE or SECRET not in said, (who, named)
            assert who not in GUESTS or "farouk" not in said, (who, named)
            if row.spends:
                things = await at.things()


@pytest.mark.parametrize("party", [(*ANONYMOUS, *ENDED), INSIDE, OUTSIDE], ids=["no token", "inside", "outside"])
async def test_every_tool_answers_those_it_was_decided_for_and_nobody_else(
    tmp_path: Path, party: tuple[str, ...]
) -> None:
    async with scene(tmp_path) as at:
        offered = importlib.import_module("relay_plugin_mcp.tools").TOOLS
        assert {named.partition(" ")[0] for named in TOOLS} == offered.keys()
        things, before = await at.things(), await at.state()
        for who in party:
            for named, row in TOOLS.items():
                if who not in row.who:
                    await check_refused(at, who, named, row, things)
        after = await at.state()
        changed = [name for name in before if before[name] != after[name]]
        assert changed == [], "a tool that was refused changed these"
        for who in party:
            await check_answers(at, who, await at.things())
