"""Rules of `relay.toml`: which messages notify whom, what they store, and what is wrong with one, by key and line."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio

from relay.engine.loader import load
from relay.settings import load as read_settings
from tests.plugins.notifications.conftest import SOON, Notifying, Outside

GROUP = '{do = "push", groups = ["team"]}'


@pytest.mark.parametrize(
    ("rules", "told"),
    [
        ("", ["direct", "mention"]),
        (GROUP, ["direct", "plain", "mention", "word"]),
        ('{do = "nothing", kinds = ["group"]}', ["direct"]),
        ('{do = "push", words = ["outage", "down"]}', ["direct", "mention", "word"]),
        ('{do = "push", words = ["out", "utage"]}', ["direct", "mention"]),
        ('{do = "nothing", senders = ["alice"]}, ' + GROUP, []),
        ('{do = "nothing", senders = ["carol"]}', ["direct", "mention"]),
        ('{do = "nothing", users = ["carol"]}, ' + GROUP, ["direct", "plain", "mention", "word"]),
        ('{do = "push", kinds = ["group"], mention = false}', ["direct", "plain", "mention", "word"]),
        ('{do = "nothing", mention = true}', ["direct"]),
        ('{do = "nothing", types = ["chat_message"]}', ["mention"]),
        ('{do = "push", groups = ["ops"]}', ["direct", "mention"]),
    ],
)
async def test_the_first_rule_that_fits_decides(notifying: Notifying, rules: str, told: list[str]) -> None:
    async with notifying(rules=f"[{rules}]") as town:
        await town.group("alice", "bob")
        await town.ntfy("bob")
        for target, text, mentions in (
            ("bob", "direct", []),
            ("team", "plain", []),
            ("team", "mention", ["bob"]),
            ("team", "word: OUTAGE!", []),
        ):
            ack = await town.say("alice", target, text, **({"mentions": mentions} if mentions else {}))
            await trio.sleep(SOON)
            await town.read("bob", "alice" if target == "bob" else target, ack["seq"])
            await trio.sleep(SOON)
        assert [said["message"].partition(":")[0] for said in town.outside.ntfy.published] == told


async def test_without_the_defaults_only_the_rules_hold(notifying: Notifying) -> None:
    async with notifying(defaults=False, rules='[{words = ["now"]}]') as town:
        await town.ntfy("bob")
        await town.say("alice", "bob", "later")
        await town.say("alice", "bob", "now")
        await trio.sleep(SOON)
        assert town.outside.ntfy.texts == [("alice", "now")]


async def test_a_rule_writes_title_and_body_and_says_how_urgent_it_is(notifying: Notifying) -> None:
    rule = (
        '{title = "{conversation}: {count} by {sender} ({sender_id}, {type})", body = "<{text}>", urgent = false}'
    )
    async with notifying(rules=f"[{rule}]") as town:
        await town.group("alice", "bob")
        await town.ntfy("bob")
        for text in ("one", "{text}"):
            await town.say("alice", "team", text)
        await trio.sleep(SOON)
        assert town.outside.ntfy.texts == [("Team: 2 by alice (alice, group_message)", "<{text}>")]
        assert town.outside.ntfy.published[0]["priority"] == 3


async def test_a_rule_stores_a_notification_once_in_the_users_own_channel(
    notifying: Notifying, outside: Outside, tmp_path: Path
) -> None:
    rule = '{do = "store", groups = ["ops"], words = ["down"], title = "Trouble in {conversation}"}'
    async with notifying(rules=f"[{rule}]", sender="watch", name="The watch") as town:
        await town.group("alice", "bob", "carol", group_id="ops")
        await town.ntfy("carol")
        ack = await town.say("alice", "ops", "db1 is down")
        async with town.world.after_crash(tmp_path / "again"):
            await trio.sleep(SOON)
        await trio.sleep(SOON)
        for user in ("bob", "carol"):
            (stored,) = (await town.rest("GET", "/api/notifications", user))["messages"]
            assert stored["meta"]["sender_id"] == "watch"
            assert stored["payload"] == {
                "title": "Trouble in Ops",
                "body": "db1 is down",
                "data": {"message_id": ack["message_id"], "kind": "group", "target_id": "ops"},
            }
        assert (await town.rest("GET", "/api/notifications", "alice"))["messages"] == []
        assert set(outside.ntfy.texts) == {("Trouble in Ops", "db1 is down")}


async def test_what_is_stored_and_pushed_goes_out_once(notifying: Notifying) -> None:
    async with notifying(rules='[{do = ["store", "push"], kinds = ["user"]}]') as town:
        await town.ntfy("bob")
        await town.say("alice", "bob", "Lunch?")
        await trio.sleep(2 * SOON)
        assert [said["message"] for said in town.outside.ntfy.published] == ["Lunch?"]
        (stored,) = (await town.rest("GET", "/api/notifications", "bob"))["messages"]
        assert stored["payload"]["data"]["pushed"] is True


async def test_storing_for_many_waits_for_its_rate_and_loses_none(notifying: Notifying) -> None:
    people = [f"u{number}" for number in range(60)]
    async with notifying("alice", *people, rules='[{do = "store", kinds = ["group"]}]') as town:
        town.world.engine.server_of("notifications")._pace._rate = 2.0
        town.world.engine.server_of("notifications")._pace._burst = 5.0
        await town.group("alice", *people)
        await town.say("alice", "team", "hello")
        await trio.sleep(60)
        for user in people:
            assert len((await town.rest("GET", "/api/notifications", user))["messages"]) == 1


RULE = "plugins.notifications.rules.1"
WRONG = [
    ('do = "shout"', 4, f"{RULE}.do: Invalid enum value 'shout'"),
    ("do = []", 2, f'[{RULE}]: do is "push", "store", ["push", "store"] or "nothing"'),
    ('title = "{txt}"', 2, f"[{RULE}]: title: {{txt}} is not known; there are {{title}}, {{text}}, {{sender}}"),
    ('body = "{text.__class__}"', 2, f"[{RULE}]: body: {{text.__class__}} is not known"),
    ('body = "{text!r}"', 2, f"[{RULE}]: body: {{text}} is not known"),
    ('body = "{"', 2, f"[{RULE}]: body: "),
    ('kinds = ["room"]', 4, f"{RULE}.kinds: Invalid enum value 'room' - at `kinds[0]`"),
    ("wrds = []", 4, f"{RULE}.wrds: no such option; did you mean words?"),
    ("words = [3]", 4, f"{RULE}.words: Expected `str`, got `int` - at `words[0]`"),
]


@pytest.mark.parametrize(("wrong", "line", "told"), WRONG, ids=[wrong for wrong, _, _ in WRONG])
def test_a_wrong_rule_is_named_with_its_line(tmp_path: Path, wrong: str, line: int, told: str) -> None:
    file = tmp_path / "relay.toml"
    table = "[[plugins.notifications.rules]]"
    file.write_text(f'{table}\n{table}\nusers = ["bob"]\n{wrong}\n')
    settings = read_settings(file, {})
    registry = load(["notifications"], [], settings.plugins.options, places=settings.plugins.places)
    (broken,) = registry.broken
    assert broken.reason.startswith(f"{file}:{line}: {told}"), broken.reason


@pytest.mark.parametrize(
    ("key", "value", "told"),
    [
        ("allow_networks", '["10.0.0.1/8"]', "allow_networks: 10.0.0.1/8 has host bits set; right is 10.0.0.0/8"),
        ("link", '"https://chat/{room}"', "link: {room} is not known; there are {kind}, {target_id}"),
        ("contact", '"admin"', "Expected `str` matching regex"),
        ("delay_seconds", "-1", "Expected `float` >= 0"),
        ("email", '{host = "mail", from = "x"}', "Expected `str` matching regex"),
        ("email", '{host = "mail", from = "a@b.c", username = "u"}', "username needs password or password_file"),
        (
            "email",
            '{host = "m", from = "a@b.c", username = "u", password_file = "/none"}',
            "cannot be read: No such",
        ),
        ("email", '{host = "m", from = "a@b.c", username = "u", password = "pässword"}', "are ASCII only"),
        (
            "email",
            '{host = "m", from = "a@b.c", username = "u", password = "a", password_file = "b"}',
            "one is right",
        ),
        ("delay_second", "1", "no such option; did you mean delay_seconds?"),
    ],
)
def test_a_wrong_option_is_named(tmp_path: Path, key: str, value: str, told: str) -> None:
    file = tmp_path / "relay.toml"
    file.write_text(f"[plugins.notifications]\n{key} = {value}\n")
    settings = read_settings(file, {})
    (broken,) = load(["notifications"], [], settings.plugins.options, places=settings.plugins.places).broken
    assert told in broken.reason
    assert key in broken.reason
