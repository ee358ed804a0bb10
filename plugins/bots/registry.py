"""The registry of bots and their commands: the tables, and the choice of the bot that a command means."""

import sqlite3
from collections.abc import Sequence
from difflib import get_close_matches
from typing import NamedTuple

import msgspec

from relay.plugin import ErrorCode, OfferedCommand, RelayError, Server, Unchanged

SCHEMA = """
CREATE TABLE bots_bots (
    user_id TEXT PRIMARY KEY, owner_id TEXT, added_at REAL NOT NULL, removed_at REAL
) WITHOUT ROWID;
CREATE TABLE bots_commands (
    name TEXT, user_id TEXT, description TEXT NOT NULL, usage TEXT, private INTEGER NOT NULL,
    PRIMARY KEY (name, user_id)
) WITHOUT ROWID;
CREATE INDEX bots_commands_of ON bots_commands (user_id);
CREATE TABLE bots_invocations (
    message_id INTEGER PRIMARY KEY, bot_id TEXT NOT NULL, command TEXT NOT NULL, sender_id TEXT NOT NULL,
    address TEXT NOT NULL, about INTEGER, private INTEGER NOT NULL, at REAL NOT NULL,
    answers INTEGER NOT NULL DEFAULT 0, told INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX bots_invocations_at ON bots_invocations (at);
CREATE INDEX bots_unanswered ON bots_invocations (at) WHERE answers = 0 AND told = 0;
CREATE TABLE bots_spoken (
    message_id INTEGER PRIMARY KEY, sender_id TEXT NOT NULL, channel_id INTEGER NOT NULL, content TEXT NOT NULL
);
"""

ARGUMENTS = "ALTER TABLE bots_commands ADD COLUMN arguments TEXT"

THREADS = """
ALTER TABLE bots_invocations ADD COLUMN thread INTEGER;
ALTER TABLE bots_plugin_invocations ADD COLUMN thread INTEGER;
"""

_ACTIVE = (
    "(SELECT b.user_id, u.display_name, b.owner_id, b.added_at FROM bots_bots b JOIN users u USING (user_id)"
    " WHERE b.removed_at IS NULL AND u.disabled = 0)"
)


class Bot(NamedTuple):
    """A bot that was not removed."""

    user_id: str
    display_name: str
    owner_id: str | None
    added_at: float


class Command(NamedTuple):
    """A command of a bot, or of a plugin, which has no `bot_id`.

    `here` is whether the bot is in the conversation that was asked about; a plugin is in each. `arguments` is the
    JSON of a list of `Argument`.
    """

    name: str
    bot_id: str
    description: str
    usage: str | None
    private: bool
    arguments: str | None
    here: bool
    plugin: str | None = None


def is_bot(connection: sqlite3.Connection, user_id: str) -> bool:
    """Return whether a user is a bot, or was one."""
    return connection.execute("SELECT 1 FROM bots_bots WHERE user_id = ?", (user_id,)).fetchone() is not None


def is_known(connection: sqlite3.Connection, user_id: str) -> bool:
    """Return whether a user is a bot that was not removed, also one whose account is disabled."""
    row = connection.execute(
        "SELECT 1 FROM bots_bots WHERE user_id = ? AND removed_at IS NULL", (user_id,)
    ).fetchone()
    return row is not None


def find(connection: sqlite3.Connection, user_id: str) -> Bot | None:
    """Return a bot; None for a user who is none, or a bot that was removed."""
    row = connection.execute(f"SELECT * FROM {_ACTIVE} WHERE user_id = ?", (user_id,)).fetchone()
    return Bot(*row) if row else None


def listed(connection: sqlite3.Connection, after: str = "", limit: int = 1000) -> list[Bot]:
    """Return bots in the order of their ids, from the first after `after`."""
    rows = connection.execute(
        f"SELECT * FROM {_ACTIVE} WHERE user_id > ? ORDER BY user_id LIMIT ?", (after, limit)
    )
    return [Bot(*row) for row in rows]


def all_of(connection: sqlite3.Connection, after: str, limit: int) -> list[tuple[Bot, bool]]:
    """Return bots as `listed` does, with those whose accounts are disabled; each with whether it is active."""
    rows = connection.execute(
        "SELECT b.user_id, u.display_name, b.owner_id, b.added_at, u.disabled FROM bots_bots b JOIN users u"
        " USING (user_id) WHERE b.removed_at IS NULL AND b.user_id > ? ORDER BY b.user_id LIMIT ?",
        (after, limit),
    )
    return [(Bot(*row[:4]), not row[4]) for row in rows]


def unanswered(connection: sqlite3.Connection, bot_id: str) -> tuple[int, int]:
    """Return how many commands of a bot wait for an answer, and how many had none in time, of the newest ones."""
    waiting, late = connection.execute(
        "SELECT count(*) FILTER (WHERE told = 0), count(*) FILTER (WHERE told = 1) FROM bots_invocations"
        " WHERE bot_id = ? AND answers = 0",
        (bot_id,),
    ).fetchone()
    return waiting, late


