"""What docs/plugins/bots.md shows, played against a server."""

from pathlib import Path
from typing import Any

import msgspec

from relay.app.plugin_admin import run_command
from relay.testing import world
from tests.docs.conversation import Conversation, agrees, blocks
from tests.docs.test_docs import rows
from tests.plugins.bots.people import ON

PAGE = Path(__file__).parents[3] / "docs" / "plugins" / "bots.md"


async def test_the_page_tells_what_happens(tmp_path: Path, autojump_clock: Any) -> None:
    shown = list(blocks(PAGE.read_text(encoding="utf-8")))
    async with world(tmp_path, "alice", "bob", **ON) as server:
        await server.engine.groups.create("alice", "The team", ["bob"], "team")
        server.tokens["dice"] = await run_command(server.engine, "bot add", {"name": "dice"})
        conversation = Conversation(server)
        conversation.devices["client"] = await server.connect("alice", "alice-laptop")
        conversation.devices["dice"] = await server.connect("dice", "dice-1")
        asked = 0
        for block in shown:
            if block.role == "commands":
                answer = await server.rest("GET", "/api/commands?target_id=team", "alice")
                assert agrees(block.frame, answer.body), answer.body
                asked += 1
            await conversation.play(block)
        await conversation.nothing_more()
        played = [block for block in shown if block.role in ("client", "server")]
        assert (conversation.played, asked) == (len(played), 1)
        assert len(played) > 12


async def test_the_table_of_options_is_what_the_plugin_reads(tmp_path: Path, autojump_clock: Any) -> None:
    told = {row[0].strip("`"): row[1] for row in rows(PAGE.read_text(encoding="utf-8"), "For operators")}
    async with world(tmp_path, **ON) as server:
        (options,) = [one.options for one in server.engine.registry.loaded if one.name == "bots"]
    defaults = {
        name: msgspec.json.encode(value).decode() for name, value in msgspec.structs.asdict(options).items()
    }
    assert told == {name: value.removesuffix(".0") for name, value in defaults.items()}
