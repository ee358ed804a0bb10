"""Plugins that are loaded anew while the server runs: what changes, what stays, and a broken one that changes nothing."""

from __future__ import annotations

import importlib.metadata
import sys
import textwrap
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio

from relay.engine.discovery import Found
from relay.engine.reloading import Changed
from relay.protocol.errors import ErrorCode, RelayError
from relay.settings import load_for_server
from relay.testing import World
from relay.testing.world import serving
from tests.plugin.authors import HEAD, answers, send


class Author:
    """Somebody who edits the plugin `mine` of a running server."""

    def __init__(self, world: World, file: Path, settings: Path) -> None:
        self.world = world
        self.file = file
        self.settings = settings

    def edit(self, code: str, head: str = HEAD) -> None:
        self.file.parent.mkdir(parents=True, exist_ok=True)
        self.file.write_text(head + textwrap.dedent(code))

    async def reload(self, code: str | None = None, name: str = "mine") -> Changed:
        if code is not None:
            self.edit(code)
        return await self.world.engine.reloader.reload(name)

    async def refused(self, code: str | None = None, name: str = "mine") -> str:
        with pytest.raises(RelayError) as refused:
            await self.reload(code, name)
        assert refused.value.code is ErrorCode.CONFLICT
        return refused.value.message


TYPE = """
@hookimpl
def relay_message_types(options):
    return made({})
"""
"""A plugin with the type `t`; `{}` are further arguments."""


@asynccontextmanager
async def author(folder: Path, code: str, options: str = "") -> AsyncIterator[Author]:
    file = folder / "plugins.d" / "mine.py"
    settings = folder / "relay.toml"
    settings.write_text(f'[plugins]\ndirectories = ["{file.parent}"]\n{options}')
    file.parent.mkdir()
    file.write_text(HEAD + textwrap.dedent(code))
    async with serving(load_for_server(settings, {"RELAY_STORAGE__PATH": str(folder / "relay.db")})) as world:
        await world.user("alice", "bob")
        assert world.engine.registry.broken == []
        yield Author(world, file, settings)


async def test_new_messages_take_the_new_code(tmp_path: Path) -> None:
    async with author(tmp_path, TYPE.format("prepare=lambda draft: setattr(draft.payload, 'n', 1)")) as mine:
        alice, bob = await mine.world.connect("alice"), await mine.world.connect("bob")
        await send(alice, "a")
        assert (await bob.next("t"))["payload"]["n"] == 1
        # As long as the old one, and within its second: bytecode would be taken for the same.
        changed = await mine.reload(TYPE.format("prepare=lambda draft: setattr(draft.payload, 'n', 2)"))
        assert changed == Changed("mine", "reloaded", [], [], old_runs=False)
        await send(alice, "b")
        assert (await bob.next("t"))["payload"]["n"] == 2


BROKEN = {
    "a syntax error": ("def oops(:", "mine.py:13: SyntaxError"),
    "an exception": ("\n\n1 / 0", "mine.py:15: ZeroDivisionError"),
    "a wrong part": ("@hookimpl\ndef relay_commands():\n    return [5]", "returned 5 in its list"),
    "a taken type": (TYPE.format('name="chat_message"'), "'chat_message' is taken by plugin 'chat_message'"),
    "a bad migration": (
        "from relay.plugin import Migration\n@hookimpl\ndef relay_migrations():\n"
        "    return [Migration(name='one', sql='CREATE TABLE mine_t (x); SELEKT 1')]",
        "its migration 'one' failed",
    ),
}


@pytest.mark.parametrize("kind", BROKEN)
async def test_a_broken_new_one_leaves_the_old_one_running(tmp_path: Path, kind: str) -> None:
    code, reason = BROKEN[kind]
    async with author(tmp_path, TYPE.format("")) as mine:
        alice = await mine.world.connect("alice")
        told = await mine.refused(code)
        assert told.startswith("plugin 'mine' stays as it was: ")
        assert reason in told
        await send(alice, "a")
        assert await answers(alice, 1) == {"a": "ack"}
        assert mine.world.engine.registry.broken == []
        assert (await mine.reload(TYPE.format("priority=7"))).state == "reloaded"
        assert mine.world.engine.registry.priority("t") == 7


async def test_types_appear_and_become_unknown(tmp_path: Path) -> None:
    async with author(tmp_path, TYPE.format("")) as mine:
        before = (await mine.world.rest("GET", "/api/types", "alice")).body
        changed = await mine.reload(TYPE.format('name="other"'))
        assert (changed.types_added, changed.types_removed) == (["other"], ["t"])
        alice = await mine.world.connect("alice")
        await send(alice, "a")
        await send(alice, "b", "other")
        assert await answers(alice, 2) == {"a": "unknown_type", "b": "ack"}
        after = (await mine.world.rest("GET", "/api/types", "alice")).body
        assert {one["name"] for one in after["types"]} ^ {one["name"] for one in before["types"]} == {"t", "other"}


