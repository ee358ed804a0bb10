"""Bots: users that are programs, with slash commands. `relay bot`, `GET /api/bots`, `GET /api/commands`.

A bot connects like any other device: with a token, a cursor, acks and resume. Only the rest is here.
"""

import sqlite3
from collections.abc import Sequence
from functools import partial

import msgspec

from relay.plugin import (
    Act,
    BackgroundTask,
    Command,
    Draft,
    Entry,
    ErrorCode,
    Kind,
    MessageHook,
    MessageType,
    Migration,
    PageExtension,
    PortableTable,
    RelayError,
    Routes,
    Server,
    SessionHook,
    hookimpl,
)

from . import cli, invocations, plugin_commands, registry, responses, text_commands
from .administration import blueprint as administration
from .options import Options
from .payloads import Answered, BotCommands, CommandSpec, Invoked, SlashCommand, SlashNotice, SlashResponse
from .registry import SCHEMA, register
from .views import blueprint


def prepare_commands(draft: Draft, most: int) -> None:
    """Register a bot's commands in the message's own transaction."""
    wanted = [
        (one.name, one.description, one.usage, one.private, _described(one)) for one in draft.payload.commands
    ]
    if len({name for name, *_rest in wanted}) < len(wanted):
        raise RelayError(ErrorCode.INVALID_PAYLOAD, "no two commands of a bot have the same name")
    if len(wanted) > most:
        raise RelayError(ErrorCode.INVALID_PAYLOAD, f"a bot has at most {most} commands; these are {len(wanted)}")

    def apply(connection: sqlite3.Connection, entry: Entry) -> None:
        register(connection, entry.sender_id, wanted)

    draft.apply = apply


def _described(command: CommandSpec) -> str | None:
    """Return the JSON of a command's arguments; None where it tells none."""
    return msgspec.json.encode(command.arguments).decode() if command.arguments else None


@hookimpl
def relay_options() -> type[msgspec.Struct]:
    """Read `[plugins.bots]` into `Options`."""
    return Options


@hookimpl
def relay_migrations() -> list[Migration]:
    """Create the tables."""
    return [
        Migration(name="bots", sql=SCHEMA),
        Migration(name="arguments", sql=registry.ARGUMENTS),
        Migration(name="plugin_commands", sql=plugin_commands.SCHEMA),
        Migration(name="threads", sql=registry.THREADS),
    ]


@hookimpl
def relay_portable_tables() -> list[PortableTable]:
    """Carry over which users are bots, and their commands; each bot needs a new token."""
    return [PortableTable(name="bots_bots"), PortableTable(name="bots_commands")]


@hookimpl
def relay_message_types(options: Options) -> list[MessageType]:
    """Add the message types between bots and their invokers."""
    return [
        MessageType(
            name="bot_commands",
            payload=BotCommands,
            kind=Kind.LATEST,
            targets=frozenset(),
            priority=40,
            prepare=partial(prepare_commands, most=options.commands),
        ),
        MessageType(
            name="slash_command",
            payload=SlashCommand,
            kind=Kind.STREAM,
            priority=20,
            deletable=False,
            act=Act.COMMAND,
            answer=Invoked,
            handle=partial(invocations.handle, options=options),
        ),
        MessageType(
            name="slash_response",
            payload=SlashResponse,
            kind=Kind.STREAM,
            targets=frozenset(),
            priority=30,
            unread=True,
            editable=True,
            search_text=lambda response: response.content,
            answer=Answered,
            handle=partial(responses.handle, options=options),
        ),
        MessageType(
            name="slash_notice",
            payload=SlashNotice,
            kind=Kind.TRANSIENT,
            targets=frozenset(),
            priority=0,
            from_clients=False,
        ),
    ]


@hookimpl
def relay_message_hooks(options: Options) -> list[MessageHook]:
    """Note text that begins with a command, and forget it when it is edited or erased."""
    gone = MessageHook(
        edited=lambda server, connection, message: text_commands.forget(server, connection, [message.message_id]),
        erased=text_commands.forget,
    )
    if not options.from_text:
        return [gone]

    def stored(server: Server, connection: sqlite3.Connection, entries: Sequence[Entry]) -> None:
        text_commands.note(server, connection, entries, options)

    return [MessageHook(types=text_commands.TEXTS, stored=stored), gone]


@hookimpl
def relay_session_hooks() -> list[SessionHook]:
    """Remove a bot whose account is erased, and what an erased user invoked; have bots banned with their owner."""
    return [SessionHook(left=registry.left, owned=registry.owned)]


@hookimpl
def relay_background(options: Options) -> list[BackgroundTask]:
    """Deliver commands in text to their bots, and tell invokers when no answer comes."""
    return [BackgroundTask(name="text_commands", run=partial(text_commands.run, options=options))]


@hookimpl
def relay_routes() -> list[Routes]:
    """Add `GET /api/bots`, `GET /api/commands` and `/api/admin/bots`."""
    return [Routes(blueprint=blueprint), Routes(blueprint=administration)]


@hookimpl
def relay_page() -> PageExtension:
    """Add a section to the administration."""
    return PageExtension(folder="page", module=None, admin="admin.js")


@hookimpl
def relay_commands() -> list[Command]:
    """Add `relay bot add`, `list`, `token` and `remove`."""
    return [
        Command(name="bot add", run=cli.add),
        Command(name="bot list", run=cli.list_bots),
        Command(name="bot token", run=cli.token),
        Command(name="bot remove", run=cli.remove),
    ]
