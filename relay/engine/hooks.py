"""Calls plugins' hooks: before a message is stored, in its transaction, and after its commit."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from inspect import iscoroutinefunction
from typing import Any, Final, NamedTuple

from relay.engine.guard import Guard, PluginFailed
from relay.engine.plugin_tasks import PluginTasks
from relay.engine.registry import Owned
from relay.engine.required import RequiredPlugins
from relay.plugin.actions import ActionAnswer, ActionOutcome
from relay.plugin.registrations import DeviceEvent, Keeps, MessageHook, OwnedAccounts, Purge, SessionHook
from relay.plugin.types import Acted, Draft, MessageType, Server
from relay.protocol.errors import RelayError
from relay.services.router import Submission
from relay.storage.entry import Entry
from relay.storage.observer import Edited

SLICE_CHARACTERS: Final = 32_768
"""How much text, in characters of JSON, one call of `stored` gets; a longer message comes alone."""


class Step(NamedTuple):
    """One `before` hook, as it is called for one message type.

    Attributes:
        waits: whether it is async.
        required: whether the message is refused where the hook does not work.
    """

    guard: Guard
    call: Callable[[Draft], Any]
    waits: bool
    required: bool


class Hooks:
    """All message and session hooks of a server.

    It is the `relay.storage.observer.TransactionObserver` of the writer, and one of the router's observers.

    Args:
        parts: all registered parts, by hook.
        server_of: returns the server as a plugin sees it, by the plugin's name.
        tasks: calls what is called after the commit.
        required: those without which messages are refused.
    """

    def __init__(
        self,
        parts: Mapping[str, Sequence[Owned[Any]]],
        server_of: Callable[[str], Server],
        tasks: PluginTasks,
        required: RequiredPlugins,
    ) -> None:
        self._parts = parts
        self._required = required
        self._server_of = server_of
        self._queue = tasks.queue
        self.arrange()

    def arrange(self) -> None:
        """Sort the hooks by order and kind; again when plugins have changed."""
        messages: list[Owned[MessageHook]] = sorted(
            self._parts["relay_message_hooks"], key=lambda owned: owned.part.order
        )
        self._messages = messages
        self._sessions: Sequence[Owned[SessionHook]] = self._parts["relay_session_hooks"]
        self._steps: dict[str, tuple[Step, ...]] = {}
        self._committed = [owned for owned in messages if owned.part.committed is not None]
        self._stored = [owned for owned in messages if owned.part.stored is not None]
        self._edited = [owned for owned in messages if owned.part.edited is not None]
        self._keeps = [owned for owned in messages if owned.part.keeps is not None]
        self._erased = [owned for owned in messages if owned.part.erased is not None]

    # Before a message is stored.

    def steps(self, type_name: str) -> tuple[Step, ...]:
        """Return the `before` hooks of a message type, in their order."""
        known = self._steps.get(type_name)
        if known is None:
            waits, requires = iscoroutinefunction, self._required.requires
            known = self._steps[type_name] = (
                *(Step(guard, _pass, False, True) for guard in self._required.absent()),
                *(
                    Step(owned.guard, owned.part.before, waits(owned.part.before), requires(owned))
                    for owned in self._messages
                    if owned.part.before is not None and owned.part.covers(type_name)
                ),
            )
        return known

    def _is_called(self, step: Step) -> bool:
        """Tell whether a hook is called now; False in quarantine.

        Raises:
            RelayError: `overloaded`; it is in quarantine, and required.
        """
        if step.required and step.guard.quarantined:
            raise self._required.refusal(step.guard.plugin)
        return not step.guard.quarantined

    def _refusal(self, step: Step) -> RelayError:
        """Return the error for a message that a hook failed at."""
        return self._required.refusal(step.guard.plugin) if step.required else step.guard.refusal()

    async def before(self, draft: Draft, but: str | None = None) -> None:
        """Call every `before` hook of a draft's type; one that fails refuses the message.

        Args:
            but: the plugin whose own message it is: its own hooks are passed over.

        Raises:
            RelayError: a refusal; `plugin_failed`, or `overloaded` where the hook is required.
        """
        what, server = f"before, for {draft.type.name!r}", draft.server
        for step in self.steps(draft.type.name):
            if self._is_called(step) and step.guard.plugin != but:
                try:
                    draft.server = self._server_of(step.guard.plugin)
                    await step.guard.call_async(what, step.call, draft)
                    step.guard.call(what, draft.type.check, draft.payload)
                except PluginFailed:
                    raise self._refusal(step) from None
                finally:
                    draft.server = server

    def before_nowait(self, draft: Draft) -> None:
        """Do the same, where none of the hooks is async.

        Raises:
            RelayError: a refusal; `plugin_failed`, or `overloaded` where the hook is required.
        """
        what, server = f"before, for {draft.type.name!r}", draft.server
        for step in self.steps(draft.type.name):
            if self._is_called(step):
                try:
                    draft.server = self._server_of(step.guard.plugin)
                    step.guard.call(what, step.call, draft)
                    step.guard.call(what, draft.type.check, draft.payload)
                except PluginFailed:
                    raise self._refusal(step) from None
                finally:
                    draft.server = server

    # In the writer's transaction: relay.storage.observer.TransactionObserver.

    def stored(self, connection: sqlite3.Connection, entries: Sequence[Entry]) -> None:
        """Call the `stored` hooks for messages that were stored."""
        for guard, hook in ((owned.guard, owned.part) for owned in self._stored):
            mine = entries
            if hook.types is not None:  # who names types reads what the messages say: of a tombstone, nothing
                mine = [entry for entry in entries if entry.type in hook.types and not entry.erased]
            for some in slices(mine):
                if guard.quarantined:
                    break
                assert hook.stored is not None  # noqa: S101 - that is what was listed
                guard.call_inside("stored", connection, hook.stored, self._server_of(guard.plugin), some)

    def acted(
        self, guard: Guard, type_: MessageType, connection: sqlite3.Connection, answer: ActionAnswer
    ) -> ActionOutcome | None:
        """Call a type's `acted`, if it has one, for a user's answer; what it raises refuses the answer.

        Raises:
            RelayError: a refusal, or `plugin_failed`.
        """
        if type_.acted is None:
            return None
        guard.check()
        ask = guard.inside(f"acted, for {type_.name!r}", _ask_acted)
        return ask(type_.acted, type_, self._server_of(guard.plugin), connection, answer)

    def edited(self, connection: sqlite3.Connection, message: Edited) -> None:
        """Call the `edited` hooks for a message whose payload was replaced."""
        for owned in self._edited:
            guard, hook = owned.guard, owned.part
            if not guard.quarantined and hook.covers(message.type) and hook.edited is not None:
                guard.call_inside("edited", connection, hook.edited, self._server_of(guard.plugin), message)

    def kept(self, connection: sqlite3.Connection, message_ids: Sequence[int]) -> Collection[int]:
        """Return which messages must stay: those that a `keeps` hook returns, and all where one fails."""
        kept: set[int] = set()
        for owned in self._keeps:
            guard, hook = owned.guard, owned.part
            if not guard.quarantined and hook.keeps is not None:
                answers: list[Collection[int]] = []
                ask = partial(_ask_keeps, hook.keeps, answers)
                guard.call_inside("keeps", connection, ask, self._server_of(guard.plugin), message_ids)
                kept.update(answers[0] if answers else message_ids)
        return kept

    def erased(self, connection: sqlite3.Connection, message_ids: Sequence[int]) -> None:
        """Call the `erased` hooks for messages of any type that became tombstones."""
        for owned in self._erased:
            guard, hook = owned.guard, owned.part
            if not guard.quarantined and hook.erased is not None:
                guard.call_inside("erased", connection, hook.erased, self._server_of(guard.plugin), message_ids)

    def left(self, connection: sqlite3.Connection, user_id: str) -> None:
        """Call the `left` hooks for an account that is being erased."""
        for owned in self._sessions:
            guard, hook = owned.guard, owned.part
            if not guard.quarantined and hook.left is not None:
                guard.call_inside("left", connection, hook.left, self._server_of(guard.plugin), user_id)

    def owned(self, connection: sqlite3.Connection, user_id: str) -> list[str]:
        """Return the accounts that a user answers for, by the `owned` hooks."""
        accounts: list[str] = []
        for owned in self._sessions:
            guard, hook = owned.guard, owned.part
            if not guard.quarantined and hook.owned is not None:
                ask = (hook.owned, user_id, accounts)
                guard.call_inside("owned", connection, _ask_owned, self._server_of(guard.plugin), ask)
        return accounts

    def purge(self, connection: sqlite3.Connection) -> bool:
        """Call the `purge` hooks for one step each, and return whether one of them has more to do."""
        more = False
        for owned in self._messages:
            guard, hook = owned.guard, owned.part
            if not guard.quarantined and hook.purge is not None:
                answers: list[bool] = []
                ask = (hook.purge, answers)
                guard.call_inside("purge", connection, _ask_purge, self._server_of(guard.plugin), ask)
                more = more or answers == [True]
        return more

    # After the fact, in each plugin's own task.

    def observe(self, submission: Submission) -> None:
        """Queue a committed message for the `committed` hooks; see `relay.services.router.Observer`.

        What was said on another server has been acted on there.
        """
        if submission.entry.past:
            return
        for owned in self._committed:
            if owned.part.covers(submission.entry.type):
                self._queue(owned.guard, "committed", owned.part.committed, submission.entry)

    def connected(self, user_id: str, client_id: str, address: str) -> None:
        """Queue a device that said hello for the `connected` hooks."""
        event = DeviceEvent(user_id, client_id, address)
        for owned in self._sessions:
            self._queue(owned.guard, "connected", owned.part.connected, event)

    def live(self, user_id: str, client_id: str, address: str) -> None:
        """Call the `live` hooks for a device that can be sent transient messages from now on."""
        for owned in self._sessions:
            guard, call = owned.guard, owned.part.live
            if call is not None and not guard.quarantined:
                with suppress(PluginFailed, RelayError):
                    event = DeviceEvent(user_id, client_id, address)
                    guard.call("live", call, self._server_of(guard.plugin), event)

    def disconnected(self, user_id: str, client_id: str, address: str) -> None:
        """Queue a device whose connection has ended for the `disconnected` hooks."""
        event = DeviceEvent(user_id, client_id, address)
        for owned in self._sessions:
            self._queue(owned.guard, "disconnected", owned.part.disconnected, event)

    def presence(self, user_id: str, status: str) -> None:
        """Queue a user's new presence for the `presence` hooks."""
        for owned in self._sessions:
            self._queue(owned.guard, "presence", owned.part.presence, user_id, status)


