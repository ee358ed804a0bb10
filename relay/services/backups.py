"""Backups: made one at a time while messages go on, by the clock or for who asks, and what became of them."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial
from math import inf
from pathlib import Path
from typing import Final, Literal

import msgspec
import trio

from relay.protocol.errors import ErrorCode, RelayError
from relay.services.acts import Act
from relay.services.audit import About, Actor, AuditLog
from relay.services.backup_folder import BackupFolder, hand_over
from relay.services.long_work import on_modest_thread
from relay.settings.backup import FILE_MARK, BackupSettings
from relay.storage import backups as rows
from relay.storage.backups import Backup
from relay.storage.checking import Contents, check
from relay.storage.copying import Progress, copy, in_units
from relay.storage.errors import BackupFailed, StorageFailed
from relay.storage.jobs import Runner
from relay.storage.restoring import RESTORED
from relay.wakeup import Wakeup

_log: Final = logging.getLogger("relay.backup")

_SETTLE_SECONDS: Final = 30.0
"""Seconds after the start until a backup is made that was missed: devices come back first."""

_RETRY_SECONDS: Final = 900.0
"""Seconds until a scheduled backup that failed is tried again, before its next turn."""

_LONGEST_WAIT: Final = 60.0
"""The system clock may be set meanwhile; so it is read again after this time at the latest."""

_DAY: Final = 86_400.0
_SHOWN: Final = 50


class Running(msgspec.Struct, frozen=True, kw_only=True):
    """A backup that is being made: what is done at the moment, and how far that has come."""

    began_at: float
    doing: str
    done_bytes: int
    total_bytes: int


class Made(msgspec.Struct, frozen=True, kw_only=True):
    """A backup that was made, or failed, and says why in `problem`. `there`: its file is in the folder still."""

    at: float
    seconds: float
    way: Literal["schedule", "rest", "command line"]
    file: str
    bytes: int | None
    messages: int | None
    problem: str | None
    there: bool


class BackupState(msgspec.Struct, frozen=True, kw_only=True):
    """Backups: where they are kept, when the next is made, what is being made, and what became of the newest.

    `failing` is why the last one failed; null where it did not. `next_at` is null without a schedule.
    """

    folder: str
    at: str
    every_seconds: int
    next_at: float | None
    failing: str | None
    running: Running | None
    last_good: Made | None
    backups: list[Made]


class Backups:
    """Makes backups of one database.

    Args:
        now: Unix seconds.

    Attributes:
        failing: why the last backup failed; None while the last one is good.
        last_good: the newest good one.
        failed: how many failed since the start.
    """

    def __init__(
        self, runner: Runner, audit: AuditLog, now: Callable[[], float], database: Path, settings: BackupSettings
    ) -> None:
        self._runner = runner
        self._audit = audit
        self._now = now
        self._database = database
        self._wakeup = Wakeup()
        self.change(settings)
        self.failing: str | None = None
        self.last_good: Backup | None = None
        self.failed = 0
        self._scheduled: Backup | None = None
        self._asked: Actor | None = None
        self._works = False
        self._ready_at = now()
        self._began_at = 0.0
        self._progress: Progress | None = None
        self._limiter = trio.CapacityLimiter(1)

    def change(self, settings: BackupSettings) -> None:
        """Keep backups elsewhere, or make them at other times, from now on; one that is being made goes on."""
        self._settings = settings
        folder = Path(settings.folder) if settings.folder else self._database.parent / "backups"
        self.folder = BackupFolder(folder, self._database.stem, keep=settings.keep, keep_days=settings.keep_days)
        self._wakeup.set()

    @property
    def is_scheduled(self) -> bool:
        """Whether backups are made by the clock."""
        return bool(self._settings.at or self._settings.every_seconds)

    @property
    def is_running(self) -> bool:
        """Whether a backup is being made."""
        return self._progress is not None

    def open(self) -> None:
        """Take requests from now on: `run` is about to run."""
        self._works = True

    def start(self, actor: Actor) -> None:
        """Have a backup made now.

        Raises:
            RelayError: `conflict` while one is being made, and where this process makes none.
        """
        if not self._works:
            raise RelayError(ErrorCode.CONFLICT, "only a running server makes backups, and no sandbox does")
        if self._asked is not None or self._progress is not None:
            raise RelayError(
                ErrorCode.CONFLICT,
                "a backup is being made already; wait until it is done",
                details={"reason": "backup_runs"},
            )
        self._asked = actor
        self._wakeup.set()

    async def note(self, actor: Actor, backup: Backup) -> None:
        """Note what became of a backup, and, if it was made for somebody, in the audit log as well."""

        def job(connection: sqlite3.Connection) -> None:
            rows.add(connection, backup)
            if backup.problem is None and backup.way != "schedule":
                about = About("backup", backup.file)
                self._audit.write(connection, actor, Act.BACKUP_MADE, about, {"bytes": backup.bytes})

        self._remember(backup)
        await self._runner.write(job)

    def _remember(self, backup: Backup) -> None:
        self.failing = backup.problem
        if backup.problem is None:
            self.last_good = backup
        else:
            self.failed += 1
        if backup.way == "schedule":
            self._scheduled = backup

    async def state(self) -> BackupState:
        """Return the state of the backups."""
        newest, good = await self._runner.read(
            lambda connection: (rows.newest(connection, _SHOWN), rows.last_good(connection))
        )
        there = {kept.path.name for kept in await trio.to_thread.run_sync(self.folder.all)}

        def made(one: Backup) -> Made:
            return Made(**one._asdict(), there=one.file in there)

        progress, running = self._progress, None
        if progress is not None:
            running = Running(
                began_at=self._began_at,
                doing=progress.doing,
                done_bytes=progress.done,
                total_bytes=progress.total,
            )
        return BackupState(
            folder=str(self.folder.path),
            at=self._settings.at,
            every_seconds=self._settings.every_seconds,
            next_at=self.next_at(),
            failing=self.failing,
            running=running,
            last_good=None if good is None else made(good),
            backups=[made(one) for one in newest],
        )

    def next_at(self) -> float | None:
        """Return when the schedule's next backup is due, in Unix seconds; None without a schedule."""
        if not self.is_scheduled:
            return None
        last = self._scheduled
        if self._settings.at:
            due = next_time(self._settings.at, self._ready_at if last is None else last.at)
        else:
            due = self._ready_at if last is None else last.at + self._settings.every_seconds
        if last is not None and last.problem is not None:
            due = min(due, last.at + last.seconds + _RETRY_SECONDS)
        return max(due, self._ready_at + _SETTLE_SECONDS)

    def overdue(self) -> float | None:
        """Return for how many seconds there has been no good backup; None where that is as it should be."""
        if not self.is_scheduled:
            return None
        since = self._now() - (self._ready_at if self.last_good is None else self.last_good.at)
        return since if since > 2 * (self._settings.every_seconds or _DAY) + _RETRY_SECONDS else None

    async def run(self) -> None:
        """Make backups for ever: when one is due, and when somebody asks."""
        self._ready_at = self._now()
        await self.recover()
        while True:
            await self._wait()
            asked, self._asked = self._asked, None
            await self._make(asked)

    async def recover(self) -> None:
        """Read what became of the last backups, and note in the audit log that this database was restored."""
        newest, self.last_good, self._scheduled, restored = await self._runner.read(
            lambda connection: (
                rows.newest(connection, 1),
                rows.last_good(connection),
                rows.last_scheduled(connection),
                rows.has_fact(connection, RESTORED),
            )
        )
        self.failing = newest[0].problem if newest else None
        if restored:
            await self._runner.write(self._note_restored)

    def _note_restored(self, connection: sqlite3.Connection) -> None:
        fact = rows.take_fact(connection, RESTORED)
        if fact is not None:
            said = msgspec.json.decode(fact)
            details = {"from": said["from"], "at": said["at"]}
            self._audit.write(connection, Actor.operator(said["uid"]), Act.DATABASE_RESTORED, None, details)
            _log.warning("this database was restored from %s; clients begin anew with it", said["from"])

    async def _wait(self) -> None:
        """Wait until a backup is due, or asked for."""
        while self._asked is None:
            self._wakeup.clear()
            due = self.next_at()
            left = None if due is None else due - self._now()
            if left is not None and left <= 0:
                return
            await self._wakeup.wait(inf if left is None else min(left, _LONGEST_WAIT))

    async def _make(self, asked: Actor | None) -> None:
        """Make a backup, and note what became of it."""
        actor = asked or Actor.operator(None)
        way: rows.Way = "schedule" if asked is None else "rest" if asked.way == "rest" else "command line"
        at, began = self._now(), trio.current_time()
        name, size, contents, problem = "", None, None, None
        self._began_at, self._progress = at, Progress()
        try:
            path = await trio.to_thread.run_sync(self.folder.new, at)
            name = path.name
            size, contents = await self._copied(path, self._progress)
            settings = self._settings
            if settings.command:
                self._progress.begin("handing over", 0)
                filled = [part.replace(FILE_MARK, str(path)) for part in settings.command]
                await hand_over(filled, settings.command_seconds)
        except BackupFailed as failed:
            problem = str(failed)
        finally:
            self._progress = None
        seconds = trio.current_time() - began
        messages = None if contents is None else contents.messages
        made = Backup(at, seconds, way, name, size, messages, problem)
        if problem is None:
            _log.info("made the backup %s: %s in %.1f s", name, in_units(size or 0), seconds)
        else:
            _log.error("the backup failed: %s", problem)
        if problem is None:
            await self._rotate()
        try:
            await self.note(actor, made)
        except StorageFailed as failed:
            _log.error("what became of the backup %s could not be noted: %s", name, failed)

    async def _copied(self, path: Path, progress: Progress) -> tuple[int, Contents]:
        def work() -> tuple[int, Contents]:
            found: list[Contents] = []

            def finish(part: Path) -> None:
                found.append(check_copy(part, progress))

            size = copy(self._database, path, progress, alone=False, finish=finish)
            return size, found[0]

        return await on_modest_thread(work, progress, self._limiter)

    async def _rotate(self) -> None:
        try:
            gone = await trio.to_thread.run_sync(partial(self.folder.rotate, self._now()))
        except OSError as error:
            _log.error("an old backup cannot be deleted: %r", error)
        else:
            for path in gone:
                _log.info("deleted the old backup %s", path.name)


def check_copy(part: Path, progress: Progress) -> Contents:
    """Check a copy that was just made, and return what is in it.

    Raises:
        BackupFailed: it is no good.
    """
    contents = check(part, progress)
    if contents.problems:
        raise BackupFailed(
            f"the copy is damaged, and so is the database most likely: {'; '.join(contents.problems[:3])};"
            " see docs/operate/backup.md"
        )
    return contents


def next_time(text: str, after: float) -> float:
    """Return the next moment at which this machine's clock says `text`, such as 03:30, after another one."""
    hour, _, minute = text.partition(":")
    day = datetime.fromtimestamp(after)
    found = day.replace(hour=int(hour), minute=int(minute), second=0, microsecond=0)
    while found.timestamp() <= after:
        found += timedelta(days=1)
    return found.timestamp()
