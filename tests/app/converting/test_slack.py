"""Slack's exports as records: every kind of message, who wrote it, and what cannot be read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from relay.app.converting.archives import ExportError
from relay.app.converting.slack_messages import LEFT_OUT
from relay.protocol import records
from tests.app.converting.made import CHANNELS, DMS, USERS, Read, in_folder, in_zip, said, slack


def read(folder: Path, people: dict[str, str] | None = None, **folders: Any) -> Read:
    return Read("slack", in_folder(folder / "export", slack(**folders)), people)


def test_people_are_users_and_keep_their_names(tmp_path: Path) -> None:
    assert read(tmp_path).all("user") == [
        {"record": "user", "user_id": "alice", "name": "Alice Liddell", "mail": "alice@example.org"},
        {"record": "user", "user_id": "bob", "name": "Bobby"},
        {"record": "user", "user_id": "carol", "name": "Carol", "disabled": True},
        {"record": "user", "user_id": "guest", "name": "guest", "role": "guest"},
    ]


def test_channels_are_groups_with_their_topic_members_and_end(tmp_path: Path) -> None:
    made = Read("slack", in_folder(tmp_path, slack(**{"old-days": [said(50, "last", "U2")]})))
    general, old, secret, few = made.all("group")
    assert general == {
        "record": "group", "group_id": "general", "name": "general", "description": "Everything\nFor all",
        "public": True, "created_at": 1_500_000_000, "made_by": "bob",
        "members": [{"user_id": "alice"}, {"user_id": "bob", "role": "owner"}, {"user_id": "guest"}],
    }  # fmt: skip
    # Its creator's account is closed, so it is another's.
    assert (old["group_id"], old["closed_at"], old["made_by"]) == ("old-days", 1_600_000_050.0001, "bob")
    assert (secret["group_id"], secret.get("public")) == ("secret", None)
    assert (few["group_id"], few["name"]) == ("mpdm-alice--bob--guest-1", "Alice Liddell, Bobby, guest")


def test_direct_messages_are_between_two_or_for_oneself(tmp_path: Path) -> None:
    made = read(tmp_path, D1=[said(1, "hi"), said(2, "yo", "U2")], D2=[said(3, "note")])
    assert made.texts("user:alice:bob") == ["hi", "yo"]
    assert made.texts("user:alice") == ["note"]
    assert {one["type"] for one in made.messages()} == {"chat_message"}


def test_messages_come_in_the_order_of_their_times_over_all_channels(tmp_path: Path) -> None:
    made = read(
        tmp_path,
        general={"2020-09-14.json": [said(90_000, "d")], "2020-09-13.json": [said(3, "c"), said(1, "a")]},
        secret=[said(2, "b")],
    )
    assert made.texts() == ["a", "b", "c", "d"]
    assert made.messages()[0]["at"] == 1_600_000_001.0001
    assert made.messages()[0]["id"] == "C1-1600000001.000100"
    assert made.records[0] == {"record": "export", "version": 1, "source": "slack:T1", "reading": "all"}
    assert made.records[-1] == {"record": "end", "lines": len(made.records) - 1}


SUBTYPES: list[tuple[dict[str, Any], str | None]] = [
    (said(1, "a"), "a"),
    (said(1, "shrugs", subtype="me_message"), "*shrugs*"),
    (said(1, "up", subtype="file_share"), "up"),
    (said(1, "<@U1> commented", None, subtype="file_comment", comment={"user": "U2", "comment": "nice"}), "nice"),
    (said(1, "b", None, subtype="bot_message", bot_id="B1", username="ci"), "b"),
    (said(1, "b", None, bot_id="B1", bot_profile={"id": "B1", "name": "ci"}), "b"),
    (said(1, "s", "USLACKBOT", subtype="slackbot_response"), "s"),
    (said(1, "t", subtype="thread_broadcast"), "t"),
    (said(1, "new kind", subtype="brand_new"), "new kind"),
    *((said(1, "gone", subtype=kind), None) for kind in sorted(LEFT_OUT)),
    (said(1, "", None), None),
    (said(1, ""), None),
]


@pytest.mark.parametrize(("message", "text"), SUBTYPES, ids=lambda one: str(one)[:70])
def test_each_kind_of_message_is_kept_or_counted(
    tmp_path: Path, message: dict[str, Any], text: str | None
) -> None:
    made = read(tmp_path, general=[message])
    assert made.texts() == ([text] if text is not None else [])
    kind = message.get("subtype")
    if kind in LEFT_OUT:
        assert made.kinds == {LEFT_OUT[kind]: 1}
    elif text is None:
        assert made.kinds in ({"no_author": 1}, {"empty": 1})


EVENTS: list[tuple[dict[str, Any], dict[str, Any]]] = [
    (said(1, subtype="channel_join"), {"event": "member_added", "user_id": "alice"}),
    (said(1, subtype="group_leave"), {"event": "member_removed", "user_id": "alice"}),
    (
        said(1, subtype="channel_topic", topic="R&amp;D <https://x.org>"),
        {"event": "changed", "description": "R&D https://x.org"},
    ),
    (said(1, subtype="channel_purpose", purpose=""), {"event": "changed", "description": ""}),
    (said(1, subtype="channel_name", name="all", old_name="general"), {"event": "renamed", "name": "all"}),
    (said(1, subtype="channel_archive"), {"event": "changed", "closed": True}),
    (said(1, subtype="group_unarchive"), {"event": "changed", "closed": False}),
    (said(1, subtype="channel_convert_to_private"), {"event": "changed", "public": False}),
]


@pytest.mark.parametrize(("message", "event"), EVENTS, ids=lambda one: str(one.get("subtype")))
def test_what_the_system_says_of_a_channel_is_a_line_of_the_group(
    tmp_path: Path, message: dict[str, Any], event: dict[str, Any]
) -> None:
    made = read(tmp_path, general=[message], D1=[message])
    (line,) = made.messages()
    assert (line["type"], line["by"], line["payload"]) == ("group_event", "alice", event)
    assert made.kinds == {"left_out_notice": 1}


def test_who_was_invited_was_added_by_the_inviter(tmp_path: Path) -> None:
    (line,) = read(tmp_path, general=[said(1, subtype="channel_join", inviter="U2")]).messages()
    assert (line["by"], line["payload"]["user_id"]) == ("bob", "alice")


def test_threads_keep_their_root_and_what_was_shown_to_all(tmp_path: Path) -> None:
    root = "1600000001.000100"
    made = read(
        tmp_path,
        general={
            "2020-09-13.json": [said(1, "root", thread_ts=root), said(2, "one", "U2", thread_ts=root)],
            "2020-09-15.json": [said(200_000, "two", "U2", thread_ts=root, subtype="thread_broadcast")],
            "2020-09-16.json": [said(300_000, "lost", "U2", thread_ts="1500000000.000001")],
        },
    )
    _, one, two, lost = [message["payload"] for message in made.messages()]
    assert one == {"content": "one", "thread": f"C1-{root}"}
    assert two == {"content": "two", "thread": f"C1-{root}", "thread_shown": True}
    assert lost == {"content": "lost"}
    assert made.kinds == {"thread_without_root": 1}


def test_a_deleted_root_leaves_its_place_and_its_author(tmp_path: Path) -> None:
    root = "1600000001.000100"
    tombstone = said(1, "This message was deleted.", "USLACKBOT", subtype="tombstone", thread_ts=root, hidden=True)
    made = read(tmp_path, general=[tombstone, said(2, "still here", "U2", thread_ts=root, parent_user_id="U1")])
    first, second = made.messages()
    assert (first["by"], first.get("payload"), first["deleted_at"]) == ("alice", None, 1_600_000_001.0001)
    assert second["payload"] == {"content": "still here", "thread": f"C1-{root}"}


def test_reactions_edits_and_pins_come_along(tmp_path: Path) -> None:
    given = [
        {"name": "+1::skin-tone-3", "users": ["U1", "U2", "U1"], "count": 3},
        {"name": "partyparrot", "users": ["U2", "U404"], "count": 5},
    ]
    made = read(
        tmp_path, general=[said(1, "x", reactions=given, edited={"user": "U1", "ts": "1600000009.000000"})]
    )
    assert made.messages()[0]["edited_at"] == 1_600_000_009
    assert [(one["type"], one["by"], one["payload"].get("emoji")) for one in made.all("value")] == [
        ("reaction", "alice", "👍🏼"), ("reaction", "bob", "👍🏼"), ("reaction", "bob", "partyparrot"), ("pin", "bob", None),
    ]  # fmt: skip
    assert made.kinds == {"own_emoji": 1, "reaction_unnamed": 1}


def test_files_come_along_where_they_are_and_else_their_links_without_the_token(tmp_path: Path) -> None:
    files = [
        {"id": "F111111", "name": "a.png", "url_private": "https://files.slack.com/a.png?t=xoxe-1"},
        {"id": "F222222", "name": "b.txt", "title": "B <1>", "url_private": "https://files.slack.com/b.txt?t=xoxe-2&v=1"},
        {"id": "F333333", "name": "c", "mode": "tombstone"},
        {"id": "F444444", "name": "d", "url_private": "javascript:alert(1)"},
        {"id": "F555555", "name": "e", "url_private": "https://[x"},
    ]  # fmt: skip
    export = slack(
        general=[
            said(1, "see", files=files),
            said(2, "again", "U2", files=files[:1]),
            said(3, "", files=files[2:3]),
        ]
    )
    made = Read("slack", in_zip(tmp_path / "a.zip", export | {"__uploads/F111111/a.png": b"\x89PNG" * 200_000}))
    first, again = made.messages()
    (attachment,) = made.all("attachment")
    assert (attachment["name"], attachment["size"], attachment["user_id"]) == ("a.png", 800_000, "alice")
    assert made.files == {attachment["attachment_id"]: b"\x89PNG" * 200_000}
    assert first["payload"]["attachments"] == again["payload"]["attachments"] == [attachment["attachment_id"]]
    assert first["payload"]["content"] == "see\n📎 [B  1](https://files.slack.com/b.txt?v=1)\n📎 d\n📎 e"
    assert b"xoxe" not in b"".join(made.lines)
    assert made.kinds == {"file_not_in_export": 3, "file_gone": 2, "empty": 1}


@pytest.mark.parametrize(
    "path", ["__uploads/F111111/a.png", "general/attachments/F111111-a.png", "files/F111111_a.png"]
)
def test_files_are_found_where_programs_that_fetch_them_put_them(tmp_path: Path, path: str) -> None:
    export = slack(general=[said(1, "", files=[{"id": "F111111", "name": "a.png"}])]) | {path: b"x"}
    assert len(Read("slack", in_folder(tmp_path, export)).all("attachment")) == 1


def test_programs_write_under_a_name_of_their_own(tmp_path: Path) -> None:
    made = read(
        tmp_path,
        general=[
            said(1, "built", None, subtype="bot_message", bot_id="B1", username="CI"),
            said(2, "failed", None, subtype="bot_message", bot_id="B1", username="CI of the night"),
            said(3, "old", None, subtype="bot_message", username="hook"),
            said(4, "mine", username="al"),
            said(5, "of an app", "U2", bot_id="B2", username="Pager"),
        ],
    )
    assert made.texts() == ["built", "**CI of the night**: failed", "old", "mine", "**Pager**: of an app"]
    assert [one["by"] for one in made.messages()] == ["ci", "ci", "hook", "alice", "bob"]
    assert [one["user_id"] for one in made.all("user")] == ["alice", "bob", "carol", "ci", "guest", "hook"]
    assert made.kinds == {"bot_made_up": 2}


def test_who_is_in_no_list_becomes_a_closed_account(tmp_path: Path) -> None:
    profile = {"name": "dora", "real_name": "Dora"}
    made = read(tmp_path, general=[said(1, "hi <@U9>", "U9", user_profile=profile), said(2, "ho", "U8")])
    assert [one for one in made.all("user") if one["user_id"] in {"dora", "u8"}] == [
        {"record": "user", "user_id": "dora", "name": "dora", "disabled": True},
        {"record": "user", "user_id": "u8", "name": "U8", "disabled": True},
    ]
    assert made.messages()[0]["payload"] == {"content": "hi @dora"}  # no member, so nobody is called
    assert made.kinds == {"user_made_up": 2}


def test_names_that_are_alike_get_numbers_in_the_order_of_the_ids(tmp_path: Path) -> None:
    users = [{"id": "U2", "name": "Ann"}, {"id": "U1", "name": "ann"}, {"id": "U3", "name": "general"}]
    export = slack(general=[said(1, "<@U2> <@U1>")]) | {"users.json": users}
    made = Read("slack", in_folder(tmp_path, export))
    assert [(here, there) for here, there, _ in made.people[:2]] == [("ann", "U1"), ("ann-2", "U2")]
    assert made.all("group")[0]["group_id"] == "general-2"
    assert made.texts() == ["@ann-2 @ann"]


def test_chosen_ids_are_used_and_two_people_may_be_one(tmp_path: Path) -> None:
    made = read(
        tmp_path,
        {"U1": "ally", "bob": "ally", "alice@example.org": "no"},
        general=[said(1, "a"), said(2, "b", "U2")],
    )
    assert [one["by"] for one in made.messages()] == ["ally", "ally"]
    assert [one["user_id"] for one in made.all("user")] == ["ally", "carol", "guest"]
    assert made.all("group")[0]["members"] == [{"user_id": "ally", "role": "owner"}, {"user_id": "guest"}]


def test_channels_have_chosen_ids_too(tmp_path: Path) -> None:
    made = read(tmp_path, {"#general": "all", "G1": "hidden"}, general=[said(1, "see <#C1|general>")])
    assert [one["group_id"] for one in made.all("group")][:3] == ["all", "old-days", "hidden"]
    assert made.messages()[0]["conversation"] == "group:all"


def test_mentions_call_members_only(tmp_path: Path) -> None:
    made = read(tmp_path, general=[said(1, "<!here> <@U2> <@U3>")], D1=[said(2, "<!here> <@U2>")])
    assert made.messages()[0]["payload"] == {"content": "@all @bob @carol", "mentions": ["*", "bob"]}
    assert made.messages()[1]["payload"] == {"content": "@all @bob", "mentions": ["bob"]}


def test_what_programs_write_in_blocks_and_attachments_is_text(tmp_path: Path) -> None:
    blocks = [
        {"type": "header", "text": {"type": "plain_text", "text": "Build"}},
        {"type": "section", "text": {"type": "mrkdwn", "text": "*red*"}, "fields": [{"type": "mrkdwn", "text": "f"}]},
        {"type": "divider"},
        {"type": "context", "elements": [{"type": "image", "image_url": "https://x.org/i.png", "alt_text": "i"}, {"type": "mrkdwn", "text": "c"}]},
        {"type": "rich_text", "elements": [
            {"type": "rich_text_section", "elements": [
                {"type": "text", "text": "a<b ", "style": {"bold": True}}, {"type": "user", "user_id": "U1"},
                {"type": "link", "url": "https://x.org", "text": "l"}, {"type": "emoji", "name": "tada"},
            ]},
            {"type": "rich_text_list", "elements": [{"type": "rich_text_section", "elements": [{"type": "text", "text": "i"}]}]},
            {"type": "rich_text_preformatted", "elements": [{"type": "text", "text": "x = 1"}]},
            {"type": "rich_text_quote", "elements": [{"type": "text", "text": "q\nr"}]},
        ]},
        "no block", {"type": 3}, None,
    ]  # fmt: skip
    attachments = [
        {"pretext": "p", "title": "T", "title_link": "https://x.org/t", "text": "t", "fields": [{"title": "k", "value": "v"}], "footer": "foot"},
        {"fallback": "only this"},
        {"from_url": "https://x.org", "title": "a preview"},
        {"is_share": True, "author_name": "Bob", "text": "said\nthis"},
        7,
    ]  # fmt: skip
    made = read(
        tmp_path,
        general=[
            said(1, "", blocks=blocks),
            said(2, "look", attachments=attachments),
            said(3, "x", blocks="?", attachments={}),
        ],
    )
    assert made.texts() == [
        "**Build**\n**red**\nf\n[i](https://x.org/i.png) c\n**a<b** @alice[l](https://x.org)🎉\n• i\n```\nx = 1\n```\n> q\n> r",
        "look\np\n[T](https://x.org/t)\nt\n**k**\nv\nfoot\nonly this\n> **Bob**\n> said\n> this",
        "x",
    ]  # fmt: skip
    assert made.kinds == {"left_out_preview": 1}


@pytest.mark.parametrize(
    "ts", ["", "soon", "-1", "0.000100", "99999999999.0", "1.7e9", "nan", "1900000000.000100", "1" * 400]
)
def test_an_absurd_time_is_named_and_its_message_left_out(tmp_path: Path, ts: str) -> None:
    made = read(tmp_path, general=[said(1, "a") | {"ts": ts}, said(2, "b")])
    assert made.texts() == ["b"]
    assert made.kinds == {"bad_time": 1}
    assert made.report.examples["bad_time"][0].where == "general/2020-09-13.json #1"


def test_a_message_twice_is_one_and_two_of_one_time_are_two(tmp_path: Path) -> None:
    made = read(tmp_path, general=[said(1, "a"), said(1, "a"), said(1, "b"), said(1, "c", "U2"), said(1, "b")])
    assert made.texts() == ["a", "b", "c"]
    assert len({one["id"] for one in made.messages()}) == 3
    assert made.kinds == {"twice": 2}


BROKEN = [
    (b'[\n{"ts": "1600000001.0",\n oops}]', "unreadable_file", "general/2020-09-13.json", "JSON is malformed"),
    (b'[{"ts": "1600000001.0"', "unreadable_file", "general/2020-09-13.json", "Input data was truncated"),
    ('[{"ts": "1600000001.0"}]'.encode("utf-16"), "unreadable_file", "general/2020-09-13.json", "JSON is malformed"),
    (b"", "unreadable_file", "general/2020-09-13.json", "Input data was truncated"),
    (b'{"ok": false}', "unreadable_file", "general/2020-09-13.json", "Expected `array`, got `object`; it should be a list"),
    (b"[" * 100_000, "unreadable_file", "general/2020-09-13.json", ""),
    (b'[{"text": "no time"}]', "unreadable_message", "general/2020-09-13.json #1", "missing required field `ts`"),
    (b'[{"ts": "1600000001.0", "user": {"id": 1}}]', "unreadable_message", "general/2020-09-13.json #1", "Expected `str | null`, got `object` - at `$.user`"),
    (b'[{"ts": "1600000001.0", "text": "\xff"}]', "unreadable_message", "general/2020-09-13.json #1", "UTF-8"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "kind", "where", "about"), BROKEN, ids=lambda one: str(one)[:30])
def test_what_cannot_be_read_is_named_and_the_rest_is_read(
    tmp_path: Path, text: bytes, kind: str, where: str, about: str
) -> None:
    made = read(tmp_path, general={"2020-09-13.json": text, "2020-09-14.json": [said(90_000, "next")]})
    assert made.texts() == ["next"]
    assert made.kinds == {kind: 1}
    (note,) = made.report.examples[kind]
    assert note.where.startswith(where)
    assert about in note.about


def test_the_line_of_a_fault_is_told(tmp_path: Path) -> None:
    made = read(tmp_path, general={"2020-09-13.json": b'[\n{"ts": "1600000001.0",\n oops}]'})
    (note,) = made.report.examples["unreadable_file"]
    assert (note.where, note.about) == ("general/2020-09-13.json:3", "JSON is malformed: expected '\"'")


def test_a_mark_at_the_beginning_of_a_file_is_no_fault(tmp_path: Path) -> None:
    files = slack(
        general={"2020-09-13.json": b'\xef\xbb\xbf[{"ts": "1600000001.0", "user": "U1", "text": "\xc3\xa9"}]'}
    )
    assert Read("slack", in_folder(tmp_path, files)).texts() == ["é"]


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"users.json": None}, "there is no users.json in it, as an export of Slack's has at its top"),
        ({"users.json": b'[{"id": 1}]'}, "users.json #1: Expected `str`, got `int` - at `$.id`"),
        ({"users.json": b"[{]"}, "users.json:1: JSON is malformed"),
        ({"channels.json": {"a": 1}}, "channels.json: Expected `array`, got `object`"),
    ],
)
def test_an_export_without_its_lists_is_none(tmp_path: Path, changed: dict[str, Any], told: str) -> None:
    files = {name: value for name, value in (slack() | changed).items() if value is not None}
    with pytest.raises(ExportError, match="^.*" + told.replace("$", r"\$").replace("[", r"\[")[:40]):
        Read("slack", in_folder(tmp_path, files))


def test_lists_that_small_exports_lack_are_not_missed(tmp_path: Path) -> None:
    files = {"users.json": USERS, "channels.json": CHANNELS, "general/2020-09-13.json": [said(1, "a")]}
    assert Read("slack", in_zip(tmp_path / "a.zip", files, top="Acme Slack export Sep 13 2020/")).texts() == ["a"]


def test_folders_and_conversations_that_fit_nowhere_are_counted(tmp_path: Path) -> None:
    nobody = [{"id": "C7", "name": "empty", "created": 1, "creator": None, "members": []}]
    crowd = [*DMS, {"id": "D9", "members": ["U1", "U2", "U3"]}]
    files = slack(ghosts=[said(1, "boo")], D9=[said(2, "x")])
    made = Read("slack", in_folder(tmp_path, files | {"channels.json": [*CHANNELS, *nobody], "dms.json": crowd}))
    assert made.texts() == []
    assert made.kinds == {"unknown_folder": 1, "left_out_conversation": 2}


def test_a_channel_that_everybody_has_left_is_kept(tmp_path: Path) -> None:
    left = [{"id": "C7", "name": "left", "created": 1, "creator": "U404", "members": []}]
    made = Read("slack", in_folder(tmp_path, slack(left=[said(3, "y", "U3")]) | {"channels.json": left}))
    assert made.all("group")[0]["members"] == [{"user_id": "u404", "role": "owner"}]
    assert made.texts() == ["y"]


def test_whatever_names_and_addresses_hold_each_line_can_be_imported(tmp_path: Path) -> None:
    users = [
        {"id": "U1", "name": "\u200b", "profile": {"real_name": " \n", "email": "no address"}},
        {"id": "U2", "name": "../x", "profile": {"email": "a@b" + "c" * 300}},
    ]
    channels = [{"id": "C1", "name": " ", "creator": "U1", "members": ["U1"], "topic": {"value": "t" * 1_000_000}}]
    odd = said(
        1,
        "\x01" * 400_000,
        files=[{"id": "F111111", "name": "../a\n.png"}],
        reactions=[{"name": "::", "users": ["U1"]}],
    )
    topic = said(2, subtype="channel_topic", topic="t" * 1_000_000)
    files = {
        "users.json": users,
        "channels.json": channels,
        "C1/2020-09-13.json": [odd, topic],
        "__uploads/F111111/x": b"",
    }
    made = Read("slack", in_folder(tmp_path, files))
    assert max(map(len, made.lines)) < records.MOST_BYTES
    assert [msgspec.json.decode(line, type=records.AnyRecord) for line in made.lines]
    assert [one.get("mail") for one in made.all("user")] == [None, None]
    assert made.all("attachment")[0]["name"] == ".._a_.png"
    assert made.all("group")[0]["name"] == made.all("group")[0]["group_id"] == "c1"


def test_ids_stay_the_same_when_the_next_export_has_more(tmp_path: Path) -> None:
    first = read(tmp_path / "1", general=[said(1, "a")])
    users = [{"id": "U9", "team_id": "T1", "name": "alice"}, *USERS]
    again = Read(
        "slack", in_folder(tmp_path / "2", slack(general=[said(1, "a"), said(2, "b")]) | {"users.json": users})
    )
    assert [one["id"] for one in first.messages()] == [one["id"] for one in again.messages()][:1]
    assert set(first.people) < set(again.people)
    assert first.records[0] == again.records[0]
