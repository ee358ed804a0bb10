"""A device that is an application with relay's Python client: a process that dies, and its state file stays."""

from __future__ import annotations

import random
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import trio

import relay.client
from relay.client import Backoff, Client, RelayClosed, RelayOffline
from relay.client.events import Event, from_object
from relay.protocol.errors import RelayError
from tests.mirrors import Phone, load
from tests.simulation.determinism import inline
from tests.simulation.handset import fill
from tests.simulation.promises import Witness

if TYPE_CHECKING:
    from tests.simulation.run import Run


async def _vanish() -> None:
    """Leave as a killed process does: no word to the server, nothing more to the disk."""
    await trio.lowlevel.checkpoint()


class Application(Phone):
    """An application on `relay.client`; what it shows and what it has to send are its own, and outlive it."""

    def __init__(self, run: Run, user: str, client_id: str, state: Path) -> None:
        super().__init__(user, client_id)
        self._run = run
        self._state = state
        self._client: Client | None = None
        self._process = trio.CancelScope()
        self._own: list[Event] = []
        self._in_hand: int | None = None
        self._running = False
        self.witness = Witness(user, client_id, run.broken)

    @property
    def connected(self) -> bool:
        """Whether it is caught up."""
        return self._client is not None and self._client.state == "live"

    async def come(self, server: Any = None) -> None:
        """Start, unless it runs."""
        await trio.lowlevel.checkpoint()
        if not self._running:
            self._running = True
            self._run.nursery.start_soon(self._live)

    async def _live(self) -> None:
        rng, count = random.Random(self._run.rng.random()), 0

        def new_id() -> str:
            nonlocal count
            count += 1
            return f"{self.client_id}-made-up-{count}"

        try:
            with trio.CancelScope() as self._process:
                async with relay.client.connect(
                    "http://relay",
                    self._run.tokens[self.user],
                    client_id=self.client_id,
                    state=self._state,
                    dial=lambda: self._run.network.dial(self.client_id),
                    rng=rng,
                    clock=self._run.clock,
                    new_id=new_id,
                    run_in_thread=inline,
                    backoff=Backoff(base=0.1, cap=2.0),
                    in_flight=rng.choice([1, 4, 64]),
                    inbox_capacity=rng.choice([12, 4096]),
                ) as client:
                    self._client = client
                    for id, sent in list(self.pending.items()):
                        self._send(client, id, sent)
                    await self._receive(client)
        finally:
            self._client, self._running = None, False

    async def _receive(self, client: Client) -> None:
        with suppress(RelayClosed):
            async for event in client:
                if event.event == "ready":
                    await self._ready(event)
                elif event.event == "synced":
                    await fill(self._run, self, event.payload["gaps"])
                else:
                    self._take_event(event)

    async def _ready(self, event: Event) -> None:
        self.witness.begins(event.payload["epoch"])
        if not event.payload["resumed"]:
            self._own.clear()  # what is stored of it is in what is loaded now
            self.mirror = await self._run.ask(lambda life: load(life, self.user, amid=True))

    def _take_event(self, event: Event) -> None:
        self.witness.delivered(event, again=event.message_id is not None and event.message_id == self._in_hand)
        if event.message_id is not None and event.seq is not None:
            self._in_hand = event.message_id
        self._apply_own(None if event.replay else event.message_id)
        self.mirror.apply(event)

    def _apply_own(self, before: int | None) -> None:
        """Show what was sent from here and stored before a position, in its place among what others sent."""
        due = [one for one in self._own if before is None or (one.message_id or 0) < before]
        self._own = [one for one in self._own if one not in due]
        for one in sorted(due, key=lambda one: one.message_id or 0):
            self.mirror.apply(one)

    async def go(self, goodbye: bool = False) -> None:
        """Leave, or be killed."""
        client = self._client
        if client is not None:
            if goodbye:
                self._run.nursery.start_soon(self._leave, client)
            else:
                self.die(client)
        await trio.lowlevel.checkpoint()

    async def _leave(self, client: Client) -> None:
        with suppress(RelayClosed):
            await client.goodbye()

    def die(self, client: Client) -> None:
        """Die as a killed process does."""
        client._depart = _vanish  # type: ignore[method-assign]
        if (wire := self._run.network.wires.get(self.client_id)) is not None:
            wire.device.close()
        self._process.cancel()

    async def say(self, type_: str, target: str | None, **payload: Any) -> None:
        """Send something, now or after the next start."""
        await trio.lowlevel.checkpoint()
        id = f"{self.client_id}-{next(self._ids)}"
        sent = {"type": type_, "payload": payload, "meta": {"id": id} | ({"target_id": target} if target else {})}
        self.pending[id] = sent
        if self._client is not None:
            self._send(self._client, id, sent)

    async def say_again(self, number: int) -> None:
        """Send once more what was acked before: the answer must be the same, and nothing be stored.

        A database that was restored may not know of it; then it is a message like any other, and is stored.
        """
        await trio.lowlevel.checkpoint()
        envelope = self.witness.acked_again(number)
        if self._client is not None and envelope is not None:
            self._send(self._client, envelope["meta"]["id"], envelope)

    def _send(self, client: Client, id: str, sent: dict[str, Any]) -> None:
        try:
            pending = client.send_nowait(
                sent["type"], sent["payload"], target_id=sent["meta"].get("target_id"), id=id
            )
        except RelayClosed:
            return
        except RelayError as error:
            self._refused(id, sent, error)
            return
        self._run.nursery.start_soon(self._wait, pending.wait, id, sent)

    async def _wait(self, wait: Callable[[], Any], id: str, sent: dict[str, Any]) -> None:
        try:
            ack = await wait()
        except (RelayClosed, RelayOffline):
            if sent["type"] == "typing_indicator":
                self.pending.pop(id, None)
            return
        except RelayError as error:
            self._refused(id, sent, error)
            return
        payload = ack.payload
        answer = from_object({"type": "ack", "payload": payload, "meta": {"ref": id}})
        new = not self.witness.knows(id)
        self.witness.answered(answer, sent)
        if (self.pending.pop(id, None) is not None or new) and ack.message_id is not None:
            meta = {"sender_id": self.user, **sent["meta"], **payload}
            self._own.append(from_object({"type": sent["type"], "payload": sent["payload"], "meta": meta}))

    def _refused(self, id: str, sent: dict[str, Any], error: RelayError) -> None:
        payload = {"code": error.code, "message": error.message, "retry": False}
        self.witness.answered(from_object({"type": "error", "payload": payload, "meta": {"ref": id}}), sent)
        self.pending.pop(id, None)
        self.refused.append(error.code)

    async def settle(self, server: Any) -> None:
        """Show what was sent from here last, and load anew what events said is to be loaded."""
        self._apply_own(None)
        await super().settle(server)
