"""The page about scheduled work: its plugin is loaded, and its test is run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import trio

from relay.testing import RelayWorld
from tests.docs.conversation import blocks
from tests.docs.test_docs import read

PAGE = "docs/plugins/schedules.md"


def placed(folder: Path) -> tuple[Path, str]:
    shown = list(blocks(read(PAGE)))
    (plugin,) = [block for block in shown if block.role == "plugin"]
    (test,) = [block for block in shown if block.role == "test"]
    made = folder / "plugins.d"
    made.mkdir()
    (made / f"{plugin.device}.py").write_text(plugin.text, encoding="utf-8")
    return made, test.text


async def test_the_test_that_is_shown_passes(relay_world: RelayWorld, tmp_path: Path) -> None:
    folder, text = placed(tmp_path)
    names: dict[str, Any] = {"__file__": str(folder / "test_send_later.py")}
    exec(compile(text, "test_send_later.py", "exec"), names)
    await names["test_a_text_is_sent_at_its_time"](relay_world)


async def test_what_was_to_be_sent_is_replaced_and_taken_back(relay_world: RelayWorld, tmp_path: Path) -> None:
    folder, _text = placed(tmp_path)
    async with relay_world(folder, "alice", "bob") as world:
        alice, soon = await world.connect("alice"), world.engine.now() + 30
        for name, content in (("a", "one"), ("a", "two"), ("b", "three"), ("b", "")):
            later = {"name": name, "content": content, "at": soon}
            assert (await alice.request("send_later", later, "bob"))["type"] == "ack"
        refused = await alice.request("send_later", {"name": "c", "content": "x", "at": soon - 60}, "bob")
        assert refused["payload"]["code"] == "invalid_payload"
        await trio.sleep(40)
        assert [one["payload"]["content"] for one in await world.history("bob", "user", "alice")] == ["two"]
