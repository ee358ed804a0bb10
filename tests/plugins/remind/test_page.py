"""What docs/plugins/remind.md shows, played against a server."""

from pathlib import Path

from relay.testing import world as open_world
from tests.docs.conversation import Conversation, agrees, blocks

PAGE = Path(__file__).parents[3] / "docs" / "plugins" / "remind.md"


async def test_the_page_tells_what_happens(tmp_path: Path) -> None:
    shown = [block for block in blocks(PAGE.read_text(encoding="utf-8")) if block.language == "json"]
    async with open_world(tmp_path, "alice", "bob", RELAY_PLUGINS__ALSO="remind") as world:
        await world.engine.groups.create("alice", "The team", ["bob"], "team")
        conversation = Conversation(world)
        conversation.devices["client"] = await world.connect("alice", "alice-laptop")
        conversation.devices["bob"] = await world.connect("bob", "bob-phone")
        for block in shown:
            if block.role == "answer":
                answer = await world.rest("GET", "/api/reminders", "alice")
                assert agrees(block.frame, answer.body), answer.body
            await conversation.play(block)
        assert conversation.played == len(shown) - 1 == 7
