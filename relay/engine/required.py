"""Required plugins: while one of them does not work, what it must check or allow is refused, not let through.

A hook says `required=True`, or the operator names the plugin in `[plugins] required`. Only the operator's word
holds for a plugin that cannot be loaded: nobody knows then what it was for, so every message is refused, and
everything that plugins are asked about (`relay.engine.asking`).
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final, NamedTuple

from relay.engine.guard import Guard
from relay.engine.registry import Owned, Registry
from relay.plugin.types import Draft
from relay.protocol.errors import ErrorCode, RelayError

_log: Final = logging.getLogger("relay")
HOLDING: Final = {
    "relay_message_hooks": ("before", "for_recipient"),
    "relay_account_hooks": ("register", "name"),
    "relay_conversation_hooks": ("begin", "join", "leave", "change_role", "name"),
    "relay_upload_hooks": ("upload", "scan"),
}
"""The functions that can hold something back, by hook."""

RETRY_SECONDS: Final = 10.0
"""Seconds until a refused message should be sent again: somebody has to look at the plugin first."""


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


class RequiredPlugins:
    """The required plugins of a server, and which of them do not work.

    Args:
        registry: all plugins.
        names: the plugins that the operator requires.

    Attributes:
        refused: how much was refused for want of each plugin.
    """

    def __init__(self, registry: Registry, names: Sequence[str]) -> None:
        self._registry = registry
        self._names = frozenset(names)
        self._watched: set[Guard] = set()
        self.refused: Counter[str] = Counter()
        self.arrange()
        for name, reason in self._left_out().items():
            _log.error("plugin %r is required and left out, so every message is refused: %s", name, reason)

    def arrange(self) -> None:
        """Have it told in the log when a required plugin is set aside; again when plugins have changed."""
        for owned in holding(self._registry):
            self.requires(owned)

    def requires(self, owned: Owned[Any]) -> bool:
        """Tell whether nothing may pass without a hook."""
        required = owned.part.required or owned.guard.plugin in self._names
        if required and owned.guard not in self._watched:
            self._watched.add(owned.guard)
            owned.guard.when_changed(partial(_tell, owned.guard))
        return required

    def absent(self) -> list[Step]:
        """Return a step that refuses every message, for each required plugin that was left out."""
        steps = []
        for name, reason in self._left_out().items():
            guard = Guard(name, self._registry.rules)
            guard.reason = f"left out: {reason}"
            steps.append(Step(guard, _pass, False, True))
        return steps

    def lacking(self) -> dict[str, str]:
        """Return each required plugin that does not work, with the reason in words for everybody."""
        lacking = dict.fromkeys(self._left_out(), "left out at the start")
        for owned in holding(self._registry):
            if owned.guard.quarantined and self.requires(owned):
                lacking[owned.guard.plugin] = "failed too often and is set aside"
        return lacking

    def names(self) -> list[str]:
        """Return all required plugins, in the order of the alphabet."""
        hooks = holding(self._registry)
        return sorted(self._names | {owned.guard.plugin for owned in hooks if owned.part.required})

    def check_all_there(self, task: str) -> None:
        """Refuse what plugins are asked about, where one that the operator requires was left out.

        Args:
            task: what it would have had to do, for the refusal's text.

        Raises:
            RelayError: `overloaded`.
        """
        for step in self.absent() if self._names else ():
            raise self.refusal(step.guard, task)

    def refusal(self, guard: Guard, task: str = "check this message") -> RelayError:
        """Return the error for what a required plugin could not check or allow; it is counted."""
        name = guard.plugin
        self.refused[name] += 1
        state = self.lacking().get(name, "failed; the server's log says how")
        text = f"the plugin {name!r} must {task}, and {state}; try again once that is mended"
        return RelayError(ErrorCode.OVERLOADED, text, retry_after=RETRY_SECONDS)

    def _left_out(self) -> dict[str, str]:
        """Return the plugins that the operator requires and that are not loaded, with the reason."""
        loaded = {plugin.name for plugin in self._registry.loaded}
        reasons = {broken.name: broken.reason for broken in self._registry.broken}
        return {name: reasons.get(name, "it is not there") for name in sorted(self._names - loaded)}


def holding(registry: Registry) -> list[Owned[Any]]:
    """Return the hooks that can hold something back."""
    return [
        owned
        for hook, names in HOLDING.items()
        for owned in registry.parts[hook]
        if any(getattr(owned.part, name) is not None for name in names)
    ]


def _pass(_draft: Draft) -> None:
    """Do nothing; the code of a plugin that is not there, which is never called."""


def _tell(guard: Guard) -> None:
    if guard.quarantined:
        _log.error("plugin %r is required: what it must check is refused until it is taken back", guard.plugin)
    else:
        _log.warning("plugin %r, which is required, checks again", guard.plugin)
