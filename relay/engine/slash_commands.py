"""The slash commands of all plugins: listed, and run under their plugins' guards."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from relay.engine.guard import PluginFailed
from relay.engine.registry import Owned
from relay.plugin.invocations import OfferedCommand, SlashAnswer, SlashCommands, SlashInvocation
from relay.plugin.slash_commands import SlashCommand
from relay.plugin.types import Server
from relay.protocol.errors import not_found


class PluginSlashCommands(SlashCommands):
    """Implements `relay.plugin.SlashCommands`, where each method is described.

    Args:
        parts: all registered parts, by hook; they are read at each call, as plugins come and go.
        server_of: returns the server as a plugin sees it, by the plugin's name.
    """

    def __init__(self, parts: Mapping[str, Sequence[Owned[Any]]], server_of: Callable[[str], Server]) -> None:
        self._parts = parts
        self._server_of = server_of

    def offered(self) -> list[OfferedCommand]:
        """Return the commands of all plugins at work, by name."""
        return sorted(
            (_offered(owned) for owned in self._parts["relay_slash_commands"] if not owned.guard.quarantined),
            key=lambda command: command.name,
        )

    def find(self, name: str) -> OfferedCommand | None:
        """Return a command; None where no plugin at work has it."""
        owned = self._owned(name)
        return None if owned is None or owned.guard.quarantined else _offered(owned)

    async def run(self, invocation: SlashInvocation) -> SlashAnswer | None:
        """Run a command under the guard of its plugin."""
        owned = self._owned(invocation.command)
        if owned is None:
            raise not_found(f"command /{invocation.command}")
        guard, command = owned.guard, owned.part
        guard.check()
        what = f"run, for /{command.name}"
        try:
            said = await guard.call_async(what, command.run, self._server_of(guard.plugin), invocation)
            return guard.call(what, _answer, command, said)
        except PluginFailed:
            raise guard.refusal() from None

    def _owned(self, name: str) -> Owned[SlashCommand] | None:
        return next((owned for owned in self._parts["relay_slash_commands"] if owned.part.name == name), None)


def _offered(owned: Owned[SlashCommand]) -> OfferedCommand:
    command = owned.part
    return OfferedCommand(
        owned.guard.plugin,
        command.name,
        command.description,
        command.usage,
        command.private,
        tuple(command.arguments.items()),
    )


def _answer(command: SlashCommand, said: Any) -> SlashAnswer | None:
    """Return what a command returned, as an answer that says who sees it.

    Raises:
        TypeError: it returned something else.
    """
    if said is None:
        return None
    answer = SlashAnswer(said) if isinstance(said, str) else said
    if not isinstance(answer, SlashAnswer) or not isinstance(answer.content, str) or not answer.content.strip():
        raise TypeError(f"run returned {said!r:.80}; return a text, a SlashAnswer or None")
    return answer._replace(private=command.private if answer.private is None else answer.private)
