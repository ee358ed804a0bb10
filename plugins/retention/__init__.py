"""Retention: rules that erase messages by age, number or size, except under legal hold; `relay retention`."""

import sqlite3
from functools import partial
from typing import Annotated, Any, cast

import msgspec
import trio
from msgspec import Meta

from relay.plugin import (
    About,
    BackgroundTask,
    Command,
    Diagnostics,
    ErrorCode,
    MessageHook,
    Migration,
    RelayError,
    Server,
    StorageFailed,
    Wakeup,
    hookimpl,
)

from . import holds
from .report import usage
from .rules import Rule
from .sweep import RUNS_KEPT, SCHEMA, last_done, next_run, plan, runs, sweep
from .tracing import frees, trace

LONGEST_WAIT = 3600.0
"""The longest wait in seconds; the wall clock may be changed, so it is read again after this time."""

ANSWER_SECONDS = 20.0
"""How long a command waits for a run, which then goes on without it; the server gives a command 30 s."""

RETRY_SECONDS = 60.0
Said = Annotated[str, Meta(min_length=1, max_length=200)]


class Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[plugins.retention]`.

    Attributes:
        rules: by their names.
        at: time of the day, UTC, at which the rules are applied.
        every_minutes: apply them this often instead; 0 for once a day.
        batch_messages: the largest number of messages in one transaction.
    """

    rules: dict[str, Rule] = {}
    at: Annotated[str, Meta(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$(?!\n)")] = "03:30"
    every_minutes: Annotated[float, Meta(ge=0, le=100_000)] = 0
    batch_messages: Annotated[int, Meta(ge=1, le=500)] = 25


class Scheduler:
    """Applies the rules of one server at their times, or when a command asks for it."""

    def __init__(self, server: Server, options: Options) -> None:
        self._server = server
        self._options = options
        self._asked = Wakeup()
        self._done = trio.Event()
        self._outcomes: list[dict[str, Any]] = []

    async def run(self) -> None:
        """Apply the rules at their times, in a loop that never ends."""
        while True:
            last, now = await self._server.read(last_done), self._server.now()
            due = next_run(last, now, self._options.at, self._options.every_minutes)
            asked = await self._asked.wait(min(due - now, LONGEST_WAIT))
            if asked or due <= self._server.now():
                await self._apply()

    async def _apply(self) -> None:
        """Apply the rules; try again for as long as the disk fails."""
        while True:
            try:
                self._outcomes = await apply_rules(self._server, self._options)
                break
            except StorageFailed as failed:
                self._server.log.warning("the rules are followed again in %.0f s: %s", RETRY_SECONDS, failed)
                await trio.sleep(RETRY_SECONDS)
        self._done.set()
        self._done = trio.Event()

    async def ask(self) -> list[dict[str, Any]] | str:
        """Apply the rules now; return what was erased, or that it takes longer."""
        done = self._done
        self._asked.set()
        with trio.move_on_after(ANSWER_SECONDS):
            await done.wait()
            return self._outcomes
        return "it has begun and goes on; `relay retention runs` tells when it is done"


async def apply_rules(server: Server, options: Options) -> list[dict[str, Any]]:
    """Erase the messages that are due by the rules; return a row for each rule."""
    return _rows(await sweep(server, options.rules, options.batch_messages))


def _rows(outcomes: Any) -> list[dict[str, Any]]:
    return cast(list[dict[str, Any]], msgspec.to_builtins(outcomes))


def check_rules(server: Server, options: Options) -> None:
    """Log a warning for rules that can have no effect."""
    known = server.message_types.types
    if not options.rules:
        server.log.warning("there are no rules: nothing is ever erased; write [plugins.retention.rules.NAME]")
    for name, rule in options.rules.items():
        for missing in set(rule.types or ()) - set(known):
            server.log.warning("rule %r names the type %r, which no plugin adds now", name, missing)


@hookimpl
def relay_options() -> type[msgspec.Struct]:
    """Register `[plugins.retention]`, read into `Options`."""
    return Options


@hookimpl
def relay_migrations() -> list[Migration]:
    """Create the tables of holds and runs."""
    return [Migration(name="holds", sql=holds.SCHEMA), Migration(name="runs", sql=SCHEMA)]


@hookimpl
def relay_message_hooks() -> list[MessageHook]:
    """Protect messages on hold from erasure and edits."""
    return [
        MessageHook(keeps=holds.keeps),
        MessageHook(types=frozenset({"message_edit"}), before=holds.before_edit),
    ]


@hookimpl
def relay_background(options: Options) -> list[BackgroundTask]:
    """Add the task that applies the rules."""

    async def run(server: Server) -> None:
        check_rules(server, options)
        scheduler = server.memory["scheduler"] = Scheduler(server, options)
        try:
            await scheduler.run()
        finally:
            del server.memory["scheduler"]

    return [BackgroundTask(name="rules", run=run)]


@hookimpl
def relay_diagnostics(options: Options) -> list[Diagnostics]:
    """Tell what a run or a hold did to a message, and what the rules will erase."""
    return [Diagnostics(trace=trace, frees=partial(frees, options.rules))]


@hookimpl
def relay_commands(options: Options) -> list[Command]:
    """Add `relay retention`."""

    async def planned(server: Server) -> list[dict[str, Any]]:
        """Show what each rule would erase now, and what it would erase but for a hold; erase nothing.

        A message that two rules match is counted at both.
        """
        return _rows(await plan(server, options.rules))

    async def run(server: Server) -> list[dict[str, Any]] | str:
        """Apply the rules now, and show what each erased."""
        if not options.rules:
            raise RelayError(ErrorCode.INVALID_PAYLOAD, "there are no rules: write [plugins.retention.rules.NAME]")
        actor = server.actor
        await server.write(lambda connection: server.audit(connection, actor, "retention.run"))
        scheduler: Scheduler | None = server.memory.get("scheduler")
        return await (scheduler.ask() if scheduler else apply_rules(server, options))

    return [
        Command(name="retention plan", run=planned),
        Command(name="retention run", run=run),
        Command(name="retention report", run=report),
        Command(name="retention runs", run=list_runs),
        Command(name="retention hold add", run=add_hold),
        Command(name="retention hold remove", run=remove_hold),
        Command(name="retention hold list", run=list_holds),
    ]


async def report(server: Server, *, by: str = "type", limit: int = 50) -> list[dict[str, Any]]:
    """Show what is stored by type, conversation, sender or kind, the largest first; then the file's free space.

    Deleted messages count as tombstones, without bytes. A file that several messages hold counts at each.
    """
    return await server.read(lambda connection: usage(connection, by, _bounded(limit)))


async def list_runs(server: Server, *, limit: int = 10) -> list[dict[str, Any]]:
    """Show the last runs, newest first; a run without an end goes on, or was interrupted and is begun again."""
    return await server.read(lambda connection: runs(connection, _bounded(limit)))


def _bounded(limit: int) -> int:
    if not 1 <= limit <= RUNS_KEPT:
        raise RelayError(ErrorCode.INVALID_PAYLOAD, f"--limit is a number from 1 to {RUNS_KEPT}")
    return limit


async def add_hold(server: Server, kind: str, name: str, *, who: str, why: str) -> str:
    """Put the user or group NAME on hold: nothing of theirs is erased or edited. KIND is user or group.

    A user's hold is on what they sent, and on every conversation that they are or were in.
    """
    await _change(server, holds.add, kind, name, who, why)
    return f"{kind} {name}: on hold"


async def remove_hold(server: Server, kind: str, name: str, *, who: str, why: str) -> str:
    """End the hold of the user or group NAME; the record of it stays. KIND is user or group."""
    await _change(server, holds.remove, kind, name, who, why)
    return f"{kind} {name}: no longer on hold"


async def _change(server: Server, change: Any, kind: str, name: str, who: str, why: str) -> None:
    try:
        kind = msgspec.convert(kind, holds.Kind)
        for text in (who, why):
            msgspec.convert(text, Said)
    except msgspec.ValidationError:
        text = "KIND is user or group; --who and --why have 1 to 200 characters"
        raise RelayError(ErrorCode.INVALID_PAYLOAD, text) from None
    now, actor = server.now(), server.actor
    act = "hold.added" if change is holds.add else "hold.removed"

    def write(connection: sqlite3.Connection) -> None:
        change(connection, kind, name, who, why, now)
        server.audit(connection, actor, act, About(kind, name), {"who": who, "reason": why})

    await server.write(write)
    what = "put on hold" if change is holds.add else "taken off hold"
    server.log.warning("%s %r is %s by %s: %s", kind, name, what, who, why)


async def list_holds(server: Server, *, ended: bool = False) -> list[dict[str, Any]]:
    """Show the holds, who set each, why and when; with --ended, ended ones too."""
    return await server.read(lambda connection: holds.listed(connection, ended=ended))
