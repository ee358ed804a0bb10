"""What docs/topics/streaming.md shows, played against a server."""

from pathlib import Path

import msgspec

from plugins.message_stream.options import Options
from relay.testing import World
from tests.docs.conversation import Conversation, blocks
from tests.docs.test_docs import rows

PAGE = (Path(__file__).parents[3] / "docs" / "topics" / "streaming.md").read_text(encoding="utf-8")


async def test_the_page_tells_what_happens(world: World) -> None:
    await world.talk("bob", "bob", 1)
    shown = [block for block in blocks(PAGE) if block.language == "json"]
    conversation = Conversation(world)
    conversation.devices["client"] = await world.connect("alice", "alice-laptop")
    conversation.devices["bob"] = await world.connect("bob", "bob-phone")
    for block in shown:
        await conversation.play(block)
    await conversation.nothing_more()
    assert conversation.played == len(shown) > 10


def test_the_table_of_settings_is_that_of_the_plugin() -> None:
    told = {row[0].strip("`"): row[1] for row in rows(PAGE, "Limits")}
    assert told == {field.name: f"{field.default:g}" for field in msgspec.structs.fields(Options)}
