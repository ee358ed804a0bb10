"""What the memory of the deliverer brings to the disk: gathered, and written a few statements at a time.

Between a delivery and its note here a crash has it delivered once more, under the same id; never is anything noted
that was not delivered. A webhook's position is written behind what was found up to it.
"""

import trio

from relay.plugin import Server, StorageFailed

from .attempting import Attempt
from .standing import Backlog, Standing
from .tables import Statement, run_all

KEPT_ATTEMPTS = 100
"""The newest attempts of a webhook that can be looked at."""

KEPT_DEAD = 10_000
"""Dead letters of one webhook; beyond them the oldest go."""

WRITE_SECONDS = 0.25
_POSITION_SECONDS = 30.0
_AT_ONCE = 200
_DISK_SECONDS = 5.0

_TRIM_DEAD = (
    "DELETE FROM webhooks_dead WHERE hook_id = ?1 AND message_id <= (SELECT message_id FROM webhooks_dead"
    " WHERE hook_id = ?1 ORDER BY message_id DESC LIMIT 1 OFFSET ?2)"
)


class Ledger:
    """Gathers what is to be written, and writes it."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._statements: list[Statement] = []
        self._attempts: dict[str, list[Attempt]] = {}
        self._buried: set[str] = set()
        self._writing = trio.Lock()
        self._changed = trio.Event()

    def change(self, sql: str, *values: object) -> None:
        """Have a statement written."""
        self._statements.append((sql, values))
        self._changed.set()

    def attempted(self, hook_id: str, attempt: Attempt) -> None:
        """Have an attempt noted, among the newest of its webhook."""
        recent = self._attempts.setdefault(hook_id, [])
        recent.append(attempt)
        del recent[:-KEPT_ATTEMPTS]
        self._changed.set()

    def wake(self) -> None:
        """Have it written soon where webhooks stand."""
        self._changed.set()

    def bury(self, hook_id: str, backlog: Backlog, attempt: Attempt) -> None:
        """Have a message that was given up kept as a dead letter."""
        self.change(
            "INSERT OR REPLACE INTO webhooks_dead (hook_id, message_id, channel_id, attempts, status, error, at)"
            " VALUES (?, ?, ?, ?, ?, ?, ?)",
            hook_id, attempt.message_id, backlog.channel_id, attempt.number, attempt.status, attempt.error,
            attempt.at,
        )  # fmt: skip
        self._buried.add(hook_id)

    def exhume(self, hook_id: str, message_id: int) -> None:
        """Have a dead letter forgotten that was delivered after all."""
        self.change("DELETE FROM webhooks_dead WHERE hook_id = ? AND message_id = ?", hook_id, message_id)

    async def keep(self, standings: dict[str, Standing]) -> None:
        """Write what there is to write, a few times a second at most, for ever.

        That messages passed which were for nobody is written now and then only.
        """
        while True:
            with trio.move_on_after(_POSITION_SECONDS):
                await self._changed.wait()
            self._changed = trio.Event()
            try:
                await self.write(standings)
            except StorageFailed as failed:
                self._server.log.error("where webhooks stand could not be saved; it is tried again: %s", failed)
                self._changed.set()
                await trio.sleep(_DISK_SECONDS)
            await trio.sleep(WRITE_SECONDS)

    async def write(self, standings: dict[str, Standing]) -> None:
        """Write all that was gathered.

        Raises:
            StorageFailed: the disk did not take it; it is gathered still.
        """
        async with self._writing:
            await self._write_gathered()  # first what a full disk did not take, so that it cannot pile up
            self._gather(standings)
            await self._write_gathered()

    async def _write_gathered(self) -> None:
        while self._statements:
            some = self._statements[:_AT_ONCE]
            await run_all(self._server, some)
            del self._statements[: len(some)]

    def _gather(self, standings: dict[str, Standing]) -> None:
        for hook_id, standing in standings.items():
            for channel_id in standing.unwritten:
                self._statements.append(_backlog(hook_id, channel_id, standing.backlogs.get(channel_id)))
            standing.unwritten.clear()
            if standing.moved:
                values = (standing.position, standing.failing_since, hook_id)
                self._statements.append(
                    ("UPDATE webhooks_hooks SET position = ?, failing_since = ? WHERE hook_id = ?", values)
                )
                standing.moved = False
        for hook_id, attempts in self._attempts.items():
            self._statements += _attempts(hook_id, attempts)
        self._statements += [(_TRIM_DEAD, (hook_id, KEPT_DEAD)) for hook_id in self._buried]
        self._attempts, self._buried = {}, set()


def _backlog(hook_id: str, channel_id: int, backlog: Backlog | None) -> Statement:
    if backlog is None:
        return "DELETE FROM webhooks_backlogs WHERE hook_id = ? AND channel_id = ?", (hook_id, channel_id)
    return (
        "INSERT OR REPLACE INTO webhooks_backlogs (hook_id, channel_id, after_seq, until_seq, attempts, next_at,"
        " error) VALUES (?, ?, ?, ?, ?, ?, ?)",
        (hook_id, channel_id, backlog.after, backlog.until, backlog.attempts, backlog.next_at, backlog.error),
    )


def _attempts(hook_id: str, attempts: list[Attempt]) -> list[Statement]:
    statements: list[Statement] = [
        (
            "INSERT INTO webhooks_attempts (hook_id, message_id, attempt, at, milliseconds, status, error, answer)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (hook_id, one.message_id, one.number, one.at, one.milliseconds, one.status, one.error, one.shown),
        )
        for one in attempts
    ]
    trim = (
        "DELETE FROM webhooks_attempts WHERE hook_id = ?1 AND attempt_id <= (SELECT attempt_id FROM"
        " webhooks_attempts WHERE hook_id = ?1 ORDER BY attempt_id DESC LIMIT 1 OFFSET ?2)"
    )
    return [*statements, (trim, (hook_id, KEPT_ATTEMPTS))]
