"""The views `GET /api/bots`, and `GET /api/commands` for a client that completes what is typed."""

import sqlite3
from collections import Counter
from typing import Annotated

import msgspec
from msgspec import Meta

from relay.http import Blueprint, Caller, Limit, Query, Word, endpoint, page_of
from relay.plugin import Server, ServerRole, group_address, user_address

from . import registry
from .payloads import Argument
from .registry import Command

blueprint = Blueprint("bots", __name__)


class BotsQuery(Query, frozen=True):
    """The place in the list to continue from."""

    cursor: Word = None
    limit: Limit = 50


class CommandsQuery(Query, frozen=True):
    """In which conversation, beginning how, and where to go on."""

    target_id: Word = None
    q: Annotated[Annotated[str, Meta(max_length=32)] | None, Meta(description="how the name begins")] = None
    cursor: Annotated[Annotated[str, Meta(max_length=128)] | None, Meta(description="as an answer gave it")] = None
    limit: Limit = 50


class BotCommand(msgspec.Struct, omit_defaults=True):
    """A bot's command."""

    name: str
    description: str
    private: bool
    usage: str | None = None
    arguments: list[Argument] = []


class OneBot(msgspec.Struct, omit_defaults=True):
    """A bot and its commands; `owner` is the user to ask about it."""

    user_id: str
    display_name: str
    added_at: float
    commands: list[BotCommand]
    owner: str | None = None


class BotsAnswer(msgspec.Struct):
    """A page of bots, by their ids."""

    bots: list[OneBot]
    has_more: bool
    next_cursor: str | None


class Available(msgspec.Struct, omit_defaults=True, kw_only=True):
    """A bot's or a plugin's command, and what to type: with the bot's id where the name could be another's."""

    name: str
    bot: str | None = None
    plugin: str | None = None
    invoke: str
    description: str
    private: bool
    usage: str | None = None
    arguments: list[Argument] = []


class CommandsAnswer(msgspec.Struct):
    """A page of commands, by name and bot."""

    commands: list[Available]
    has_more: bool
    next_cursor: str | None


@blueprint.get("/api/bots")
@endpoint(query=BotsQuery, answers={200: BotsAnswer})
async def bots(server: Server, caller: Caller, query: BotsQuery) -> BotsAnswer:
    """Answer with the bots of this server and their commands; a guest is not told whom to ask about them."""
    is_guest = caller.identity.role is ServerRole.GUEST

    def read(connection: sqlite3.Connection) -> list[OneBot]:
        return [
            OneBot(
                bot.user_id,
                bot.display_name,
                bot.added_at,
                [
                    BotCommand(one.name, one.description, one.private, one.usage, arguments_of(one))
                    for one in registry.commands(connection, bot_id=bot.user_id)
                ],
                None if is_guest else bot.owner_id,
            )
            for bot in registry.listed(connection, query.cursor or "", query.limit + 1)
        ]

    return BotsAnswer(*page_of(await server.read(read), query.limit, lambda bot: bot.user_id))


@blueprint.get("/api/commands")
@endpoint(query=CommandsQuery, answers={200: CommandsAnswer})
async def commands(server: Server, caller: Caller, query: CommandsQuery) -> CommandsAnswer:
    """Answer with the commands that the caller may invoke, and what to type for each."""
    channel_id = await channel_of(server, caller.user_id, query.target_id or "")
    known = await server.read(lambda connection: registry.commands(connection, channel_id=channel_id))
    of_bots = [one._replace(here=one.here or one.bot_id == query.target_id) for one in known]
    found = available([*of_bots, *map(registry.of_plugin, server.slash_commands.offered())])
    wanted = [
        one
        for one in found
        if one.name.startswith((query.q or "").lstrip("/")) and _cursor(one) > (query.cursor or "")
    ]
    return CommandsAnswer(*page_of(wanted, query.limit, _cursor))


async def channel_of(server: Server, user_id: str, target_id: str) -> int:
    """Return the conversation that a user means; 0 where they have none, whether or not somebody else has."""
    for address in (group_address(target_id), user_address(user_id, target_id)):
        place = await server.conversations.at(address)
        if place is not None and user_id in place.members:
            return place.channel_id
    return 0


def available(commands: list[Command]) -> list[Available]:
    """Return commands with what to type for each: the name alone where that is enough."""
    anywhere = Counter(one.name for one in commands)
    here = Counter(one.name for one in commands if one.here)
    of_plugins = {one.name for one in commands if one.plugin is not None}
    found = [
        Available(
            name=one.name,
            bot=one.bot_id or None,
            plugin=one.plugin,
            invoke=f"/{one.name}"
            if _is_plain(one, anywhere[one.name], here[one.name], one.name in of_plugins)
            else f"/{one.name}@{one.bot_id}",
            description=one.description,
            private=one.private,
            usage=one.usage,
            arguments=arguments_of(one),
        )
        for one in commands
    ]
    return sorted(found, key=_cursor)


def arguments_of(command: Command) -> list[Argument]:
    """Return the descriptions of a command's arguments."""
    return [] if command.arguments is None else msgspec.json.decode(command.arguments, type=list[Argument])


def _is_plain(command: Command, anywhere: int, here: int, of_plugin: bool) -> bool:
    """Tell whether the name alone means this command, by the rules of `registry.resolve`."""
    if of_plugin:
        return command.plugin is not None
    return here == 1 if command.here else here == 0 and anywhere == 1


def _cursor(command: Available) -> str:
    # A space sorts before every character of a name, so this sorts as the pair does.
    return f"{command.name} {command.bot or ''}"
