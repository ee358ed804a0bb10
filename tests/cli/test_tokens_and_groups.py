"""`relay token` and `relay group`."""

from __future__ import annotations

import json
import re
import sqlite3
from pathlib import Path

from relay.storage.accounts import hash_secret
from tests.cli.conftest import Run


def roles(run: Run, group_id: str) -> dict[str, str]:
    shown = json.loads(run("group", "show", group_id, "--json").output)
    return {member["user_id"]: member["role"] for member in shown["members"]}


def events(folder: Path) -> list[str]:
    connection = sqlite3.connect(folder / "relay.db")
    try:
        rows = connection.execute(
            "SELECT payload FROM log WHERE type = 'group_event' ORDER BY message_id"
        ).fetchall()
    finally:
        connection.close()
    return [json.loads(payload)["event"] for (payload,) in rows]


def test_a_token_is_alone_on_standard_output(anywhere: Run) -> None:
    anywhere("user", "add", "bob")
    assert re.fullmatch(r"rly_[\w-]{43}\n", anywhere("token", "create", "bob").stdout)


def test_a_token_is_kept_with_its_label_scopes_and_end(anywhere: Run, folder: Path) -> None:
    anywhere("user", "add", "bob")
    options = ["--label", "the bot", "--scope", "notify", "--scope", "a.b", "--days", "1.5"]
    token = anywhere("token", "create", "bob", *options).output.strip()
    (listed,) = [json.loads(line) for line in anywhere("token", "list", "bob", "--json").output.splitlines()]
    assert (listed["label"], listed["scopes"]) == ("the bot", "notify a.b")
    assert round(listed["expires_at"] - listed["created_at"]) == 129_600
    assert token not in anywhere("token", "list").output
    connection = sqlite3.connect(folder / "relay.db")
    found = connection.execute(
        "SELECT token_id FROM tokens WHERE token_hash = ?", (hash_secret(token),)
    ).fetchall()
    connection.close()
    assert found == [(listed["token_id"],)]


def test_tokens_are_listed_for_one_user_or_for_all(anywhere: Run) -> None:
    for name in ("bob", "alice"):
        anywhere("user", "add", name)
        anywhere("token", "create", name)
    assert len(anywhere("token", "list", "--json").output.splitlines()) == 2
    assert json.loads(anywhere("token", "list", "alice", "--json").output)["user_id"] == "alice"
    assert anywhere("token", "list", "nobody", ok=False).exit_code == 1


def test_a_revoked_token_is_gone_and_cannot_be_revoked_twice(anywhere: Run) -> None:
    anywhere("user", "add", "bob")
    anywhere("token", "create", "bob")
    token_id = json.loads(anywhere("token", "list", "--json").output)["token_id"]
    anywhere("token", "revoke", token_id)
    assert anywhere("token", "list", "--json").output == ""
    assert anywhere("token", "revoke", token_id, ok=False).exit_code == 1


def test_a_token_for_nobody_or_with_a_wrong_scope_is_refused(anywhere: Run) -> None:
    anywhere("user", "add", "bob")
    assert anywhere("token", "create", "nobody", ok=False).stdout == ""
    assert "token.create" in anywhere("token", "create", "bob", "--scope", "two words", ok=False).stderr
    assert anywhere("token", "create", "bob", "--days", "-1", ok=False).exit_code == 2


def test_a_group_is_created_listed_and_shown(anywhere: Run) -> None:
    for name in ("ann", "bob", "carl"):
        anywhere("user", "add", name)
    create = ["group", "create", "team", "--name", "The Team", "--owner", "ann"]
    anywhere(*create, "--member", "bob", "--member", "carl", "--history", "start")
    listed = json.loads(anywhere("group", "list", "--json").output)
    assert {key: listed[key] for key in ("group_id", "name", "owner", "members", "history")} == {
        "group_id": "team",
        "name": "The Team",
        "owner": "ann",
        "members": 3,
        "history": "start",
    }
    assert roles(anywhere, "team") == {"ann": "owner", "bob": "member", "carl": "member"}
    assert "The Team (history from start)" in anywhere("group", "show", "team").output
    assert anywhere(*create, ok=False).stderr == "relay: the name 'team' is taken\n"


def test_members_come_change_and_go_and_each_change_is_an_event(anywhere: Run, folder: Path) -> None:
    for name in ("ann", "bob"):
        anywhere("user", "add", name)
    anywhere("group", "create", "team", "--name", "Team", "--owner", "ann")
    assert anywhere("group", "add", "team", "bob").output == "group team: bob is member\n"
    anywhere("group", "add", "team", "bob", "--role", "admin")
    assert anywhere("group", "add", "team", "bob").output == "group team: bob is admin\n"
    anywhere("group", "add", "team", "bob", "--role", "owner")
    assert roles(anywhere, "team") == {"ann": "admin", "bob": "owner"}
    assert "the owner cannot leave" in anywhere("group", "remove", "team", "bob", ok=False).stderr
    anywhere("group", "remove", "team", "ann")
    assert roles(anywhere, "team") == {"bob": "owner"}
    assert events(folder) == ["created", "member_added", "role_changed", "role_changed", "member_removed"]


def test_a_deleted_group_is_not_there_and_its_id_stays_taken(anywhere: Run) -> None:
    anywhere("user", "add", "ann")
    anywhere("group", "create", "team", "--name", "Team", "--owner", "ann")
    anywhere("group", "delete", "team")
    assert anywhere("group", "list", "--json").output == ""
    for command in (["show", "team"], ["add", "team", "ann"], ["remove", "team", "ann"], ["delete", "team"]):
        refused = anywhere("group", *command, ok=False)
        assert refused.stderr.startswith("relay: there is no group 'team'")
    assert anywhere("user", "add", "team", ok=False).exit_code == 1


def test_a_group_with_nobody_in_it_is_refused(anywhere: Run) -> None:
    anywhere("user", "add", "ann")
    create = ["group", "create", "team", "--name", "Team"]
    assert anywhere(*create, "--owner", "nobody", ok=False).stderr == "relay: there is no user 'nobody'\n"
    assert anywhere(*create, "--owner", "ann", "--member", "nobody", ok=False).exit_code == 1
    assert anywhere(*create, ok=False).exit_code == 2


def test_slow_mode_is_set_shown_and_ended(anywhere: Run, folder: Path) -> None:
    for name in ("bob", "alice"):
        anywhere("user", "add", name)
    anywhere("group", "create", "team", "--name", "Team", "--owner", "alice", "--member", "bob")
    assert anywhere("group", "slow-mode", "team", "30").output == "group team: slow mode of 30 s\n"
    assert "(history from join, slow mode of 30 s)" in anywhere("group", "show", "team").output
    assert json.loads(anywhere("group", "show", "team", "--json").output)["slow_mode_seconds"] == 30
    assert anywhere("group", "slow-mode", "team", "30").output == "group team: slow mode of 30 s\n"
    assert anywhere("group", "slow-mode", "team", "0").output == "group team: no slow mode\n"
    assert "slow mode" not in anywhere("group", "show", "team").output
    assert events(folder) == ["created", "changed", "changed"]
    assert anywhere("group", "slow-mode", "team", "21601", ok=False).exit_code == 2
    assert anywhere("group", "slow-mode", "nobody", "30", ok=False).exit_code == 1
