"""The examples of docs/plugins/bots.md, played against a server."""

from pathlib import Path

import msgspec

from relay.app.plugin_admin import run_command
from relay.testing import world as open_world
from tests.docs.conversation import Conversation, agrees, blocks
from tests.docs.test_docs import rows
from tests.plugins.bots.people import ON

PAGE = Path(__file__).parents[3] / "docs" / "plugins" / "bots.md"


async def test_the_page_tells_what_happens(tmp_path: Path) -> None:
    shown = list(blocks(PAGE.read_text(encoding="utf-8")))
    (plugin,) = [block for block in shown if block.role == "plugin"]
    (tmp_path / "plugins.d").mkdir()
    (tmp_path / "plugins.d" / f"{plugin.device}.py").write_text(plugin.text)
    folder = {"RELAY_PLUGINS__DIRECTORIES": str(tmp_path / "plugins.d")}
    async with open_world(tmp_path, "alice", "bob", **ON, **folder) as world:
        await world.engine.groups.create("alice", "The team", ["bob"], "team")
        world.tokens["dice"] = await run_command(world.engine, "bot add", {"name": "dice"})
        conversation = Conversation(world)
        conversation.devices["client"] = await world.connect("alice", "alice-laptop")
        conversation.devices["dice"] = await world.connect("dice", "dice-1")
        asked = 0
        for block in shown:
            if block.role == "commands":
                answer = await world.rest("GET", "/api/commands?target_id=team", "alice")
                assert agrees(block.frame, answer.body), answer.body
                asked += 1
            await conversation.play(block)
        await conversation.nothing_more()
        played = [block for block in shown if block.role in ("client", "server")]
        assert (conversation.played, asked) == (len(played), 1)
        assert len(played) > 12


async def test_the_table_of_options_is_what_the_plugin_reads(tmp_path: Path) -> None:
    told = {row[0].strip("`"): row[1] for row in rows(PAGE.read_text(encoding="utf-8"), "For operators")}
    async with open_world(tmp_path, **ON) as world:
        (options,) = [one.options for one in world.engine.registry.loaded if one.name == "bots"]
    defaults = {
        name: msgspec.json.encode(value).decode() for name, value in msgspec.structs.asdict(options).items()
    }
    assert told == {name: value.removesuffix(".0") for name, value in defaults.items()}
