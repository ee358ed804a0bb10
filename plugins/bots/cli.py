"""The commands `relay bot add`, `list`, `token` and `remove`."""

import sqlite3
from typing import Any

from relay.plugin import (
    About,
    Actor,
    ErrorCode,
    RelayError,
    Server,
    ServerRole,
    create_token,
    create_user,
    get_user,
    list_tokens,
    update_user,
)

from . import registry

LONGEST_NAME = 200


async def add(server: Server, name: str, *, display_name: str = "", owner: str = "") -> str:
    """Create the bot NAME and print its token.

    The token is alone on standard output. --owner names the user to ask about the bot. One that was removed comes
    back under its name.
    """
    if len(display_name) > LONGEST_NAME:
        raise RelayError(ErrorCode.INVALID_PAYLOAD, f"a display name has at most {LONGEST_NAME} characters")
    now, actor, details = server.now(), server.actor, {"owner": owner or None}

    def change(connection: sqlite3.Connection) -> str:
        if registry.find(connection, name) is not None:
            raise RelayError(ErrorCode.CONFLICT, f"{name} is a bot already; `relay bot token` gives it a token")
        if owner and get_user(connection, owner) is None:
            raise RelayError(ErrorCode.NOT_FOUND, f"there is no user {owner!r}")
        if registry.is_bot(connection, name):
            _check_below(connection, actor, name)
            named = {"display_name": display_name} if display_name else {}
            update_user(connection, name, disabled=0, **named)
        else:
            create_user(connection, name, now, display_name=display_name or None)
        registry.add(connection, name, owner or None, now)
        server.audit(connection, actor, "bot.added", About("user", name), details)
        return create_token(connection, name, now, origin="cli", label="bot")

    token = await server.write(change)
    server.users.forget_tokens()
    return token


async def list_bots(server: Server) -> list[dict[str, Any]]:
    """List the bots, with their commands and whether they are connected."""
    online = set(server.devices.users())

    def read(connection: sqlite3.Connection) -> list[dict[str, Any]]:
        return [
            {
                "bot": bot.user_id,
                "display_name": bot.display_name,
                "owner": bot.owner_id or "",
                "online": bot.user_id in online,
                "commands": ", ".join(one.name for one in registry.commands(connection, bot_id=bot.user_id)),
            }
            for bot in registry.listed(connection)
        ]

    return await server.read(read)


async def token(server: Server, name: str, *, replace: bool = False) -> str:
    """Print a new token of the bot NAME.

    It is alone on standard output. With --replace all others are revoked.
    """
    await _check_bot(server, name)
    if replace:
        await _revoke_tokens(server, name)
    now, actor = server.now(), server.actor

    def make(connection: sqlite3.Connection) -> str:
        server.audit(connection, actor, "bot.token_created", About("user", name), {"replace": replace})
        return create_token(connection, name, now, origin="cli", label="bot")

    return await server.write(make)


async def remove(server: Server, name: str) -> str:
    """Remove the bot NAME.

    Its connections end, its tokens are revoked and its commands are gone. What it said stays, and so does its
    name; `relay bot add` takes it back.
    """
    await _check_bot(server, name)
    now, actor = server.now(), server.actor
    await server.users.set_disabled(name, True)
    await _revoke_tokens(server, name)

    def forget(connection: sqlite3.Connection) -> None:
        registry.remove(connection, name, now)
        server.audit(connection, actor, "bot.removed", About("user", name))

    await server.write(forget)
    return f"bot {name}: removed"


async def _check_bot(server: Server, name: str) -> None:
    """Refuse what is no bot, and a bot whose account the actor may not change.

    Raises:
        RelayError: `not_found`, `forbidden`.
    """
    actor = server.actor

    def check(connection: sqlite3.Connection) -> None:
        if not registry.is_known(connection, name):
            raise RelayError(ErrorCode.NOT_FOUND, f"there is no bot {name!r}; `relay bot list` lists them")
        _check_below(connection, actor, name)

    await server.read(check)


def _check_below(connection: sqlite3.Connection, actor: Actor, name: str) -> None:
    """Refuse that an admin has a token of an account with as many rights as theirs, or ends it.

    Raises:
        RelayError: `forbidden`.
    """
    bot = get_user(connection, name)
    if bot is None or actor.role in (None, ServerRole.OWNER) or not bot.role.reaches(ServerRole.ADMIN):
        return
    text = f"the bot {name} is an {bot.role} of this server; only an owner may change it"
    raise RelayError(ErrorCode.FORBIDDEN, text, details={"reason": "role_too_high", "role": bot.role})


async def _revoke_tokens(server: Server, name: str) -> None:
    known = await server.read(lambda connection: list_tokens(connection, name))
    for one in known:
        await server.users.revoke_token(one["token_id"])
