"""Plugins' own tables: each step of a plugin's schema runs once, in order, before the plugin does anything."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator

from relay.engine.guard import in_words
from relay.engine.registry import Registry
from relay.storage.health import is_the_disks


def migrate_plugins(connection: sqlite3.Connection, registry: Registry, now: float) -> dict[str, str]:
    """Run the steps that have not run, inside the caller's transaction; return why a plugin could not be served.

    The steps of one plugin are undone together when one of them fails; other plugins' stand.
    """
    done = set(connection.execute("SELECT plugin, name FROM plugin_migrations"))
    failed: dict[str, str] = {}
    for loaded in registry.loaded:
        name = loaded.name
        steps = [owned.part for owned in registry.parts["relay_migrations"] if owned.guard is loaded.guard]
        due = [step for step in steps if (name, step.name) not in done]
        if not due:
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
                connection.execute("INSERT INTO plugin_migrations VALUES (?, ?, ?)", (name, step.name, now))
        except BaseException as fault:
            if is_the_disks(fault):
                raise
            connection.execute("ROLLBACK TO schema")
            failed[name] = f"its migration {step.name!r} failed: {in_words(fault)}"
        connection.execute("RELEASE schema")
    return failed


def statements(script: str) -> Iterator[str]:
    """Yield a script's statements one by one: `executescript` would commit the transaction they are part of."""
    statement = ""
    for part in script.split(";"):
        statement += part + ";"
        if sqlite3.complete_statement(statement):
            if statement.strip(" \n\t;"):
                yield statement
            statement = ""
    if statement.strip(" \n\t;"):
        yield statement