async def test_its_options_are_read_again_and_nobody_elses(tmp_path: Path) -> None:
    code = """
    import msgspec
    class Options(msgspec.Struct, forbid_unknown_fields=True):
        place: int = 30
    @hookimpl
    def relay_options():
        return Options
    @hookimpl
    def relay_message_types(options):
        return made(priority=options.place)
    """
    async with author(tmp_path, code, "[plugins.mine]\nplace = 5\n") as mine:
        registry = mine.world.engine.registry
        assert registry.priority("t") == 5
        text = mine.settings.read_text()
        mine.settings.write_text(text.replace("place = 5", "place = 6\n[types.t]\nmax_bytes = 77"))
        await mine.reload()
        assert (registry.priority("t"), registry.types["t"].max_bytes) == (6, 77)
        mine.settings.write_text(text.replace("place = 5", "palce = 7"))
        assert "plugins.mine.palce: no such option; did you mean place?" in await mine.refused()
        mine.settings.write_text("[plugins\n")
        assert "the settings cannot be read" in await mine.refused()
        assert registry.priority("t") == 6


HOOKS = """
from relay.plugin import BackgroundTask, MessageHook, SessionHook
seen = __builtins__["seen_by_mine"]

async def committed(server, entry):
    await trio.sleep(1)
    seen.append(("committed", VERSION, entry.own_id))

async def run(server):
    seen.append(("begins", VERSION))
    try:
        await trio.sleep_forever()
    finally:
        seen.append(("ends", VERSION))

@hookimpl
def relay_message_hooks():
    return [MessageHook(types=frozenset({"t"}), committed=committed)]

@hookimpl
def relay_background():
    return [BackgroundTask(name="one", run=run)]

@hookimpl
def relay_session_hooks():
    return [SessionHook(connected=lambda server, event: seen.append(("connected", VERSION, event.user_id)))]
"""


async def test_what_waits_ends_with_the_old_code_before_the_new_begins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import builtins

    seen: list[Any] = []
    monkeypatch.setattr(builtins, "seen_by_mine", seen, raising=False)
    code = "VERSION = 1\n" + HOOKS + TYPE.format("")
    async with author(tmp_path, code) as mine:
        alice = await mine.world.connect("alice")
        for own_id in "ab":
            await send(alice, own_id)
        await answers(alice, 2)
        changed = await mine.reload(code.replace("VERSION = 1", "VERSION = 2"))
        assert not changed.old_runs
        await send(alice, "c")
        await mine.world.connect("bob")
        await trio.sleep(5)
        assert [one for one in seen if one[0] == "committed"] == [
            ("committed", 1, "a"), ("committed", 1, "b"), ("committed", 2, "c"),
        ]  # fmt: skip
        assert [one for one in seen if one[0] in ("begins", "ends")] == [("begins", 1), ("ends", 1), ("begins", 2)]
        assert ("connected", 2, "bob") in seen


async def test_a_message_that_waits_in_the_old_code_is_finished_by_it(tmp_path: Path) -> None:
    code = """
    async def handle(draft):
        await trio.sleep(3)
        draft.payload.n = 1
    """
    async with author(tmp_path, textwrap.dedent(code) + TYPE.format("handle=handle")) as mine:
        alice, bob = await mine.world.connect("alice"), await mine.world.connect("bob")
        await send(alice, "a")
        await trio.sleep(1)
        await mine.reload(textwrap.dedent(code).replace("n = 1", "n = 2") + TYPE.format("handle=handle"))
        await send(alice, "b")
        assert [(await bob.next("t"))["payload"]["n"] for _ in range(2)] == [1, 2]


ROUTES = """
from quart import Blueprint
from relay.plugin import Routes
from relay.http import endpoint
b = Blueprint("mine", __name__)

@b.get("/api/mine/{path}")
@endpoint(access="open", answers={{200: dict[str, int]}})
async def view():
    await trio.sleep(2)
    return {{"version": {version}}}

@hookimpl
def relay_routes():
    return [Routes(blueprint=b)]
"""


