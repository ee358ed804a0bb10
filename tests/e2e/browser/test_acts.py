"""The same acts by the page, by REST and by the command line leave the same: one server a way, and all acts on each.

The acts and how each is done by each way are the table of tests/app/acts.py; an act that the page has is done there by
its buttons and fields. What the servers are compared by is the table's own `state`, and their audit logs.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio

from relay.app.server import http_server
from relay.services.acts import Act
from relay.services.heartbeat import HeartbeatSupervisor
from relay.testing import World
from relay.transports.front_door import FrontDoor
from tests.app.acts import (
    SCENARIOS,
    OnPage,
    Step,
    Subjects,
    about,
    entries,
    filled,
    same,
    server_with_plugins,
    state,
)
from tests.e2e.browser.cdp import Page, open_browser
from tests.e2e.browser.people import signed_in_as
from tests.e2e.wire import PATIENCE

pytestmark = pytest.mark.e2e

PLAYED = {act: one for act, one in SCENARIOS.items() if one.page is not None}
SUBJECTS = {act: Subjects(f"u{number}", f"g{number}") for number, act in enumerate(PLAYED)}
ELSEWHERE = {
    "group.member_timed_out": "in the group's own list of members",
    "group.timeout_lifted": "in the group's own list of members",
    "group.member_banned": "in the group's own list of members",
    "group.ban_lifted": "in the group's own list of members",
    "group.slow_mode_set": "in the group's own form",
    "user.exported": "nowhere: everybody exports their own data, and the command line anybody's",
    "user.deleted": "nowhere: the page disables and erases; who deletes keeps what was said, and has an API or a shell",
    "server.exported": "nowhere: the command line writes the files",
    "sample.added": "in the overview, while there is nobody but the owner",
    "sample.removed": "in the overview, while there is the sample",
    "backup.downloaded": "in its section: the browser downloads it (test_backup.py), and the operator has the file",
    "cluster.leader_moved": "nowhere: it is a step of an upgrade, which is done at the command line",
    "settings.reloaded": "nowhere: the settings are a file; who can write it has the command line, and programs have REST",
    "backup.restored": "nowhere: the command line restores, while no server runs",
}
"""Acts that the administration does not have at a place of their own, and where the page has them."""

HELPERS = """globalThis.acts = {
    place: () => document.querySelector("dialog[open]") ?? document.querySelector(".admin-main"),
    button(label, row) {
        const rows = row ? [...this.place().querySelectorAll("tr")].filter((one) => one.textContent.includes(row)) : [this.place()];
        return rows.flatMap((one) => [...one.querySelectorAll("button")]).find((one) => one.textContent === label && !one.disabled);
    },
    control(label) {
        const labels = [...this.place().querySelectorAll("label")];
        const says = (one) => one.querySelector("span")?.textContent ?? "";
        const found = labels.find((one) => says(one) === label) ?? labels.find((one) => says(one).startsWith(`${label} from `));
        return found?.control ?? this.place().querySelector(`[aria-label="${label}"]`);
    },
    fill(label, value) {
        const control = this.control(label);
        if (control.type === "checkbox") control.checked = value;
        else control.value = value;
        for (const event of ["input", "change"]) control.dispatchEvent(new Event(event, { bubbles: true }));
    },
    submit: () => [...document.querySelectorAll("dialog[open]")].at(-1)?.querySelector("form button:not([type=button])"),
}; true"""


@asynccontextmanager
async def served(world: World) -> AsyncIterator[str]:
    """Serve a world's page at a port of this machine, and give its address."""
    http = http_server(world.engine)
    heartbeat = HeartbeatSupervisor(world.engine.settings.heartbeat.interval_seconds)
    door = FrontDoor(world.engine, heartbeat, http.serve, "relay/test")
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    async with http.lifespan(), trio.open_nursery() as nursery:
        nursery.start_soon(trio.serve_listeners, door.serve, [listener])
        yield f"http://127.0.0.1:{listener.socket.getsockname()[1]}"
        nursery.cancel_scope.cancel()


