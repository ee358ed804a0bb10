"""The files of page modules as browsers get them, and what pages tell of faults in them."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from relay.app.plugin_admin import list_plugins
from relay.testing import World
from relay.testing import world as open_world
from relay.transports.rest.app import make_app
from tests.plugin.authors import returning, write

PAGE = """
from relay.plugin import PageExtension

@hookimpl
def relay_page():
    return PageExtension(folder="page", options={"colour": "red"})
"""
STATE = 'made() + [MessageType(name="t_state", payload=P, kind=Kind.LATEST)]'


@asynccontextmanager
async def with_page(folder: Path, text: str = "export const types = {};\n") -> AsyncIterator[World]:
    plugins = folder / "plugins"
    write(plugins, "mine", PAGE + returning("unread=True").replace("made(unread=True)", f"{STATE}"))
    write(plugins, "other", returning('name="other", unread=True'))
    (plugins / "page").mkdir()
    (plugins / "page" / "page.js").write_text(text)
    async with open_world(folder, "alice", "bob", RELAY_PLUGINS__DIRECTORIES=f'["{plugins}"]') as world:
        assert world.engine.registry.broken == []
        yield world


async def fetch(world: World, path: str, **headers: str) -> Any:
    """Get a file as a browser does."""
    return (
        await make_app(world.engine)
        .test_client()
        .get(path, headers={k.replace("_", "-"): v for k, v in headers.items()})
    )


async def test_a_module_comes_as_the_pages_own_files_do(tmp_path: Path) -> None:
    async with with_page(tmp_path) as world:
        own, got = await fetch(world, "/app/main.js"), await fetch(world, "/plugins/mine/page.js")
        assert (got.status_code, await got.get_data()) == (200, b"export const types = {};\n")
        for name in (
            "content-type",
            "content-security-policy",
            "cache-control",
            "relay-page",
            "x-content-type-options",
        ):
            assert got.headers[name] == own.headers[name]
        again = await fetch(world, "/plugins/mine/page.js", If_None_Match=got.headers["etag"])
        assert (again.status_code, await again.get_data()) == (304, b"")


async def test_the_list_names_the_modules_and_the_types_that_they_draw(tmp_path: Path) -> None:
    async with with_page(tmp_path) as world:
        answer = await (await fetch(world, "/plugins/index.json")).get_json()
        (listed,) = answer["plugins"]
        version = listed.pop("version")
        assert listed == {
            "name": "mine", "types": ["t"], "module": "page.js", "styles": [], "options": {"colour": "red"},
        }  # fmt: skip
        assert len(version) == 16
        assert {"chat_message", "other"} <= set(answer["unread"])


@pytest.mark.parametrize(
    "path",
    [
        "mine/../../mine.py",
        "mine/%2e%2e/mine.py",
        "mine/..%2fmine.py",
        "mine/",
        "mine",
        "other/page.js",
        "mine/page.js/",
    ],
)
async def test_nothing_else_is_there(tmp_path: Path, path: str) -> None:
    async with with_page(tmp_path) as world:
        assert (await fetch(world, f"/plugins/{path}")).status_code == 404


async def test_another_module_makes_another_version_of_the_page(tmp_path: Path) -> None:
    versions = []
    for number, text in enumerate(("1;\n", "2;\n")):
        (tmp_path / str(number)).mkdir()
        async with with_page(tmp_path / str(number), text) as world:
            versions.append((await fetch(world, "/")).headers["relay-page"])
    assert versions[0] != versions[1]


async def test_a_plugin_in_quarantine_keeps_its_module(tmp_path: Path) -> None:
    async with with_page(tmp_path) as world:
        guard = world.engine.registry.guard("mine")
        assert guard is not None
        while not guard.quarantined:
            guard.failed("a test", ValueError("again"))
        assert (await fetch(world, "/plugins/mine/page.js")).status_code == 200


async def test_a_fault_is_logged_and_counted_and_is_no_failure(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with with_page(tmp_path) as world:
        fault = {"plugin": "mine", "kind": "draw", "text": "draw of t: Error:\nno title"}
        with caplog.at_level(logging.WARNING, "relay.plugin.mine"):
            assert (await world.rest("POST", "/api/page/faults", "alice", json_body=fault)).status == 204
        (record,) = caplog.records
        assert record.getMessage().endswith("(draw), as the browser of alice tells: draw of t: Error: no title")
        row = next(row for row in await list_plugins(world.engine) if row["name"] == "mine")
        assert (row["page_faults"], row["failures"], row["state"]) == (1, 0, "running")
        assert world.engine.server_of("mine").counts["page_fault", "draw"] == 1


async def test_faults_are_bounded_and_checked(tmp_path: Path) -> None:
    async with with_page(tmp_path) as world:
        fault = {"plugin": "mine", "kind": "draw", "text": "x"}
        wrong = [{**fault, "text": "x" * 2001}, {**fault, "kind": "other"}, {**fault, "more": 1}]
        for body in wrong:
            assert (await world.rest("POST", "/api/page/faults", "alice", json_body=body)).status == 400
        for plugin in ("other", "nowhere"):
            answer = await world.rest("POST", "/api/page/faults", "alice", json_body={**fault, "plugin": plugin})
            assert answer.status == 404
        assert (await world.rest("POST", "/api/page/faults", None, json_body=fault)).status == 401
        answers = [
            (await world.rest("POST", "/api/page/faults", "alice", json_body=fault)).status for _ in range(22)
        ]
        assert answers == [204] * 20 + [429] * 2
        assert (await world.rest("POST", "/api/page/faults", "bob", json_body=fault)).status == 204
