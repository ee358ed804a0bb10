"""Required plugins: while one of them does not work, what it must check or allow is refused, not let through.

A hook says `required=True`, or the operator names the plugin in `[plugins] required`. Only the operator's word
holds for a plugin that cannot be loaded: nobody knows then what it was for, so every message is refused, and
everything that plugins are asked about (`relay.engine.asking`).
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from functools import partial
from typing import Any, Final
from weakref import WeakSet

from relay.engine.guard import Guard
from relay.engine.registry import Owned, Registry
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
        self._watched: WeakSet[Guard] = WeakSet()
        self.refused: Counter[str] = Counter()
        self.arrange()
        for name, reason in self._left_out().items():
            _log.error("plugin %r is required and left out, so every message is refused: %s", name, reason)

    def arrange(self) -> None:
        """Have it told in the log when a required plugin is set aside; again when plugins have changed."""
        for owned in holding(self._registry):
            guard = owned.guard
            if self.requires(owned) and guard not in self._watched:
                self._watched.add(guard)
                guard.when_changed(partial(_tell, guard))

    def requires(self, owned: Owned[Any]) -> bool:
        """Tell whether nothing may pass without a hook."""
        return owned.part.required or owned.guard.plugin in self._names

    def absent(self) -> list[Guard]:
        """Return a quarantined guard for each plugin that the operator requires and that was left out."""
        guards = []
        for name, reason in self._left_out().items():
            guard = Guard(name, self._registry.rules)
            guard.reason = f"left out: {reason}"
            guards.append(guard)
        return guards

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
        for name in self._left_out() if self._names else ():
            raise self.refusal(name, task)

    def refusal(self, plugin: str, task: str = "check this message") -> RelayError:
        """Return the error for what a required plugin could not check or allow; it is counted."""
        self.refused[plugin] += 1
        state = self.lacking().get(plugin, "failed; the server's log says how")
        text = f"the plugin {plugin!r} must {task}, and {state}; try again once that is mended"
        details = {"reason": "required_plugin", "plugin": plugin}
        return RelayError(ErrorCode.OVERLOADED, text, retry_after=RETRY_SECONDS, details=details)

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


def _tell(guard: Guard) -> None:
    if guard.quarantined:
        _log.error("plugin %r is required: what it must check is refused until it is taken back", guard.plugin)
    else:
        _log.warning("plugin %r, which is required, checks again", guard.plugin)
