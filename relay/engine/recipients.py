"""The `for_recipient` hooks: they say what single users get of a message, each time that somebody gets it.

All that is asked at once (a page for one user, or one message for all who are connected) is one guarded call of
each hook, so that `[plugins] blocking_seconds` bounds it as a whole, and a failure counts once.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any, Final, NamedTuple

import msgspec

from relay.engine.guard import Guard
from relay.engine.registry import Owned, Registry
from relay.engine.required import RequiredPlugins
from relay.plugin.registrations import ForRecipient, MessageHook
from relay.plugin.types import Delivery, MessageType, Server
from relay.services.diagnosis import Verdict
from relay.services.envelopes import ForUser

_FAILED: Final = object()


class _Asked(NamedTuple):
    """One question for a hook, about a payload as JSON; what is withheld already is not asked about."""

    type: MessageType
    one: ForUser
    payload: str


class RecipientHooks:
    """The `for_recipient` hooks of a server; it is the `relay.services.envelopes.PerRecipient` of its services.

    Args:
        server_of: returns the server as a plugin sees it, by the plugin's name.
        payload_bytes: the most bytes of a payload's JSON; 0 means no limit.

    Attributes:
        any: whether there is such a hook at all.
    """

    def __init__(
        self,
        registry: Registry,
        server_of: Callable[[str], Server],
        required: RequiredPlugins,
        payload_bytes: int,
    ) -> None:
        self._registry = registry
        self._server_of = server_of
        self._required = required
        self._most = payload_bytes or 1 << 62
        self._found: dict[str, tuple[Owned[MessageHook], ...]] = {}
        self.any = False
        self.forget()

    def forget(self) -> None:
        """Look for the hooks anew: plugins have changed."""
        hooks = self._registry.parts["relay_message_hooks"]
        self._found = {}
        self.any = any(owned.part.for_recipient is not None for owned in hooks)

    def concern(self, type_name: str) -> bool:
        """Tell whether a hook is for messages of a type."""
        return self.any and bool(self._hooks(type_name))

    def payloads(self, wanted: Sequence[ForUser]) -> list[str | None]:
        """Return, for each message and user, the payload's JSON that the user gets; None where it is withheld."""
        types: Mapping[str, MessageType] = self._registry.types
        result = [one.message.payload for one in wanted]
        for owned in self._hooks_of({one.message.type for one in wanted}):
            hook = owned.part
            asked = {
                index: _Asked(types[one.message.type], one, payload)
                for index, (one, payload) in enumerate(zip(wanted, result, strict=True))
                if one.message.type in types and hook.covers(one.message.type) and payload is not None
            }
            for index, answer in zip(asked, self._ask(owned, list(asked.values())), strict=True):
                if answer is _FAILED:
                    result[index] = None if self._required.requires(owned) else result[index]
                elif answer is not None:
                    result[index] = answer
        return result

    def verdicts(self, one: ForUser) -> list[Verdict]:
        """Return what each hook that changes a message for one user makes of it, if it were sent now."""
        found: list[Verdict] = []
        type_, payload = self._registry.types.get(one.message.type), one.message.payload
        for owned in self._hooks(one.message.type):
            if type_ is None or payload is None:
                break
            (answer,) = self._ask(owned, [_Asked(type_, one, payload)])
            if answer is _FAILED and self._required.requires(owned):
                return [*found, Verdict(owned.guard.plugin, "withheld")]
            if answer is _FAILED:
                found.append(Verdict(owned.guard.plugin, "failed"))
            elif answer is not None and answer != payload:
                found.append(Verdict(owned.guard.plugin, "changed"))
                payload = answer
        return found

    def _ask(self, owned: Owned[MessageHook], asked: list[_Asked]) -> list[Any]:
        """Return what a hook says to each question: JSON, None for no change, or `_FAILED`."""
        guard, hook = owned.guard, owned.part.for_recipient
        answers: list[Any] = []
        if not guard.quarantined and asked and hook is not None:
            guard.call_anywhere("for_recipient", self._ask_all, guard, hook, asked, answers)
        return answers + [_FAILED] * (len(asked) - len(answers))

    def _ask_all(self, guard: Guard, hook: ForRecipient, asked: list[_Asked], answers: list[Any]) -> None:
        """Ask a hook one question after the other; a failure at one leaves the others alone.

        Raises:
            Exception: the first failure, once all were asked.
        """
        server, first = self._server_of(guard.plugin), None
        for type_, one, payload in asked:
            answer: Any = _FAILED
            try:
                answer = self._answer(hook, server, type_, one, payload)
            except msgspec.DecodeError:
                pass  # stored by an older version of the type: no fault of the hook's, and it cannot be asked
            except Exception as fault:
                first = first or fault
            answers.append(answer)
        if first is not None:
            raise first

    def _answer(
        self, hook: ForRecipient, server: Server, type_: MessageType, one: ForUser, payload: str
    ) -> str | None:
        """Return the JSON of what a hook makes of one message for one user, if it fits the type.

        Raises:
            msgspec.DecodeError: the stored payload does not fit its type any more.
            Exception: the hook's failure.
        """
        message = one.message
        decoded = type_.load(payload)
        delivery = Delivery(
            message.message_id,
            message.seq,
            message.type,
            message.sender_id,
            message.target_id,
            decoded,
            message.timestamp,
        )
        made = hook(server, delivery, one.user_id)
        if made is None:
            return None
        if isinstance(made, Coroutine):
            made.close()
        try:
            text = type_.check(made)
        except msgspec.DecodeError as misfit:
            raise ValueError(f"for_recipient returned what is no {type_.name}: {misfit}") from misfit
        if len(text) * 4 > self._most and len(text.encode()) > self._most:
            raise ValueError(f"for_recipient returned {len(text)} characters, more than a message may have")
        return text

    def _hooks(self, type_name: str) -> tuple[Owned[MessageHook], ...]:
        known = self._found.get(type_name)
        if known is None:
            # Of a type that no plugin adds nobody knows the schema, and so no hook can be asked.
            found = self._hooks_of({type_name}) if type_name in self._registry.types else []
            known = self._found[type_name] = tuple(found)
        return known

    def _hooks_of(self, type_names: set[str]) -> list[Owned[MessageHook]]:
        hooks: list[Owned[MessageHook]] = self._registry.parts["relay_message_hooks"]
        found = [
            owned
            for owned in hooks
            if owned.part.for_recipient is not None and any(map(owned.part.covers, type_names))
        ]
        return sorted(found, key=lambda owned: owned.part.order)