def commands(
    connection: sqlite3.Connection, *, name: str | None = None, bot_id: str | None = None, channel_id: int = 0
) -> list[Command]:
    """Return commands in the order of name and bot: all, or those of one name or one bot.

    Args:
        channel_id: the conversation that `here` is about.
    """
    rows = connection.execute(
        "SELECT c.name, c.user_id, c.description, c.usage, c.private, c.arguments, EXISTS (SELECT 1 FROM members m"
        " WHERE m.channel_id = ?1 AND m.user_id = c.user_id AND m.visible_until IS NULL)"
        f" FROM bots_commands c JOIN {_ACTIVE} USING (user_id)"
        " WHERE (?2 IS NULL OR c.name = ?2) AND (?3 IS NULL OR c.user_id = ?3) ORDER BY c.name, c.user_id",
        (channel_id, name, bot_id),
    )
    return [Command._make((*row[:4], bool(row[4]), row[5], bool(row[6]), None)) for row in rows]


def register(
    connection: sqlite3.Connection, bot_id: str, wanted: Sequence[tuple[str, str, str | None, bool, str | None]]
) -> None:
    """Replace a bot's commands, each a name, a description, a usage, whether it is private, and its arguments.

    Raises:
        RelayError: `forbidden` for a user who is no bot.
        Unchanged: the bot has these commands already.
    """
    if find(connection, bot_id) is None:
        raise RelayError(ErrorCode.FORBIDDEN, "only a bot has commands; `relay bot add` makes one")
    if [known[0:1] + known[2:6] for known in commands(connection, bot_id=bot_id)] == sorted(
        wanted, key=lambda one: one[0]
    ):
        raise Unchanged
    connection.execute("DELETE FROM bots_commands WHERE user_id = ?", (bot_id,))
    connection.executemany(
        "INSERT INTO bots_commands (name, user_id, description, usage, private, arguments)"
        " VALUES (?, ?, ?, ?, ?, ?)",
        [(name, bot_id, *rest) for name, *rest in wanted],
    )


def of_plugin(offered: OfferedCommand) -> Command:
    """Return a plugin's command as one beside those of bots."""
    arguments = [{"name": name, "description": description} for name, description in offered.arguments]
    described = msgspec.json.encode(arguments).decode() if arguments else None
    return Command(
        offered.name, "", offered.description, offered.usage, offered.private, described, True, offered.plugin
    )


def resolve(
    server: Server, connection: sqlite3.Connection, name: str, bot_id: str | None, channel_id: int
) -> Command:
    """Return the command that is meant: the named bot's, a plugin's, that of the bot here, or the only one.

    Raises:
        RelayError: `not_found` where there is none, naming a similar one; `conflict` for several, naming them.
    """
    offered = server.slash_commands.find(name) if bot_id is None else None
    if offered is not None:
        return of_plugin(offered)
    having = commands(connection, name=name, channel_id=channel_id)
    if bot_id is not None:
        found = next((one for one in having if one.bot_id == bot_id), None)
        if found is None:
            raise RelayError(ErrorCode.NOT_FOUND, f"{bot_id} has no command /{name}")
        return found
    meant = [one for one in having if one.here] or having
    if not meant:
        known = {one.name for one in commands(connection)} | {one.name for one in server.slash_commands.offered()}
        near = get_close_matches(name, known, n=1)
        hint = f"; did you mean /{near[0]}?" if near else ""
        raise RelayError(ErrorCode.NOT_FOUND, f"there is no command /{name}{hint}")
    if len(meant) > 1:
        choices = " or ".join(f"/{name}@{one.bot_id}" for one in meant)
        raise RelayError(ErrorCode.CONFLICT, f"several bots have a command /{name}; say {choices}")
    return meant[0]


def add(connection: sqlite3.Connection, user_id: str, owner_id: str | None, now: float) -> None:
    """Make a user a bot, also one that was a bot before."""
    connection.execute(
        "INSERT INTO bots_bots (user_id, owner_id, added_at) VALUES (?1, ?2, ?3)"
        " ON CONFLICT (user_id) DO UPDATE SET owner_id = ?2, added_at = ?3, removed_at = NULL",
        (user_id, owner_id, now),
    )


def remove(connection: sqlite3.Connection, user_id: str, now: float) -> None:
    """Remove a bot, its commands and its open invocations; that it was a bot stays known."""
    connection.execute("UPDATE bots_bots SET removed_at = ? WHERE user_id = ?", (now, user_id))
    connection.execute("DELETE FROM bots_commands WHERE user_id = ?", (user_id,))
    connection.execute("DELETE FROM bots_invocations WHERE bot_id = ?", (user_id,))


def owned(_server: Server, connection: sqlite3.Connection, user_id: str) -> list[str]:
    """Return the bots that a user answers for."""
    rows = connection.execute(
        "SELECT user_id FROM bots_bots WHERE owner_id = ? AND removed_at IS NULL AND user_id <> owner_id"
        " ORDER BY user_id",
        (user_id,),
    )
    return [bot_id for (bot_id,) in rows]


def left(server: Server, connection: sqlite3.Connection, user_id: str) -> None:
    """Delete everything of a user who is erased, bot or not."""
    if is_bot(connection, user_id):
        remove(connection, user_id, server.now())
    for table in ("bots_invocations", "bots_plugin_invocations"):
        connection.execute(f"DELETE FROM {table} WHERE sender_id = ?", (user_id,))
    connection.execute("DELETE FROM bots_spoken WHERE sender_id = ?", (user_id,))
