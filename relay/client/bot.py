"""Bots: functions that answer slash commands and actions of messages, on a client that resumes.

Contract:
    Each invocation is answered once, over reconnects, restarts and `kill -9`: an answer's id is made of its
    invocation's.
    An invocation counts as processed when its function has returned; one that was interrupted comes again.
    What a function raises is answered to its own invocation and affects no other.
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

import trio

from relay.client.actions import ActionAnswer, answer_of
from relay.client.client import Client
from relay.client.errors import RelayClosed, RelayError, StateError
from relay.client.events import Ack, Event, Gap
from relay.client.streaming import MessageStream
from relay.protocol.errors import ErrorCode
from relay.protocol.kinds import ConversationKind
from relay.protocol.session import Event as ConnectionEvent

_log: Final = logging.getLogger("relay.client.bot")
_ALL: Final = 0
"""A position before all others: while it is in work, nothing counts as processed."""


@dataclass(slots=True)
class Invocation:
    """A command that somebody invoked.

    Attributes:
        id: the id of the invocation, for the server.
        text: the text after the command.
        sender_id: the user who invoked it.
        place: the conversation as that user names it: `kind`, `target_id`, and a group's `name`.
        about: the id of the message that the command was in; None for a `slash_command` that a client sent.
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
        """Answer, for everybody in the conversation or for the invoker alone; return once the answer is stored.

        Args:
            more: `attachments`, `mentions`, `extra`, `actions`.

        Returns:
            The ack; None when an earlier run of this program stored its answer before it was killed.

        Raises:
            RelayError: The server refused it: `not_found` when it is too late.
        """
        self._answers += 1
        payload = {"invocation": self.id, "content": content, **more} | ({"private": True} if private else {})
        try:
            return await self.client.send("slash_response", payload, id=f"answer-{self.id}-{self._answers}")
        except RelayError as error:
            if error.code == ErrorCode.CONFLICT:
                return None
            raise


Answerer = Callable[[Invocation], Awaitable[str | None]]
Actor = Callable[[ActionAnswer], Awaitable[None]]
Listener = Callable[[Event], Awaitable[None]]
C = TypeVar("C", bound=Actor)
A = TypeVar("A", bound=Answerer)
L = TypeVar("L", bound=Listener)


