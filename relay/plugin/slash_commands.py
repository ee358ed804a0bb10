"""Slash commands that plugins register: `/remind`, in every conversation."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from relay.plugin import validation
from relay.plugin.invocations import SlashAnswer, SlashInvocation
from relay.plugin.types import Server

COMMAND_NAME: Final = re.compile(r"[a-z][a-z0-9_-]{0,31}")
LONGEST_LINE: Final = 200
MOST_ARGUMENTS: Final = 10

Answer = str | SlashAnswer | None
Run = Callable[[Server, SlashInvocation], Awaitable[Answer] | Answer]


@dataclass(frozen=True, kw_only=True)
class SlashCommand:
    """A slash command. Register it from `relay_slash_commands`; people type it where plugin `bots` is enabled.

    Args:
        name: what is typed after the slash: a lower-case letter, then `a-z`, digits, `_`, `-`; 32 characters.
        description: what it does, in one line.
        run: `run(server, invocation)`, plain or async, under `[timeouts] handler_seconds`: returns the answer, a
            text or a `SlashAnswer`; None for no answer. Raise `RelayError` to tell the invoker what is wrong.
        usage: what may follow it, such as "me in 10 minutes to stretch".
        arguments: descriptions of its arguments, by name, in their order; clients show them while one types.
        private: whether only the invoker sees the answer.
    """

    name: str
    description: str
    run: Run
    usage: str | None = None
    arguments: Mapping[str, str] = field(default_factory=dict)
    private: bool = True

    def __post_init__(self) -> None:
        owner = f"SlashCommand {self.name!r:.80}"
        if not isinstance(self.name, str) or not COMMAND_NAME.fullmatch(self.name):
            raise ValueError(f"{owner}: name is a letter and then a-z, digits, _ and -, without the slash")
        validation.line(owner, "description", self.description, LONGEST_LINE)
        if self.usage is not None:
            validation.line(owner, "usage", self.usage, LONGEST_LINE)
        if not isinstance(self.arguments, Mapping) or len(self.arguments) > MOST_ARGUMENTS:
            raise TypeError(f"{owner}: arguments is a dict of names and descriptions, {MOST_ARGUMENTS} at most")
        for name, description in self.arguments.items():
            validation.line(owner, "the name of an argument", name, 32)
            validation.line(owner, f"the description of {name}", description, LONGEST_LINE)
        validation.called(owner, "run", self.run, ("server", "invocation"))
