"""`relay import --from`: exports of other systems, tried out, imported, and imported again."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import pytest

from tests.app.converting.made import in_folder, in_zip, lines, said, slack
from tests.app.converting.test_mattermost import BASE, post
from tests.cli.conftest import Run

ROOT = "1600000001.000100"


def exported(folder: Path) -> str:
    files = slack(
        general=[
            said(1, "hello <@U2> :tada:", thread_ts=ROOT, reactions=[{"name": "+1", "users": ["U2"], "count": 1}]),
            said(2, "a reply", "U2", thread_ts=ROOT, edited={"user": "U2", "ts": "1600000009.000000"}),
            said(3, "a picture", "U2", files=[{"id": "F111111", "name": "a.png"}]),
            said(4, subtype="sh_room_created"),
            said(5, "This message was deleted.", "USLACKBOT", subtype="tombstone", thread_ts="1600000005.000100"),
            said(6, "under what is gone", thread_ts="1600000005.000100", parent_user_id="USLACKBOT"),
            said(7, subtype="channel_join", inviter="U2"),
        ],
        D1=[said(8, "aside")],
        D2=[said(9, "to myself")],
        **{"old-days": [said(10, "in a closed group", "U2")]},
    )
    in_zip(folder / "slack.zip", files | {"__uploads/F111111/a.png": b"\x89PNG\r\n\x1a\n" * 100_000})
    return "slack.zip"


def rows(folder: Path, select: str) -> list[tuple[object, ...]]:
    with sqlite3.connect(folder / "relay.db") as connection:
        return connection.execute(select).fetchall()


def test_an_export_of_slack_is_imported_once(folder: Path, anywhere: Run) -> None:
    file = exported(folder)
    result = anywhere("import", "--from", "slack", file)
    *_, counted, told = result.stdout.splitlines()
    assert counted == "21 stored, 2 there already, 0 refused"
    assert told == "in the export: 4 users, 1 bots, 4 groups, 9 messages, 1 reactions, 1 files"
    assert "1 times: line about a call left out" in result.stderr
    assert "general/2020-09-13.json #4: sh_room_created" in result.stderr
    told_of = rows(
        folder, "SELECT sender_id, timestamp, payload FROM log WHERE type != 'audit_event' ORDER BY message_id"
    )
    authors = ["alice", "bob", "bob", "slackbot", "alice", "bob", "alice", "alice", "bob"]
    assert [row[0] for row in told_of] == authors
    assert [row[1] for row in told_of] == [1_600_000_000.0001 + n for n in (1, 2, 3, 5, 6, 7, 8, 9, 10)]
    payloads = [json.loads(str(row[2])) for row in told_of[:3]]
    assert payloads[0] == {"content": "hello @bob 🎉", "mentions": ["bob"]}
    assert isinstance(payloads[1]["thread"], int)
    assert payloads[2]["files"][0]["size"] == 800_000
    before = rows(folder, "SELECT count(*) FROM log WHERE type != 'audit_event'")
    again = anywhere("import", "--from", "slack", file)
    assert again.stdout.splitlines()[0] == "0 stored, 23 there already, 0 refused"
    assert rows(folder, "SELECT count(*) FROM log WHERE type != 'audit_event'") == before


def test_an_export_of_mattermost_is_imported_once(folder: Path, anywhere: Run) -> None:
    (folder / "import.jsonl").write_bytes(
        lines(
            *BASE, post(1, "hi @bob", replies=[{"user": "bob", "message": "yes", "create_at": 1_600_000_002_000}])
        )
    )
    assert " 0 refused" in anywhere("import", "--from", "mattermost", "import.jsonl").stdout
    assert "0 stored, " in anywhere("import", "--from", "mattermost", "import.jsonl").stdout
    assert len(rows(folder, "SELECT * FROM log WHERE type = 'group_message'")) == 2


def test_a_dry_run_tells_the_same_and_stores_nothing(folder: Path, run: Run) -> None:
    file = exported(folder)
    result = run("import", "--from", "slack", file, "--dry-run", "--report", "report.ndjson", "--json")
    (told,) = map(json.loads, result.stdout.splitlines())
    assert told["export"]["messages"] == 9
    assert told["did_not_fit"]["left_out_call"] == {
        "count": 1, "means": "line about a call left out", "examples": ["general/2020-09-13.json #4"],
    }  # fmt: skip
    assert not (folder / "relay.db").exists()
    assert json.loads((folder / "report.ndjson").read_text().splitlines()[0])["kind"] == "bot_made_up"


def test_what_is_refused_does_not_keep_the_report_back(folder: Path, run: Run) -> None:
    file = exported(folder)
    run("user", "add", "secret")
    result = run("import", "--from", "slack", file, "--continue", ok=False)
    assert "conflict: 'secret' is a user here; give the group another id" in result.stderr
    assert "1 times: line about a call left out" in result.stderr
    assert result.stdout.splitlines()[-1].startswith("in the export: ")
    (folder / "map.csv").write_text("#secret,hidden\n")
    assert " 0 refused" in run("import", "--from", "slack", file, "--users", "map.csv").stdout


def test_people_are_written_and_chosen(folder: Path, run: Run) -> None:
    file = exported(folder)
    run("import", "--from", "slack", file, "--dry-run", "--people", "people.csv")
    written = (folder / "people.csv").read_text()
    assert written.splitlines()[:2] == ["U1,alice,Alice Liddell", "U2,bob,Bobby"]
    (folder / "people.csv").write_text(written.replace("U1,alice,", "U1,al,"))
    run("import", "--from", "slack", file, "--users", "people.csv")
    assert rows(
        folder,
        "SELECT DISTINCT sender_id FROM log WHERE sender_id != 'slackbot' AND type = 'group_message' ORDER BY 1",
    ) == [
        ("al",),
        ("bob",),
    ]


def test_what_cannot_be_read_ends_it_before_anything_is_stored_or_is_left_out(folder: Path, run: Run) -> None:
    files = slack(
        general={"2020-09-13.json": b'[\n{"ts": 1', "2020-09-14.json": [said(90_000, "next"), {"text": "no time"}]}
    )
    in_folder(folder / "export", files)
    result = run("import", "--from", "slack", "export", ok=False)
    assert result.exit_code == 1
    expected = "relay: 2 parts of the export cannot be read, the first of them general/2020-09-13.json:2: Input data was truncated"
    assert result.stderr.startswith(expected)
    assert not (folder / "relay.db").exists()
    result = run("import", "--from", "slack", "export", "--continue")
    assert "general/2020-09-14.json #2: Object missing required field `ts`" in result.stderr
    assert len(rows(folder, "SELECT * FROM log WHERE type = 'group_message'")) == 1


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--from", "slack", "import.jsonl"], "import.jsonl: there is no users.json in it"),
        (["--from", "mattermost", "slack.zip"], " files of lines are in it: D1/2020-09-13.json, "),
        (["--from", "slack", "slack.zip", "--users", "none.csv"], "none.csv: cannot be read: "),
        (["--from", "slack", "slack.zip", "--report", "no/where"], "no/where: No such file or directory"),
        (["--from", "zulip", "slack.zip"], "'zulip' is not one of 'slack', 'mattermost'"),
        (["--dry-run", "slack.zip"], "--dry-run is for an export of another system; say which by --from"),
        (["--from", "slack", "slack.zip", "--create-users"], "--create-users is for envelopes"),
        (["--from", "slack", "-"], "an export of another system is a file or a folder"),
    ],
)
def test_what_is_wrong_is_named(folder: Path, run: Run, arguments: list[str], told: str) -> None:
    exported(folder)
    (folder / "import.jsonl").write_bytes(lines())
    result = run("import", *arguments, ok=False)
    assert told in result.stderr
    assert not (folder / "relay.db").exists()
