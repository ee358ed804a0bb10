"""The task that pushes: it follows the log, decides what each user is to be shown, and updates their targets.

What a target should show is in `notifications_conversations`, what it was sent in `notifications_shown`. Each
target has a task of its own, so that a slow one holds up no other. The task looks for a difference, acts on it and
records that: so it can be stopped anywhere, and nothing is queued. What is sent twice, as its record was lost, has
the same key both times.
"""

import sqlite3
from collections.abc import Callable, Iterable
from functools import partial
from typing import NamedTuple

import trio

from relay.plugin import Backoff, LogCursor, Server, Slice, Wakeup, survive_full_disk

from . import conversations, targets
from .content import Notification, compose, key_of
from .conversations import Row, is_active, unread
from .options import Options
from .rules import Rulebook
from .senders import Sender, make_client, senders
from .targets import Failed, Gone, Target
from .tracing import note_sent
from .vapid import load_key, read_key

GATHER_SECONDS = 0.5
"""How long to wait, after something was stored, for what comes with it."""

BACKOFF = Backoff((10.0, 30.0, 120.0, 600.0, 1800.0, 3600.0, 10_800.0))


async def push(options: Options, server: Server) -> None:
    """Follow the log and keep all targets up to date, for ever."""
    await survive_full_disk(server, partial(_push, options, server))


async def _push(options: Options, server: Server) -> None:
    rules = Rulebook(server, options)
    key = load_key(await server.read(partial(read_key, name="vapid")))
    async with make_client(options) as client, trio.open_nursery() as nursery:
        delivery = Delivery(server, options, rules, senders(options, client, server.now, key))
        delivery.start(nursery, await server.read(targets.ids_with_work))
        await _follow(server, options, rules, partial(delivery.start, nursery))


async def _follow(
    server: Server, options: Options, rules: Rulebook, start: Callable[[Iterable[str]], None]
) -> None:
    cursor = await LogCursor.open(server, "notifications_state", "done")
    await trio.sleep(options.delay_seconds)  # after a start, devices come back first
    while True:
        await cursor.catch_up(partial(_take_slice, server, options, rules))
        start(await server.read(partial(targets.ids_of, user_ids=await _review(server, rules))))
        upcoming = await server.read(conversations.next_review)
        with trio.move_on_after(float("inf") if upcoming is None else max(0.0, upcoming - server.now())):
            await cursor.wait()
            await trio.sleep(GATHER_SECONDS)


async def _take_slice(server: Server, options: Options, rules: Rulebook, after: int, until: int) -> Slice:
    """Read a part of the log, and write down whom it concerns."""
    now = server.now()
    oldest = now - options.max_age_hours * 3600
    found = await server.read(lambda connection: conversations.scan(rules, connection, after, until, oldest))
    for transaction in conversations.transactions(found, now, now + options.delay_seconds):
        await server.write(transaction)
    return Slice(found.reached, acted=bool(found.notify or found.review))


async def _review(server: Server, rules: Rulebook) -> set[str]:
    """Review every conversation that is due, and return whose they are."""
    users: set[str] = set()
    while True:
        now = server.now()
        rows = await server.read(partial(conversations.due, now=now))
        if not rows:
            return users
        users |= {row.user_id for row in rows}
        active = {user_id for user_id in users if is_active(server, user_id)}
        changed = await server.read(partial(_reviewed, rules, rows, now, active))
        await server.write(partial(conversations.write, changed=changed))


def _reviewed(
    rules: Rulebook, rows: Iterable[Row], now: float, active: set[str], connection: sqlite3.Connection
) -> list[tuple[Row, Row | None]]:
    return [(row, conversations.review(rules, connection, row, now, active)) for row in rows]


