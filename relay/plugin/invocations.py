"""Invocations of plugins' slash commands, their answers, and the list of the commands."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from relay.services.channels import Conversation


class SlashInvocation(NamedTuple):
    """A slash command that a user invoked.

    Attributes:
        id: the `message_id` of the invocation. After a crash the command is called again with the same one: what
            it does elsewhere is done once when it is keyed by this.
        command: its name, without the slash.
        text: the text after it, without spaces around it.
        user_id: the invoker.
        conversation: where it was invoked.
        target_id: that conversation, as the invoker names it.
        about: the `message_id` of the message that the command was in; None where a client sent a `slash_command`.
        at: when it was invoked, Unix seconds.
        thread: the root of the thread that it was invoked in, where an answer for all goes; None outside of one.
    """

    id: int
    command: str
    text: str
    user_id: str
    conversation: Conversation
    target_id: str
    about: int | None
    at: float
    thread: int | None = None


class SlashAnswer(NamedTuple):
    """The answer of a slash command, as a text.

    Attributes:
        private: whether only the invoker sees it; None for what its `SlashCommand` says.
    """

    content: str
    private: bool | None = None


class OfferedCommand(NamedTuple):
    """A slash command that a plugin registered."""

    plugin: str
    name: str
    description: str
    usage: str | None
    private: bool
    arguments: tuple[tuple[str, str], ...]


class SlashCommands(Protocol):
    """The slash commands of all plugins; `plugins/bots` brings invocations to them."""

    def offered(self) -> Sequence[OfferedCommand]:
        """Return the commands of all plugins at work, by name; from any thread."""

    def find(self, name: str) -> OfferedCommand | None:
        """Return a command; None where no plugin at work has it. From any thread."""

    async def run(self, invocation: SlashInvocation) -> SlashAnswer | None:
        """Run the command of an invocation under the deadline; return its answer, None for none.

        Raises:
            RelayError: its refusal; `plugin_failed`; `not_found` where its plugin is gone.
        """
