"""docs/protocol.md, played against a server in memory."""

import json
from pathlib import Path

from relay.protocol.session import Event
from relay.settings import Settings
from relay.storage.accounts import update_user
from relay.testing import World
from relay.testing import world as open_world
from tests.docs.conversation import NONE, Block, Conversation, blocks

PAGE = (Path(__file__).parents[2] / "docs" / "protocol.md").read_text(encoding="utf-8")
BLOCKS = list(blocks(PAGE))


async def test_every_frame_of_the_page_is_sent_and_answered_as_it_says(world: World) -> None:
    await world.engine.groups.create("alice", "The team", ["bob"], "team")
    await world.engine.runner.write(lambda connection: update_user(connection, "bob", admin=1))
    conversation = Conversation(world)
    for block in BLOCKS:
        await conversation.play(block)
    await conversation.nothing_more()
    unmarked = [block for block in BLOCKS if not block.role]
    assert conversation.played == len(BLOCKS) - len(unmarked) > 50


async def test_every_message_type_is_in_the_table_and_has_its_frame(tmp_path: Path) -> None:
    shown = {block.frame["type"] for block in BLOCKS if is_frame(block)}
    async with open_world(tmp_path) as world:
        types = world.engine.registry.types
        assert set(types) - {"audit_event", "report", "report_state"} <= shown  # for nobody, and for moderators
        for name, type_ in types.items():
            row = next(line for line in PAGE.splitlines() if line.startswith("| ") and f"`{name}`" in line)
            assert f"| {type_.kind} |" in row
            assert row.endswith(f"| {type_.priority} |" if type_.priority else f"| {NONE} |")


def test_every_connection_event_is_explained() -> None:
    shown = {block.frame["payload"].get("event") for block in BLOCKS if is_frame(block)}
    for event in Event:
        assert event in shown or f"**{event}**" in PAGE, event


def test_a_frame_that_is_only_shown_is_json_of_a_gap_as_the_server_makes_it() -> None:
    (shown,) = [block.frame for block in BLOCKS if block.language == "json" and not block.role]
    assert set(shown["payload"]) == {"event", "cursor", "replayed", "limited", "gaps"}
    assert set(shown["payload"]["gaps"][0]) == {"kind", "target_id", "from_seq", "to_seq"}


def test_the_limits_that_the_page_names_with_a_number_have_that_default() -> None:
    defaults = Settings()
    for name, value, told in [
        ("in_flight", defaults.limits.in_flight, "`[limits] in_flight` (256)"),
        ("messages_per_second", defaults.limits.messages_per_second, "`messages_per_second` (50,"),
        ("messages_burst", defaults.limits.messages_burst, "burst of 500"),
        ("events_per_second", defaults.limits.events_per_second, "`[limits] events_per_second` (100)"),
        (
            "small_frames_per_second",
            defaults.limits.small_frames_per_second,
            "`[limits] small_frames_per_second` (50)",
        ),
        ("bad_frames", defaults.limits.bad_frames, "`[limits] bad_frames` (20)"),
        ("frame_bytes", defaults.limits.frame_bytes // 1024, "`[limits] frame_bytes` (64 KiB)"),
        ("hello_seconds", defaults.timeouts.hello_seconds, "`[timeouts] hello_seconds` (10)"),
        ("close_seconds", defaults.timeouts.close_seconds, "`[timeouts] close_seconds` (2)"),
        ("limit", defaults.replay.limit, "`[replay] limit` (1,000)"),
    ]:
        assert told in PAGE, name
        assert f"{value:g}" in told.replace(",", ""), name


def is_frame(block: Block) -> bool:
    if block.language != "json":
        return False
    try:
        return "type" in json.loads(block.text)
    except ValueError:
        return False
