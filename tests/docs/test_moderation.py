"""The page about moderation: its plugin is run, with the frames under it."""

from __future__ import annotations

from pathlib import Path

from relay.testing import RelayWorld
from tests.docs.conversation import Conversation, blocks
from tests.docs.test_docs import read

PAGE = "docs/plugins/moderation.md"


async def test_the_filter_that_is_shown_does_what_the_page_says(relay_world: RelayWorld, tmp_path: Path) -> None:
    shown = list(blocks(read(PAGE)))
    (plugin,) = [block for block in shown if block.role == "plugin"]
    (tmp_path / "word_filter.py").write_text(plugin.text, encoding="utf-8")
    settings = {"RELAY_PLUGINS__WORD_FILTER__SHIELDED": '["carol"]', "RELAY_PLUGINS__REQUIRED": "word_filter"}
    async with relay_world(tmp_path, "alice", "bob", "carol", **settings) as world:
        assert world.engine.registry.remarks == []
        await world.engine.groups.create("alice", "Team", ["bob", "carol"], "team")
        conversation = Conversation(world)
        for name, device in (("alice", "laptop"), ("bob", "phone"), ("carol", "phone")):
            conversation.devices["client" if name == "alice" else name] = await world.connect(
                name, f"{name}-{device}"
            )
        frames = [block for block in shown if block.language == "json"]
        for block in frames:
            await conversation.play(block)
        assert conversation.played == len(frames) > 5
