"""The schema, as migrations: one function a step; a released step is never edited.

Everything stored is a row of `log` (a stream message, with its conversation's `seq`) or of `latest` (the
newest value of a latest type), both numbered by one rising integer, the cursor. ARCHITECTURE.md has all tables.
"""

from __future__ import annotations

import sqlite3
from functools import cache

import sqlite_utils

from relay.storage.first_migrations import migrations, run


@migrations()
def threads(db: sqlite_utils.Database) -> None:
    """Create the index of replies by the message whose thread they are in, and who takes part in which thread."""
    run(
        db,
        """
        CREATE TABLE thread_replies (
            root_id INTEGER NOT NULL, seq INTEGER NOT NULL, message_id INTEGER NOT NULL UNIQUE,
            channel_id INTEGER NOT NULL, sender_id TEXT NOT NULL, shown INTEGER NOT NULL,
            PRIMARY KEY (root_id, seq)
        ) WITHOUT ROWID;
        CREATE INDEX thread_replies_by_channel ON thread_replies(channel_id, seq);
        CREATE TABLE thread_members (
            user_id TEXT NOT NULL, root_id INTEGER NOT NULL, channel_id INTEGER NOT NULL,
            follows INTEGER NOT NULL, read_seq INTEGER NOT NULL DEFAULT 0, PRIMARY KEY (user_id, root_id)
        ) WITHOUT ROWID;
        """,
    )


@migrations()
def public_groups(db: sqlite_utils.Database) -> None:
    """Add to each group whether it is public, and what it is found by; and who may not join one by themselves."""
    run(
        db,
        """
        ALTER TABLE groups ADD COLUMN public INTEGER NOT NULL DEFAULT 0;
        ALTER TABLE groups ADD COLUMN sought TEXT NOT NULL DEFAULT '';
        CREATE INDEX public_groups ON groups(group_id) WHERE public = 1;
        CREATE TABLE barred (
            channel_id INTEGER NOT NULL,
            user_id TEXT NOT NULL,
            PRIMARY KEY (channel_id, user_id)
        ) WITHOUT ROWID;
        """,
    )


@migrations()
def server_roles(db: sqlite_utils.Database) -> None:
    """Put a user's role in the place of the flag `admin`; the oldest admin becomes the owner."""
    run(
        db,
        """
        ALTER TABLE users ADD COLUMN role TEXT NOT NULL DEFAULT 'member';
        UPDATE users SET role = 'admin' WHERE admin = 1;
        UPDATE users SET role = 'owner' WHERE user_id =
            (SELECT user_id FROM users WHERE admin = 1 ORDER BY disabled, created_at, user_id LIMIT 1);
        ALTER TABLE users DROP COLUMN admin;
        CREATE INDEX users_by_role ON users(role) WHERE role <> 'member';
        """,
    )


@migrations()
def audit_log(db: sqlite_utils.Database) -> None:
    """Create the server's own channel, whose messages are the audit log, and the index of its entries."""
    run(
        db,
        """
        INSERT INTO channels (address, kind, created_at) VALUES ('self:*', 'self', unixepoch());
        CREATE TABLE audit_entries (
            message_id INTEGER PRIMARY KEY, act TEXT NOT NULL, by TEXT, kind TEXT, about TEXT, at REAL NOT NULL
        );
        CREATE INDEX audit_by_act ON audit_entries(act, message_id);
        CREATE INDEX audit_by_who ON audit_entries(by, message_id);
        CREATE INDEX audit_by_what ON audit_entries(about, message_id);
        CREATE INDEX audit_by_time ON audit_entries(at);
        """,
    )


@migrations()
def figures(db: sqlite_utils.Database) -> None:
    """Create the table of figures over time: one row of JSON for each minute, hour and day."""
    run(
        db,
        """
        CREATE TABLE figures (
            step INTEGER NOT NULL, at INTEGER NOT NULL, figures BLOB NOT NULL, PRIMARY KEY (step, at)
        ) WITHOUT ROWID;
        """,
    )