async def test_routes_are_added_changed_and_removed(tmp_path: Path) -> None:
    async with author(tmp_path, ROUTES.format(path="one", version=1)) as mine:
        rest = mine.world.rest
        got: list[Any] = []

        async def slowly() -> None:
            got.append((await rest("GET", "/api/mine/one")).body)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(slowly)
            await trio.sleep(1)
            await mine.reload(ROUTES.format(path="one", version=2))
            assert (await rest("GET", "/api/mine/one")).body == {"version": 2}
        assert got == [{"version": 1}]
        await mine.reload(ROUTES.format(path="two", version=3))
        assert (await rest("GET", "/api/mine/one")).status == 404
        assert (await rest("GET", "/api/mine/two")).body == {"version": 3}
        assert "/api/mine/two" in (await rest("GET", "/openapi.json")).body["paths"]
        await mine.world.engine.reloader.unload("mine")
        assert (await rest("GET", "/api/mine/two")).status == 404


async def test_a_new_migration_runs_once_before_the_new_code(tmp_path: Path) -> None:
    steps = """
    from relay.plugin import Migration
    @hookimpl
    def relay_migrations():
        return [Migration(name="one", sql="CREATE TABLE mine_t (x)"){}]
    """
    async with author(tmp_path, steps.format("")) as mine:
        more = steps.format(', Migration(name="two", sql="ALTER TABLE mine_t ADD COLUMN y")')
        for _ in range(2):
            await mine.reload(more)
        columns = await mine.world.engine.runner.read(
            lambda connection: [row[1] for row in connection.execute("PRAGMA table_info(mine_t)")]
        )
        assert columns == ["x", "y"]


async def test_a_new_file_is_loaded_and_taken_out_again(tmp_path: Path) -> None:
    async with author(tmp_path, "") as mine:
        (mine.file.parent / "late.py").write_text(HEAD + TYPE.format('name="late"'))
        changed = await mine.reload(name="late")
        assert (changed.state, changed.types_added) == ("loaded", ["late"])
        alice = await mine.world.connect("alice")
        await send(alice, "a", "late")
        assert await answers(alice, 1) == {"a": "ack"}
        assert (await mine.world.engine.reloader.unload("late")).types_removed == ["late"]
        await send(alice, "b", "late")
        assert await answers(alice, 1) == {"b": "unknown_type"}


async def test_a_package_is_read_anew_with_all_of_its_modules(tmp_path: Path) -> None:
    async with author(tmp_path, "") as mine:
        package = mine.file.parent / "pack"
        package.mkdir()
        (package / "__init__.py").write_text(
            HEAD + "from .inner import PLACE\n" + TYPE.format('name="pack", priority=PLACE')
        )
        for place in (1, 2):
            (package / "inner.py").write_text(f"PLACE = {place}\n")
            await mine.reload(name="pack")
            assert mine.world.engine.registry.priority("pack") == place


async def test_its_memory_is_fresh_and_a_quarantine_is_over(tmp_path: Path) -> None:
    async with author(tmp_path, TYPE.format("prepare=lambda draft: 1 / 0")) as mine:
        engine = mine.world.engine
        engine.server_of("mine").memory["old"] = True
        alice = await mine.world.connect("alice")
        for number in range(11):
            await send(alice, str(number))
        await answers(alice, 11)
        guard = engine.registry.guard("mine")
        assert guard is not None and guard.quarantined  # noqa: PT018
        await mine.reload(TYPE.format(""))
        await send(alice, "well")
        assert await answers(alice, 1) == {"well": "ack"}
        assert engine.server_of("mine").memory == {}


async def test_one_that_was_left_out_at_the_start_is_loaded_once_it_is_mended(tmp_path: Path) -> None:
    async with author(tmp_path, "") as mine:
        bad = mine.file.parent / "bad.py"
        for code in ("1 / 0", "2 / 0"):
            bad.write_text(code)
            await mine.refused(name="bad")
        assert [broken.name for broken in mine.world.engine.registry.broken] == ["bad"]
        bad.write_text(HEAD + TYPE.format('name="bad"'))
        assert (await mine.reload(name="bad")).state == "loaded"
        assert mine.world.engine.registry.broken == []


async def test_where_a_service_cannot_take_the_new_parts_nothing_has_changed(tmp_path: Path) -> None:
    async with author(tmp_path, TYPE.format("priority=5")) as mine:
        registry = mine.world.engine.registry

        def refuse() -> None:
            if registry.priority("t") == 6:
                raise ValueError("not six")

        registry.when_changed(refuse)
        assert "ValueError: not six" in await mine.refused(TYPE.format("priority=6"))
        assert registry.priority("t") == 5
        alice = await mine.world.connect("alice")
        await send(alice, "a")
        assert await answers(alice, 1) == {"a": "ack"}
        assert (await mine.reload(TYPE.format("priority=7"))).state == "reloaded"


