"""The first steps of the schema, up to the files of conversations; the later ones are in migrations.py."""

from __future__ import annotations

import secrets
import time
from typing import Final

import sqlite_utils
from sqlite_utils.migrations import Migrations

from relay.storage.folding import sought

BROADCAST_CHANNEL: Final = 1
"""The id of the broadcast channel; every user has a row in `members` for it."""

migrations = Migrations("relay")


@migrations()
def accounts(db: sqlite_utils.Database) -> None:
    """Create the tables of users, tokens and devices."""
    run(
        db,
        """
        CREATE TABLE facts (name TEXT PRIMARY KEY, value NOT NULL) WITHOUT ROWID;
        CREATE TABLE names (name TEXT PRIMARY KEY, kind TEXT NOT NULL) WITHOUT ROWID;
        CREATE TABLE users (
            user_id TEXT PRIMARY KEY, display_name TEXT NOT NULL, admin INTEGER NOT NULL DEFAULT 0,
            disabled INTEGER NOT NULL DEFAULT 0, password_hash TEXT, created_at REAL NOT NULL,
            delivered INTEGER NOT NULL DEFAULT 0
        ) WITHOUT ROWID;
        CREATE TABLE tokens (
            token_hash BLOB PRIMARY KEY, token_id TEXT NOT NULL UNIQUE, user_id TEXT NOT NULL,
            origin TEXT NOT NULL, label TEXT NOT NULL, scopes TEXT NOT NULL, client_id TEXT,
            created_at REAL NOT NULL, expires_at REAL
        ) WITHOUT ROWID;
        CREATE INDEX tokens_by_user ON tokens(user_id);
        CREATE TABLE invites (
            code_hash BLOB PRIMARY KEY, created_by TEXT, created_at REAL NOT NULL,
            expires_at REAL, uses_left INTEGER NOT NULL
        ) WITHOUT ROWID;
        CREATE TABLE devices (
            user_id TEXT NOT NULL, client_id TEXT NOT NULL, session_id TEXT NOT NULL UNIQUE,
            token_id TEXT, acked INTEGER NOT NULL DEFAULT 0, created_at REAL NOT NULL,
            seen_at REAL NOT NULL, revoked_at REAL, PRIMARY KEY (user_id, client_id)
        ) WITHOUT ROWID;
        CREATE TABLE following (
            user_id TEXT NOT NULL, followed_id TEXT NOT NULL, since REAL NOT NULL,
            PRIMARY KEY (user_id, followed_id)
        ) WITHOUT ROWID;
        CREATE INDEX followers ON following(followed_id);
        """,
    )
    db.conn.executemany(
        "INSERT INTO facts (name, value) VALUES (?, ?)",
        [("epoch", secrets.token_hex(8)), ("created_at", time.time())],
    )


@migrations()
def conversations(db: sqlite_utils.Database) -> None:
    """Create channels, their members, and the log."""
    run(
        db,
        """
        CREATE TABLE channels (
            channel_id INTEGER PRIMARY KEY, address TEXT NOT NULL UNIQUE, kind TEXT NOT NULL,
            floor_seq INTEGER NOT NULL DEFAULT 0, created_at REAL NOT NULL
        );
        CREATE TABLE groups (
            group_id TEXT PRIMARY KEY, channel_id INTEGER NOT NULL UNIQUE, name TEXT NOT NULL,
            history TEXT NOT NULL, created_at REAL NOT NULL, deleted_at REAL
        ) WITHOUT ROWID;
        CREATE TABLE members (
            channel_id INTEGER NOT NULL, user_id TEXT NOT NULL, role TEXT NOT NULL,
            visible_from INTEGER NOT NULL DEFAULT 1, visible_until INTEGER,
            joined_at REAL NOT NULL, PRIMARY KEY (channel_id, user_id)
        ) WITHOUT ROWID;
        CREATE INDEX members_by_user ON members(user_id);
        CREATE TABLE log (
            message_id INTEGER PRIMARY KEY, channel_id INTEGER NOT NULL, seq INTEGER NOT NULL,
            type TEXT NOT NULL, sender_id TEXT NOT NULL, target_id TEXT NOT NULL, client_id TEXT,
            own_id TEXT, digest BLOB, payload TEXT, timestamp REAL NOT NULL, sent_at REAL,
            edited_at REAL, deleted_at REAL
        );
        CREATE UNIQUE INDEX log_by_seq ON log(channel_id, seq);
        CREATE UNIQUE INDEX log_by_own_id ON log(sender_id, own_id) WHERE own_id IS NOT NULL;
        CREATE TABLE latest (
            message_id INTEGER PRIMARY KEY, channel_id INTEGER NOT NULL, type TEXT NOT NULL,
            sender_id TEXT NOT NULL, key TEXT NOT NULL, target_id TEXT NOT NULL, client_id TEXT,
            own_id TEXT, digest BLOB, payload TEXT NOT NULL, timestamp REAL NOT NULL, sent_at REAL,
            only_for TEXT,
            UNIQUE (channel_id, type, sender_id, key)
        );
        CREATE UNIQUE INDEX latest_by_own_id ON latest(sender_id, own_id) WHERE own_id IS NOT NULL;
        CREATE TABLE pointers (
            channel_id INTEGER NOT NULL, user_id TEXT NOT NULL, read_seq INTEGER NOT NULL DEFAULT 0,
            shown_seq INTEGER NOT NULL DEFAULT 0, PRIMARY KEY (channel_id, user_id)
        ) WITHOUT ROWID;
        INSERT INTO channels (channel_id, address, kind, created_at)
            VALUES (1, '*', 'broadcast', unixepoch());
        INSERT INTO facts (name, value) VALUES ('high_water', 0);
        """,
    )


