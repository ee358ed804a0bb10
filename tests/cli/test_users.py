"""`relay user`."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import argon2
import pytest

from relay.storage.accounts import hash_secret
from tests.cli.conftest import Run


def row(folder: Path, sql: str, *values: object) -> tuple[object, ...]:
    connection = sqlite3.connect(folder / "relay.db")
    try:
        found: tuple[object, ...] = connection.execute(sql, values).fetchone()
        return found
    finally:
        connection.close()


def test_a_user_is_created_with_what_was_given(anywhere: Run) -> None:
    anywhere("user", "add", "bob")
    anywhere("user", "add", "alice", "--admin", "--display-name", "Alice A.")
    listed = [json.loads(line) for line in anywhere("user", "list", "--json").output.splitlines()]
    told = [(one["user_id"], one["display_name"], one["admin"], one["disabled"]) for one in listed]
    assert told == [("alice", "Alice A.", True, False), ("bob", "bob", False, False)]


def test_one_account_is_shown_with_what_it_has(anywhere: Run) -> None:
    anywhere("user", "add", "bob", "--display-name", "Bob B.")
    anywhere("user", "add", "alice", "--password-stdin", input="a long password")
    anywhere("token", "create", "alice")
    anywhere("group", "create", "team", "--name", "The Team", "--owner", "bob", "--member", "alice")
    found = json.loads(anywhere("user", "show", "alice", "--json").output)
    created = found.pop("created_at")
    assert found == {
        "user_id": "alice", "display_name": "alice", "role": "member", "disabled": False, "erased": False,
        "last_seen": None, "has_password": True, "picture": None, "second_factor": False, "mail_address": None,
        "tokens": 1, "devices": 0, "connected": 0,
        "groups": [{"group_id": "team", "name": "The Team", "role": "member"}],
    }  # fmt: skip
    assert created > 1_700_000_000
    told = anywhere("user", "show", "bob").output
    assert "display name: Bob B.\n" in told
    assert "last seen: -\n" in told
    assert told.endswith("GROUP ID  NAME      ROLE\nteam      The Team  owner\n")
    refused = anywhere("user", "show", "nobody", ok=False)
    assert (refused.exit_code, refused.stderr) == (1, "relay: there is no user 'nobody', or you may not see it\n")


def test_the_first_admin_is_the_owner_and_the_command_says_so(anywhere: Run) -> None:
    anywhere("user", "add", "bob")
    first = anywhere("user", "add", "alice", "--admin")
    assert (first.stdout, first.stderr) == (
        "user alice: created\n",
        "relay: alice is the owner of this server, as its first admin\n",
    )
    second = anywhere("user", "add", "carol", "--admin")
    assert (second.stdout, second.stderr) == ("user carol: created\n", "")
    listed = [json.loads(line) for line in anywhere("user", "list", "--json").output.splitlines()]
    assert {one["user_id"]: one["role"] for one in listed} == {"alice": "owner", "bob": "member", "carol": "admin"}


def test_a_role_on_a_server_without_an_owner_says_how_there_is_one(anywhere: Run) -> None:
    anywhere("user", "add", "bob")
    told = anywhere("user", "role", "bob", "admin").stderr
    assert told.endswith("to make one: relay user role bob owner\n")
    assert anywhere("user", "role", "bob", "owner").stderr == ""


def test_a_name_that_is_taken_or_cannot_be_one_is_refused(anywhere: Run) -> None:
    anywhere("user", "add", "bob")
    taken = anywhere("user", "add", "bob", ok=False)
    assert (taken.exit_code, taken.stdout, taken.stderr) == (1, "", "relay: the name 'bob' is taken\n")
    assert "cannot be a user id" in anywhere("user", "add", "a b", ok=False).stderr
    assert "user.add" in anywhere("user", "add", "eve", "--display-name", "x" * 101, ok=False).stderr


def test_a_password_comes_from_the_first_line_of_standard_input(anywhere: Run, folder: Path) -> None:
    anywhere("user", "add", "bob", "--password-stdin", input="correct horse\nnext line\n")
    anywhere("user", "add", "carl")
    anywhere("user", "passwd", "carl", "--password-stdin", input="battery staple")
    for name, password in (("bob", "correct horse"), ("carl", "battery staple")):
        (kept,) = row(folder, "SELECT password_hash FROM users WHERE user_id = ?", name)
        assert argon2.PasswordHasher().verify(str(kept), password)


def test_a_password_must_be_there_and_long_enough(anywhere: Run) -> None:
    assert anywhere("user", "add", "bob", "--password-stdin", input="", ok=False).exit_code == 2
    assert (
        "8 to 1024 characters"
        in anywhere("user", "add", "bob", "--password-stdin", input="short", ok=False).stderr
    )
    assert "bob" not in anywhere("user", "list").output


def test_without_a_terminal_a_password_is_not_asked_for(run: Run) -> None:
    run("user", "add", "bob")
    refused = run("user", "passwd", "bob", input="secret secret\n", ok=False)
    assert refused.exit_code == 2
    assert "--password-stdin" in refused.stderr


def test_a_password_is_asked_for_twice_on_a_terminal(
    run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run("user", "add", "bob")
    monkeypatch.setattr("click.testing._NamedTextIOWrapper.isatty", lambda _self: True, raising=False)
    run("user", "passwd", "bob", input="first try\nother one\nsecond try\nsecond try\n")
    (kept,) = row(folder, "SELECT password_hash FROM users WHERE user_id = 'bob'")
    assert argon2.PasswordHasher().verify(str(kept), "second try")


def test_a_new_password_ends_logins_and_leaves_made_tokens(anywhere: Run, folder: Path) -> None:
    anywhere("user", "add", "bob")
    made = anywhere("token", "create", "bob").output.strip()
    # The line of a login, as the REST side writes it.
    connection = sqlite3.connect(folder / "relay.db", isolation_level=None)
    connection.execute(
        "INSERT INTO tokens (token_hash, token_id, user_id, origin, label, scopes, client_id, created_at)"
        " SELECT ?, 'tok_login', user_id, 'login', 'login', '', 'phone', created_at FROM tokens",
        (hash_secret("rly_login"),),
    )
    connection.close()
    changed = anywhere("user", "passwd", "bob", "--password-stdin", input="correct horse")
    assert changed.output == "user bob: password set, 1 login ended\n"
    assert row(folder, "SELECT count(*), max(token_hash) FROM tokens") == (1, hash_secret(made))


def test_a_user_is_disabled_and_enabled_again(anywhere: Run) -> None:
    anywhere("user", "add", "bob")
    anywhere("user", "disable", "bob")
    assert json.loads(anywhere("user", "list", "--json").output)["disabled"] is True
    anywhere("user", "enable", "bob")
    assert json.loads(anywhere("user", "list", "--json").output)["disabled"] is False


def test_a_user_is_erased_for_good(anywhere: Run, folder: Path) -> None:
    for name in ("alice", "bob"):
        anywhere("user", "add", name)
    anywhere("token", "create", "bob")
    anywhere("group", "create", "team", "--name", "Team", "--owner", "bob")
    anywhere("group", "add", "team", "alice")
    refused = anywhere("user", "erase", "bob", ok=False)
    assert "this erases bob and all that they wrote, for good; say --yes if you mean it" in refused.output
    assert row(folder, "SELECT count(*) FROM tokens") == (1,)
    assert anywhere("user", "erase", "bob", "--yes").output == "user bob: erased, with 0 messages\n"
    assert anywhere("user", "erase", "bob", "--yes").output == "user bob: erased, with 0 messages\n"
    assert row(folder, "SELECT count(*) FROM tokens") == (0,)
    assert "the name 'bob' is taken" in anywhere("user", "add", "bob", ok=False).output
    assert "the account 'bob' was erased" in anywhere("user", "enable", "bob", ok=False).output
    assert json.loads(anywhere("group", "list", "--json").output)["owner"] == "alice"
    assert "there is no user 'nobody'" in anywhere("user", "erase", "nobody", "--yes", ok=False).output


def test_a_user_is_exported_into_a_folder(anywhere: Run, folder: Path) -> None:
    for name in ("alice", "bob"):
        anywhere("user", "add", name)
    line = {"type": "chat_message", "payload": {"content": "hello"}}
    meta = {"id": "1", "sender_id": "alice", "target_id": "bob"}
    (folder / "old").write_text(json.dumps({**line, "meta": meta}) + "\n")
    anywhere("import", "old")
    told = anywhere("user", "export", "ALICE", "--to", "out").output
    assert told == "user ALICE: 1 messages and 0 files in out\n"
    assert json.loads((folder / "out" / "account.json").read_text())["user_id"] == "alice"
    (message,) = (folder / "out" / "messages.ndjson").read_text().splitlines()
    assert json.loads(message)["payload"] == {"content": "hello"}
    assert sorted(path.name for path in (folder / "out").iterdir()) == [
        "account.json",
        "files.ndjson",
        "latest.ndjson",
        "messages.ndjson",
    ]
    assert "out is not empty" in anywhere("user", "export", "alice", "--to", "out", ok=False).output
    assert "there is no user 'carl'" in anywhere("user", "export", "carl", ok=False).output
    assert not (folder / "carl-export").exists()
    (entry,) = json.loads(f"[{anywhere('audit', '--act', 'user.exported', '--json').output.splitlines()[0]}]")
    assert entry["about"] == {"kind": "user", "id": "alice"}


@pytest.mark.parametrize("command", ["disable", "enable", "passwd"])
def test_a_user_who_is_not_there_is_not_found(anywhere: Run, command: str) -> None:
    options = ["--password-stdin"] if command == "passwd" else []
    refused = anywhere("user", command, "nobody", *options, input="long enough", ok=False)
    assert refused.exit_code == 1
    assert refused.stderr.startswith("relay: there is no user 'nobody'")


def test_an_import_keeps_who_is_there_and_skips_comments(anywhere: Run, folder: Path) -> None:
    anywhere("user", "add", "bob", "--admin")
    (folder / "names").write_text("\ufeff# people\n\nalice\nbob\n  carl  # the new one\nalice\n")
    assert anywhere("user", "import", "names").output == "2 users created, 1 there already\n"
    listed = [json.loads(line) for line in anywhere("user", "list", "--json").output.splitlines()]
    assert [(one["user_id"], one["admin"]) for one in listed] == [("alice", False), ("bob", True), ("carl", False)]


def test_an_import_prints_a_working_token_for_each_in_order(anywhere: Run, folder: Path) -> None:
    anywhere("user", "add", "bob")
    printed = anywhere("user", "import", "-", "--tokens", input="zoe\nbob\nadam\n")
    lines = [line.split("\t") for line in printed.stdout.splitlines()]
    assert [name for name, _token in lines] == ["zoe", "bob", "adam"]
    for name, token in lines:
        assert row(folder, "SELECT user_id FROM tokens WHERE token_hash = ?", hash_secret(token)) == (name,)
    assert "2 users created" in printed.stderr


def test_a_thousand_users_are_imported_in_one_transaction(anywhere: Run) -> None:
    printed = anywhere("user", "import", "-", "--tokens", input="".join(f"user{n}\n" for n in range(1000)))
    assert len(printed.stdout.splitlines()) == 1000
    assert len(anywhere("user", "list").output.splitlines()) == 1001


def test_lists_are_whole_beyond_one_page(anywhere: Run) -> None:
    names = sorted(f"user{n}" for n in range(2003))
    anywhere("user", "import", "-", input="\n".join(names))
    listed = anywhere("user", "list", "--json").output.splitlines()
    assert [json.loads(line)["user_id"] for line in listed] == names


def test_an_import_with_wrong_lines_names_them_and_does_nothing(anywhere: Run, folder: Path) -> None:
    (folder / "names").write_bytes(b"alice\nb c\n\xff\n")
    refused = anywhere("user", "import", "names", ok=False)
    assert "names:2: 'b c' cannot be a user id" in refused.stderr
    assert "names:3: not UTF-8 text" in refused.stderr
    assert "2 lines cannot be imported; nothing was" in refused.stderr
    assert "alice" not in anywhere("user", "list").output


def test_an_import_that_meets_a_groups_name_does_nothing(anywhere: Run) -> None:
    anywhere("user", "add", "bob")
    anywhere("group", "create", "team", "--name", "Team", "--owner", "bob")
    refused = anywhere("user", "import", "-", input="alice\nteam\n", ok=False)
    assert refused.stderr == "relay: the name 'team' is taken\n"
    assert "alice" not in anywhere("user", "list").output


def test_an_invite_is_kept_as_it_was_asked_for(anywhere: Run, folder: Path) -> None:
    code = anywhere("user", "invite", "--uses", "3", "--days", "2").stdout.strip()
    kept = row(
        folder,
        "SELECT uses_left, round(expires_at - created_at) FROM invites WHERE code_hash = ?",
        hash_secret(code),
    )
    assert kept == (3, 2 * 86400.0)


def test_an_invites_code_is_alone_on_standard_output_and_its_link_beside_it(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    printed = run("user", "invite")
    code = printed.stdout.strip()
    assert code.isascii()
    assert "#" not in code
    assert printed.stderr.endswith(f"as a link: http://127.0.0.1:8484/#invite={code}\n")
    monkeypatch.setenv("RELAY_SERVER__PUBLIC_URL", "https://example.org/chat/")
    printed = run("user", "invite")
    assert printed.stderr.endswith(f"as a link: https://example.org/chat/#invite={printed.stdout.strip()}\n")
    monkeypatch.setenv("RELAY_SERVER__PUBLIC_URL", "chat.example.org")
    assert "PUBLIC_URL" in run("user", "invite", ok=False).stderr


def test_an_invite_for_an_admin_is_kept_as_one(anywhere: Run, folder: Path) -> None:
    code = anywhere("user", "invite", "--admin").stdout.strip()
    assert row(folder, "SELECT role FROM invites WHERE code_hash = ?", hash_secret(code)) == ("admin",)


def test_an_invite_that_nobody_can_use_is_told_of(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RELAY_ACCOUNTS__REGISTRATION", "closed")
    printed = run("user", "invite")
    assert "nobody can use it" in printed.stderr
    assert "closed" not in printed.stdout


def test_a_display_name_cannot_write_to_the_terminal(run: Run) -> None:
    assert (
        "a text of one line" in run("user", "add", "eve", "--display-name", "\x1b[2J\u202eeve\n", ok=False).stderr
    )
    run("user", "add", "eve")
    with sqlite3.connect("relay.db") as database:  # as one that was made before such names were refused
        database.execute("UPDATE users SET display_name = ? WHERE user_id = 'eve'", ("\x1b[2J\u202eeve\n",))
    database.close()
    listed = run("user", "list").output
    assert "\x1b" not in listed
    assert "\u202e" not in listed
    assert "\\x1b[2J\\u202eeve\\n" in listed


def test_an_operator_may_write_a_users_id_in_any_case(anywhere: Run) -> None:
    anywhere("user", "add", "alice")
    anywhere("user", "add", "Bob")
    assert "'alice' differs in case only" in anywhere("user", "add", "Alice", ok=False).stderr
    anywhere("user", "disable", "ALICE")
    listed = [json.loads(line) for line in anywhere("user", "list", "--json").output.splitlines()]
    assert {one["user_id"]: one["disabled"] for one in listed} == {"alice": True, "Bob": False}
    anywhere("group", "create", "team", "--name", "Team", "--owner", "bob", "--member", "Alice")
    shown = anywhere("group", "show", "TEAM", ok=False).stderr + anywhere("group", "show", "team").output
    assert "alice" in shown
    assert "Alice" not in shown