def slices(entries: Sequence[Entry]) -> Iterator[Sequence[Entry]]:
    """Yield messages in parts, so that one call holds the writer's thread for a bounded length of text.

    Long messages are no fault of the plugin that has to read them.
    """
    start = size = 0
    for index, entry in enumerate(entries):
        size += len(entry.payload)
        if size > SLICE_CHARACTERS and index > start:
            yield entries[start:index]
            start, size = index, len(entry.payload)
    if start < len(entries):
        yield entries[start:] if start else entries


def _pass(_draft: Draft) -> None:
    """Do nothing; the code of a plugin that is not there, which is never called."""


def _ask_acted(
    acted: Acted, type_: MessageType, server: Server, connection: sqlite3.Connection, answer: ActionAnswer
) -> ActionOutcome | None:
    """Call a type's `acted`, and check what it returned."""
    outcome = acted(server, connection, answer._replace(payload=type_.load(answer.payload)))
    if outcome is not None and not isinstance(outcome, ActionOutcome):
        raise TypeError(f"acted returned {outcome!r:.80}; return an ActionOutcome, or None")
    return outcome


def _ask_keeps(
    keeps: Keeps, answers: list[Collection[int]], server: Any, connection: sqlite3.Connection, asked: Sequence[int]
) -> None:
    """Call a `keeps` hook, and append what it returned, so that its failure leaves no answer."""
    kept = frozenset(keeps(server, connection, asked))
    if not all(isinstance(message_id, int) for message_id in kept):
        raise TypeError("keeps returns message ids, whole numbers")
    answers.append(kept)


def _ask_owned(server: Any, connection: sqlite3.Connection, asked: tuple[OwnedAccounts, str, list[str]]) -> None:
    """Call an `owned` hook, and add what it returned."""
    owned, user_id, accounts = asked
    accounts += owned(server, connection, user_id)


def _ask_purge(server: Any, connection: sqlite3.Connection, asked: tuple[Purge, list[bool]]) -> None:
    """Call a `purge` hook, and append what it returned."""
    purge, answers = asked
    answers.append(purge(server, connection))
