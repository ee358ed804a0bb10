"""A plugin of somebody else's, in one short file: it comes, works, goes and comes back, and nothing else notices."""

from __future__ import annotations

import base64
import hashlib
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from relay.app.plugin_admin import list_plugins, run_command
from relay.protocol.errors import RelayError
from relay.testing import World
from relay.testing import world as open_world

EXAMPLE = Path(__file__).parent / "examples" / "shopping_item.py"


def test_it_is_one_file_of_less_than_sixty_lines() -> None:
    assert len(EXAMPLE.read_text().splitlines()) < 60


async def works(world: World, had: list[str], new: str) -> list[str]:
    """Send an item, and see that socket, history, search, route and command know it; return what is to buy."""
    alice, bob = await world.connect("alice"), await world.connect("bob")
    answer = await alice.request("shopping_item", {"item": new}, "home")
    assert answer["type"] == "ack", answer
    assert (await bob.next("shopping_item"))["payload"]["item"] == new
    found = await world.rest("GET", f"/api/search?q={new}", "bob")
    assert [one["message"]["payload"]["item"] for one in found.body["results"]] == [new]
    items = sorted([*had, new])
    rows = [{"item": item} for item in items]
    told = await world.rest("GET", "/api/shopping/home", "bob")
    assert (told.status, told.body) == (200, rows)
    assert (await world.rest("GET", "/api/shopping/home", "carol")).status == 404
    assert await run_command(world.engine, "shopping list", {"group_id": "home"}) == rows
    refused = await alice.request("shopping_item", {"item": ""}, "home")
    assert refused["payload"]["code"] == "invalid_payload"
    await alice.cut()
    await bob.cut()
    return items


async def is_gone(world: World, said: list[str]) -> None:
    """See that the server goes on without the plugin, and still has what it stored."""
    assert world.engine.registry.broken == []
    page = await world.history("bob", "group", "home")
    assert [one["payload"]["item"] for one in page if one["type"] == "shopping_item"] == said
    bob = await world.connect("bob", "bob-new", cursor=0, epoch=world.engine.epoch)
    assert [one["payload"]["item"] for one in bob.replayed if one["type"] == "shopping_item"] == said
    refused = await bob.request("shopping_item", {"item": "tea"}, "home")
    assert refused["payload"]["code"] == "unknown_type"
    assert (await bob.request("group_message", {"content": "no list today"}, "home"))["type"] == "ack"
    first = next(one for one in page if one["type"] == "shopping_item")
    like = {"message_id": first["meta"]["message_id"], "emoji": "👍", "on": True}
    assert (await bob.request("reaction", like, "home"))["type"] == "ack"
    assert (await world.rest("GET", "/api/shopping/home", "bob")).status == 404
    assert (await world.rest("GET", "/api/search?q=today", "bob")).status == 200
    with pytest.raises(RelayError, match="shopping list"):
        await run_command(world.engine, "shopping list", {"group_id": "home"})


async def test_it_works_survives_a_restart_goes_and_comes_back(tmp_path: Path) -> None:
    folder = tmp_path / "plugins.d"
    folder.mkdir()
    settings = {"RELAY_PLUGINS__DIRECTORIES": str(folder)}
    shutil.copy(EXAMPLE, folder)
    async with open_world(tmp_path, "alice", "bob", "carol", **settings) as world:
        tokens = world.tokens
        await world.engine.groups.create("alice", "Home", ["bob"], "home")
        items = await works(world, [], "bread")
    async with open_world(tmp_path, **settings) as world:
        world.tokens = tokens
        items = await works(world, items, "apples")
    (folder / EXAMPLE.name).unlink()
    async with open_world(tmp_path, **settings) as world:
        world.tokens = tokens
        await is_gone(world, ["bread", "apples"])
    shutil.copy(EXAMPLE, folder)
    async with open_world(tmp_path, **settings) as world:
        world.tokens = tokens
        items = await works(world, items, "coffee")
        alice = await world.connect("alice")
        await alice.request("shopping_item", {"item": "bread", "bought": True}, "home")
        left = (await world.rest("GET", "/api/shopping/home", "alice")).body
        assert [row["item"] for row in left] == [item for item in items if item != "bread"]
    async with open_world(tmp_path, **settings) as world:
        world.tokens = tokens
        assert (await world.rest("GET", "/api/search?q=bread", "bob")).body["results"] != []


def wheel(folder: Path) -> Path:
    """Make the package that docs/plugins/publishing.md describes, as a wheel: a zip with three files of its own."""
    name, module, info = "relay-shopping-item", "relay_shopping_item", "relay_shopping_item-1.0.dist-info"
    files = {
        f"{module}.py": EXAMPLE.read_text(),
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\nRequires-Dist: relay-server\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: a test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/entry_points.txt": f"[relay.plugins]\nshopping_item = {module}\n",
    }
    lines = []
    for path, text in files.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
        lines.append(f"{path},sha256={digest},{len(text.encode())}\n")
    made = folder / f"{module}-1.0-py3-none-any.whl"
    with zipfile.ZipFile(made, "w") as archive:
        for path, text in (files | {f"{info}/RECORD": "".join(lines) + f"{info}/RECORD,,\n"}).items():
            archive.writestr(path, text)
    return made


def pip(*arguments: str) -> None:
    quiet = ["--quiet", "--disable-pip-version-check", "--no-index", "--no-deps"]
    subprocess.run(
        [sys.executable, "-m", "pip", "install", *quiet, *arguments], check=True, timeout=60, capture_output=True
    )


async def test_it_works_as_an_installed_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    site = tmp_path / "site"
    pip("--target", str(site), str(wheel(tmp_path)))
    monkeypatch.syspath_prepend(str(site))
    async with open_world(tmp_path, "alice", "bob", "carol") as world:
        tokens = world.tokens
        await world.engine.groups.create("alice", "Home", ["bob"], "home")
        (row,) = [one for one in await list_plugins(world.engine) if one["name"] == "shopping_item"]
        assert (row["state"], row["source"]) == ("off", "installed")
    async with open_world(tmp_path, RELAY_PLUGINS__ALSO="shopping_item") as world:
        world.tokens = tokens
        await works(world, [], "bread")
        (row,) = [one for one in await list_plugins(world.engine) if one["name"] == "shopping_item"]
        assert (row["state"], row["source"], row["types"]) == ("running", "installed", "shopping_item")
    async with open_world(tmp_path) as world:
        world.tokens = tokens
        await is_gone(world, ["bread"])


@pytest.mark.e2e
def test_the_command_line_has_the_commands_of_an_installed_package(tmp_path: Path) -> None:
    site = tmp_path / "site"
    pip("--target", str(site), str(wheel(tmp_path)))
    environ = {name: value for name, value in os.environ.items() if not name.startswith("RELAY_")}
    environ |= {"PYTHONPATH": os.pathsep.join([str(site), str(Path(__file__).parents[2])])}

    def relay(*arguments: str, **more: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "relay", *arguments], cwd=tmp_path, env=environ | more, timeout=60,
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        return done.stdout

    on = {"RELAY_PLUGINS__ALSO": "shopping_item"}
    assert "message types: shopping_item" in relay("plugins", "check", "shopping_item")
    assert relay("shopping", "list", "home", **on) == ""
    assert "shopping" in relay("--help", **on)
    assert "shopping" not in relay("--help")
