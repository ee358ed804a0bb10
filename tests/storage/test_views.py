"""The views for SQL: their columns are those of the documentation, and they outlive changes of the tables."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from relay.storage import accounts, conversations, migrations, views
from relay.storage.upgrading import migrate
from relay.testing.world import make_database

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "operate" / "sql.md").read_text(encoding="utf-8")
SECRET = re.compile(r"password|token|secret|hash|code", re.IGNORECASE)


@pytest.fixture
def database(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    """A database with two people, a group, and a few messages."""
    make_database(tmp_path / "relay.db")
    with closing(sqlite3.connect(tmp_path / "relay.db", isolation_level=None)) as connection:
        for name in ("alice", "bob"):
            accounts.create_user(connection, name, 1_700_000_000.25)
        conversations.create_group(connection, "team", "Team", {}, 1_700_000_000.0)
        (channel,) = connection.execute("SELECT channel_id FROM groups").fetchone()
        width = len(connection.execute("PRAGMA table_info(log)").fetchall())
        said = f"INSERT INTO log VALUES ({','.join('?' * width)})"
        for number, payload in enumerate(('{"content":"Hi"}', '{"content":"Yes","reply_to":1}', None), 1):
            row = [number, channel, number, "group_message", "alice", "team", None, None, None, payload, 1.7e9]
            connection.execute(said, row + [None] * (width - len(row)))
        connection.execute("UPDATE log SET deleted_at = 1700000001 WHERE payload IS NULL")
        yield connection


def documented() -> dict[str, list[str]]:
    """Return the columns that the page describes, by view."""
    sections = re.findall(r"^### `(v1_\w+)`\n(.*?)(?=^##)", PAGE, re.MULTILINE | re.DOTALL)
    return {name: re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE) for name, text in sections}


def columns(connection: sqlite3.Connection) -> dict[str, list[str]]:
    return {name: [row[1] for row in connection.execute(f"PRAGMA table_info({name})")] for name in views.VIEWS}


def test_the_columns_are_those_that_are_documented(database: sqlite3.Connection) -> None:
    assert columns(database) == documented()
    assert not [name for listed in documented().values() for name in listed if SECRET.search(name)]


def test_a_message_has_its_text_and_times_that_people_can_read(database: sqlite3.Connection) -> None:
    rows = database.execute(
        "SELECT seq, conversation, group_id, at, text, reply_to, deleted_at, payload FROM v1_messages ORDER BY 1"
    ).fetchall()
    at = "2023-11-14T22:13:20.000Z"
    assert rows == [
        (1, "group:team", "team", at, "Hi", None, None, '{"content":"Hi"}'),
        (2, "group:team", "team", at, "Yes", 1, None, '{"content":"Yes","reply_to":1}'),
        (3, "group:team", "team", at, None, None, "2023-11-14T22:13:21.000Z", None),
    ]
    assert database.execute("SELECT user_id, state, created_at FROM v1_users").fetchall() == [
        ("alice", "active", "2023-11-14T22:13:20.250Z"), ("bob", "active", "2023-11-14T22:13:20.250Z"),
    ]  # fmt: skip


@pytest.mark.parametrize("query", re.findall(r"```sql\n(SELECT.*?)```", PAGE, re.DOTALL))
def test_an_example_of_the_page_runs(database: sqlite3.Connection, query: str) -> None:
    database.execute(query).fetchall()


def test_the_copy_for_others_has_the_views_alone(database: sqlite3.Connection, tmp_path: Path) -> None:
    script = re.search(r"```sql\n(ATTACH.*?)```", PAGE, re.DOTALL)
    assert script is not None
    uri = f"{(tmp_path / 'relay.db').as_uri()}?mode=ro"
    with closing(sqlite3.connect(uri, uri=True)) as connection:
        connection.executescript(script[1].replace("shown.db", str(tmp_path / "shown.db")))
    with closing(sqlite3.connect(tmp_path / "shown.db")) as shown:
        assert shown.execute("SELECT count(*) FROM messages").fetchone() == (3,)
        tables = {row[0] for row in shown.execute("SELECT name FROM sqlite_master")}
    assert tables == {"users", "groups", "messages"}


def test_a_step_may_change_a_column_that_a_view_names(
    database: sqlite3.Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = columns(database)

    def apply(connection: sqlite3.Connection) -> None:
        connection.execute("ALTER TABLE users RENAME COLUMN display_name TO shown_as")
        connection.execute("ALTER TABLE users RENAME COLUMN shown_as TO display_name")
        connection.execute("ALTER TABLE users DROP COLUMN groups_from")

    monkeypatch.setattr(migrations, "apply", apply)
    monkeypatch.setattr(migrations, "steps", lambda: [*migrations.applied(database), "a_later_one"])
    migrate(tmp_path / "relay.db")
    assert columns(database) == before


def test_a_view_of_another_version_is_made_anew(database: sqlite3.Connection, tmp_path: Path) -> None:
    database.execute("DROP VIEW v1_users")
    database.execute("CREATE VIEW v1_users AS SELECT 1 AS one")
    database.execute("CREATE VIEW v1_gone AS SELECT 1 AS one")
    database.execute("CREATE VIEW my_own AS SELECT 2 AS two")
    migrate(tmp_path / "relay.db")
    assert columns(database) == documented()
    names = {row[0] for row in database.execute("SELECT name FROM sqlite_master WHERE type = 'view'")}
    assert names == {*views.VIEWS, "my_own"}
