"""The administration of plugins by REST: what admins see of them, and what they may do."""

from __future__ import annotations

import textwrap
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from relay.settings import load_for_server
from relay.storage import accounts
from relay.testing import World
from relay.testing.world import serving
from tests.plugin.authors import HEAD, answers, send

PLUGIN = '''
"""Notes with a bound."""
import msgspec
from typing import Annotated
from msgspec import Meta
from quart import Blueprint
from relay.http import endpoint
from relay.plugin import Command, Routes

class Place(msgspec.Struct, forbid_unknown_fields=True):
    url: str
    password: str = ""

class Options(msgspec.Struct, forbid_unknown_fields=True):
    """`[plugins.mine]`.

    Attributes:
        places: where notes go, one
            or more.
    """
    most: Annotated[int, Meta(ge=1, le=50, description="How many notes.")] = 10
    api_token: str = ""
    salt: Annotated[str, Meta(extra_json_schema={"writeOnly": True})] = ""
    places: list[Place] = []
    named: dict[str, Place] = {}

@hookimpl
def relay_options():
    return Options

def prepare(draft):
    draft.server.count("noted", "t")
    1 / draft.payload.n

@hookimpl
def relay_message_types(options):
    return made(prepare=prepare, priority=options.most)

b = Blueprint("mine", __name__)

@b.get("/api/mine/<int:number>")
@endpoint(access="admin", answers={200: dict[str, int]})
async def view(number: int):
    """Answer."""
    return {}

@hookimpl
def relay_routes():
    return [Routes(blueprint=b)]

async def run(server):
    """Run."""

@hookimpl
def relay_commands():
    return [Command(name="mine", run=run)]
'''
SETTINGS = """
# mine
[plugins]
directories = ["plugins.d"] # here

[plugins.mine]
most = 20 # enough
api_token = "t-1"
places = [{ url = "a", password = "p-1" }]
named = { x = { url = "b", password = "p-2" } }
"""
MINE = "/api/admin/plugins/mine"


@asynccontextmanager
async def mine(folder: Path, settings: str = SETTINGS, **environ: str) -> AsyncIterator[World]:
    (folder / "plugins.d").mkdir()
    (folder / "plugins.d" / "mine.py").write_text('"""Notes with a bound."""\n' + HEAD + textwrap.dedent(PLUGIN))
    (folder / "relay.toml").write_text(settings)
    given = {"RELAY_STORAGE__PATH": str(folder / "relay.db"), **environ}
    async with serving(load_for_server(folder / "relay.toml", given)) as world:
        await world.user("root", "alice")
        await world.engine.runner.write(lambda connection: accounts.update_user(connection, "root", admin=True))
        assert world.engine.registry.broken == []
        yield world


async def test_they_are_for_admins_only(tmp_path: Path) -> None:
    async with mine(tmp_path) as world:
        for method, path in (
            ("GET", "/api/admin/plugins"),
            ("GET", MINE),
            ("POST", f"{MINE}/reload"),
            ("POST", f"{MINE}/resume"),
            ("POST", f"{MINE}/set-aside"),
        ):
            assert (await world.rest(method, path, "alice")).status == 403
            assert (await world.rest(method, path)).status == 401
        assert (await world.rest("PATCH", f"{MINE}/options", "alice", json_body={"most": 1})).status == 403
        assert (await world.rest("GET", "/api/admin/plugins/none", "root")).status == 404


async def test_the_list_has_every_plugin_with_its_state(tmp_path: Path) -> None:
    async with mine(tmp_path) as world:
        (tmp_path / "plugins.d" / "late.py").write_text("")
        found = (await world.rest("GET", "/api/admin/plugins", "root")).body["plugins"]
        states = {row["name"]: row["state"] for row in found}
        assert (states["mine"], states["chat_message"], states["polls"], states["late"]) == (
            "running", "running", "off", "off",
        )  # fmt: skip


async def test_one_is_told_whole_and_its_secrets_are_not(tmp_path: Path) -> None:
    async with mine(tmp_path) as world:
        alice = await world.connect("alice")
        await send(alice, "a", target="root", n=0)
        await answers(alice, 1)
        found = (await world.rest("GET", MINE, "root")).body
        assert (found["state"], found["source"], found["failures"], found["types"]) == (
            "running",
            "directory",
            1,
            ["t"],
        )
        assert found["last_failure"] == "prepare, for 't': ZeroDivisionError: division by zero"
        assert found["counts"] == [{"what": "noted", "kind": "t", "count": 1}]
        assert found["calls"] == [{"method": "GET", "path": "/api/mine/{number}", "access": "admin"}]
        assert found["commands"] == ["mine"]
        assert found["hooks"]["relay_message_types"] == ["t"]
        options = found["options"]
        assert options["schema"]["properties"]["most"] == {
            "type": "integer", "minimum": 1, "maximum": 50, "default": 10, "description": "How many notes.",
        }  # fmt: skip
        assert options["schema"]["description"] == "`[plugins.mine]`."
        assert options["schema"]["properties"]["places"]["description"] == "where notes go, one or more."
        assert options["values"] == {
            "most": 20,
            "api_token": "(redacted)",
            "salt": "",
            "places": [{"url": "a", "password": "(redacted)"}],
            "named": {"x": {"url": "b", "password": "(redacted)"}},
        }
        assert options["origins"]["most"] == f"{tmp_path / 'relay.toml'}:7"
        assert options["writable"]


