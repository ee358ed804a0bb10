"""Delivering: what was stored is found by each webhook's own position, and posted conversation by conversation.

Three tasks share one memory. `_look` follows the log and notes which conversations have something for which
webhook. `_start` gives those whose turn it is a worker, a few at a time. The ledger brings to the disk where
everything stands. No message waits for any of this: all of it begins behind the commit.
"""

import zlib
from enum import Enum, auto
from functools import partial

import msgspec
import trio

from relay.plugin import Server, StorageFailed

from .answering import post_answer
from .attempting import GONE, Attempt, Delivery, make_attempt
from .composing import Found, compose, delivery_id, find_next
from .ledger import Ledger
from .options import Options
from .posting import Poster
from .standing import Backlog, Standing
from .tables import Hook, backlogs, hooks, replaying, run_all, said_after

_PAGE = 1_000
_LOOK_SECONDS = 0.05
_TURN = 20
_LONGEST_SLEEP = 60.0
_LONGEST_WAIT = 86_400.0
_END_SECONDS = 2.0


class Step(Enum):
    """How a conversation goes on after one message."""

    ON = auto()
    LATER = auto()
    OVER = auto()


class Deliverer:
    """Delivers to all webhooks, while the server runs."""

    def __init__(self, server: Server, options: Options, poster: Poster) -> None:
        self._server = server
        self._options = options
        self._poster = poster
        self._ledger = Ledger(server)
        self._standings: dict[str, Standing] = {}
        self._busy = 0
        self._news = trio.Event()
        self._turn = trio.Event()
        self._loading = trio.Lock()

    async def run(self) -> None:
        """Deliver until cancelled; then note what was delivered."""
        await self.refresh()
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._follow)
                nursery.start_soon(self._look)
                nursery.start_soon(self._ledger.keep, self._standings)
                await self._start(nursery)
        finally:
            with trio.CancelScope(shield=True, deadline=trio.current_time() + _END_SECONDS):
                await self.settle()

    async def settle(self) -> None:
        """Bring to the disk where everything stands now.

        Raises:
            StorageFailed: the disk did not take it.
        """
        await self._ledger.write(self._standings)

    async def refresh(self) -> None:
        """Go by what the tables say of webhooks and of dead letters that are to be delivered once more."""
        async with self._loading:
            found = await self._server.read(hooks)
            for hook_id in self._standings.keys() - {hook.hook_id for hook in found}:
                self._standings.pop(hook_id).removed = True
            for hook in found:
                again = await self._server.read(partial(replaying, hook_id=hook.hook_id))
                known = self._standings.get(hook.hook_id)
                if known is None:
                    rows = await self._server.read(partial(backlogs, hook_id=hook.hook_id))
                    self._standings[hook.hook_id] = Standing(hook, rows, again)
                else:
                    known.adopt(hook)
                    known.replay(again)
        self._news.set()
        self._turn.set()

    async def drop(self, hook_id: str) -> None:
        """Forget a webhook that is about to be removed, and write nothing of it any more."""
        gone = self._standings.pop(hook_id, None)
        if gone is not None:
            gone.removed = True
        await self.settle()

    # Finding what is to be delivered.

    async def _follow(self) -> None:
        position = 0
        while True:
            position = await self._server.stored_beyond(position)
            self._news.set()
            await trio.sleep(_LOOK_SECONDS)

    async def _look(self) -> None:
        while True:
            await self._news.wait()
            self._news = trio.Event()
            while await self._look_once():
                self._turn.set()

    async def _look_once(self) -> bool:
        """Look at the next page of the log for those who are furthest behind; tell whether there was anybody."""
        end = self._server.services.router.position
        behind = [one for one in self._standings.values() if one.at_work and not one.full and one.position < end]
        if not behind:
            return False
        after = min(one.position for one in behind)
        page = await self._server.read(partial(said_after, position=after, limit=_PAGE))
        reached = page[-1].message_id if len(page) == _PAGE else end
        for standing in behind:
            standing.look_at(page, reached)
        if any(standing.unwritten for standing in behind):
            self._ledger.wake()
        return True

    # Giving conversations their turn.

    async def _start(self, nursery: trio.Nursery) -> None:
        while True:
            self._turn = trio.Event()
            while self._busy < self._options.at_once and self._start_one(nursery):
                pass
            with trio.move_on_after(self._pause_seconds()):
                await self._turn.wait()

    def _pause_seconds(self) -> float:
        """Return how long nobody needs a worker; who has all that they may have is waited for by their turn."""
        free = self._busy < self._options.at_once
        waking = [one.wakes_at() for one in self._standings.values() if free and self._has_room(one)]
        return max(0.0, min([*waking, self._server.now() + _LONGEST_SLEEP]) - self._server.now())

    def _start_one(self, nursery: trio.Nursery) -> bool:
        """Give one conversation a worker, of the webhook that was given one least lately."""
        for hook_id, standing in list(self._standings.items()):
            backlog = standing.next_ready(self._server.now()) if self._has_room(standing) else None
            if backlog is not None:
                self._standings[hook_id] = self._standings.pop(hook_id)
                standing.busy += 1
                self._busy += 1
                nursery.start_soon(self._serve, standing, backlog)
                return True
        return False

    def _has_room(self, standing: Standing) -> bool:
        """Tell whether another conversation may be served; of a receiver that takes nothing one is, at a time."""
        most = self._options.conversations_at_once
        return standing.at_work and standing.busy < (1 if standing.misses >= 2 * most else most)

    async def _serve(self, standing: Standing, backlog: Backlog) -> None:
        """Deliver what waits in one conversation, then let others have their turn."""
        step = Step.ON
        for _ in range(_TURN):
            if step is not Step.ON or not standing.at_work:
                break
            step = await self._step(standing, backlog)
        if step is Step.ON:
            standing.take_turn(backlog)
        elif step is Step.LATER:
            standing.put_off(backlog)
        standing.busy -= 1
        self._busy -= 1
        self._ledger.wake()
        self._turn.set()

    # Delivering one message.

    async def _step(self, standing: Standing, backlog: Backlog) -> Step:
        """Try to deliver the next message of a conversation."""
        until = backlog.until
        found = await self._server.read(partial(find_next, standing=standing, backlog=backlog, until=until))
        if found is None:
            was_full = standing.full
            over = standing.drained(backlog, until)
            if was_full and over:
                self._news.set()
            return Step.OVER if over else Step.ON
        await self._pace(standing)
        hook = standing.hook
        message_id = found.record.message_id
        delivery = Delivery(self._delivery_id(hook, message_id), message_id, compose(found))
        attempt = await make_attempt(self._server, self._poster, hook, delivery, backlog.attempts + 1)
        if attempt.delivered and hook.reply_as is not None:
            await post_answer(self._server, hook.reply_as, found, attempt, delivery.delivery_id)
        if standing.removed:
            return Step.OVER
        self._ledger.attempted(hook.hook_id, attempt)
        self._server.count("attempts", "delivered" if attempt.delivered else "failed")
        if not attempt.delivered:
            return await self._failed(standing, backlog, found, attempt, until)
        if backlog.replays:
            self._ledger.exhume(hook.hook_id, message_id)
        standing.succeeded()
        standing.done_with(backlog, found.place, until)
        return Step.ON

    def _delivery_id(self, hook: Hook, message_id: int) -> str:
        return delivery_id(self._server.services.epoch, hook.hook_id, message_id)

    async def _pace(self, standing: Standing) -> None:
        """Wait until another attempt is within the webhook's rate."""
        rate = self._options.attempts_per_second
        if rate:
            slot = max(trio.current_time(), standing.next_slot)
            standing.next_slot = slot + 1 / rate
            await trio.sleep_until(slot)

    async def _failed(
        self, standing: Standing, backlog: Backlog, found: Found, attempt: Attempt, until: int
    ) -> Step:
        """Have a message tried again later, or give it up, so that the conversation goes on."""
        now, error = self._server.now(), attempt.error or ""
        standing.failed(backlog, error, now)
        days = self._options.pause_after_days
        if attempt.status == GONE:
            await self._pause(standing, error)
        elif days and now - (standing.failing_since or now) >= days * 86_400:
            await self._pause(standing, f"nothing was delivered for {days:g} days; the last attempt: {error}")
        elif backlog.attempts > len(self._options.retry_seconds):
            self._ledger.bury(standing.hook.hook_id, backlog, attempt)
            self._server.count("dead letters")
            standing.done_with(backlog, found.place, until)
            return Step.ON
        backlog.next_at = now + max(self._wait(attempt), min(attempt.retry_seconds, _LONGEST_WAIT))
        return Step.LATER

    def _wait(self, attempt: Attempt) -> float:
        """Return the pause after an attempt: up to a tenth more than is set, so that not all come back at once."""
        pauses = self._options.retry_seconds
        pause = pauses[min(attempt.number, len(pauses)) - 1] if pauses else 0.0
        spread = zlib.crc32(f"{attempt.message_id}.{attempt.number}".encode()) / 2**32
        return pause * (1 + spread / 10)

    async def _pause(self, standing: Standing, because: str) -> None:
        """Have a webhook deliver nothing until an admin resumes it; where that cannot be saved, go on."""
        now, hook_id = self._server.now(), standing.hook.hook_id
        sql = "UPDATE webhooks_hooks SET paused_at = ?, paused_because = ? WHERE hook_id = ?"
        async with self._loading:  # nobody reads the row as it was before, and goes by that afterwards
            try:
                await run_all(self._server, [(sql, (now, because, hook_id))])
            except StorageFailed as failed:
                self._server.log.error("the webhook %s could not be paused (%s): %s", hook_id, because, failed)
                return
            standing.adopt(msgspec.structs.replace(standing.hook, paused_at=now, paused_because=because))
        self._server.log.warning("the webhook %s is paused: %s", hook_id, because)
