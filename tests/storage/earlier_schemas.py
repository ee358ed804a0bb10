"""The schemas that relay had before: a small database of each, as SQL in tests/storage/earlier.

They are made of this repository's history, each by the code of its time:

    python -m tests.storage.earlier_schemas

That adds the schemas that are not there yet, up to the one before today's; what is there stays as it is.
"""

from __future__ import annotations

import re
import sqlite3
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import closing
from io import BytesIO
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]
FOLDER: Final = Path(__file__).with_name("earlier")
_FILES: Final = ("relay/storage/first_migrations.py", "relay/storage/migrations.py")
_STEP: Final = re.compile(r"^@migrations\(\)\ndef (\w+)", re.MULTILINE)
_MAKE: Final = """
import importlib, pathlib
for name in ("upgrading", "migrations"):
    try:
        migrate = importlib.import_module(f"relay.storage.{name}").migrate
        break
    except (ImportError, AttributeError):
        continue
migrate(pathlib.Path("relay.db"))
"""
_SAID: Final = (
    "INSERT INTO names (name, kind) VALUES ('alice', 'user'), ('bob', 'user');"
    "INSERT INTO users (user_id, display_name, created_at) VALUES ('alice', 'Alice', 1.7e9), ('bob', 'Bob', 1.7e9);"
    "INSERT INTO channels (channel_id, address, kind, created_at) VALUES (90, 'user:alice:bob', 'user', 1.7e9);"
    "INSERT INTO members (channel_id, user_id, role, visible_from, joined_at)"
    " VALUES (90, 'alice', 'member', 1, 1.7e9), (90, 'bob', 'member', 1, 1.7e9);"
    "INSERT INTO log (message_id, channel_id, seq, type, sender_id, target_id, own_id, payload, timestamp)"
    " VALUES (900, 90, 1, 'chat_message', 'alice', 'bob', 'first', '{\"content\": \"kept since then\"}', 1.7e9);"
    "UPDATE facts SET value = 1000 WHERE name = 'high_water';"
)


def _git(*arguments: str) -> bytes:
    done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, check=False)
    return done.stdout if done.returncode == 0 else b""


def _history() -> Iterator[tuple[str, frozenset[str]]]:
    """Yield the commits that changed the schema, the oldest first, with the steps that each had."""
    known: set[frozenset[str]] = set()
    for commit in _git("log", "--first-parent", "--reverse", "--format=%H", "--", *_FILES).decode().split():
        text = b"\n".join(_git("show", f"{commit}:{file}") for file in _FILES).decode()
        steps = frozenset(_STEP.findall(text))
        if steps and steps not in known:
            known.add(steps)
            yield commit, steps


def _made_by(commit: str) -> str:
    """Return a database that the relay of a commit made, as SQL: two users, who have said something."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with tarfile.open(fileobj=BytesIO(_git("archive", commit, "relay", "plugins"))) as archive:
            archive.extractall(folder, filter="data")
        subprocess.run([sys.executable, "-c", _MAKE], cwd=folder, check=True)
        with closing(sqlite3.connect(folder / "relay.db")) as database:
            columns = {row[1] for row in database.execute("PRAGMA table_info(users)")}
            right = "role = 'owner'" if "role" in columns else "admin = 1"
            database.executescript(f"{_SAID} UPDATE users SET {right} WHERE user_id = 'alice';")
            kept = [*database.iterdump()]
    return "\n".join(kept) + "\n"


def main() -> None:
    """Write the schemas that are not there yet."""
    found = list(_history())
    for commit, steps in found[:-1]:
        file = FOLDER / f"schema-{len(steps)}.sql"
        if not file.exists() and len(steps) < len(found[-1][1]):
            file.write_text(_made_by(commit))
            print(f"{file.relative_to(ROOT)}: {len(steps)} steps, as of {commit[:8]}")


if __name__ == "__main__":
    main()
