"""The examples of docs/plugins/actions.md, played against a server."""

from pathlib import Path

import msgspec

from relay.testing import world as open_world
from tests.docs.conversation import Conversation, blocks
from tests.docs.test_docs import rows

PAGE = (Path(__file__).parents[3] / "docs" / "plugins" / "actions.md").read_text(encoding="utf-8")


async def test_the_page_tells_what_happens(tmp_path: Path) -> None:
    shown = list(blocks(PAGE))
    (plugin,) = [block for block in shown if block.role == "plugin"]
    (tmp_path / "plugins.d").mkdir()
    (tmp_path / "plugins.d" / f"{plugin.device}.py").write_text(plugin.text)
    folder = {"RELAY_PLUGINS__DIRECTORIES": str(tmp_path / "plugins.d")}
    async with open_world(tmp_path, "alice", "bob", **folder) as world:
        await world.engine.groups.create("alice", "The team", ["bob"], "team")
        conversation = Conversation(world)
        conversation.devices["client"] = await world.connect("alice", "alice-laptop")
        conversation.devices["bob"] = await world.connect("bob", "bob-1")
        for block in shown:
            await conversation.play(block)
        await conversation.nothing_more()
        assert conversation.played == len([block for block in shown if block.language == "json"]) > 15


def test_the_bot_of_the_page_is_python() -> None:
    (bot,) = [block for block in blocks(PAGE) if block.role == "bot"]
    compile(bot.text, "asking", "exec")


async def test_the_table_of_options_is_what_the_plugin_reads(tmp_path: Path) -> None:
    told = {row[0].strip("`"): row[1] for row in rows(PAGE, "For operators")}
    async with open_world(tmp_path) as world:
        (options,) = [one.options for one in world.engine.registry.loaded if one.name == "actions"]
    assert told == {
        name: msgspec.json.encode(value).decode() for name, value in msgspec.structs.asdict(options).items()
    }
