"""What docs/plugins/tasks.md shows, played against a server."""

from pathlib import Path

from relay.testing import world as open_world
from tests.docs.conversation import Conversation, agrees, blocks
from tests.plugins.tasks.test_tasks import ON

PAGE = Path(__file__).parents[3] / "docs" / "plugins" / "tasks.md"


async def test_the_page_tells_what_happens(tmp_path: Path) -> None:
    shown = list(blocks(PAGE.read_text(encoding="utf-8")))
    async with open_world(tmp_path, "alice", "bob", **ON) as world:
        await world.engine.groups.create("alice", "The team", ["bob"], "team")
        conversation = Conversation(world)
        conversation.devices["client"] = await world.connect("alice", "alice-laptop")
        conversation.devices["bob"] = await world.connect("bob", "bob-phone")
        for block in shown:
            if block.role == "answer":
                answer = await world.rest("GET", "/api/tasks?target=team", "alice")
                assert agrees(block.frame, answer.body), answer.body
            await conversation.play(block)
        await conversation.nothing_more()
        assert conversation.played == len(shown) - 2
