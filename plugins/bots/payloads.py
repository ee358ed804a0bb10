"""What is said: a bot's commands, their invocations and answers, and what an invoker is told besides."""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from relay.plugin import Integer, Mentions, Name, Payload

LONGEST = 4000
"""Characters of what is said after a command."""

CommandName = Annotated[str, Meta(pattern=r"^[a-z][a-z0-9_-]{0,31}$(?!\n)")]
Addressed = Annotated[str, Meta(pattern=r"^[a-z][a-z0-9_-]{0,31}(@[A-Za-z0-9_][A-Za-z0-9_.@+-]{0,63})?$(?!\n)")]
Line = Annotated[str, Meta(min_length=1, max_length=200)]


class CommandSpec(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """A command; `private` keeps every answer to it between the bot and who invoked it."""

    name: CommandName
    description: Line
    usage: Line | None = None
    private: bool = False


class BotCommands(Payload):
    """All of a bot's commands; they replace those it had."""

    commands: Annotated[list[CommandSpec], Meta(max_length=1000)]


class Place(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """The conversation that a command was invoked in, as its invoker names it."""

    kind: Literal["user", "group"]
    target_id: Name
    name: str = ""


class SlashCommand(Payload):
    """An invocation: `roll` or `roll@dice`, and what was said after it; the rest is the server's to say.

    `about` is the message that it was in; `private` tells that only the invoker will see the answers.
    """

    command: Addressed
    text: Annotated[str, Meta(max_length=LONGEST)] = ""
    place: Place | None = None
    about: Integer | None = None
    private: bool = False


class Invoked(Payload):
    """Which bot a command was handed to; a retry may be told without it, when the bot is there no more."""

    bot: Name | None = None


class Answered(Payload):
    """Whether only the bot and the invoker see an answer; a retry may be told without it, when it is too late."""

    private: bool | None = None


class SlashResponse(Payload):
    """A bot's answer to an invocation, by the `message_id` of its `slash_command`.

    `private` keeps it between the bot and the invoker. `command`, `invoked_by` and `reply_to` are the server's.
    """

    invocation: Integer
    content: str
    private: bool = False
    attachments: Annotated[list[Name], Meta(max_length=20)] = []
    mentions: Mentions = []
    extra: dict[str, Any] | None = None
    command: str | None = None
    invoked_by: Name | None = None
    reply_to: Integer | None = None


class SlashNotice(Payload):
    """What became of a command, to its invoker: `no_answer` so far, or `refused`; `message` says it in words."""

    reason: Literal["no_answer", "refused"]
    message: str
    command: str
    bot: Name | None = None
    invocation: Integer | None = None
    about: Integer | None = None