@migrations()
def living(db: sqlite_utils.Database) -> None:
    """Add expiry, replacement, mentions and presence, and make everybody a member of the broadcast channel."""
    run(
        db,
        """
        ALTER TABLE log ADD COLUMN expires_at REAL;
        ALTER TABLE log ADD COLUMN replaces INTEGER;
        CREATE INDEX log_by_expiry ON log(expires_at) WHERE expires_at IS NOT NULL AND deleted_at IS NULL;
        ALTER TABLE latest ADD COLUMN about INTEGER;
        CREATE INDEX latest_by_about ON latest(about) WHERE about IS NOT NULL;
        CREATE TABLE newest (
            channel_id INTEGER NOT NULL, type TEXT NOT NULL, sender_id TEXT NOT NULL, key TEXT NOT NULL,
            message_id INTEGER NOT NULL, about INTEGER, PRIMARY KEY (channel_id, type, sender_id, key)
        ) WITHOUT ROWID;
        CREATE INDEX newest_by_about ON newest(about) WHERE about IS NOT NULL;
        CREATE TABLE mentions (
            channel_id INTEGER NOT NULL, user_id TEXT NOT NULL, seq INTEGER NOT NULL,
            PRIMARY KEY (channel_id, user_id, seq)
        ) WITHOUT ROWID;
        ALTER TABLE users ADD COLUMN receipts INTEGER NOT NULL DEFAULT 1;
        ALTER TABLE users ADD COLUMN presence_to TEXT NOT NULL DEFAULT 'everyone';
        CREATE TABLE presence (
            user_id TEXT PRIMARY KEY, status TEXT, text TEXT, until REAL, last_seen REAL,
            present INTEGER NOT NULL DEFAULT 0
        ) WITHOUT ROWID;
        INSERT INTO members (channel_id, user_id, role, visible_from, joined_at)
            SELECT 1, user_id, 'member', 1, created_at FROM users;
        """,
    )


@migrations()
def attachments(db: sqlite_utils.Database) -> None:
    """Create the tables of files: each file's bytes are stored once, however often it is uploaded."""
    run(
        db,
        """
        CREATE TABLE blobs (
            blob_id INTEGER PRIMARY KEY, sha256 BLOB UNIQUE, size INTEGER NOT NULL DEFAULT 0,
            created_at REAL NOT NULL
        );
        CREATE TABLE chunks (chunk_id INTEGER PRIMARY KEY, data BLOB NOT NULL);
        CREATE TABLE attachments (
            attachment_id TEXT PRIMARY KEY, blob_id INTEGER NOT NULL, user_id TEXT NOT NULL, name TEXT NOT NULL,
            type TEXT NOT NULL, size INTEGER NOT NULL, created_at REAL NOT NULL, held INTEGER NOT NULL DEFAULT 0
        ) WITHOUT ROWID;
        CREATE INDEX attachments_by_blob ON attachments(blob_id);
        CREATE INDEX attachments_by_user ON attachments(user_id);
        CREATE TABLE holds (
            attachment_id TEXT NOT NULL, message_id INTEGER NOT NULL, PRIMARY KEY (attachment_id, message_id)
        ) WITHOUT ROWID;
        CREATE INDEX holds_by_message ON holds(message_id);
        """,
    )


