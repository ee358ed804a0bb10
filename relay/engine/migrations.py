"""Migrations of plugins' tables: each runs once, in order, before the plugin does anything."""

from __future__ import annotations

import sqlite3
from collections.abc import Container, Iterator

from relay.engine.guard import in_words
from relay.engine.registry import Registry
from relay.storage.errors import TransactionEnded
from relay.storage.health import is_the_disks
from relay.storage.jobs import Runner


class _Ended(TransactionEnded):
    def __init__(self, plugin: str, step: str) -> None:
        self.plugin = plugin
        self.reason = (
            f"its migration {step!r} ended the transaction; take COMMIT, ROLLBACK and OR ROLLBACK out of it"
        )
        super().__init__(f"plugin {plugin!r}: {self.reason}")


async def migrate(runner: Runner, registry: Registry, now: float) -> dict[str, str]:
    """Run the migrations that have not run; return why plugins failed, by name.

    Where one migration of a plugin fails, all of this start are undone; other plugins keep theirs.

    Raises:
        StorageError: the disk does not take them.
    """
    failed: dict[str, str] = {}
    while True:
        try:
            return failed | await runner.write(
                lambda connection: migrate_plugins(connection, registry, now, failed)
            )
        except _Ended as ended:
            failed[ended.plugin] = ended.reason


def migrate_plugins(
    connection: sqlite3.Connection, registry: Registry, now: float, but: Container[str] = ()
) -> dict[str, str]:
    """Do the same in the caller's transaction, for all plugins but some.

    Raises:
        TransactionEnded: a plugin ended it.
    """
    done = set(connection.execute("SELECT plugin, name FROM plugin_migrations"))
    failed: dict[str, str] = {}
    for loaded in registry.loaded:
        name = loaded.name
        steps = [owned.part for owned in registry.parts["relay_migrations"] if owned.guard is loaded.guard]
        due = [step for step in steps if (name, step.name) not in done]
        if not due or name in but:
            continue
        connection.execute("SAVEPOINT schema")
        step = due[0]
        try:
            for step in due:
                if callable(step.sql):
                    registry.rules.writer.run(name, step.sql, connection)
                else:
                    for statement in statements(step.sql):
                        connection.execute(statement)
                if not connection.in_transaction:
                    break
                connection.execute("INSERT INTO plugin_migrations VALUES (?, ?, ?)", (name, step.name, now))
        except BaseException as fault:
            if is_the_disks(fault):
                raise
            if connection.in_transaction:
                connection.execute("ROLLBACK TO schema")
            failed[name] = f"its migration {step.name!r} failed: {in_words(fault)}"
        if not connection.in_transaction:
            raise _Ended(name, step.name)
        connection.execute("RELEASE schema")
    return failed


def statements(script: str) -> Iterator[str]:
    """Yield the statements of a script one by one: `executescript` would commit the caller's transaction."""
    statement = ""
    for part in script.split(";"):
        statement += part + ";"
        if sqlite3.complete_statement(statement):
            if statement.strip(" \n\t;"):
                yield statement
            statement = ""
    if statement.strip(" \n\t;"):
        yield statement
