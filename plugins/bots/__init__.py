"""Bots: users that programs are, with slash commands. `relay bot`, `GET /api/bots`, `GET /api/commands`.

A bot is a device with a token like any other: the same cursor, acks and resume. What is its own is here.
"""

import sqlite3
from collections.abc import Sequence
from functools import partial

import msgspec

from relay.plugin import (
    BackgroundTask,
    Command,
    Draft,
    Entry,
    ErrorCode,
    Kind,
    MessageHook,
    MessageType,
    Migration,
    RelayError,
    Routes,
    Server,
    SessionHook,
    hookimpl,
)

from . import answering, courier, invoking, operating, registry
from .options import Options
from .payloads import Answered, BotCommands, Invoked, SlashCommand, SlashNotice, SlashResponse
from .registry import SCHEMA, register
from .views import blueprint


def prepare_commands(draft: Draft, most: int) -> None:
    """Have a bot's commands kept in the message's own transaction."""
    wanted = [(one.name, one.description, one.usage, one.private) for one in draft.payload.commands]
    if len({name for name, *_rest in wanted}) < len(wanted):
        raise RelayError(ErrorCode.INVALID_PAYLOAD, "no two commands of a bot have the same name")
    if len(wanted) > most:
        raise RelayError(ErrorCode.INVALID_PAYLOAD, f"a bot has at most {most} commands; these are {len(wanted)}")

    def apply(connection: sqlite3.Connection, entry: Entry) -> None:
        register(connection, entry.sender_id, wanted)

    draft.apply = apply


@hookimpl
def relay_options() -> type[msgspec.Struct]:
    """Read `[plugins.bots]` into `Options`."""
    return Options


@hookimpl
def relay_migrations() -> list[Migration]:
    """Create the tables."""
    return [Migration(name="bots", sql=SCHEMA)]


@hookimpl
def relay_message_types(options: Options) -> list[MessageType]:
    """Add what bots and their invokers say to each other."""
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
            answer=Invoked,
            handle=partial(invoking.handle, options=options),
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
            handle=partial(answering.handle, options=options),
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
    """Notice text that begins with a command."""
    gone = MessageHook(
        edited=lambda server, connection, message: courier.forget(server, connection, [message.message_id]),
        erased=courier.forget,
    )
    if not options.from_text:
        return [gone]

    def stored(server: Server, connection: sqlite3.Connection, entries: Sequence[Entry]) -> None:
        courier.stored(server, connection, entries, options)

    return [MessageHook(types=courier.TEXTS, stored=stored), gone]


@hookimpl
def relay_session_hooks() -> list[SessionHook]:
    """Let a bot go whose account is erased, and forget what somebody erased had invoked."""
    return [SessionHook(left=registry.left)]


@hookimpl
def relay_background(options: Options) -> list[BackgroundTask]:
    """Carry commands to their bots, and tell invokers of silence."""
    return [BackgroundTask(name="courier", run=lambda server: courier.attend(server, options))]


@hookimpl
def relay_routes() -> list[Routes]:
    """Add `GET /api/bots` and `GET /api/commands`."""
    return [Routes(blueprint=blueprint)]


@hookimpl
def relay_commands() -> list[Command]:
    """Add `relay bot add`, `list`, `token` and `remove`."""
    return [
        Command(name="bot add", run=operating.add),
        Command(name="bot list", run=operating.list_bots),
        Command(name="bot token", run=operating.token),
        Command(name="bot remove", run=operating.remove),
    ]