async def open_administration(browser: Any, url: str, world: World) -> Page:
    signed_in = signed_in_as("root", world.tokens["root"])
    page: Page = await browser.page(f"{url}/admin", await browser.context(), signed_in)
    await page.wait("document.querySelector('.admin-nav a')")
    await page.evaluate(HELPERS)
    return page


async def do_on_page(page: Page, world: World, on_page: OnPage, on: Subjects, folder: Path) -> None:
    """Open the act's place, do its steps, and wait for its entry in the audit log."""
    before = len(await entries(world))
    await page.evaluate("for (const one of document.querySelectorAll('dialog')) one.close()")
    await page.evaluate("document.querySelector('.admin-main').replaceChildren()")
    place = await filled(on_page.place, world, on)
    # Another mark each time, so that the place is drawn anew also where it was the last one.
    mark = "&" if "?" in place else "?"
    await page.evaluate(f"location.hash = {json.dumps(f'#/{place}{mark}at={on.user}')}")
    for step in on_page.steps:
        await do_step(
            page, Step(step.kind, await filled(step.label, world, on), await filled(step.value, world, on)), folder
        )
    with trio.fail_after(PATIENCE):
        while len(await entries(world)) == before:
            await trio.sleep(0.02)


async def do_step(page: Page, step: Step, folder: Path) -> None:
    if step.kind == "press":
        found = f"acts.button({json.dumps(step.label)}, {json.dumps(step.value)})"
        await page.wait(found)
        await page.evaluate(f"{found}.click()")
    elif step.kind == "confirm":
        await page.wait("acts.submit()")
        await page.evaluate("acts.submit().click()")
    elif step.kind == "file":
        file = folder / "messages.jsonl"
        file.write_text(f"{step.value}\n", encoding="utf-8")
        await page.wait("document.querySelector('.admin-main input[type=file]')")
        field = "document.querySelector('.admin-main input[type=file]')"
        known = await page.send("Runtime.evaluate", expression=field)
        await page.send("DOM.setFileInputFiles", files=[str(file)], objectId=known["result"]["objectId"])
    else:
        await page.wait(f"acts.control({json.dumps(step.label)})")
        await page.evaluate(f"acts.fill({json.dumps(step.label)}, {json.dumps(step.value)})")


async def outcome(world: World) -> dict[str, Any]:
    log = [(one["act"], about(one), same(one["details"])) for one in await entries(world)]
    return {**await state(world), "audit": log}


def users() -> list[str]:
    return ["alice", *(on.user for on in SUBJECTS.values())]


def test_every_act_is_played_on_the_page_but_those_that_are_named() -> None:
    assert {str(act) for act in Act if act not in PLAYED} == set(ELSEWHERE)


async def test_the_page_rest_and_the_command_line_leave_the_same(chromium: str, tmp_path: Path) -> None:
    found: dict[str, dict[str, Any]] = {}
    for way in ("rest", "command line"):
        async with server_with_plugins(tmp_path / way, *users()) as world:
            for act, scenario in PLAYED.items():
                if scenario.prepare is not None:
                    await scenario.prepare(world, SUBJECTS[act])
                done = scenario.rest if way == "rest" else scenario.operation
                assert done is not None
                await done(world, SUBJECTS[act])
            found[way] = await outcome(world)
    async with server_with_plugins(tmp_path / "page", *users()) as world, served(world) as url:
        async with open_browser(chromium) as browser:
            page = await open_administration(browser, url, world)
            for act, scenario in PLAYED.items():
                if scenario.prepare is not None:
                    await scenario.prepare(world, SUBJECTS[act])
                assert scenario.page is not None
                await do_on_page(page, world, scenario.page, SUBJECTS[act], tmp_path)
            found["page"] = await outcome(world)
            assert page.errors == []
        assert [one["way"] for one in await entries(world)] == ["rest"] * len(PLAYED)
    for part, rest in found["rest"].items():
        assert found["command line"][part] == rest, part
        assert found["page"][part] == rest, part