class Bot:
    """Answers commands for a client whose user is a bot.

    Args:
        at_once: the most functions that run at the same time.
        seconds: the longest time that one may take.
    """

    def __init__(self, client: Client, *, at_once: int = 10, seconds: float = 60.0) -> None:
        self._client = client
        self._seconds = seconds
        self._slots = trio.Semaphore(at_once)
        self._commands: dict[str, dict[str, Any]] = {}
        self._answerers: dict[str, Answerer] = {}
        self._actors: dict[str, Actor] = {}
        self._listeners: dict[str, Listener] = {}
        self._registered = False
        self._in_work: set[int] = set()
        self._newest = 0

    def command(
        self,
        name: str,
        description: str | None = None,
        *,
        usage: str | None = None,
        arguments: Mapping[str, str] | None = None,
        private: bool = False,
    ) -> Callable[[A], A]:
        """Return a decorator that registers a command's function; what it returns, unless None, is the answer.

        Args:
            description: what the command does; the first line of the function's docstring unless given.
            usage: what may follow the command.
            arguments: descriptions of its arguments, by name, which clients show while one types.
            private: whether only the invoker sees the answers.
        """

        def register(function: A) -> A:
            summary = description or (inspect.getdoc(function) or name).partition("\n")[0]
            told = [{"name": one, "description": meaning} for one, meaning in (arguments or {}).items()]
            spec = {
                "name": name, "description": summary, "usage": usage, "arguments": told, "private": private,
            }  # fmt: skip
            self._commands[name] = {key: value for key, value in spec.items() if value}
            self._answerers[name] = function
            return function

        return register

    def action(self, id: str) -> Callable[[C], C]:
        """Return a decorator that registers a function for the answers to an action of the bot's messages.

        Args:
            id: the id of the action, in any message of the bot's.
        """

        def register(function: C) -> C:
            self._actors[id] = function
            return function

        return register

    def on(self, type: str) -> Callable[[L], L]:
        """Return a decorator that registers a function for every event of a type, such as `group_message`.

        What a limited replay left out is fetched as well, after the replay; but not at a bot's first start.
        """

        def register(function: L) -> L:
            self._listeners[type] = function
            return function

        return register

    def stream(self, target_id: str, *, reply_to: int | None = None, id: str | None = None) -> MessageStream:
        """Return a message that grows while it is written, as `Client.stream` does."""
        return self._client.stream(target_id, reply_to=reply_to, id=id)

    async def run(self) -> None:
        """Register the commands and answer them, until the client is closed.

        Raises:
            RelayError: The server refuses the commands: the user is not a bot.
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
                raised = error  # raised inside, the nursery would wrap it in a group
                nursery.cancel_scope.cancel()
        if raised is not None:
            raise raised

    async def _take(self, event: Event, nursery: trio.Nursery) -> None:
        if event.event == ConnectionEvent.READY and not (self._registered and event.payload.get("resumed")):
            # Not only at first: a database that was restored from a backup may know older commands.
            await self._register()
        for gap in event.gaps:
            # Invocations are in the bot's own channel. Other channels are for the listeners, but not what was said
            # there before the bot's first start.
            if gap.kind == ConversationKind.SELF or (self._listeners and self._client.cursor is not None):
                await self._fill(gap, nursery)
        await self._begin(event, nursery)

    async def _register(self) -> None:
        """Tell the server all commands; one that has none need not be a bot for the server."""
        try:
            await self._client.send("bot_commands", {"commands": list(self._commands.values())})
        except RelayError as error:
            if self._commands or error.code not in (ErrorCode.UNKNOWN_TYPE, ErrorCode.FORBIDDEN):
                raise
        self._registered = True

    async def _fill(self, gap: Gap, nursery: trio.Nursery) -> None:
        """Start the work on a gap; until all of it has started, nothing counts as processed."""
        started: set[int | None] = set()
        self._in_work.add(_ALL)
        while True:
            try:
                async for missed in self._client.read_gap(gap):
                    if missed.message_id not in started:
                        started.add(missed.message_id)
                        await self._begin(missed, nursery)
                break
            except RelayError as error:
                if not error.retry:
                    raise
                await trio.sleep(error.retry_after or 1.0)
        self._in_work.discard(_ALL)

    async def _begin(self, event: Event, nursery: trio.Nursery) -> None:
        work = self._work_for(event)
        cursor = event.cursor
        if cursor is not None:
            self._newest = max(self._newest, cursor)
        if work is None:
            await self._acknowledge()
            return
        if cursor is not None:
            self._in_work.add(cursor)
        await self._slots.acquire()
        nursery.start_soon(self._do, work, cursor)

    def _work_for(self, event: Event) -> Callable[[], Awaitable[None]] | None:
        if event.type == "slash_command":
            invocation = _invocation(self._client, event)
            return None if invocation is None else lambda: self._answer(invocation)
        if event.type == "action" and (answer := answer_of(self._client, event)) is not None:
            actor = self._actors.get(answer.action)
            if actor is not None:
                return lambda: self._act(actor, answer)
        listener = self._listeners.get(event.type)
        return None if listener is None else lambda: self._listen(listener, event)

    async def _do(self, work: Callable[[], Awaitable[None]], cursor: int | None) -> None:
        try:
            await work()
        except RelayClosed:
            return  # not processed, so it comes again
        except Exception:
            _log.exception("a bot's function failed")
        finally:
            self._slots.release()
        if cursor is not None:
            self._in_work.discard(cursor)
        await self._acknowledge()

    async def _answer(self, invocation: Invocation) -> None:
        answerer = self._answerers.get(invocation.command)
        if answerer is None:
            return  # a command of an older version of this bot
        try:
            with trio.fail_after(self._seconds):
                content = await answerer(invocation)
        except RelayClosed:
            raise
        except Exception:
            await invocation.answer(f"/{invocation.command} failed", private=True)
            raise
        if content is not None:
            await invocation.answer(content)

    async def _act(self, actor: Actor, answer: ActionAnswer) -> None:
        with trio.fail_after(self._seconds):
            await actor(answer)

    async def _listen(self, listener: Listener, event: Event) -> None:
        with trio.fail_after(self._seconds):
            await listener(event)

    async def _acknowledge(self) -> None:
        """Acknowledge everything before the oldest event that is still in work."""
        await self._client.ack(min(self._in_work) - 1 if self._in_work else self._newest)


def _invocation(client: Client, event: Event) -> Invocation | None:
    """Return the invocation of an event; None when it came too late, and is a tombstone."""
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
