"""Delivery to receivers, conversation by conversation, behind the commit: no message waits for it.

Three tasks share the state of all webhooks. `_scan` reads what is new in the log and adds it to backlogs.
`_schedule` gives backlogs that are ready a worker, a few at a time. The writer saves the state in the tables.
"""

import zlib
from enum import Enum, auto
from functools import partial

import msgspec
import trio

from relay.http import HttpClient
from relay.plugin import Backoff, Server, StorageFailed, Wakeup

from .content import NextMessage, delivery_body, delivery_id, find_next, post_answer
from .options import Options
from .post import GONE, Attempt, Delivery, make_attempt, make_client
from .state import Backlog, HookState, StateWriter
from .tables import execute, read_backlogs, read_hooks, read_log, read_replays

_PAGE = 1_000
_GATHER_SECONDS = 0.05
_MESSAGES_PER_TURN = 20
_LONGEST_SLEEP = 60.0
_END_SECONDS = 2.0
_RUNNING = "deliverer"


class Outcome(Enum):
    """The outcome of one message, by which the delivery of a backlog goes on."""

    NEXT = auto()
    RETRY = auto()
    DONE = auto()


class Deliverer:
    """Delivers to all webhooks, while the server runs."""

    def __init__(self, server: Server, options: Options, client: HttpClient) -> None:
        self._server = server
        self._options = options
        self._client = client
        self._backoff = Backoff(options.retry_seconds, jitter=0.1)
        self._writer = StateWriter(server)
        self._states: dict[str, HookState] = {}
        self._busy = 0
        self._log_grew = Wakeup()
        self._ready = Wakeup()
        self._loading = trio.Lock()

    async def run(self) -> None:
        """Deliver until cancelled; then write what was delivered."""
        await self.reload()
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._follow)
                nursery.start_soon(self._scan)
                nursery.start_soon(self._writer.run, self._states)
                await self._schedule(nursery)
        finally:
            with trio.CancelScope(shield=True, deadline=trio.current_time() + _END_SECONDS):
                await self.flush()

    async def flush(self) -> None:
        """Write the state of all webhooks to the tables.

        Raises:
            StorageFailed: the disk did not take it.
        """
        await self._writer.write(self._states)

    async def reload(self) -> None:
        """Read the tables of webhooks and of replays again, after they were changed."""
        async with self._loading:
            found = await self._server.read(read_hooks)
            for hook_id in self._states.keys() - {hook.hook_id for hook in found}:
                self._states.pop(hook_id).removed = True
            for hook in found:
                replays = await self._server.read(partial(read_replays, hook_id=hook.hook_id))
                known = self._states.get(hook.hook_id)
                if known is None:
                    rows = await self._server.read(partial(read_backlogs, hook_id=hook.hook_id))
                    self._states[hook.hook_id] = HookState(hook, rows, replays)
                else:
                    known.update(hook)
                    known.replay(replays)
        self._log_grew.set()
        self._ready.set()

    async def drop(self, hook_id: str) -> None:
        """Forget a webhook that is about to be removed; nothing of it is written any more."""
        dropped = self._states.pop(hook_id, None)
        if dropped is not None:
            dropped.removed = True
        await self.flush()

    # Scanning the log.

    async def _follow(self) -> None:
        position = 0
        while True:
            position = await self._server.stored_beyond(position)
            self._log_grew.set()
            await trio.sleep(_GATHER_SECONDS)

    async def _scan(self) -> None:
        while True:
            await self._log_grew.wait()
            while await self._scan_page():
                self._ready.set()

    async def _scan_page(self) -> bool:
        """Scan the next page of the log for all webhooks that are behind; return False if none is."""
        end = self._server.position
        behind = [one for one in self._states.values() if one.active and not one.full and one.position < end]
        if not behind:
            return False
        after = min(one.position for one in behind)
        page = await self._server.read(partial(read_log, position=after, limit=_PAGE))
        reached = page[-1].message_id if len(page) == _PAGE else end
        for state in behind:
            state.scan(page, reached)
        if any(state.unwritten for state in behind):
            self._writer.wake()
        return True

    # Giving backlogs their turn.

    async def _schedule(self, nursery: trio.Nursery) -> None:
        while True:
            while self._busy < self._options.at_once and self._start_one(nursery):
                pass
            await self._ready.wait(self._seconds_to_next_retry())

    def _seconds_to_next_retry(self) -> float:
        # A webhook at its limit does not count: it is looked at again when one of its workers is done.
        free = self._busy < self._options.at_once
        retries = [one.next_retry_at() for one in self._states.values() if free and self._has_room(one)]
        return max(0.0, min([*retries, self._server.now() + _LONGEST_SLEEP]) - self._server.now())

    def _start_one(self, nursery: trio.Nursery) -> bool:
        """Start a worker for one backlog, and return True; webhooks take turns. Return False if none is ready."""
        for hook_id, state in list(self._states.items()):
            backlog = state.next_ready(self._server.now()) if self._has_room(state) else None
            if backlog is not None:
                self._states[hook_id] = self._states.pop(hook_id)  # to the end: the others come first now
                state.busy += 1
                self._busy += 1
                nursery.start_soon(self._serve, state, backlog)
                return True
        return False

    def _has_room(self, state: HookState) -> bool:
        """Return whether another conversation may be served. Where every attempt fails, one at a time is."""
        most = self._options.conversations_at_once
        return state.active and state.busy < (1 if state.failures >= 2 * most else most)

    async def _serve(self, state: HookState, backlog: Backlog) -> None:
        """Deliver some messages of one backlog, then let the others have their turn."""
        outcome = Outcome.NEXT
        for _ in range(_MESSAGES_PER_TURN):
            if outcome is not Outcome.NEXT or not state.active:
                break
            outcome = await self._deliver_next(state, backlog)
        if outcome is Outcome.NEXT:
            state.queue(backlog)
        elif outcome is Outcome.RETRY:
            state.queue_for_later(backlog)
        state.busy -= 1
        self._busy -= 1
        self._writer.wake()
        self._ready.set()

    # Delivering one message.

    async def _deliver_next(self, state: HookState, backlog: Backlog) -> Outcome:
        """Try once to deliver the next message of a backlog."""
        until = backlog.until
        message = await self._server.read(partial(find_next, state=state, backlog=backlog, until=until))
        if message is None:
            was_full = state.full
            done = state.finish(backlog, until)
            if was_full and done:
                self._log_grew.set()  # there is room for another backlog now
            return Outcome.DONE if done else Outcome.NEXT
        await self._wait_for_slot(state)
        attempt = await self._attempt(state, backlog, message)
        if state.removed:
            return Outcome.DONE
        hook_id = state.hook.hook_id
        self._writer.add_attempt(hook_id, attempt)
        self._server.count("attempts", "delivered" if attempt.delivered else "failed")
        if not attempt.delivered:
            return await self._failed(state, backlog, message, attempt, until)
        if backlog.is_replay:
            self._writer.remove_dead_letter(hook_id, attempt.message_id)
        state.record_success()
        state.advance(backlog, message.place, until)
        return Outcome.NEXT

    async def _wait_for_slot(self, state: HookState) -> None:
        """Wait until the webhook's rate allows another attempt."""
        rate = self._options.attempts_per_second
        if rate:
            slot = max(trio.current_time(), state.next_slot)
            state.next_slot = slot + 1 / rate
            await trio.sleep_until(slot)

    async def _attempt(self, state: HookState, backlog: Backlog, message: NextMessage) -> Attempt:
        hook, message_id = state.hook, message.record.message_id
        id_ = delivery_id(self._server.epoch, hook.hook_id, message_id)
        delivery = Delivery(id_, message_id, delivery_body(self._server, hook.reply_as, message))
        attempt = await make_attempt(self._server, self._client, hook, delivery, backlog.attempts + 1)
        if attempt.delivered and hook.reply_as is not None:
            await post_answer(self._server, hook.reply_as, message, attempt, id_)
        return attempt

    async def _failed(
        self, state: HookState, backlog: Backlog, message: NextMessage, attempt: Attempt, until: int
    ) -> Outcome:
        """Schedule the next attempt of a message, or give the message up, so that the conversation goes on."""
        now, error = self._server.now(), attempt.error or ""
        state.record_failure(backlog, error, now)
        days = self._options.pause_after_days
        if attempt.status == GONE:
            await self._pause(state, error)
        elif days and now - (state.failing_since or now) >= days * 86_400:
            await self._pause(state, f"nothing was delivered for {days:g} days; the last attempt: {error}")
        elif backlog.attempts > len(self._options.retry_seconds):
            self._writer.add_dead_letter(state.hook.hook_id, backlog.channel_id, attempt)
            self._server.count("dead letters")
            state.advance(backlog, message.place, until)
            return Outcome.NEXT
        # A hash and not a random number: it spreads attempts as well, and a test can repeat it.
        chance = zlib.crc32(f"{attempt.message_id}.{attempt.number}".encode()) / 2**32
        backlog.next_at = now + self._backoff.pause(attempt.number, chance=chance, retry_after=attempt.retry_after)
        return Outcome.RETRY

    async def _pause(self, state: HookState, because: str) -> None:
        """Pause a webhook until an admin resumes it. If that cannot be saved, go on instead."""
        now, hook_id = self._server.now(), state.hook.hook_id
        sql = "UPDATE webhooks_hooks SET paused_at = ?, paused_because = ? WHERE hook_id = ?"
        async with self._loading:  # or `reload` could have read the row before and would undo the pause
            try:
                await execute(self._server, [(sql, (now, because, hook_id))])
            except StorageFailed as failed:
                self._server.log.error("the webhook %s could not be paused (%s): %s", hook_id, because, failed)
                return
            state.update(msgspec.structs.replace(state.hook, paused_at=now, paused_because=because))
        self._server.log.warning("the webhook %s is paused: %s", hook_id, because)


async def deliver(server: Server, options: Options) -> None:
    """Deliver to all webhooks until cancelled: the plugin's background task."""
    async with make_client(options) as client:
        deliverer = server.memory[_RUNNING] = Deliverer(server, options, client)
        try:
            await deliverer.run()
        finally:
            del server.memory[_RUNNING]


def running_deliverer(server: Server) -> Deliverer | None:
    """Return the deliverer; None where none runs, as on the command line without a server."""
    found: Deliverer | None = server.memory.get(_RUNNING)
    return found
