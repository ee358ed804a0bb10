"""Mattermost's exports as records: channels of teams, direct ones, posts with their replies, and what cannot be read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from relay.app.converting.archives import ExportError
from tests.app.converting.made import Read, in_folder, in_zip, lines

START = 1_600_000_000_000

TEAM = {"type": "team", "team": {"name": "acme", "display_name": "Acme", "type": "O"}}
TOWN = {
    "type": "channel",
    "channel": {
        "team": "acme", "name": "town", "display_name": "Town Square", "type": "O", "header": "Head", "purpose": "Purpose",
    },
}  # fmt: skip
OLD = {"type": "channel", "channel": {"team": "acme", "name": "old", "type": "P", "deleted_at": START}}


def user(name: str, *channels: str, team: str = "acme", roles: str = "", **more: Any) -> dict[str, Any]:
    listed = [
        {"name": channel.strip("*"), "roles": "channel_user" + " channel_admin" * ("*" in channel)}
        for channel in channels
    ]
    return {
        "type": "user",
        "user": {"username": name, "roles": roles, "teams": [{"name": team, "channels": listed}], **more},
    }


PEOPLE = [
    user("alice", "town", email="alice@example.org", first_name="Alice", last_name="Liddell"),
    user("bob", "town*", "old", nickname="Bobby"),
    user("carol", "town", delete_at=START),
    user("visitor", "town", roles="system_guest"),
    {"type": "bot", "bot": {"username": "ci", "owner": "bob", "display_name": "CI"}},
]
BASE = (TEAM, TOWN, OLD, *PEOPLE)


def post(second: float, text: str = "", by: str = "alice", **more: Any) -> dict[str, Any]:
    return {"type": "post", "post": {"team": "acme", "channel": "town", **said(second, text, by, **more)}}


def direct(second: float, text: str, *members: str, **more: Any) -> dict[str, Any]:
    return {
        "type": "direct_post",
        "direct_post": {"channel_members": list(members), **said(second, text, members[0], **more)},
    }


def said(second: float, text: str, by: str, **more: Any) -> dict[str, Any]:
    return {"user": by, "message": text, "create_at": START + int(second * 1000), **more}


def read(folder: Path, *objects: Any, people: dict[str, str] | None = None) -> Read:
    path = folder / "import.jsonl"
    path.write_bytes(lines(*BASE, *objects))
    return Read("mattermost", path, people)


def test_people_and_bots_are_users(tmp_path: Path) -> None:
    assert read(tmp_path).all("user") == [
        {"record": "user", "user_id": "alice", "name": "Alice Liddell", "mail": "alice@example.org"},
        {"record": "user", "user_id": "bob", "name": "Bobby"},
        {"record": "user", "user_id": "carol", "name": "carol", "disabled": True},
        {"record": "user", "user_id": "ci", "name": "CI"},
        {"record": "user", "user_id": "visitor", "name": "visitor", "role": "guest"},
    ]


def test_channels_are_groups(tmp_path: Path) -> None:
    old, town = read(tmp_path, post(5, "a")).all("group")
    assert town == {
        "record": "group", "group_id": "acme-town", "name": "Town Square", "description": "Head\nPurpose", "public": True,
        "created_at": 1_600_000_005, "made_by": "bob",
        "members": [{"user_id": "alice"}, {"user_id": "bob", "role": "owner"}, {"user_id": "carol"}, {"user_id": "visitor"}],
    }  # fmt: skip
    assert (old["group_id"], old["name"], old["closed_at"]) == ("acme-old", "old", START / 1000)


def test_channels_of_several_teams_are_told_apart(tmp_path: Path) -> None:
    team = {"type": "team", "team": {"name": "umbrella"}}
    town = {
        "type": "channel",
        "channel": {"team": "umbrella", "name": "town", "display_name": "Town Square", "type": "P"},
    }
    made = read(tmp_path, team, town, user("dora", "town", team="umbrella"))
    assert [(one["group_id"], one["name"]) for one in made.all("group")] == [
        ("acme-old", "old (Acme)"), ("acme-town", "Town Square (Acme)"), ("umbrella-town", "Town Square (umbrella)"),
    ]  # fmt: skip


def test_direct_channels_are_of_two_of_oneself_or_a_group_of_a_few(tmp_path: Path) -> None:
    made = read(
        tmp_path,
        {"type": "direct_channel", "direct_channel": {"members": ["alice", "bob", "carol"], "header": "Us"}},
        direct(1, "hi", "bob", "alice"),
        direct(2, "note", "alice", "alice"),
        direct(3, "all", "carol", "bob", "alice"),
    )
    assert made.texts("user:alice:bob") == ["hi"]
    assert made.texts("user:alice") == ["note"]
    few = made.all("group")[-1]
    assert (few["group_id"], few["name"], few["description"]) == (
        "alice-bob-carol",
        "Alice Liddell, Bobby, carol",
        "Us",
    )
    assert made.texts("group:alice-bob-carol") == ["all"]


def test_participants_of_newer_versions_are_members(tmp_path: Path) -> None:
    few = {"participants": [{"username": "alice", "last_viewed_at": 1}, {"username": "bob"}, {"username": "ci"}]}
    made = read(tmp_path, {"type": "direct_channel", "direct_channel": few})
    assert made.all("group")[-1]["group_id"] == "alice-bob-ci"


def test_posts_and_replies_come_in_the_order_of_their_times(tmp_path: Path) -> None:
    made = read(
        tmp_path,
        post(9, "late"),
        post(
            1,
            "root",
            replies=[said(8, "second", "bob"), said(3, "first", "carol")],
            thread_followers=[{"user": "visitor"}],
        ),
        post(5, "between", "bob"),
        direct(4, "aside", "bob", "alice"),
    )
    assert made.texts() == ["root", "first", "aside", "between", "second", "late"]
    root, first = made.messages("group:acme-town")[:2]
    assert first["payload"] == {"content": "first", "thread": root["id"]}
    assert root["at"] == 1_600_000_001
    assert made.all("thread") == [{"record": "thread", "root": root["id"], "user_id": "visitor"}]
    assert made.kinds == {}


def test_reactions_edits_pins_and_saved_messages_come_along(tmp_path: Path) -> None:
    given = [
        {"user": "bob", "emoji_name": "+1", "create_at": START + 7000},
        {"user": "bob", "emoji_name": "own_one"},
    ]
    made = read(
        tmp_path, post(1, "x", reactions=given, edit_at=START + 4000, is_pinned=True, flagged_by=["carol"])
    )
    assert made.messages()[0]["edited_at"] == 1_600_000_004
    assert [(one["type"], one["by"], one["at"], one["payload"].get("emoji")) for one in made.all("value")] == [
        ("reaction", "bob", 1_600_000_007, "👍"), ("reaction", "bob", 1_600_000_001, "own_one"),
        ("pin", "bob", 1_600_000_001, None), ("saved_message", "carol", 1_600_000_001, None),
    ]  # fmt: skip
    assert made.kinds == {"own_emoji": 1}


@pytest.mark.parametrize("place", ["data/20200913/teams/x/cat.png", "20200913/teams/x/cat.png"])
def test_files_come_along_where_they_are_in_the_archive(tmp_path: Path, place: str) -> None:
    files = [{"path": "20200913/teams/x/cat.png"}, {"path": "../../etc/passwd"}]
    export = {"import.jsonl": lines(*BASE, post(1, "see", attachments=files)), place: b"\x89PNG"}
    made = Read("mattermost", in_zip(tmp_path / "a.zip", export))
    (attachment,) = made.all("attachment")
    assert (attachment["name"], attachment["size"]) == ("cat.png", 4)
    assert made.messages()[0]["payload"] == {
        "content": "see\n📎 passwd",
        "attachments": [attachment["attachment_id"]],
    }
    assert made.kinds == {"file_not_in_export": 1}


EVENTS: list[tuple[dict[str, Any], dict[str, Any] | None]] = [
    (post(1, "j", type="system_join_channel"), {"event": "member_added", "user_id": "alice"}),
    (post(1, "j", type="system_add_to_channel", props={"addedUsername": "bob"}), {"event": "member_added", "user_id": "bob"}),
    (post(1, "l", type="system_leave_channel"), {"event": "member_removed", "user_id": "alice"}),
    (post(1, "l", type="system_remove_from_channel", props={"removedUsername": "bob"}), {"event": "member_removed", "user_id": "bob"}),
    (post(1, "r", type="system_displayname_change", props={"new_displayname": "T"}), {"event": "renamed", "name": "T"}),
    (post(1, "h", type="system_header_change", props={"new_header": "H"}), {"event": "changed", "description": "H"}),
    (post(1, "p", type="system_purpose_change", props={}), {"event": "changed", "description": ""}),
    (post(1, "d", type="system_channel_deleted"), {"event": "changed", "closed": True}),
    (post(1, "e", type="system_ephemeral"), None),
    (direct(1, "j", "alice", "bob", type="system_join_channel"), None),
]  # fmt: skip


@pytest.mark.parametrize(("line", "event"), EVENTS, ids=lambda one: str(one)[-60:])
def test_what_the_system_says_is_a_line_of_the_group_or_counted(
    tmp_path: Path, line: dict[str, Any], event: dict[str, Any] | None
) -> None:
    made = read(tmp_path, line)
    assert [one["payload"] for one in made.messages()] == ([event] if event else [])
    assert made.kinds == ({} if event else {"left_out_notice": 1})


def test_what_programs_write_is_text(tmp_path: Path) -> None:
    attachments = [
        {
            "pretext": "p",
            "title": "T",
            "title_link": "https://x.org",
            "text": "t",
            "fields": [{"title": "k", "value": 3}],
        },
        {"fallback": "f"},
        "none",
    ]
    hook = {"from_webhook": "true", "override_username": "Hook", "attachments": attachments}
    made = read(tmp_path, post(1, "", "ci", props=hook), post(2, "waves", type="me"), post(3, "x", props=[1]))
    assert made.texts() == ["**Hook**: p\n[T](https://x.org)\nt\n**k**\n3\nf", "*waves*", "x"]


def test_a_post_twice_is_one_and_two_of_one_time_are_two(tmp_path: Path) -> None:
    made = read(tmp_path, post(1, "a"), post(1, "a"), post(1, "b"), post(1, "a", "bob"))
    assert made.texts() == ["a", "b", "a"]
    assert len({one["id"] for one in made.messages()}) == 3
    assert made.kinds == {"twice": 1}


def test_replies_that_seem_older_than_their_roots_come_behind_them(tmp_path: Path) -> None:
    old = said(0, "old", "bob")
    made = read(tmp_path, post(1, "a", replies=[old]), post(2, "b", replies=[old]))
    assert made.texts() == ["a", "old", "b", "old"]
    assert len({one["id"] for one in made.messages()}) == 4


def test_an_empty_root_leaves_its_place_for_its_replies(tmp_path: Path) -> None:
    made = read(tmp_path, post(1, ""), post(2, "", replies=[said(3, "reply", "bob")]))
    gone, reply = made.messages()
    assert "payload" not in gone
    assert reply["payload"]["thread"] == gone["id"]
    assert made.kinds == {"empty": 2}


def test_replies_to_what_was_left_out_are_messages(tmp_path: Path) -> None:
    made = read(tmp_path, post(1, "e", type="system_ephemeral", replies=[said(3, "reply", "bob")]))
    assert made.messages()[0]["payload"] == {"content": "reply"}
    assert made.kinds == {"left_out_notice": 1, "thread_without_root": 1}


def test_channels_have_chosen_ids_too(tmp_path: Path) -> None:
    made = read(tmp_path, people={"#old": "older", "acme/town": "all"})
    assert [one["group_id"] for one in made.all("group")] == ["older", "all"]


def test_mentions_lead_to_the_ids_of_here(tmp_path: Path) -> None:
    made = read(tmp_path, post(1, "@Alice @bob: @channel @stranger"), people={"alice": "ally", "bob": "alice"})
    assert made.messages()[0]["payload"] == {
        "content": "@ally @alice: @all @stranger", "mentions": ["ally", "alice", "*"],
    }  # fmt: skip


def test_people_and_channels_of_no_list_are_made_up_or_counted(tmp_path: Path) -> None:
    made = read(
        tmp_path,
        post(1, "boo", "ghost", reactions=[{"user": "other", "emoji_name": "tada"}]),
        {"type": "post", "post": {"team": "acme", "channel": "nowhere", **said(2, "x", "alice")}},
        {"type": "post", "post": said(3, "x", "alice")},
        {"type": "emoji", "emoji": {"name": "own", "image": "own.png"}},
    )
    assert made.texts() == ["boo", "x"]
    assert made.all("group")[0]["members"] == [{"user_id": "alice", "role": "owner"}]
    assert made.all("user")[4] == {"record": "user", "user_id": "ghost", "name": "ghost", "disabled": True}
    assert made.kinds == {
        "user_made_up": 1, "reaction_unnamed": 1, "unknown_channel": 1,
        "unreadable_message": 1, "left_out_emoji": 1,
    }  # fmt: skip


@pytest.mark.parametrize("at", [0, -1, 1_600_000_000, 10**18, START * 1000])
def test_an_absurd_time_is_named_and_its_post_left_out(tmp_path: Path, at: int) -> None:
    line = post(1, "a", replies=[said(2, "r", "bob")])
    made = read(tmp_path, line | {"post": line["post"] | {"create_at": at}}, post(2, "b"))
    assert made.texts() == ["b"]
    assert made.kinds == {"bad_time": 1}
    assert made.report.examples["bad_time"][0].where == "import.jsonl:10"


BROKEN = [
    (b'{"type": "post", "post": {"team": "acme"\n', "Input data was truncated"),
    (b"{nonsense}\n", "JSON is malformed"),
    (b'{"type": "post", "post": {"team": "acme", "channel": "town"}}\n', "missing required field `user`"),
    (b'{"type": "post", "post": {"user": "\xff", "create_at": 1}}\n', "UTF-8"),
    (b"[" * 50_000 + b"\n", ""),
    (b"7\n", "Expected `object`, got `int`"),
]


@pytest.mark.parametrize(("line", "about"), BROKEN, ids=lambda one: str(one)[:30])
def test_a_line_that_cannot_be_read_is_named_and_the_rest_is_read(tmp_path: Path, line: bytes, about: str) -> None:
    made = read(tmp_path, line, b"\n", post(1, "next"))
    assert made.texts() == ["next"]
    assert made.kinds == {"unreadable_message": 1}
    (note,) = made.report.examples["unreadable_message"]
    assert note.where == "import.jsonl:10"
    assert about in note.about


@pytest.mark.parametrize(
    ("files", "told"),
    [
        ({"import.jsonl": b"\n"}, "import.jsonl: nothing is in it"),
        ({"import.jsonl": b"{}\n"}, "import.jsonl:1: the first line of an export of Mattermost's is its version"),
        ({"import.jsonl": lines()[1:]}, "import.jsonl:1: the first line"),
        ({"a.jsonl": lines(), "b.jsonl": lines()}, "2 files of lines are in it: a.jsonl, b.jsonl; an export of"),
        ({"readme.txt": b""}, "0 files of lines are in it; an export of"),
        ({"import.jsonl": lines()[:-1] + b" " * (64 * 1024 * 1024) + b"\n"}, "import.jsonl:1: longer than 67,108,864 bytes"),
    ],
)  # fmt: skip
def test_what_is_no_export_is_refused(tmp_path: Path, files: dict[str, bytes], told: str) -> None:
    folder = in_folder(tmp_path / "export", files)
    with pytest.raises(ExportError) as refused:
        Read("mattermost", folder)
    assert told in str(refused.value)


def test_ids_stay_the_same_when_the_next_export_has_more(tmp_path: Path) -> None:
    (tmp_path / "1").mkdir()
    first = read(tmp_path / "1", post(1, "a", replies=[said(2, "b", "bob")]))
    (tmp_path / "2").mkdir()
    again = read(
        tmp_path / "2",
        user("anna", "town"),
        post(0, "z"),
        post(1, "a!", replies=[said(2, "b", "bob"), said(3, "c", "bob")]),
    )
    assert [one["id"] for one in again.messages()][1:3] == [one["id"] for one in first.messages()]
    assert set(first.people) < set(again.people)
