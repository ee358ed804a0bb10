"""A bot in ten lines: functions that answer slash commands, on a client that resumes.

Contract:
    Each invocation is answered once: by ids made of its own, over reconnects, restarts and `kill -9`.
    An invocation counts as processed when its function is done, so one that was being worked on comes again.
    What a function raises costs its own invocation, which is told of it, and no other.
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

import trio

from relay.client.client import Client
from relay.client.errors import RelayClosed, RelayError, StateError
from relay.client.events import Ack, Event, Gap

_log: Final = logging.getLogger("relay.client.bot")
_ALL: Final = 0
"""A position before all others: while it is being worked on, nothing counts as processed."""


@dataclass(slots=True)
class Invocation:
    """A command that somebody invoked.

    Attributes:
        id: names it, to the server.
        text: what was said after the command.
        sender_id: who invoked it.
        place: where, as they name it: `kind`, `target_id`, and a group's `name`.
        about: the message that it was in; None for a `slash_command` of a client's.
        private: whether only the invoker sees the answers.
    """

    client: Client
    id: int
    command: str
    text: str
    sender_id: str
    place: dict[str, Any]
    about: int | None
    private: bool
    _answers: int = field(default=0, repr=False)

    async def answer(self, content: str, *, private: bool = False, **more: Any) -> Ack | None:
        """Answer, for all in the conversation to see or for the invoker alone; return once that is stored.

        Args:
            more: `attachments`, `mentions`, `extra`.

        Returns:
            The ack; None when an earlier run gave this answer before it was killed, perhaps in other words.

        Raises:
            RelayError: The server refused it: `not_found` when it is too late.
        """
        self._answers += 1
        payload = {"invocation": self.id, "content": content, **more} | ({"private": True} if private else {})
        try:
            return await self.client.send("slash_response", payload, id=f"answer-{self.id}-{self._answers}")
        except RelayError as error:
            if error.code == "conflict":
                return None
            raise


Answerer = Callable[[Invocation], Awaitable[str | None]]
Listener = Callable[[Event], Awaitable[None]]
A = TypeVar("A", bound=Answerer)
L = TypeVar("L", bound=Listener)


class Bot:
    """Answers commands for a client whose user is a bot.

    Args:
        at_once: the most functions that run at the same time.
        seconds: the longest that one may take.
    """

    def __init__(self, client: Client, *, at_once: int = 10, seconds: float = 60.0) -> None:
        self._client = client
        self._seconds = seconds
        self._room = trio.Semaphore(at_once)
        self._commands: dict[str, dict[str, Any]] = {}
        self._answerers: dict[str, Answerer] = {}
        self._listeners: dict[str, Listener] = {}
        self._registered = False
        self._working: set[int] = set()
        self._given = 0

    def command(
        self, name: str, description: str | None = None, *, usage: str | None = None, private: bool = False
    ) -> Callable[[A], A]:
        """Have a function answer a command; what it returns is the answer, where it returns something.

        Args:
            description: what it does; the first line of the function's docstring, unless given.
            usage: what may be said after it.
            private: whether only the invoker sees the answers.
        """

        def register(function: A) -> A:
            told = description or (inspect.getdoc(function) or name).partition("\n")[0]
            spec = {"name": name, "description": told, "usage": usage, "private": private}
            self._commands[name] = {key: value for key, value in spec.items() if value}
            self._answerers[name] = function
            return function

        return register

    def on(self, type: str) -> Callable[[L], L]:
        """Have a function see every event of another type, such as `group_message` in the bot's own groups.

        What a limited replay left out comes as well, after what it had; at a bot's first start it does not.
        """

        def register(function: L) -> L:
            self._listeners[type] = function
            return function

        return register

    async def run(self) -> None:
        """Register the commands and answer them, until the client is closed.

        Raises:
            RelayError: The commands are refused: the user is no bot.
            RelayClosed: The server does not want this client back.
            StateError: The state file cannot be used.
        """
        self._client.acknowledge = "manual"
        raised: BaseException | None = None
        async with trio.open_nursery() as nursery:
            try:
                async for event in self._client:
                    await self._take(event, nursery)
            except (RelayError, RelayClosed, StateError) as error:
                raised = error  # out of the nursery it would come wrapped in a group
                nursery.cancel_scope.cancel()
        if raised is not None:
            raise raised

    async def _take(self, event: Event, nursery: trio.Nursery) -> None:
        if event.event == "ready" and not (self._registered and event.payload.get("resumed")):
            # Not only at first: a database that was restored from a backup may know older commands.
            await self._client.send("bot_commands", {"commands": list(self._commands.values())})
            self._registered = True
        for gap in event.gaps:
            # Invocations are in the bot's own channel. What others said is for the listeners, but not what was
            # said before the bot was there at all.
            if gap.kind == "self" or (self._listeners and self._client.cursor is not None):
                await self._fill(gap, nursery)
        await self._begin(event, nursery)

    async def _fill(self, gap: Gap, nursery: trio.Nursery) -> None:
        """Begin what a limited replay left out; until all of it is begun, nothing counts as processed."""
        begun: set[int | None] = set()
        self._working.add(_ALL)
        while True:
            try:
                async for missed in self._client.read_gap(gap):
                    if missed.message_id not in begun:
                        begun.add(missed.message_id)
                        await self._begin(missed, nursery)
                break
            except RelayError as error:
                if not error.retry:
                    raise
                await trio.sleep(error.retry_after or 1.0)
        self._working.discard(_ALL)

    async def _begin(self, event: Event, nursery: trio.Nursery) -> None:
        work = self._work_for(event)
        cursor = event.cursor
        if cursor is not None:
            self._given = max(self._given, cursor)
        if work is None:
            await self._acknowledge()
            return
        if cursor is not None:
            self._working.add(cursor)
        await self._room.acquire()
        nursery.start_soon(self._do, work, cursor)

    def _work_for(self, event: Event) -> Callable[[], Awaitable[None]] | None:
        if event.type == "slash_command":
            invocation = _invocation(self._client, event)
            return None if invocation is None else lambda: self._answer(invocation)
        listener = self._listeners.get(event.type)
        return None if listener is None else lambda: self._listen(listener, event)

    async def _do(self, work: Callable[[], Awaitable[None]], cursor: int | None) -> None:
        try:
            await work()
        except RelayClosed:
            return  # not processed: it comes again
        except Exception:
            _log.exception("a bot's function failed")
        finally:
            self._room.release()
        if cursor is not None:
            self._working.discard(cursor)
        await self._acknowledge()

    async def _answer(self, invocation: Invocation) -> None:
        answerer = self._answerers.get(invocation.command)
        if answerer is None:
            return  # of an older version of this bot
        try:
            with trio.fail_after(self._seconds):
                said = await answerer(invocation)
        except RelayClosed:
            raise
        except Exception:
            await invocation.answer(f"/{invocation.command} failed", private=True)
            raise
        if said is not None:
            await invocation.answer(said)

    async def _listen(self, listener: Listener, event: Event) -> None:
        with trio.fail_after(self._seconds):
            await listener(event)

    async def _acknowledge(self) -> None:
        """Count as processed what comes before all that is being worked on."""
        await self._client.ack(min(self._working) - 1 if self._working else self._given)


def _invocation(client: Client, event: Event) -> Invocation | None:
    """Read an invocation; None for one whose time is over, which has become a tombstone."""
    payload, id = event.payload, event.message_id
    if id is None or "command" not in payload:
        return None
    return Invocation(
        client,
        id,
        payload["command"],
        payload.get("text", ""),
        event.sender_id or "",
        dict(payload.get("place") or {}),
        payload.get("about"),
        payload.get("private") is True,
    )
