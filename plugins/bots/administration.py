"""The administration of bots by REST: how all of them do, a new one, its tokens, its end."""

import sqlite3
from typing import Annotated, Literal

from msgspec import Meta

from relay.http import Answer, Blueprint, Body, Limit, Query, Word, endpoint, page_of
from relay.plugin import ErrorCode, Integer, Name, Server, list_tokens

from . import cli, registry
from .registry import Bot

blueprint = Blueprint("bots_administration", __name__)


class BotsQuery(Query, frozen=True):
    """The place in the list to continue from."""

    cursor: Word = None
    limit: Limit = 50


class BotState(Answer, frozen=True):
    """A bot and how it does.

    `owner` is the user to ask about it. `connected` counts its devices that are, `last_used_at` is when one of its
    `tokens` was used. `waiting` commands have no answer yet; `unanswered` ones had none in time, until they are
    too old.
    """

    user_id: Name
    display_name: str
    owner: Name | None
    added_at: float
    state: Literal["active", "disabled"]
    connected: Integer
    last_used_at: float | None
    tokens: Integer
    commands: list[str]
    waiting: Integer
    unanswered: Integer


class BotStates(Answer, frozen=True):
    """A page of bots, by their ids; those whose accounts are disabled are among them."""

    bots: list[BotState]
    has_more: bool
    next_cursor: Name | None


class NewBot(Body, frozen=True):
    """A new bot; one that was removed comes back under its name."""

    user_id: Name
    display_name: Annotated[str, Meta(max_length=cli.LONGEST_NAME)] = ""
    owner: Name | None = None


class NewBotToken(Body, frozen=True):
    """A new token of a bot; with `replace` all its others are revoked."""

    replace: bool = False


class BotToken(Answer, frozen=True):
    """A new token of a bot, shown this one time."""

    user_id: Name
    token: str


@blueprint.get("/api/admin/bots")
@endpoint(query=BotsQuery, answers={200: BotStates}, access="admin")
async def bots(server: Server, query: BotsQuery) -> BotStates:
    """Answer with all bots, and how each does."""
    online = {name: len(server.devices.of(name)) for name in server.devices.users()}

    def read(connection: sqlite3.Connection) -> list[BotState]:
        found = registry.all_of(connection, query.cursor or "", query.limit + 1)
        return [
            _state(connection, bot, active=active, connected=online.get(bot.user_id, 0)) for bot, active in found
        ]

    rows, has_more, cursor = page_of(await server.read(read), query.limit, lambda bot: bot.user_id)
    return BotStates(bots=rows, has_more=has_more, next_cursor=cursor)


def _state(connection: sqlite3.Connection, bot: Bot, *, active: bool, connected: int) -> BotState:
    tokens = list_tokens(connection, bot.user_id)
    waiting, unanswered = registry.unanswered(connection, bot.user_id)
    return BotState(
        user_id=bot.user_id,
        display_name=bot.display_name,
        owner=bot.owner_id,
        added_at=bot.added_at,
        state="active" if active else "disabled",
        connected=connected,
        last_used_at=max((one["last_used_at"] for one in tokens if one["last_used_at"] is not None), default=None),
        tokens=len(tokens),
        commands=[one.name for one in registry.commands(connection, bot_id=bot.user_id)],
        waiting=waiting,
        unanswered=unanswered,
    )


@blueprint.post("/api/admin/bots")
@endpoint(body=NewBot, answers={201: BotToken}, refusals=[ErrorCode.CONFLICT, ErrorCode.NOT_FOUND], access="admin")
async def add(server: Server, body: NewBot) -> BotToken:
    """Create a bot, and answer with its token."""
    token = await cli.add(server, body.user_id, display_name=body.display_name, owner=body.owner or "")
    return BotToken(user_id=body.user_id, token=token)


@blueprint.post("/api/admin/bots/<user_id>/tokens")
@endpoint(body=NewBotToken, optional_body=True, answers={201: BotToken}, access="admin")
async def make_token(server: Server, body: NewBotToken, user_id: str) -> BotToken:
    """Make a token of a bot; with `replace` all others are revoked."""
    return BotToken(user_id=user_id, token=await cli.token(server, user_id, replace=body.replace))


@blueprint.delete("/api/admin/bots/<user_id>")
@endpoint(answers={204: None}, access="admin")
async def remove(server: Server, user_id: str) -> None:
    """Remove a bot: its connections end, its tokens are revoked, and its commands are gone."""
    await cli.remove(server, user_id)
