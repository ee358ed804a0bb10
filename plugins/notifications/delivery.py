"""Bringing targets to what they should show: each by a task of its own, so that a slow one holds up no other.

What a target should show is in `notifications_conversations`, what it was sent in `notifications_shown`. A task
looks for a difference, acts on it, and notes what it did; so it can be stopped anywhere, and nothing is queued.
What is sent twice because the note was lost has the same key, and takes its own place.
"""

import sqlite3
from collections.abc import Iterable
from functools import partial
from typing import NamedTuple

import trio

from relay.plugin import Server

from . import targets
from .conversations import is_active, unread
from .notices import Notice, compose, key_of
from .options import Options
from .outward import Failed, Gone
from .rules import Rulebook
from .sending import Sender
from .targets import Target

PAUSES = (10.0, 30.0, 120.0, 600.0, 1800.0, 3600.0, 10_800.0)
"""How long a target is left alone after its first failure, its second, and so on; the last one repeats."""


class Job(NamedTuple):
    """One thing to do.

    Attributes:
        notice: what to show; None to withdraw what is there.
        newest_id, edited_at: what the conversation should show, as its row had it. The words may be newer by
            now; then the row is about to change, and this target with it.
        silently: there is nothing to send, only to note: its reader is at a device, or it is too old.
    """

    target: Target
    channel_id: int
    notice: Notice | None
    newest_id: int | None
    edited_at: float | None
    remote_id: str | None
    key: str
    silently: bool = False


class Later(NamedTuple):
    """Nothing to do before a moment, Unix seconds."""

    until: float


class Over(NamedTuple):
    """The device that the target was made on was logged out."""