async def test_options_are_changed_in_the_file_and_in_force(tmp_path: Path) -> None:
    async with mine(tmp_path) as world:
        change = {"most": 30, "salt": "s-1", "named": {"x": None, "y": {"url": "c"}}}
        found = await world.rest("PATCH", f"{MINE}/options", "root", json_body=change)
        assert found.status == 200
        values = found.body["options"]["values"]
        assert (values["most"], values["salt"], list(values["named"])) == (30, "(redacted)", ["y"])
        assert world.engine.registry.types["t"].priority == 30
        text = (tmp_path / "relay.toml").read_text()
        for line in ("# mine", 'directories = ["plugins.d"] # here', "most = 30 # enough", 'api_token = "t-1"'):
            assert line in text
        found = await world.rest("PATCH", f"{MINE}/options", "root", json_body={"most": None})
        assert found.body["options"]["values"]["most"] == 10
        assert "most" not in (tmp_path / "relay.toml").read_text()


async def test_options_that_do_not_fit_change_nothing(tmp_path: Path) -> None:
    async with mine(tmp_path) as world:
        for change, told in (
            ({"most": 99}, "plugins.mine.most: Expected `int` <= 50"),
            ({"moost": 9}, "did you mean most?"),
            ({"api_token": "(redacted)"}, "stands for a secret"),
        ):
            answer = await world.rest("PATCH", f"{MINE}/options", "root", json_body=change)
            assert answer.status == 400
            assert told in answer.body["detail"]
        assert (tmp_path / "relay.toml").read_text() == SETTINGS
        assert world.engine.registry.types["t"].priority == 20


async def test_options_that_the_plugin_itself_refuses_are_taken_back(tmp_path: Path) -> None:
    async with mine(tmp_path) as world:
        file = tmp_path / "plugins.d" / "mine.py"
        file.write_text(file.read_text() + "\n1 / 0\n")
        answer = await world.rest("PATCH", f"{MINE}/options", "root", json_body={"most": 30})
        assert answer.status == 409
        assert "ZeroDivisionError" in answer.body["detail"]
        assert (tmp_path / "relay.toml").read_text() == SETTINGS


async def test_what_the_environment_sets_or_nobody_may_write_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RELAY_PLUGINS__MINE__MOST", "25")
    async with mine(tmp_path, RELAY_PLUGINS__MINE__MOST="25") as world:
        answer = await world.rest("PATCH", f"{MINE}/options", "root", json_body={"most": 30})
        assert answer.status == 409
        assert "change RELAY_PLUGINS__MINE__MOST" in answer.body["detail"]
        assert (await world.rest("PATCH", f"{MINE}/options", "root", json_body={"salt": "x"})).status == 200
        assert world.engine.registry.types["t"].priority == 25
        monkeypatch.setattr("os.access", lambda *_arguments: False)
        found = (await world.rest("GET", MINE, "root")).body["options"]
        assert (found["writable"], "is not writable" in found["why_not"]) == (False, True)
        assert (await world.rest("PATCH", f"{MINE}/options", "root", json_body={"salt": "y"})).status == 409


async def test_one_is_set_aside_and_taken_back_by_hand(tmp_path: Path) -> None:
    async with mine(tmp_path) as world:
        alice = await world.connect("alice")
        found = (await world.rest("POST", f"{MINE}/set-aside", "root", json_body={"reason": "it spams"})).body
        assert (found["state"], found["reason"]) == ("set aside", "it spams")
        await send(alice, "a", target="root", n=1)
        assert await answers(alice, 1) == {"a": "plugin_failed"}
        assert (await world.rest("POST", f"{MINE}/resume", "root")).body["state"] == "running"
        await send(alice, "b", target="root", n=1)
        assert await answers(alice, 1) == {"b": "ack"}
        assert (await world.rest("POST", f"{MINE}/set-aside", "root")).body["reason"] == "an admin set it aside"


async def test_where_the_operator_wants_it_admins_only_look(tmp_path: Path) -> None:
    async with mine(tmp_path, SETTINGS.replace("[plugins]\n", "[plugins]\nadmin_changes = false\n")) as world:
        for path in ("reload", "resume", "set-aside"):
            answer = await world.rest("POST", f"{MINE}/{path}", "root")
            assert (answer.status, answer.body["code"]) == (403, "forbidden")
        assert (await world.rest("PATCH", f"{MINE}/options", "root", json_body={"most": 1})).status == 403
        options = (await world.rest("GET", MINE, "root")).body["options"]
        assert (options["writable"], options["why_not"]) == (False, "[plugins] admin_changes is false")


async def test_one_is_loaded_anew(tmp_path: Path) -> None:
    async with mine(tmp_path) as world:
        answer: Any = await world.rest("POST", f"{MINE}/reload", "root")
        assert answer.body == {"state": "reloaded", "types_added": [], "types_removed": [], "old_runs": False}
        (tmp_path / "plugins.d" / "mine.py").write_text("1 / 0")
        assert (await world.rest("POST", f"{MINE}/reload", "root")).status == 409
        assert (await world.rest("GET", "/api/mine/1", "root")).status == 200
