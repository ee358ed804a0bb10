"""`relay import`: once, in order, with each line that cannot be named."""

from __future__ import annotations

import json
import sqlite3
import time
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Run


def line(number: int, **more: Any) -> dict[str, Any]:
    meta = {"id": f"old-{number}", "sender_id": "alice", "target_id": "bob", "timestamp": 1_500_000_000.0 + number}
    return {"type": "chat_message", "payload": {"content": f"message {number}"}, "meta": meta} | more


def write(folder: Path, *lines: Any, name: str = "old.ndjson") -> str:
    text = "".join(f"{one if isinstance(one, str) else json.dumps(one)}\n" for one in lines)
    (folder / name).write_text(text, encoding="utf-8")
    return name


def stored(folder: Path) -> list[tuple[Any, ...]]:
    """Return the people's messages; that the people were added is in the audit log, in the same table."""
    with sqlite3.connect(folder / "relay.db") as connection:
        rows = connection.execute(
            "SELECT sender_id, seq, own_id, payload, sent_at, timestamp FROM log"
            " WHERE type != 'audit_event' ORDER BY message_id"
        )
        return rows.fetchall()


@pytest.fixture
def people(anywhere: Run) -> Run:
    for name in ("alice", "bob"):
        anywhere("user", "add", name)
    return anywhere


def test_messages_are_stored_once_in_order_with_their_time(folder: Path, people: Run) -> None:
    file = write(folder, *(line(number) for number in range(7)))
    assert people("import", file).stdout == "7 stored, 0 there already, 0 refused\n"
    rows = stored(folder)
    assert [row[1] for row in rows] == list(range(1, 8))
    assert [(row[2], row[4]) for row in rows] == [(f"old-{n}", 1_500_000_000.0 + n) for n in range(7)]
    assert [row[5] for row in rows] == [row[4] for row in rows]
    file = write(folder, *(line(number) for number in range(9)))
    assert people("import", file).stdout == "2 stored, 7 there already, 0 refused\n"
    assert len(stored(folder)) == 9


def test_a_time_that_is_not_past_is_none(folder: Path, people: Run) -> None:
    meta = {"sender_id": "alice", "target_id": "bob"}
    file = write(
        folder,
        line(0, meta={**meta, "id": "none"}),
        line(1, meta={**meta, "id": "to-come", "timestamp": 9_000_000_000.0}),
        line(2, meta={**meta, "id": "never", "timestamp": -5.0}),
    )
    before = time.time() - 60
    assert people("import", file).stdout == "3 stored, 0 there already, 0 refused\n"
    assert all(before < row[5] < time.time() + 60 for row in stored(folder))


def test_standard_input_and_one_line_of_no_end(folder: Path, people: Run) -> None:
    text = "".join(json.dumps(line(n)) + "\n\n" for n in range(3)) + json.dumps(line(3))
    assert people("import", "-", input="\ufeff" + text).stdout == "4 stored, 0 there already, 0 refused\n"
    result = people("import", "-", input="x" * 3_000_000 + "\n" + json.dumps(line(4)), ok=False)
    assert "standard input:1: longer than 1,000,000 bytes" in result.stderr
    result = people("import", "-", "--continue", input="x" * 3_000_000 + "\n" + json.dumps(line(4)), ok=False)
    assert result.stdout == "1 stored, 0 there already, 1 refused\n"


WRONG = [
    ("{", "bad_envelope: not a message: Input data was truncated"),
    (json.dumps(["chat_message"]), "bad_envelope: not a message: Expected `object`, got `array`"),
    (line(1, meta={"sender_id": "alice", "target_id": "bob"}), "required field `id` - at `$.meta`"),
    (line(1, meta={"id": "1", "target_id": "bob"}), "required field `sender_id` - at `$.meta`"),
    (line(1, meta={"id": "1", "sender_id": "alice"}), "bad_envelope: a chat_message needs meta.target_id"),
    (line(1, meta={"id": "1", "sender_id": "carol", "target_id": "bob"}), "not_found: there is no user 'carol', who sent it"),
    (line(1, meta={"id": "1", "sender_id": "bob", "target_id": "carol"}), "not_found: there is no user or group 'carol'"),
    (line(1, payload={"text": "x"}), "invalid_payload: chat_message: Object contains unknown field `text`"),
    (line(1, type="chat_mesage"), "unknown_type: there is no message type 'chat_mesage'"),
    (line(1, type="typing_indicator", payload={"typing": True}), "a typing_indicator is never stored"),
    (line(1, type="group_event"), "forbidden: a group_event is sent by the server only"),
    (line(0, payload={"content": "other"}), "conflict: the id 'old-0' was used before"),
    ('{"type": "chat_message", "payload": {"content": "\udcff"}}'.encode("utf-8", "surrogateescape").decode("latin-1"), "required field `meta`"),
]  # fmt: skip