@migrations()
def invitations(db: sqlite_utils.Database) -> None:
    """Add to invites a label, groups to join, an address, and the end by hand; and who used them, to join what."""
    run(
        db,
        """
        ALTER TABLE invites ADD COLUMN label TEXT NOT NULL DEFAULT '';
        ALTER TABLE invites ADD COLUMN group_ids TEXT NOT NULL DEFAULT '';
        ALTER TABLE invites ADD COLUMN mail TEXT;
        ALTER TABLE invites ADD COLUMN revoked_at REAL;
        CREATE TABLE invite_uses (
            code_hash BLOB NOT NULL, user_id TEXT NOT NULL, used_at REAL NOT NULL,
            PRIMARY KEY (code_hash, user_id)
        ) WITHOUT ROWID;
        CREATE TABLE invite_joins (
            user_id TEXT NOT NULL, group_id TEXT NOT NULL, invited_by TEXT,
            PRIMARY KEY (user_id, group_id)
        ) WITHOUT ROWID;
        """,
    )


@migrations()
def second_factors(db: sqlite_utils.Database) -> None:
    """Create the tables of second factors and of the recovery codes that stand in for one."""
    run(
        db,
        """
        CREATE TABLE second_factors (
            user_id TEXT PRIMARY KEY, secret BLOB NOT NULL, made_at REAL NOT NULL, confirmed_at REAL,
            last_step INTEGER NOT NULL DEFAULT 0
        ) WITHOUT ROWID;
        CREATE TABLE recovery_codes (
            user_id TEXT NOT NULL, code_hash BLOB NOT NULL, PRIMARY KEY (user_id, code_hash)
        ) WITHOUT ROWID;
        """,
    )


@migrations()
def mail(db: sqlite_utils.Database) -> None:
    """Create the tables of users' addresses, of links that are good once, and of mails that wait to be sent."""
    run(
        db,
        """
        CREATE TABLE mail_addresses (
            user_id TEXT PRIMARY KEY, address TEXT NOT NULL, folded TEXT NOT NULL UNIQUE, verified_at REAL NOT NULL
        ) WITHOUT ROWID;
        CREATE TABLE account_links (
            code_hash BLOB PRIMARY KEY, user_id TEXT NOT NULL, purpose TEXT NOT NULL, address TEXT,
            created_at REAL NOT NULL, expires_at REAL NOT NULL
        ) WITHOUT ROWID;
        CREATE INDEX account_links_by_user ON account_links(user_id);
        CREATE TABLE mails (
            mail_id INTEGER PRIMARY KEY, user_id TEXT, recipient TEXT NOT NULL, subject TEXT NOT NULL,
            body TEXT NOT NULL, created_at REAL NOT NULL, due_at REAL NOT NULL, expires_at REAL NOT NULL,
            attempts INTEGER NOT NULL DEFAULT 0, last_error TEXT
        );
        CREATE INDEX mails_by_time ON mails(due_at);
        """,
    )


@migrations()
def rights_of_groups(db: sqlite_utils.Database) -> None:
    """Add to each group the rights that it gives otherwise than others do, and when it was closed."""
    run(
        db,
        """
        ALTER TABLE groups ADD COLUMN rights TEXT NOT NULL DEFAULT '{}';
        ALTER TABLE groups ADD COLUMN closed_at REAL;
        """,
    )


@migrations()
def restrictions(db: sqlite_utils.Database) -> None:
    """Create the table of timeouts and bans; those of the whole server have the channel 0."""
    run(
        db,
        """
        CREATE TABLE restrictions (
            channel_id INTEGER NOT NULL, user_id TEXT NOT NULL, kind TEXT NOT NULL, reason TEXT NOT NULL,
            by_user TEXT, made_at REAL NOT NULL, until REAL, PRIMARY KEY (channel_id, user_id, kind)
        ) WITHOUT ROWID;
        CREATE INDEX restrictions_by_user ON restrictions(user_id);
        """,
    )