@migrations()
def plugins(db: sqlite_utils.Database) -> None:
    """Create the table of the migrations that plugins have run."""
    run(
        db,
        """
        CREATE TABLE plugin_migrations (
            plugin TEXT NOT NULL, name TEXT NOT NULL, applied_at REAL NOT NULL, PRIMARY KEY (plugin, name)
        ) WITHOUT ROWID;
        """,
    )


@migrations()
def invited_admins(db: sqlite_utils.Database) -> None:
    """Add the role of users who register with an invite."""
    run(db, "ALTER TABLE invites ADD COLUMN role TEXT NOT NULL DEFAULT 'user'")


@migrations()
def groups_chosen(db: sqlite_utils.Database) -> None:
    """Add who made a group, which a limit counts, and who may add a user to one."""
    run(
        db,
        """
        ALTER TABLE groups ADD COLUMN made_by TEXT NOT NULL DEFAULT '';
        UPDATE groups SET made_by = coalesce(
            (SELECT sender_id FROM log WHERE log.channel_id = groups.channel_id AND seq = 1),
            (SELECT user_id FROM members WHERE members.channel_id = groups.channel_id AND role = 'owner'), '');
        CREATE INDEX groups_by_maker ON groups(made_by);
        ALTER TABLE users ADD COLUMN groups_from TEXT NOT NULL DEFAULT 'everyone';
        """,
    )


@migrations()
def erasures(db: sqlite_utils.Database) -> None:
    """Create the table of erased accounts, and mark everything erased so far for the next purge."""
    run(
        db,
        """
        CREATE TABLE erasures (
            user_id TEXT PRIMARY KEY, asked_at REAL NOT NULL, reached INTEGER NOT NULL DEFAULT 0,
            erased INTEGER NOT NULL DEFAULT 0, kept INTEGER NOT NULL DEFAULT 0,
            files_kept INTEGER NOT NULL DEFAULT 0, done_at REAL
        ) WITHOUT ROWID;
        INSERT INTO facts (name, value) SELECT 'unpurged', 1 WHERE EXISTS (SELECT 1 FROM log);
        """,
    )


@migrations()
def stays(db: sqlite_utils.Database) -> None:
    """Add earlier stays of members who left and came back, and versions of messages from before an edit.

    In a deleted group, members now see only the event that deleted it, and former members the event of their
    leaving.
    """
    run(
        db,
        """
        CREATE TABLE stays (
            channel_id INTEGER NOT NULL, user_id TEXT NOT NULL, visible_from INTEGER NOT NULL,
            visible_until INTEGER NOT NULL, PRIMARY KEY (channel_id, user_id, visible_from)
        ) WITHOUT ROWID;
        ALTER TABLE members ADD COLUMN seen_before INTEGER;
        UPDATE members SET visible_from = visible_until WHERE visible_until IS NOT NULL
            AND channel_id IN (SELECT channel_id FROM groups WHERE deleted_at IS NOT NULL);
        CREATE TABLE versions (
            message_id INTEGER NOT NULL, until_seq INTEGER NOT NULL, channel_id INTEGER NOT NULL,
            payload TEXT NOT NULL, edited_at REAL, edit_id INTEGER, PRIMARY KEY (message_id, until_seq)
        ) WITHOUT ROWID;
        CREATE INDEX versions_by_channel ON versions(channel_id);
        ALTER TABLE log ADD COLUMN edit_id INTEGER;
        UPDATE log SET edit_id = n.message_id FROM newest n WHERE n.type = 'message_edit'
            AND n.about = log.message_id AND log.edited_at IS NOT NULL;
        """,
    )


@migrations()
def answers_depths(db: sqlite_utils.Database) -> None:
    """Add how many automatic answers led to a message."""
    run(db, "ALTER TABLE log ADD COLUMN depth INTEGER")


