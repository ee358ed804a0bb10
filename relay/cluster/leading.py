"""A node that leads: its beats, and its look at the stream for somebody who has taken its place."""

from __future__ import annotations

from collections.abc import Callable

import trio

from relay.cluster.beats import BEATS_PER_LEASE, LEADER, Beat, decode_beat, encode_beat
from relay.cluster.replication import LeaderLog
from relay.cluster.stream import Bus, NoStream, Stream, Unreachable
from relay.storage.jobs import Runner
from relay.wakeup import Wakeup


class Leader:
    """One node's term.

    Args:
        lease: seconds without a beat after which others stand.
        about: returns the beat of this moment.
    """

    def __init__(
        self, log: LeaderLog, stream: Stream, bus: Bus, runner: Runner, lease: float, about: Callable[[], Beat]
    ) -> None:
        self._log = log
        self._stream = stream
        self._bus = bus
        self._runner = runner
        self._lease = lease
        self._about = about
        self._look = Wakeup()

    async def run(self) -> None:
        """Beat, and look, until another node leads.

        Raises:
            Deposed: it does.
        """
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._beat)
            nursery.start_soon(self._listen)
            while True:
                with trio.move_on_after(self._lease / BEATS_PER_LEASE):
                    await self._look.wait()
                await self._check()

    async def _beat(self) -> None:
        while True:
            await self._bus.publish(LEADER, encode_beat(self._about()))
            await trio.sleep(self._lease / BEATS_PER_LEASE)

    async def _listen(self) -> None:
        """Look at once when somebody speaks as the leader of a later term."""
        async with self._bus.subscribe(LEADER) as beats:
            async for data in beats:
                beat = decode_beat(data)
                if beat is not None and beat.term > self._log.position.term:
                    self._look.set()

    async def leads(self) -> bool:
        """Tell whether this node has written all that is in the stream; False where that does not answer."""
        try:
            found = await self._is_behind()
        except (Unreachable, NoStream):
            return False
        if found:
            self._look.set()
        return not found

    async def _check(self) -> None:
        """Compare the stream's end with what this node has written.

        Raises:
            Deposed: somebody else has written to the stream.
        """
        try:
            found = await self._is_behind()
        except (Unreachable, NoStream):
            return  # commits say so themselves, and nobody here is told what is not in the stream
        if found:
            raise self._log.fall()

    async def _is_behind(self) -> bool:
        last = await self._stream.last()
        if last <= self._log.position.sequence:
            return False
        found: list[bool] = []
        # Between two transactions: one that is open may have appended what was seen.
        await self._runner.between(lambda: found.append(last > self._log.position.sequence))
        return found[0]