@migrations()
def removed_messages(db: sqlite_utils.Database) -> None:
    """Add to each tombstone whether somebody else than its author removed the message, and who."""
    run(db, "ALTER TABLE log ADD COLUMN removed_by TEXT")


@migrations()
def reports(db: sqlite_utils.Database) -> None:
    """Create the tables of reported messages, and of those who reported them."""
    run(
        db,
        """
        CREATE TABLE reports (
            message_id INTEGER PRIMARY KEY, report_id INTEGER NOT NULL UNIQUE, author TEXT NOT NULL,
            state TEXT NOT NULL DEFAULT 'open', closed_by TEXT, closed_at REAL, note TEXT NOT NULL DEFAULT ''
        );
        CREATE INDEX reports_by_state ON reports(state, report_id);
        CREATE INDEX reports_by_author ON reports(author);
        CREATE TABLE reporters (
            message_id INTEGER NOT NULL, user_id TEXT NOT NULL, reason TEXT NOT NULL, text TEXT NOT NULL,
            at REAL NOT NULL, tell INTEGER NOT NULL, PRIMARY KEY (message_id, user_id)
        ) WITHOUT ROWID;
        """,
    )


@migrations()
def blocks(db: sqlite_utils.Database) -> None:
    """Create the table of who blocks whom, each for themself."""
    run(
        db,
        """
        CREATE TABLE blocks (
            user_id TEXT NOT NULL, blocked_id TEXT NOT NULL, made_at REAL NOT NULL,
            PRIMARY KEY (user_id, blocked_id)
        ) WITHOUT ROWID;
        """,
    )


@migrations()
def slow_mode(db: sqlite_utils.Database) -> None:
    """Add slow mode to groups, and the table of who last wrote in one when."""
    run(db, "ALTER TABLE groups ADD COLUMN slow_mode_seconds INTEGER NOT NULL DEFAULT 0")
    run(
        db,
        "CREATE TABLE slow_mode_writes (channel_id INTEGER NOT NULL, user_id TEXT NOT NULL, at REAL NOT NULL,"
        " own_id TEXT, PRIMARY KEY (channel_id, user_id)) WITHOUT ROWID",
    )


@migrations()
def token_uses(db: sqlite_utils.Database) -> None:
    """Add when a token was last used."""
    run(db, "ALTER TABLE tokens ADD COLUMN used_at REAL;")


@migrations()
def sample_parts(db: sqlite_utils.Database) -> None:
    """Create the table of the accounts and groups that are sample data."""
    run(db, "CREATE TABLE sample_parts (kind TEXT, name TEXT, PRIMARY KEY (kind, name)) WITHOUT ROWID")


@migrations()
def positions_kept(db: sqlite_utils.Database) -> None:
    """Note the position of a deleted latest value, which no other message may have."""
    db.conn.execute(
        "CREATE TRIGGER latest_deleted AFTER DELETE ON latest BEGIN UPDATE facts SET value = old.message_id"
        " WHERE name = 'high_water' AND value < old.message_id; END"
    )


@migrations()
def unreleased_builds(db: sqlite_utils.Database) -> None:
    """Give databases of unreleased builds what their steps did not have yet: two columns, and a table's name."""
    for table, column, kind in (("log", "replaces", "INTEGER"), ("devices", "agent", "TEXT NOT NULL DEFAULT ''")):
        if column not in {row[1] for row in db.conn.execute(f"PRAGMA table_info({table})")}:
            run(db, f"ALTER TABLE {table} ADD COLUMN {column} {kind}")
    if db.conn.execute("SELECT 1 FROM sqlite_master WHERE name = 'report_reporters'").fetchone():
        run(db, "ALTER TABLE report_reporters RENAME TO reporters")


