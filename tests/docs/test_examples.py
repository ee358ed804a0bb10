"""The plugins in the pages for authors: those of docs/plugins/examples.md are run, and all of them have right types."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpcore
import pytest
import trio

from relay.plugin.scaffold import write_plugin
from relay.testing import RelayWorld
from tests.docs.conversation import blocks
from tests.docs.test_docs import DOCS, ROOT, read
from tests.floors import CONTRACT, reached_services
from tests.http.network import Asked, Network, Reply

PAGE = "docs/plugins/examples.md"


def programs() -> Iterator[tuple[str, str]]:
    """Yield the name and the text of every example for authors that imports relay, plugins and programs alike."""
    for page in sorted((DOCS / "plugins").glob("*.md")):
        for number, block in enumerate(blocks(page.read_text(encoding="utf-8"))):
            if block.language == "python" and re.search(r"^(from|import) relay\b", block.text, re.MULTILINE):
                yield block.device if block.role else f"{page.stem}_{number}", block.text


def shown(name: str, folder: Path) -> Path:
    """Return a folder of plugins with one of the page."""
    (text,) = [block.text for block in blocks(read(PAGE)) if block.role == "plugin" and block.device == name]
    made = folder / "plugins.d"
    made.mkdir()
    (made / f"{name}.py").write_text(text, encoding="utf-8")
    return made


async def test_the_word_filter_hides_words_in_messages_and_in_what_edits_make_of_them(
    relay_world: RelayWorld, tmp_path: Path
) -> None:
    settings = {
        "RELAY_PLUGINS__WORD_FILTER__WORDS": '["frak", "c++"]',
        "RELAY_PLUGINS__WORD_FILTER__ACTION": "hide",
    }
    async with relay_world(shown("word_filter", tmp_path), "alice", "bob", **settings) as world:
        alice, bob = await world.connect("alice"), await world.connect("bob")
        sent = await alice.request("chat_message", {"content": "Frak this, not frakking."}, "bob")
        assert (await bob.next("chat_message"))["payload"]["content"] == "**** this, not frakking."
        edit = {"message_id": sent["payload"]["message_id"], "content": "oh frak"}
        assert (await alice.request("message_edit", edit, "bob"))["type"] == "ack"
        said = [one for one in await world.history("bob", "user", "alice") if one["type"] == "chat_message"]
        assert [one["payload"]["content"] for one in said] == ["oh ****"]


async def test_the_word_filter_refuses_by_default_and_needs_words(relay_world: RelayWorld, tmp_path: Path) -> None:
    async with relay_world(
        shown("word_filter", tmp_path), "alice", "bob", RELAY_PLUGINS__WORD_FILTER__WORDS='["frak"]'
    ) as world:
        alice = await world.connect("alice")
        refused = await alice.request("chat_message", {"content": "frak"}, "bob")
        assert (refused["payload"]["code"], refused["payload"]["retry"]) == ("forbidden", False)
        assert (await alice.request("chat_message", {"content": "fine"}, "bob"))["type"] == "ack"


async def test_a_place_stays_for_who_comes_later_and_a_live_one_is_over_by_itself(
    relay_world: RelayWorld, tmp_path: Path
) -> None:
    here = {"latitude": 52.5, "longitude": 13.4}
    async with relay_world(shown("location", tmp_path), "alice", "bob") as world:
        alice = await world.connect("alice")
        for latitude in (10.0, 52.5):
            await alice.request("location", here | {"latitude": latitude}, "bob")
        refused = await alice.request("location", here | {"latitude": 91}, "bob")
        assert "payload.latitude" in refused["payload"]["message"]
        bob = await world.connect("bob", cursor=0, epoch=world.engine.epoch)
        assert [one["payload"] for one in bob.replayed if one["type"] == "location"] == [here]
        await alice.request("location_live", {"here": here}, "bob")
        assert (await bob.next("location_live"))["payload"] == {"here": here}
        await alice.cut()
        assert (await bob.next("location_live"))["payload"] == {"here": None}


async def test_a_message_of_a_group_gets_a_translation_that_goes_with_it(
    relay_world: RelayWorld, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def translate(asked: Asked) -> Reply:
        said = json.loads(asked.body)["content"]
        return Reply(500) if said == "pardon" else Reply(200, json.dumps({"content": said.upper()}).encode())

    monkeypatch.setattr(httpcore, "TrioBackend", lambda: network)
    network = Network(translate, translate_example=["93.184.215.14"])
    trio.socket.set_custom_hostname_resolver(network)
    settings = {
        "RELAY_PLUGINS__TRANSLATE__URL": "https://translate.example/to/en",
        "RELAY_PLUGINS__TRANSLATE__GROUPS": '["team"]',
    }
    async with relay_world(shown("translate", tmp_path), "alice", "bob", **settings) as world:
        for group in ("team", "other"):
            await world.engine.groups.create("alice", group, ["bob"], group)
        alice, bob = await world.connect("alice"), await world.connect("bob")
        for said, group in (("hallo", "other"), ("pardon", "team"), ("hallo", "team")):
            sent = await alice.request("group_message", {"content": said}, group)
        frame = await bob.next("translation")
        message_id = sent["payload"]["message_id"]
        assert frame["payload"] == {"message_id": message_id, "text": "HALLO"}
        assert (frame["meta"]["sender_id"], frame["meta"]["target_id"]) == ("alice", "team")
        assert await told(world, "team") == [message_id]
        await alice.request("message_delete", {"message_id": message_id}, "team")
        assert await told(world, "team") == []
        assert world.engine.registry.guard("translate").failures == 0


async def told(world: Any, group: str) -> list[int]:
    """Return the messages of a group that have a translation."""
    page = (await world.rest("GET", f"/api/messages/group/{group}", "bob")).body
    return [one["payload"]["message_id"] for one in page["latest"] if one["type"] == "translation"]


def test_the_plugins_that_are_shown_have_right_types(tmp_path: Path) -> None:
    """`mypy --strict`, where an author has it: in a folder of theirs, with relay installed (`py.typed`)."""
    pytest.importorskip("mypy")
    examples = dict(programs())
    plugins = {name for name, text in examples.items() if "@hookimpl" in text}
    assert plugins >= {"poll_vote", "task", "word_filter", "location", "translate", "shop_users", "tally"}
    for name, text in examples.items():
        (tmp_path / f"{name}.py").write_text(text, encoding="utf-8")
    write_plugin("star_rating", tmp_path)
    cache = ROOT / ".mypy_cache" / "examples"
    command = [sys.executable, "-m", "mypy", "--strict", f"--cache-dir={cache}", "--config-file=", "."]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_plugins_that_are_shown_use_the_authors_contract_alone() -> None:
    for name, text in programs():
        assert not list(reached_services(ast.parse(text))), name
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "relay":
                assert node.module in (*CONTRACT, "relay.client"), f"{name}: {node.module}"
