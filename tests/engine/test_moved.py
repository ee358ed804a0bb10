"""Tests of moved names: each new one exists, no old one does, and a plugin is told."""

from __future__ import annotations

import importlib
import operator
import re
from pathlib import Path

import pytest

from relay.engine.loader import load
from relay.engine.moved import ARGUMENTS, INTERNAL, MOVED, SERVICES
from relay.plugin import Server
from relay.testing import World
from tests.plugin.authors import plugged, write

NAMES = [(module, old, new) for module, names in MOVED.items() for old, new in names.items()]
STILL_THERE = {
    ("relay.storage.log", "Entry"),
    ("relay.storage.log", "Unchanged"),
    ("relay.plugin.types", "Payload"),
}
"""Names that their old module still has for its own use."""


def exists(module: str, name: str) -> bool:
    try:
        return hasattr(importlib.import_module(module), name)
    except ModuleNotFoundError:
        return False


@pytest.mark.parametrize(("module", "old", "new"), NAMES)
def test_the_new_name_is_in_the_contract_and_the_old_one_is_gone(module: str, old: str, new: str) -> None:
    package, _, name = new.rpartition(".")
    assert exists(package, name)
    if package in ("relay.plugin", "relay.http"):
        assert name in importlib.import_module(package).__all__
    assert (module, old) in STILL_THERE or not exists(module, old)


@pytest.mark.parametrize("module", sorted(INTERNAL))
def test_a_module_of_relays_own_is_gone(module: str) -> None:
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module(module)


def test_renamed_arguments_are_those_of_the_server() -> None:
    methods = [method for part in Server.__mro__ for method in vars(part).values()]
    taken = {name for method in methods for name in getattr(method, "__annotations__", {})}
    assert set(ARGUMENTS.values()) <= taken
    assert not set(ARGUMENTS) & taken


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("from relay.plugin.server import Server", "relay.plugin.server is now relay.plugin: import Server from relay.plugin"),
        ("import relay.plugin.web", "relay.plugin.web is now relay.http: import Blueprint, Caller, ack_payload, admin, caller,"),
        ("from relay.plugin.parts import Coming", "DeviceEvent (was Coming) from relay.plugin"),
        ("from relay.plugin import Coming", "Coming is now DeviceEvent: import it from relay.plugin"),
        ("from relay.storage import erasing", "erase_messages (was erase) from relay.plugin"),
        ("from relay.storage.messages import find", "find is now find_in_channel: import it from relay.plugin"),
        ("from relay.storage import messages; messages.rewrite", "rewrite is now rewrite_message: import it from relay.plugin"),
        ("from relay.services.router import Draft_", ""),
        ("from relay.protocol.errors import Payload", "import Payload from relay.plugin"),
        ("from relay.plugin.guard import Guard", "relay.plugin.guard is relay's own, and is no more: plugins import from"),
        ("import nowhere", ""),
        ("from os import nothing", ""),
    ],
)  # fmt: skip
def test_a_plugin_of_an_earlier_version_is_told_the_new_place(tmp_path: Path, code: str, told: str) -> None:
    path = write(tmp_path, "old", code)
    (broken,) = load([], [tmp_path], {}).broken
    assert broken.reason.startswith(f"{path.name}:")
    if told:
        assert told in broken.reason
    else:
        assert "relay.plugin" not in broken.reason


async def test_one_that_meets_an_old_name_only_later_is_told_as_well(tmp_path: Path) -> None:
    code = """
        async def handle(draft: Draft) -> None:
            await draft.server.read(lambda connection: None, brief=True)
    """
    async with plugged(tmp_path, code, "handle=handle") as (world, alice, _):
        answer = await alice.request("t", {"n": 1}, "bob")
        assert answer["payload"]["code"] == "plugin_failed"
        assert last_failure(world, "mine").endswith("; the argument brief is now inline")


async def test_one_that_reaches_for_a_service_is_told_the_interface_at_the_start_and_when_it_fails(
    tmp_path: Path,
) -> None:
    code = """
        async def handle(draft: Draft) -> None:
            if draft.payload.n:
                await draft.server.services.groups.get("alice", "team")
    """
    told = "server.services.groups is now server.groups; docs/plugins/hooks.md has the interfaces"
    async with plugged(tmp_path, code, "handle=handle") as (world, alice, _):
        assert f"plugin 'mine': mine.py:16: {told}" in world.engine.registry.remarks
        assert (await alice.request("t", {"n": 0}, "bob"))["type"] == "ack"
        assert (await alice.request("t", {"n": 1}, "bob"))["payload"]["code"] == "plugin_failed"
        assert told in last_failure(world, "mine")


async def test_what_there_is_instead_of_a_service_is_there(world: World) -> None:
    server = world.engine.server_of("search")
    for service, new in SERVICES.items():
        with pytest.raises(AttributeError, match=f"server.services.{service} is now"):
            getattr(server.services, service)
        for dotted in re.findall(r"server((?:\.\w+)+)", new):
            operator.attrgetter(dotted[1:])(server)
    with pytest.raises(AttributeError, match="nothing that plugins may use"):
        _ = server.services.attachments


def last_failure(world: World, plugin: str) -> str:
    guard = world.engine.registry.guard(plugin)
    assert guard is not None
    assert guard.last is not None
    return guard.last
