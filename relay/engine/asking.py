"""Asks plugins before something happens that is no message: one hook after the other, each through its guard.

What fails refuses (`plugin_failed`), and so does an answer that is neither None nor a `RelayError`: a hook that
returns False has meant something. A plugin in quarantine is passed over, unless its hook is required.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import fields
from typing import Any, Final

from relay.engine.guard import Guard, PluginFailed
from relay.engine.registry import Owned
from relay.engine.required import RequiredPlugins
from relay.engine.time_accounting import waiting_for_relay
from relay.plugin.types import Server
from relay.protocol.kinds import ConversationKind
from relay.services.questions import NewConversation, Question, RegisteredUser, Upload, What

_ACCOUNTS: Final = "relay_account_hooks"
_CONVERSATIONS: Final = "relay_conversation_hooks"
_UPLOADS: Final = "relay_upload_hooks"
_HOOKS: Final[dict[What, tuple[str, str]]] = {
    "register": (_ACCOUNTS, "register"),
    "user_name": (_ACCOUNTS, "name"),
    "begin": (_CONVERSATIONS, "begin"),
    "join": (_CONVERSATIONS, "join"),
    "leave": (_CONVERSATIONS, "leave"),
    "change_role": (_CONVERSATIONS, "change_role"),
    "group_name": (_CONVERSATIONS, "name"),
    "upload": (_UPLOADS, "upload"),
    "scan": (_UPLOADS, "scan"),
}
"""The hook whose parts are asked, and their function."""


class Asking:
    """Asks the plugins' hooks; see `relay.services.questions.Asked`.

    Args:
        parts: all registered parts, by hook; looked at each time, so they may change.
        server_of: returns the server as a plugin sees it, by the plugin's name.
        queue: queues what a plugin is told after the fact.
        required: those without which nothing passes that they are asked about.
        scan_seconds: the deadline of one scan of a file.
    """

    def __init__(
        self,
        parts: Mapping[str, Sequence[Owned[Any]]],
        server_of: Callable[[str], Server],
        queue: Callable[..., None],
        required: RequiredPlugins,
        scan_seconds: float,
    ) -> None:
        self._parts = parts
        self._server_of = server_of
        self._queue = queue
        self._required = required
        self.scan_seconds = scan_seconds

    async def ask(self, what: What, question: Question) -> None:
        """Ask every hook that is for it, in their order.

        Raises:
            RelayError: a refusal; `plugin_failed`; `overloaded` where a required hook does not work.
        """
        task = "check this message" if _is_of_a_message(question) else "allow this"
        self._required.check_all_there(task)
        hook, name = _HOOKS[what]
        if isinstance(question, Upload) and question.chunk is not None:
            question.chunk = _charged(question.chunk)
        for owned in self._owned(hook):
            function = getattr(owned.part, name)
            if function is None:
                continue
            guard, required = owned.guard, self._required.requires(owned)
            if guard.quarantined and not required:
                continue
            if guard.quarantined or not await self._is_answered(guard, name, function, question):
                raise self._required.refusal(guard.plugin, task) if required else guard.refusal()

    def registered(self, user: RegisteredUser) -> None:
        """Tell every hook that an account was created, in each plugin's own task."""
        for owned in self._owned(_ACCOUNTS):
            self._queue(owned.guard, "registered", owned.part.registered, user)

    def _owned(self, hook: str) -> Sequence[Owned[Any]]:
        parts = self._parts[hook]
        return sorted(parts, key=lambda owned: owned.part.order) if len(parts) > 1 else parts

    async def _is_answered(
        self, guard: Guard, name: str, function: Callable[..., Any], question: Question
    ) -> bool:
        """Ask one hook; tell whether it allowed, or failed.

        Raises:
            RelayError: its refusal.
        """
        seconds = self.scan_seconds if name == "scan" else None
        before = _values(question)
        try:
            answer = await guard.call_async(
                name, function, self._server_of(guard.plugin), question, seconds=seconds
            )
            guard.call(name, _check_answer, name, question, before, answer)
        except PluginFailed:
            return False
        return True


def _is_of_a_message(question: Question) -> bool:
    """Tell whether it is asked on behalf of a message: the first one of two users."""
    return isinstance(question, NewConversation) and question.kind is ConversationKind.USER


def _charged(chunk: Callable[[int], Awaitable[bytes]]) -> Callable[[int], Awaitable[bytes]]:
    """Return what reads a chunk, such that a wait for it is charged to relay and not to the plugin."""

    async def read(number: int) -> bytes:
        with waiting_for_relay():
            return await chunk(number)

    return read


def _values(question: Question) -> dict[str, Any]:
    return {one.name: getattr(question, one.name) for one in fields(question)}


def _check_answer(what: str, question: Question, before: dict[str, Any], answer: Any) -> None:
    """Check what a hook returned, and what it made of the question.

    Raises:
        TypeError: naming what is right.
    """
    if answer is not None:
        raise TypeError(f"{what} returned {answer!r:.80}; return None to allow, or raise RelayError to refuse")
    now = _values(question)
    changed = {name for name, value in now.items() if value is not before[name] and value != before[name]}
    if fixed := sorted(changed - question.changeable()):
        allowed = ", ".join(sorted(question.changeable())) or "nothing"
        raise TypeError(f"{what} has changed {fixed[0]}; it may change {allowed}")
    if changed:
        question.check()
