"""Records: what the import reads, in its order; a large export takes little memory and time."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from relay.app.converting.archives import ExportError
from relay.app.converting.report import Report
from relay.protocol import records
from tests.app.converting import test_mattermost
from tests.app.converting.made import NOW, Read, in_folder, in_zip, lines, said, slack

COUNT = 20_000
decode = msgspec.json.Decoder(records.AnyRecord).decode


def check(read: Read) -> None:
    """Check that each line is a record, and that each refers to what is before it."""
    known: set[tuple[str, Any]] = set()
    for line in read.lines:
        assert len(line) <= records.MOST_BYTES
        record = decode(line)
        if isinstance(record, records.User):
            known.add(("user", record.user_id))
        elif isinstance(record, records.Group):
            known |= {("group", record.group_id), ("place", f"group:{record.group_id}")}
            assert {("user", one.user_id) for one in record.members} <= known
        elif isinstance(record, records.Attachment):
            known.add(("file", record.attachment_id))
        elif isinstance(record, records.Message | records.Value):
            check_said(record, known)


def check_said(record: records.Message | records.Value, known: set[tuple[str, Any]]) -> None:
    kind, *parts = record.conversation.split(":")
    assert (kind == "user" and {("user", one) for one in parts} <= known) or (
        "place",
        record.conversation,
    ) in known
    payload = {} if record.payload is msgspec.UNSET else record.payload
    wanted = {("user", record.by), *(("file", one) for one in payload.get("attachments", ()))}
    wanted |= {("message", payload[name]) for name in ("thread", "message_id") if name in payload}
    assert wanted <= known
    key = ("message" if isinstance(record, records.Message) else "value", record.id)
    assert key not in known
    known.add(key)


def large_slack(count: int, seed: int) -> dict[str, Any]:
    """Return an export of so many messages of a year: threads, reactions, files, and some that do not fit."""
    dice = random.Random(seed)
    users = [f"U{number}" for number in range(40)]
    channels = [
        {"id": f"C{n}", "name": f"channel-{n}", "created": 1, "creator": dice.choice(users), "members": dice.sample(users, 20)}
        for n in range(8)
    ]  # fmt: skip
    days: dict[str, list[Any]] = {}
    roots: list[tuple[str, str]] = []
    for number in range(count):
        second = number * (31_000_000 // count)
        message = said(
            second,
            f"message {number} <@{dice.choice(users)}> *bold* :tada: &amp; <https://x.org|x>",
            dice.choice(users),
        )
        channel = dice.choice(channels)["name"]
        if roots and dice.random() < 0.3:
            channel, message["thread_ts"] = dice.choice(roots[-50:])
        elif dice.random() < 0.2:
            roots.append((str(channel), message["ts"]))
        if dice.random() < 0.2:
            message["reactions"] = [{"name": "+1", "users": dice.sample(users, 3), "count": 3}]
        if dice.random() < 0.05:
            message["files"] = [
                {"id": f"F{number:06}", "name": "f.txt", "url_private": "https://files.slack.com/f?t=x"}
            ]
        if dice.random() < 0.05:
            message["subtype"] = dice.choice(["channel_join", "tombstone", "bot_message", "sh_room_created"])
        day = time.strftime("%Y-%m-%d", time.gmtime(1_600_000_000 + second))
        days.setdefault(f"{channel}/{day}.json", []).append(message)
    people = [
        {"id": one, "team_id": "T1", "name": f"user{one[1:]}", "profile": {"email": f"{one}@example.org"}}
        for one in users
    ]
    return {"users.json": people, "channels.json": channels, **days}


def megabytes(path: Path) -> float:
    """Return the most memory that a process needs that converts an export."""
    code = (
        "import sys; from pathlib import Path\n"
        "from relay.app.converting.records import open_export; from relay.app.converting.report import Report\n"
        f"with open_export('slack', Path(sys.argv[1]), Report(), {NOW}) as made: [None for line in made.lines()]\n"
        "print(Path('/proc/self/status').read_text().split('VmHWM:')[1].split()[0])"
    )
    done = subprocess.run([sys.executable, "-c", code, path], check=True, capture_output=True, timeout=120)
    return float(done.stdout) / 1024


def test_a_large_export_of_slack_is_read_quickly_and_in_little_memory(tmp_path: Path) -> None:
    path = in_zip(tmp_path / "export.zip", large_slack(COUNT, 7))
    small = in_zip(tmp_path / "small.zip", large_slack(COUNT // 10, 7))
    before, peak = (megabytes(file) for file in (small, path))
    begun = time.process_time()
    read = Read("slack", path)
    spent = time.process_time() - begun
    print(
        f"{COUNT:,} messages, {len(read.lines):,} lines in {spent:.1f} s; {peak:.0f} MB, {before:.0f} for a tenth"
    )
    assert spent < 20
    assert peak - before < 25
    assert len(read.messages()) > COUNT * 0.9
    check(read)
    assert Read("slack", path).lines == read.lines


def test_a_large_export_of_mattermost_is_read_quickly_and_in_order(tmp_path: Path) -> None:
    dice = random.Random(8)
    posts = [
        test_mattermost.post(n, f"message {n} @bob :tada:", dice.choice(["alice", "bob"]), replies=[
            test_mattermost.said(n + dice.randrange(1, 5000), f"reply {k} to {n}", "carol") for k in range(dice.choice([0, 0, 3]))
        ])
        for n in range(COUNT // 2)
    ]  # fmt: skip
    dice.shuffle(posts)
    path = in_zip(tmp_path / "a.zip", {"import.jsonl": lines(*test_mattermost.BASE, *posts)})
    begun = time.process_time()
    read = Read("mattermost", path)
    spent = time.process_time() - begun
    print(f"{len(read.messages()):,} posts and replies in {spent:.1f} s")
    times = [one["at"] for one in read.messages()]
    assert times == sorted(times)
    assert spent < 20
    check(read)


VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
FIELDS = ["ts", "user", "text", "subtype", "thread_ts", "files", "file", "reactions", "blocks", "attachments", "edited",
          "bot_id", "username", "comment", "topic", "name", "user_profile", "inviter"]  # fmt: skip


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.dictionaries(st.sampled_from(FIELDS), VALUES, max_size=8), max_size=5))
def test_whatever_slack_messages_hold_what_is_made_is_a_file_to_import(
    tmp_path: Path, odd: list[dict[str, Any]]
) -> None:
    messages = [said(number, "x") | one for number, one in enumerate(odd)]
    messages += [said(number, "x") | one | {"ts": f"{1_600_000_000 + number}.5"} for number, one in enumerate(odd)]
    check(Read("slack", in_folder(tmp_path, slack(general=[*messages, said(900, "end")], D1=messages))))


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.dictionaries(
            st.sampled_from(
                ["user", "message", "type", "props", "reactions", "replies", "attachments", "edit_at"]
            ),
            VALUES,
        ),
        max_size=5,
    )
)
def test_whatever_posts_hold_what_is_made_is_a_file_to_import(tmp_path: Path, odd: list[dict[str, Any]]) -> None:
    posts = []
    for number, one in enumerate(odd):
        made = test_mattermost.post(number, "x")
        posts.append({"type": "post", "post": made["post"] | one})
    check(test_mattermost.read(tmp_path, *posts, test_mattermost.post(900, "end")))


def test_a_text_that_is_too_long_for_a_line_is_cut_and_counted(tmp_path: Path) -> None:
    read = Read("slack", in_folder(tmp_path, slack(general=[said(1, "é" * 1_000_000)])))
    check(read)
    assert read.kinds == {"text_cut": 1}


def test_no_more_is_pinned_than_may_be(tmp_path: Path) -> None:
    posts = [test_mattermost.post(n, str(n), is_pinned=True) for n in range(60)]
    read = test_mattermost.read(tmp_path, *posts)
    assert len(read.all("value")) == 50
    assert read.kinds == {"pin_left_out": 10}


def test_the_report_counts_names_the_first_and_writes_all(tmp_path: Path) -> None:
    file = tmp_path / "report.ndjson"
    with file.open("wb") as opened:
        report = Report(opened)
        for number in range(7):
            report.note("empty", f"a.json #{number}", "line\nbreak" + "x" * 300)
    assert report.kinds == {"empty": 7}
    assert [note.where for note in report.examples["empty"]] == ["a.json #0", "a.json #1", "a.json #2"]
    written = [json.loads(line) for line in file.read_text().splitlines()]
    assert len(written) == 7
    assert written[0] == {"kind": "empty", "where": "a.json #0", "about": ("line break" + "x" * 300)[:200]}


def test_a_file_that_is_damaged_is_named(tmp_path: Path) -> None:
    files = slack(general=[said(1, "", files=[{"id": "F111111", "name": "a.bin"}])]) | {
        "__uploads/F111111/a.bin": bytes(range(256)) * 999
    }
    path = in_zip(tmp_path / "a.zip", files)
    whole = bytearray(path.read_bytes())
    at = whole.index(b"__uploads/F111111/a.bin") + 60
    whole[at : at + 10] = bytes(10)
    path.write_bytes(bytes(whole))
    with pytest.raises(ExportError, match=r"^__uploads/F111111/a.bin: cannot be read: "):
        Read("slack", path)