class Delivery:
    """The tasks of all targets that have something to do."""

    def __init__(self, server: Server, options: Options, rules: Rulebook, senders: dict[str, Sender]) -> None:
        self._server = server
        self._options = options
        self._rules = rules
        self._senders = senders
        self._wakes: dict[str, trio.Event] = {}

    def start(self, nursery: trio.Nursery, target_ids: Iterable[str]) -> None:
        """Have targets looked after, now."""
        for target_id in target_ids:
            wake = self._wakes.get(target_id)
            if wake is not None:
                wake.set()
            else:
                self._wakes[target_id] = trio.Event()
                nursery.start_soon(self._work, target_id)

    async def _work(self, target_id: str) -> None:
        """Look after one target until there is nothing to do."""
        while True:
            wake = self._wakes[target_id] = trio.Event()
            now = self._server.now()
            job = await self._server.read(partial(self._next, target_id, now))
            if isinstance(job, Later):
                with trio.move_on_after(job.until - now):
                    await wake.wait()
            elif isinstance(job, Over):
                await self._remove(target_id, "its device was logged out")
            elif job is not None:
                await self._do(job)
            elif not wake.is_set():
                del self._wakes[target_id]
                return

    def _next(self, target_id: str, now: float, connection: sqlite3.Connection) -> Job | Later | Over | None:
        """Return what is to be done next for a target: first what is to be withdrawn, then the oldest news."""
        target = targets.get(connection, target_id)
        if target is None or not targets.may_be_told(connection, target):
            return None
        if targets.revoked(connection, target):
            return Over()
        if target.retry_at is not None and target.retry_at > now:
            return Later(target.retry_at)
        read = connection.execute(
            "SELECT s.channel_id, s.remote_id, s.sent_at FROM notifications_shown s"
            " LEFT JOIN notifications_conversations c ON c.user_id = ? AND c.channel_id = s.channel_id"
            " WHERE s.target_id = ? AND s.newest_id IS NOT NULL AND c.newest_id IS NULL LIMIT 1",
            (target.user_id, target_id),
        ).fetchone()
        if read is not None:
            key = key_of(connection, target.user_id, read[0])
            silently = not target.withdraw or read[2] is None  # it was noted, and never sent
            return Job(target, read[0], None, None, None, read[1], key, silently=silently)
        return self._news(target, now, connection)

    def _news(self, target: Target, now: float, connection: sqlite3.Connection) -> Job | Later | None:
        pause = self._interval(target.kind)
        waiting: list[float] = []
        for channel_id, first, last, newest_id, edited_at, shown_id, remote_id, sent_at in connection.execute(
            "SELECT c.channel_id, c.shown_from, c.shown_to, c.newest_id, c.edited_at, s.newest_id, s.remote_id,"
            " s.sent_at"
            " FROM notifications_conversations c LEFT JOIN notifications_shown s"
            " ON s.target_id = ?1 AND s.channel_id = c.channel_id"
            " WHERE c.user_id = ?2 AND c.newest_id > ?3 AND (s.newest_id IS NULL OR s.newest_id <> c.newest_id"
            " OR s.edited_at IS NOT c.edited_at) ORDER BY c.newest_id",
            (target.target_id, target.user_id, target.since),
        ):
            if pause and sent_at is not None and sent_at + pause > now:
                waiting.append(sent_at + pause)
                continue
            messages = unread(self._rules, connection, target.user_id, channel_id, first, last, now)
            if not messages:
                continue  # read a moment ago; whoever follows the log is about to see it
            quiet = shown_id is not None and messages[-1].message_id <= shown_id
            fresh = [one for one in messages if shown_id is None or one.message_id > shown_id]
            told = fresh if pause and fresh else messages  # a mail lists what no mail listed before
            notice = compose(self._rules, self._options, connection, target.user_id, told, quiet=quiet)
            old = notice.timestamp < now - self._options.max_age_hours * 3600
            mute = old or (quiet and bool(pause))
            return Job(target, channel_id, notice, newest_id, edited_at, remote_id, notice.key, silently=mute)
        return Later(min(waiting)) if waiting else None

    def _interval(self, kind: str) -> float:
        """Return how long a target of a kind is left alone about one conversation; 0 where not at all."""
        email = self._options.email
        return email.interval_seconds if kind == "email" and email is not None else 0.0

    async def _do(self, job: Job) -> None:
        """Show or withdraw, and note what became of it."""
        server, target, notice = self._server, job.target, job.notice
        silently = job.silently or (notice is not None and is_active(server, target.user_id))
        remote_id = job.remote_id
        try:
            if silently:
                pass
            elif notice is None:
                await self._senders[target.kind].withdraw(target, job.key, job.remote_id)
            else:
                remote_id = await self._senders[target.kind].show(target, notice, job.remote_id)
        except Gone as gone:
            await self._remove(target.target_id, str(gone))
        except Failed as failed:
            if failed.final:
                await self._pass_over(job, str(failed))
            else:
                await self._failed(target, failed)
        except Exception as fault:
            server.failed(f"telling a target of kind {target.kind!r}", fault)
            await self._failed(target, Failed("a fault of this server's; its administrator was told"))
        else:
            if not silently:
                server.count("withdrawn" if notice is None else "sent", target.kind)
            await server.write(partial(self._note, job, remote_id, None if silently else server.now()))

    def _note(
        self, job: Job, remote_id: str | None, sent_at: float | None, connection: sqlite3.Connection
    ) -> None:
        target_id = job.target.target_id
        if targets.get(connection, target_id) is None:
            return  # deleted while it was told
        if job.notice is not None:
            connection.execute(
                "INSERT INTO notifications_shown VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET"
                " newest_id = excluded.newest_id, edited_at = excluded.edited_at, remote_id = excluded.remote_id,"
                " sent_at = coalesce(excluded.sent_at, sent_at)",
                (target_id, job.channel_id, job.newest_id, job.edited_at, remote_id, sent_at),
            )
        elif self._interval(job.target.kind):  # when the last mail went out still counts
            connection.execute(
                "UPDATE notifications_shown SET newest_id = NULL WHERE target_id = ? AND channel_id = ?",
                (target_id, job.channel_id),
            )
        else:
            connection.execute(
                "DELETE FROM notifications_shown WHERE target_id = ? AND channel_id = ?",
                (target_id, job.channel_id),
            )
        if sent_at is not None:
            targets.succeeded(connection, target_id, sent_at)

    async def _pass_over(self, job: Job, error: str) -> None:
        """Leave a notification out that its target will never take, so that it holds up no other."""
        target_id = job.target.target_id

        def write(connection: sqlite3.Connection) -> None:
            self._note(job, job.remote_id, None, connection)
            targets.refused(connection, target_id, error)

        await self._server.write(write)
        self._server.count("refused", job.target.kind)
        self._server.log.info("%s target %s: %s", job.target.kind, target_id, error)

    async def _failed(self, target: Target, failed: Failed) -> None:
        server, now = self._server, self._server.now()
        server.count("failed", target.kind)
        pause = max(PAUSES[min(target.failures, len(PAUSES) - 1)], failed.retry_after or 0.0)
        give_up = self._options.give_up_hours * 3600
        given_up = await server.write(
            lambda connection: targets.failed(connection, target.target_id, str(failed), now, now + pause, give_up)
        )
        server.log.info("%s target %s of %r: %s", target.kind, target.target_id, target.user_id, failed)
        if given_up:
            server.count("given_up", target.kind)
            server.log.warning("%s target %s of %r is given up", target.kind, target.target_id, target.user_id)

    async def _remove(self, target_id: str, why: str) -> None:
        await self._server.write(lambda connection: targets.remove(connection, target_id))
        self._server.count("removed")
        self._server.log.info("target %s is removed: %s", target_id, why)


def of_users(connection: sqlite3.Connection, user_ids: Iterable[str]) -> list[str]:
    """Return the targets of users that are at work."""
    found: list[str] = []
    for user_id in user_ids:
        rows = connection.execute(
            "SELECT target_id FROM notifications_targets WHERE user_id = ? AND state = 'active'", (user_id,)
        )
        found += [row[0] for row in rows]
    return found


def with_something(connection: sqlite3.Connection) -> list[str]:
    """Return the targets that may have something to do, after a start."""
    rows = connection.execute(
        "SELECT target_id FROM notifications_targets t WHERE state = 'active' AND (EXISTS (SELECT 1 FROM"
        " notifications_conversations c WHERE c.user_id = t.user_id AND c.newest_id IS NOT NULL) OR EXISTS"
        " (SELECT 1 FROM notifications_shown s WHERE s.target_id = t.target_id AND s.newest_id IS NOT NULL))"
    )
    return [row[0] for row in rows]
