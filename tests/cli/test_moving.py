"""`relay export` and `relay import` of everything, with a server and without: what they write, print and refuse."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from relay.storage.attachments import CHUNK_BYTES
from tests.cli.conftest import Run

BYTES = bytes(range(256)) * 3000
FILE: list[dict[str, Any]] = [
    {"record": "export", "version": 1, "source": "other:1", "reading": "own"},
    {"record": "user", "user_id": "alice", "name": "Alice"},
    {"record": "user", "user_id": "bob"},
    {"record": "attachment", "attachment_id": "F1", "user_id": "alice", "name": "plan", "path": "attachments/F1"},
    {"record": "attachment", "attachment_id": "F2", "user_id": "alice", "name": "empty", "path": "attachments/F2"},
    {
        "record": "message",
        "id": "1",
        "conversation": "user:alice:bob",
        "type": "chat_message",
        "by": "alice",
        "at": 5,
    }
    | {"payload": {"content": "Hi", "attachments": ["F1", "F2"]}},
    {"record": "end", "lines": 6},
]


def write(folder: Path, *records: dict[str, Any], name: str = "relay.ndjson") -> str:
    (folder / "attachments").mkdir(parents=True, exist_ok=True)
    (folder / "attachments" / "F1").write_bytes(BYTES)
    (folder / "attachments" / "F2").write_bytes(b"")
    (folder / name).write_text("".join(json.dumps(one) + "\n" for one in records))
    return str(folder)


def exported(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.fixture
def filled(anywhere: Run, folder: Path) -> Run:
    """A server with what `FILE` has."""
    write(folder / "in", *FILE)
    anywhere("import", "in")
    return anywhere


def blobs(folder: Path) -> Iterator[bytes]:
    with closing(sqlite3.connect(folder / "relay.db")) as connection:
        rows = connection.execute(
            "SELECT b.blob_id FROM attachments a JOIN blobs b USING (blob_id) ORDER BY a.name"
        )
        for (blob_id,) in rows.fetchall():
            chunks = connection.execute(
                "SELECT data FROM chunks WHERE chunk_id BETWEEN ?1 << 20 AND (?1 << 20) + 1000 ORDER BY 1",
                (blob_id,),
            )
            yield b"".join(data for (data,) in chunks)


def test_files_beside_the_lines_come_with_them(anywhere: Run, folder: Path) -> None:
    write(folder / "in", *FILE)
    assert anywhere("import", "in").stdout == "5 stored, 2 there already, 0 refused\n"
    assert list(blobs(folder)) == [b"", BYTES]
    assert (
        anywhere("import", str(folder / "in" / "relay.ndjson")).stdout == "0 stored, 7 there already, 0 refused\n"
    )


def test_an_export_has_everything_in_a_folder(filled: Run, folder: Path) -> None:
    told = json.loads(filled("export", "out", "--json").stdout)
    assert told == {"target": "out", "users": 2, "groups": 0, "messages": 1, "files": 2, "lines": told["lines"]}
    records = exported(folder / "out" / "relay.ndjson")
    assert [one["record"] for one in records][:2] == ["export", "user"]
    assert records[-1] == {"record": "end", "lines": len(records) - 1}
    assert (folder / "out" / "attachments" / "F1").read_bytes() == BYTES
    assert (folder / "out").stat().st_mode & 0o777 == 0o700
    assert (folder / "out" / "relay.ndjson").stat().st_mode & 0o777 == 0o600
    assert filled("export", "again").exit_code == 0
    one, other = (exported(folder / name / "relay.ndjson") for name in ("out", "again"))
    assert one[1:] == other[1:]  # the order is always the same; the first line says when it was made


def test_an_export_is_one_file_with_the_bytes_in_its_lines(filled: Run, folder: Path) -> None:
    filled("export", "out.ndjson")
    chunks = [one for one in exported(folder / "out.ndjson") if one["record"] == "chunk"]
    assert [(one["attachment_id"], one["start"], one.get("last", False)) for one in chunks] == [
        ("F1", 0, False), ("F1", 4 * CHUNK_BYTES, True), ("F2", 0, True),
    ]  # fmt: skip
    assert not list(folder.glob("*.unfinished"))


def test_passwords_are_in_an_export_only_where_they_are_asked_for(filled: Run, folder: Path) -> None:
    filled("user", "passwd", "alice", "--password-stdin", input="a good password\n")
    filled("export", "without.ndjson")
    assert "argon2" not in (folder / "without.ndjson").read_text()
    filled("export", "with.ndjson", "--with-credentials")
    alice = next(one for one in exported(folder / "with.ndjson") if one.get("user_id") == "alice")
    assert alice["password_hash"].startswith("$argon2id$")


def test_an_export_writes_over_nothing(filled: Run, folder: Path) -> None:
    (folder / "full").mkdir()
    (folder / "full" / "mine").touch()
    (folder / "there.ndjson").touch()
    (folder / "plain").touch()
    for target, told in (
        ("full", "full is not empty; name a new folder"),
        ("there.ndjson", "there.ndjson is there already; name a new file"),
        ("plain", "plain is a file; name a folder, or a file that ends with .ndjson"),
        ("no/such.ndjson", "no/such.ndjson.unfinished cannot be written: No such file or directory"),
    ):
        assert told in filled("export", target, ok=False).stderr


def test_an_export_of_this_server_is_not_imported_here(filled: Run) -> None:
    filled("export", "out.ndjson")
    result = filled("import", "out.ndjson", ok=False)
    assert (
        "out.ndjson:1: conflict: this is an export of this very server: everything is here already"
        in result.stderr
    )


def test_a_file_that_was_cut_off_is_told(anywhere: Run, folder: Path) -> None:
    write(folder / "in", *FILE[:-1])
    result = anywhere("import", "in", ok=False)
    assert result.stdout == "5 stored, 1 there already, 0 refused\n"
    assert "the export ends without its last line, `end`: it was cut off, and a part is missing" in result.stderr
    write(folder / "in", *FILE)
    assert anywhere("import", "in", "--from-line", "6").stdout == "0 stored, 2 there already, 0 refused\n"


def test_a_bad_line_is_named_with_its_number(anywhere: Run, folder: Path) -> None:
    outside = FILE[3] | {"path": "../relay.db", "attachment_id": "F3"}
    missing = FILE[3] | {"path": "attachments/none", "attachment_id": "F4"}
    typo = {"record": "usr", "user_id": "zed"}
    write(folder / "in", *FILE[:3], outside, missing, typo, *FILE[3:])
    result = anywhere("import", "in", "--continue", ok=False)
    assert result.stdout == "5 stored, 2 there already, 3 refused\n"
    told = [line for line in result.stderr.splitlines() if "relay.ndjson:" in line]
    assert "relay.ndjson:4: path is '../relay.db', which is not below the folder of the file" in told[0]
    assert "relay.ndjson:5: " in told[1]
    assert "attachments/none cannot be read: No such file or directory" in told[1]
    assert "relay.ndjson:6: invalid_payload: not a record of an export: Invalid value 'usr'" in told[2]