@migrations()
def folded_names(db: sqlite_utils.Database) -> None:
    """Add the folded names that a search for users looks through."""
    run(db, "ALTER TABLE users ADD COLUMN sought TEXT NOT NULL DEFAULT ''")
    rows = db.conn.execute("SELECT user_id, display_name FROM users").fetchall()
    db.conn.executemany("UPDATE users SET sought = ? WHERE user_id = ?", [(sought(*row), row[0]) for row in rows])


@migrations()
def login_places(db: sqlite_utils.Database) -> None:
    """Create the table of networks that a user has logged in from."""
    run(
        db,
        """
        CREATE TABLE login_places (
            user_id TEXT NOT NULL, place BLOB NOT NULL, seen_at REAL NOT NULL, PRIMARY KEY (user_id, place)
        ) WITHOUT ROWID;
        """,
    )


@migrations()
def names_regardless_of_case(db: sqlite_utils.Database) -> None:
    """Make names found in any case; names that already differ in case only stay, so the index is not unique."""
    run(db, "CREATE INDEX names_by_letters ON names(name COLLATE NOCASE)")


@migrations()
def who_spoke(db: sqlite_utils.Database) -> None:
    """Add whether a user has spoken in a conversation: to be a member is not their own act."""
    run(
        db,
        """
        ALTER TABLE pointers ADD COLUMN spoke INTEGER NOT NULL DEFAULT 0;
        INSERT INTO pointers (channel_id, user_id, spoke)
            SELECT DISTINCT channel_id, sender_id, 1 FROM log WHERE true
            ON CONFLICT DO UPDATE SET spoke = 1;
        """,
    )


@migrations()
def scheduled_jobs(db: sqlite_utils.Database) -> None:
    """Create the table of plugins' jobs at set times."""
    run(
        db,
        """
        CREATE TABLE scheduled_jobs (
            plugin TEXT NOT NULL, schedule TEXT NOT NULL, key TEXT NOT NULL, rule TEXT NOT NULL DEFAULT '',
            due_at REAL NOT NULL, try_at REAL NOT NULL, run_id TEXT NOT NULL, data TEXT NOT NULL DEFAULT '{}',
            attempts INTEGER NOT NULL DEFAULT 0, began_at REAL, last_at REAL, last_error TEXT,
            PRIMARY KEY (plugin, schedule, key)
        ) WITHOUT ROWID;
        CREATE INDEX scheduled_jobs_by_time ON scheduled_jobs(plugin, try_at);
        """,
    )


@migrations()
def pictures(db: sqlite_utils.Database) -> None:
    """Create the table of pictures, and add the groups' descriptions and the names of devices' programs."""
    run(
        db,
        """
        CREATE TABLE pictures (name TEXT PRIMARY KEY, attachment_id TEXT NOT NULL) WITHOUT ROWID;
        CREATE INDEX pictures_by_file ON pictures(attachment_id);
        ALTER TABLE groups ADD COLUMN description TEXT NOT NULL DEFAULT '';
        ALTER TABLE devices ADD COLUMN agent TEXT NOT NULL DEFAULT '';
        """,
    )


@migrations()
def pictures_sizes(db: sqlite_utils.Database) -> None:
    """Add the sizes of pictures, in pixels; those of older ones are read once the server runs."""
    run(
        db,
        """
        ALTER TABLE attachments ADD COLUMN width INTEGER;
        ALTER TABLE attachments ADD COLUMN height INTEGER;
        UPDATE attachments SET width = 0, height = 0
            WHERE type NOT IN ('image/png', 'image/jpeg', 'image/gif', 'image/webp', 'image/avif');
        CREATE INDEX attachments_unmeasured ON attachments(attachment_id) WHERE width IS NULL;
        """,
    )


@migrations()
def files_of_conversations(db: sqlite_utils.Database) -> None:
    """Add to each hold its conversation, whose files are then listed without a walk through its log."""
    run(
        db,
        """
        ALTER TABLE holds ADD COLUMN channel_id INTEGER;
        UPDATE holds SET channel_id = (SELECT channel_id FROM log WHERE log.message_id = holds.message_id);
        CREATE INDEX holds_by_channel ON holds(channel_id, message_id);
        """,
    )


def run(db: sqlite_utils.Database, script: str) -> None:
    """Execute a script's statements inside the migration's own transaction."""
    for statement in script.split(";"):
        if statement.strip():
            db.conn.execute(statement)