@pytest.mark.parametrize(("wrong", "told"), WRONG)
def test_a_line_that_cannot_be_is_named_and_ends_it_or_is_passed_over(
    folder: Path, run: Run, wrong: Any, told: str
) -> None:
    for name in ("alice", "bob"):
        run("user", "add", name)
    file = write(folder, line(0), "", wrong, line(2))
    result = run("import", file, ok=False)
    assert "old.ndjson:3: " in result.stderr
    assert told in result.stderr
    # What is refused only in its transaction is so after the lines behind it are on their way.
    before = 2 if told.startswith("conflict") else 1
    assert f"{before} stored, 0 there already, 1 refused; begin again with --from-line 3" in result.stderr
    result = run("import", file, "--continue", ok=False)
    assert told in result.stderr
    assert result.stdout == f"{2 - before} stored, {before} there already, 1 refused\n"
    assert [row[2] for row in stored(folder)] == ["old-0", "old-2"]
    assert run("import", file, "--from-line", "4").stdout == "0 stored, 1 there already, 0 refused\n"


def test_what_is_no_text_is_named(folder: Path, run: Run) -> None:
    for name in ("alice", "bob"):
        run("user", "add", name)
    (folder / "old.ndjson").write_bytes(
        json.dumps(line(0)).encode() + b"\n\xff\xfe\n" + json.dumps(line(1)).encode()
    )
    result = run("import", "old.ndjson", "--continue", ok=False)
    assert "old.ndjson:2: not UTF-8 text" in result.stderr
    assert len(stored(folder)) == 2


def test_users_are_created_where_that_is_asked_for(folder: Path, anywhere: Run) -> None:
    anywhere("user", "add", "alice")
    anywhere("group", "create", "team", "--name", "Team", "--owner", "alice")
    to_team = {"id": "t", "sender_id": "alice", "target_id": "team"}
    stranger = {"id": "s", "sender_id": "dave", "target_id": "team"}
    file = write(
        folder, line(0), line(1, meta={"id": "c", "sender_id": "carol", "target_id": "alice"}),
        line(2, type="group_message", meta=to_team), line(3, type="group_message", meta=stranger),
        line(4, meta={"id": "w", "sender_id": "no name", "target_id": "alice"}),
    )  # fmt: skip
    result = anywhere("import", file, "--create-users", "--continue", ok=False)
    assert result.stdout == "3 stored, 0 there already, 2 refused\n"
    assert "old.ndjson:4: not_found: there is no user or group 'team'" in result.stderr
    assert "old.ndjson:5: not_found: there is no user 'no name', who sent it" in result.stderr
    names = anywhere("user", "list", "--json").output.splitlines()
    assert [json.loads(one)["user_id"] for one in names] == ["alice", "bob", "carol", "dave"]


def test_many_are_more_than_one_request_and_one_batch(folder: Path, people: Run) -> None:
    file = write(folder, *(line(number % 11_900) for number in range(12_000)))
    result = people("import", file)
    assert result.stdout == "11,900 stored, 100 there already, 0 refused\n"
    assert "line 5,000: 5,000 stored" in result.stderr
    assert [row[1] for row in stored(folder)] == list(range(1, 11_901))


def test_the_line_that_the_page_shows_is_one(folder: Path, run: Run) -> None:
    page = (Path(__file__).parents[2] / "docs" / "cli.md").read_text(encoding="utf-8")
    shown = page.partition("## relay import\n")[2].partition("```json\n")[2].partition("```")[0]
    assert run("import", "-", "--create-users", input=shown).stdout == "1 stored, 0 there already, 0 refused\n"
    assert stored(folder)[0][2:5] == ("old-1", '{"content":"Hi"}', 1_500_000_000.0)