class Job(NamedTuple):
    """One thing to do for a target.

    Attributes:
        notification: what to show; None to withdraw what is there.
        newest_id, edited_at: of the message to show, as the conversation's row had them. A message may have been
            edited since; then the row is about to change, and this target with it.
        silently: nothing is sent, it is only recorded: the reader is at a device, or the message is too old.
        seqs: the first and the last message of what to show.
    """

    target: Target
    channel_id: int
    notification: Notification | None
    newest_id: int | None
    edited_at: float | None
    remote_id: str | None
    key: str
    silently: bool = False
    seqs: tuple[int, int] | None = None


class Later(NamedTuple):
    """Nothing to do before a time, Unix seconds."""

    until: float


class LoggedOut(NamedTuple):
    """The device of the target was logged out."""


class Delivery:
    """The tasks of all targets that have something to do."""

    def __init__(self, server: Server, options: Options, rules: Rulebook, senders: dict[str, Sender]) -> None:
        self._server = server
        self._options = options
        self._rules = rules
        self._senders = senders
        self._wakeups: dict[str, Wakeup] = {}

    def start(self, nursery: trio.Nursery, target_ids: Iterable[str]) -> None:
        """Start the tasks of targets, or wake those that run."""
        for target_id in target_ids:
            wakeup = self._wakeups.get(target_id)
            if wakeup is not None:
                wakeup.set()
            else:
                self._wakeups[target_id] = Wakeup()
                nursery.start_soon(self._work, target_id)

    async def _work(self, target_id: str) -> None:
        """Keep one target up to date until there is nothing to do."""
        wakeup = self._wakeups[target_id]
        while True:
            now = self._server.now()
            job = await self._server.read(partial(self._next, target_id, now))
            if isinstance(job, Later):
                await wakeup.wait(job.until - now)
            elif isinstance(job, LoggedOut):
                await self._remove(target_id, "its device was logged out")
            elif job is not None:
                await self._do(job)
            elif not await wakeup.wait(0):  # nothing came in since `_next` looked
                del self._wakeups[target_id]
                return

    def _next(self, target_id: str, now: float, connection: sqlite3.Connection) -> Job | Later | LoggedOut | None:
        """Return what to do next for a target: first withdraw what was read, then show the oldest change."""
        target = targets.get(connection, target_id)
        if target is None or not targets.is_deliverable(connection, target):
            return None
        if targets.device_revoked(connection, target):
            return LoggedOut()
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
            silently = not target.withdraw or read[2] is None  # it was recorded, but never sent
            return Job(target, read[0], None, None, None, read[1], key, silently=silently)
        return self._next_change(target, now, connection)

    def _next_change(self, target: Target, now: float, connection: sqlite3.Connection) -> Job | Later | None:
        """Return the oldest change to show; mails wait until their interval is over."""
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
                continue  # read a moment ago; the row is about to be reviewed
            quiet = shown_id is not None and messages[-1].message_id <= shown_id
            fresh = [one for one in messages if shown_id is None or one.message_id > shown_id]
            included = fresh if pause and fresh else messages  # a mail lists what no mail listed before
            shown = compose(
                self._rules,
                self._options,
                connection,
                target.user_id,
                included,
                quiet=quiet,
                language=target.address.language,
            )
            old = shown.timestamp < now - self._options.max_age_hours * 3600
            silently = old or (quiet and bool(pause))
            job = Job(target, channel_id, shown, newest_id, edited_at, remote_id, shown.key, silently=silently)
            return job._replace(seqs=(first, last))
        return Later(min(waiting)) if waiting else None

    def _interval(self, kind: str) -> float:
        """Return the least time between two notifications of one conversation, seconds; it is 0 but for mails."""
        email = self._options.email
        return email.interval_seconds if kind == "email" and email is not None else 0.0

    async def _do(self, job: Job) -> None:
        """Show or withdraw, and record the outcome."""
        server, target, notification = self._server, job.target, job.notification
        silently = job.silently or (notification is not None and is_active(server, target.user_id))
        remote_id = job.remote_id
        try:
            if silently:
                pass
            elif notification is None:
                await self._senders[target.kind].withdraw(target, job.key, job.remote_id)
            else:
                remote_id = await self._senders[target.kind].show(target, notification, job.remote_id)
        except Gone as gone:
            await self._remove(target.target_id, str(gone))
        except Failed as failed:
            if failed.final:
                await self._skip(job, str(failed))
            else:
                await self._failed(target, failed)
        except Exception as fault:
            server.failed(f"telling a target of kind {target.kind!r}", fault)
            await self._failed(target, Failed("a fault of this server's; its administrator was told"))
        else:
            if not silently:
                server.count("withdrawn" if notification is None else "sent", target.kind)
            await server.write(partial(self._record, job, remote_id, None if silently else server.now()))

    def _record(
        self,
        job: Job,
        remote_id: str | None,
        sent_at: float | None,
        connection: sqlite3.Connection,
        error: str | None = None,
    ) -> None:
        target_id = job.target.target_id
        if targets.get(connection, target_id) is None:
            return  # it was deleted meanwhile
        if job.notification is not None:
            connection.execute(
                "INSERT INTO notifications_shown VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET"
                " newest_id = excluded.newest_id, edited_at = excluded.edited_at, remote_id = excluded.remote_id,"
                " sent_at = coalesce(excluded.sent_at, sent_at)",
                (target_id, job.channel_id, job.newest_id, job.edited_at, remote_id, sent_at),
            )
        elif self._interval(job.target.kind):  # the interval since the last mail still counts
            connection.execute(
                "UPDATE notifications_shown SET newest_id = NULL WHERE target_id = ? AND channel_id = ?",
                (target_id, job.channel_id),
            )
        else:
            connection.execute(
                "DELETE FROM notifications_shown WHERE target_id = ? AND channel_id = ?",
                (target_id, job.channel_id),
            )
        self._remember(job, sent_at, error, connection)
        if sent_at is not None:
            targets.note_success(connection, target_id, sent_at)

    def _remember(
        self, job: Job, sent_at: float | None, error: str | None, connection: sqlite3.Connection
    ) -> None:
        """Remember what was sent, for those who look for a message that did not arrive."""
        if job.notification is not None:
            what = "refused" if error is not None else "quiet" if sent_at is None else "pushed"
        elif sent_at is not None:
            what = "withdrawn"
        else:
            return
        at = self._server.now() if sent_at is None else sent_at
        note_sent(connection, job.target, job.channel_id, job.seqs, what, at, error)

    async def _skip(self, job: Job, error: str) -> None:
        """Skip a notification that its target will never take, so that it holds up no other."""
        target_id = job.target.target_id

        def write(connection: sqlite3.Connection) -> None:
            self._record(job, job.remote_id, None, connection, error)
            targets.note_refusal(connection, target_id, error)

        await self._server.write(write)
        self._server.count("refused", job.target.kind)
        self._server.log.info("%s target %s: %s", job.target.kind, target_id, error)

    async def _failed(self, target: Target, failed: Failed) -> None:
        server, now = self._server, self._server.now()
        server.count("failed", target.kind)
        pause = BACKOFF.pause(target.failures + 1, retry_after=failed.retry_after)
        give_up = self._options.give_up_hours * 3600
        given_up = await server.write(
            lambda connection: targets.note_failure(
                connection, target.target_id, str(failed), now, now + pause, give_up
            )
        )
        server.log.info("%s target %s of %r: %s", target.kind, target.target_id, target.user_id, failed)
        if given_up:
            server.count("given_up", target.kind)
            server.log.warning("%s target %s of %r is given up", target.kind, target.target_id, target.user_id)

    async def _remove(self, target_id: str, why: str) -> None:
        await self._server.write(lambda connection: targets.remove(connection, target_id))
        self._server.count("removed")
        self._server.log.info("target %s is removed: %s", target_id, why)