async def test_one_of_an_installed_package_is_read_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "site" / "relay_of_ours"
    package.mkdir(parents=True)
    monkeypatch.syspath_prepend(package.parent)
    entry = importlib.metadata.EntryPoint("packed", "relay_of_ours", "relay.plugins")
    monkeypatch.setattr(
        "relay.engine.discovery.installed", lambda: {"packed": Found("packed", "installed", entry=entry)}
    )
    (package / "__init__.py").write_text(
        HEAD + "from .inner import PLACE\n" + TYPE.format('name="packed", priority=PLACE')
    )
    (package / "inner.py").write_text("PLACE = 1\n")
    async with author(tmp_path, "", 'also = ["packed"]\n') as mine:
        (package / "inner.py").write_text("PLACE = 2\n")
        assert (await mine.reload(name="packed")).state == "reloaded"
        assert mine.world.engine.registry.priority("packed") == 2
        (package / "inner.py").write_text("PLACE = 1 / 0\n")
        assert "relay_of_ours/inner.py:1: ZeroDivisionError" in await mine.refused(name="packed")
        assert sys.modules["relay_of_ours.inner"].PLACE == 2


async def test_messages_of_before_and_after_keep_their_order(tmp_path: Path) -> None:
    async with author(tmp_path, TYPE.format("")) as mine:
        alice, bob = await mine.world.connect("alice"), await mine.world.connect("bob")
        dispatcher = mine.world.engine.dispatcher
        for number in range(3):
            await send(alice, f"before-{number}", n=number)
        dispatcher.pause()
        for number in range(3, 6):
            await send(alice, f"held-{number}", n=number)
        with trio.move_on_after(5):
            await answers(alice, 4)
            raise AssertionError("a message passed while messages are held")
        dispatcher.resume()
        assert [(await bob.next("t"))["payload"].get("n", 0) for _ in range(6)] == list(range(6))


async def test_a_name_that_is_not_enabled_or_not_there_is_told(tmp_path: Path) -> None:
    async with author(tmp_path, "") as mine:
        for name, hint in (("polls", "relay plugins install polls"), ("mien", "did you mean mine?")):
            with pytest.raises(RelayError, match=hint) as refused:
                await mine.reload(name=name)
            assert refused.value.code is ErrorCode.NOT_FOUND


async def test_every_bundled_plugin_can_be_loaded_anew(tmp_path: Path) -> None:
    options = 'also = ["polls", "bots", "webhooks", "retention", "notifications"]\n'
    async with author(tmp_path, TYPE.format(""), options) as mine:
        alice, bob = await mine.world.connect("alice"), await mine.world.connect("bob")
        names = [loaded.name for loaded in mine.world.engine.registry.loaded]
        for name in names:
            changed = await mine.reload(name=name)
            assert (changed.types_added, changed.types_removed) == ([], [])
        assert [loaded.name for loaded in mine.world.engine.registry.loaded] == names
        await send(alice, "a", "chat_message", content="hello")
        assert (await bob.next("chat_message"))["payload"]["content"] == "hello"
        found = (await mine.world.rest("GET", "/api/search?q=hello", "bob")).body
        assert len(found["results"]) == 1


async def test_code_that_a_reload_found_at_work_still_stores_messages_of_its_types(tmp_path: Path) -> None:
    async with author(tmp_path, TYPE.format("")) as mine:
        engine = mine.world.engine
        old, place = engine.server_of("mine"), await engine.channels.find("alice", "bob")
        await mine.reload()
        assert engine.server_of("mine") is not old
        assert (await old.post("alice", "t", {}, place)).seq == 1


WAITS = """
import trio
from relay.plugin import MessageHook, hookimpl
go_on = trio.Event()

async def wait(draft):
    await go_on.wait()

@hookimpl
def relay_message_hooks():
    return [MessageHook(types=frozenset({"chat_message"}), before=wait, order=-1)]
"""


async def test_a_message_whose_next_hook_is_gone_meanwhile_is_refused(tmp_path: Path) -> None:
    code = """
    from relay.plugin import MessageHook
    @hookimpl
    def relay_message_hooks():
        return [MessageHook(before=lambda draft: None)]
    """
    async with author(tmp_path, code) as mine:
        (mine.file.parent / "waits.py").write_text(WAITS)
        await mine.reload(name="waits")
        alice = await mine.world.connect("alice")
        await alice.send(
            {"type": "chat_message", "payload": {"content": "a"}, "meta": {"id": "a", "target_id": "bob"}}
        )
        await trio.sleep(1)
        await mine.world.engine.reloader.unload("mine")
        sys.modules["relay_plugin_waits"].go_on.set()
        assert (await alice.next("error"))["payload"]["code"] == "plugin_failed"