@migrations()
def backups(db: sqlite_utils.Database) -> None:
    """Create the table of backups that were made, or failed."""
    run(
        db,
        "CREATE TABLE backups (backup_id INTEGER PRIMARY KEY, at REAL NOT NULL, seconds REAL NOT NULL,"
        " way TEXT NOT NULL, file TEXT NOT NULL, bytes INTEGER, messages INTEGER, problem TEXT)",
    )


@migrations()
def imports(db: sqlite_utils.Database) -> None:
    """Create the tables of imports: the new id of each message and file by the one that its file has for it."""
    run(
        db,
        """
        CREATE TABLE imports (
            import_id INTEGER PRIMARY KEY, source TEXT NOT NULL UNIQUE, reading TEXT NOT NULL,
            begun_at REAL NOT NULL
        );
        CREATE TABLE imported (
            import_id INTEGER NOT NULL, old_id TEXT NOT NULL, message_id INTEGER NOT NULL,
            channel_id INTEGER NOT NULL, old_seq INTEGER, PRIMARY KEY (import_id, old_id)
        ) WITHOUT ROWID;
        CREATE INDEX imported_by_seq ON imported(import_id, channel_id, old_seq) WHERE old_seq IS NOT NULL;
        CREATE TABLE imported_files (
            import_id INTEGER NOT NULL, old_id TEXT NOT NULL, user_id TEXT NOT NULL, blob_id INTEGER,
            begun_at REAL NOT NULL, created_at REAL NOT NULL, record BLOB, attachment_id TEXT,
            PRIMARY KEY (import_id, old_id)
        ) WITHOUT ROWID;
        CREATE INDEX imported_blobs ON imported_files(blob_id) WHERE blob_id IS NOT NULL;
        """,
    )


@migrations()
def deleted_accounts(db: sqlite_utils.Database) -> None:
    """Add when an account was deleted whose messages stay, and the index of imported messages by their new ids."""
    run(
        db,
        """
        ALTER TABLE users ADD COLUMN deleted_at REAL;
        CREATE INDEX IF NOT EXISTS imported_by_message ON imported(message_id);
        CREATE INDEX users_deleted ON users(deleted_at) WHERE deleted_at IS NOT NULL;
        """,
    )


@migrations()
def imported_users(db: sqlite_utils.Database) -> None:
    """Create the table of the accounts that an import made."""
    run(
        db,
        "CREATE TABLE imported_users (import_id INTEGER NOT NULL, user_id TEXT NOT NULL,"
        " PRIMARY KEY (import_id, user_id)) WITHOUT ROWID",
    )


@migrations()
def cluster(db: sqlite_utils.Database) -> None:
    """Create the row that says how far a node of a cluster has come in the cluster's stream."""
    run(
        db,
        "CREATE TABLE cluster (one INTEGER PRIMARY KEY CHECK (one = 1), name TEXT NOT NULL,"
        " number INTEGER NOT NULL, term INTEGER NOT NULL, digest BLOB NOT NULL, sequence INTEGER NOT NULL)",
    )


@cache
def steps() -> tuple[str, ...]:
    """Return the names of all steps, in their order."""
    return tuple(step.name for step in migrations.pending(sqlite_utils.Database(memory=True)))


def applied(connection: sqlite3.Connection) -> set[str]:
    """Return the names of the steps that a database has; none for one that is not relay's."""
    table = migrations.migrations_table
    if connection.execute("SELECT 1 FROM sqlite_master WHERE name = ?", (table,)).fetchone() is None:
        return set()
    done = connection.execute(f"SELECT name FROM {table} WHERE migration_set = ?", (migrations.name,))
    return {row[0] for row in done}


def apply(connection: sqlite3.Connection) -> None:
    """Run the steps that a database does not have yet."""
    migrations.apply(sqlite_utils.Database(connection))
