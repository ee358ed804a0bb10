"""The payloads of the four message types: commands, invocations, responses and notices."""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from relay.plugin import Actions, AttachedFiles, Integer, Mentions, Name, Payload

LONGEST = 4000
"""The most characters after a command."""

CommandName = Annotated[str, Meta(pattern=r"^[a-z][a-z0-9_-]{0,31}$(?!\n)")]
Addressed = Annotated[str, Meta(pattern=r"^[a-z][a-z0-9_-]{0,31}(@[A-Za-z0-9_][A-Za-z0-9_.@+-]{0,63})?$(?!\n)")]
Line = Annotated[str, Meta(min_length=1, max_length=200)]


class Argument(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """An argument of a command, in words, for clients that help to type it."""

    name: Annotated[str, Meta(min_length=1, max_length=32)]
    description: Line


class CommandSpec(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """A command; with `private` only the bot and the invoker see the answers to it."""

    name: CommandName
    description: Line
    usage: Line | None = None
    arguments: Annotated[list[Argument], Meta(max_length=10)] = []
    private: bool = False


class BotCommands(Payload):
    """All commands of a bot; they replace those it had."""

    commands: Annotated[list[CommandSpec], Meta(max_length=1000)]


class Place(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """The conversation that a command was invoked in, as its invoker names it."""

    kind: Literal["user", "group"]
    target_id: Name
    name: str = ""


class SlashCommand(Payload):
    """An invocation: `roll` or `roll@dice`, and the text after it; `thread` is the root of the thread it is for.

    The server sets the other fields. `about` is the message that it was in. `private` means that only the invoker
    will see the answers.
    """

    command: Addressed
    text: Annotated[str, Meta(max_length=LONGEST)] = ""
    thread: Integer | None = None
    place: Place | None = None
    about: Integer | None = None
    private: bool = False


class Invoked(Payload):
    """The bot or the plugin that got the invocation; the ack of a retry may lack it, when that is gone."""

    bot: Name | None = None
    plugin: Name | None = None


class Answered(Payload):
    """The visibility of an answer, private or not, in the ack; a late retry's ack may lack it."""

    private: bool | None = None


class SlashResponse(Payload):
    """A bot's answer to an invocation, by the `message_id` of its `slash_command`.

    With `private` only the bot and the invoker see it. The server sets `command`, `invoked_by`, `reply_to`, and
    `thread`, that of the invocation. The answer of a plugin's command has its invoker as the sender, and `plugin`.
    """

    invocation: Integer
    content: str
    private: bool = False
    attachments: Annotated[list[Name], Meta(max_length=20)] = []
    mentions: Mentions = []
    extra: dict[str, Any] | None = None
    actions: Actions | None = None
    files: AttachedFiles = []
    command: str | None = None
    invoked_by: Name | None = None
    reply_to: Integer | None = None
    thread: Integer | None = None
    plugin: Name | None = None


class SlashNotice(Payload):
    """A notice to an invoker: `no_answer` yet, or the command is `refused`; `message` says it in words."""

    reason: Literal["no_answer", "refused"]
    message: str
    command: str
    bot: Name | None = None
    invocation: Integer | None = None
    about: Integer | None = None
