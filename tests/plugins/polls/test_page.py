"""What docs/plugins/polls.md shows, played against a server."""

from pathlib import Path

from relay.testing import world as open_world
from tests.docs.conversation import Conversation, agrees, blocks
from tests.plugins.polls.test_polls import ON

PAGE = Path(__file__).parents[3] / "docs" / "plugins" / "polls.md"


async def test_the_page_tells_what_happens(tmp_path: Path) -> None:
    shown = list(blocks(PAGE.read_text(encoding="utf-8")))
    async with open_world(tmp_path, "alice", "bob", **ON) as world:
        await world.engine.groups.create("alice", "The team", ["bob"], "team")
        conversation = Conversation(world)
        conversation.devices["client"] = await world.connect("alice", "alice-laptop")
        conversation.devices["bob"] = await world.connect("bob", "bob-phone")
        answers = {"answer": "/api/polls/2", "voters": "/api/polls/2/votes"}
        asked = 0
        for block in shown:
            if block.role in answers:
                answer = await world.rest("GET", answers[block.role], "alice")
                assert agrees(block.frame, answer.body), answer.body
                asked += 1
            await conversation.play(block)
        await conversation.nothing_more()
        assert (conversation.played, asked) == (len(shown) - 3, 2)
