"""The operator's operations on the database, one function each, in one table.

The command line runs them in its own process if no server uses the database, and otherwise in the server's process
through the control socket. So there is never a second writer, and changes take effect at once: the connections of
a disabled user end, the members of a group learn of its changes.
"""

from __future__ import annotations

import functools
import inspect
import sqlite3
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Annotated, Any, Final, get_type_hints

import msgspec
import trio
from msgspec import Meta

from relay.app import admin_groups, admin_import, admin_jobs, admin_notify, plugin_admin
from relay.app.admin_groups import Answer, DisplayName, Limit
from relay.engine.engine import Engine
from relay.protocol.errors import CloseCode, ErrorCode, RelayError, not_found
from relay.storage import accounts, leaving

Label = Annotated[str, Meta(max_length=100)]
Scope = Annotated[str, Meta(pattern=r"^[a-z][a-z0-9_.:-]{0,63}$(?!\n)")]
Days = Annotated[float, Meta(ge=0, le=36_500)]

_DAY: Final = 86_400.0
_ERASE_SECONDS: Final = 20.0
"""How long one answer waits for an erasure to finish; the control socket waits 30 s."""


async def add_user(
    engine: Engine,
    user_id: str,
    display_name: DisplayName | None = None,
    admin: bool = False,
    password: str | None = None,
) -> None:
    """Create a user; without a password they log in with tokens only.

    Raises:
        RelayError: `conflict` when the name is taken, `invalid_payload` for an invalid name or password; or a
            plugin's refusal.
    """
    accounts.check_name(user_id, "user id")
    hashed = None if password is None else await _hashed(engine, password)
    await engine.registration.add(user_id, display_name, admin=admin, password_hash=hashed)


async def list_users(engine: Engine, after: str = "", limit: Limit = 1000) -> list[Answer]:
    """Return users by id, those after `after`."""
    users = await engine.runner.read(lambda connection: accounts.list_users(connection, after=after, limit=limit))
    return [user._asdict() for user in users]


async def disable_user(engine: Engine, user_id: str) -> None:
    """Disable an account; its connections end with 4502.

    Raises:
        RelayError: `not_found`.
    """
    await engine.accounts.set_disabled(user_id, True)


async def erase_user(engine: Engine, user_id: str) -> Answer:
    """Erase an account for good; its connections end with 4502.

    An erasure that takes longer than 20 s goes on; asking again returns its progress.

    Raises:
        RelayError: `not_found`.
    """
    with trio.move_on_after(_ERASE_SECONDS):
        return (await engine.leaving.erase(user_id))._asdict()
    found = await engine.runner.read(lambda connection: leaving.progress(connection, user_id))
    return {} if found is None else found._asdict()


async def enable_user(engine: Engine, user_id: str) -> None:
    """Enable a disabled account again; its tokens become valid again.

    Raises:
        RelayError: `not_found`; `conflict` for an account that was erased.
    """
    await engine.accounts.set_disabled(user_id, False)


async def set_password(engine: Engine, user_id: str, password: str) -> Answer:
    """Set a password and end the sessions that were logged in with the old one; tokens made by hand stay valid.

    Raises:
        RelayError: `not_found`, `invalid_payload`.
    """
    hashed = await _hashed(engine, password)

    def change(connection: sqlite3.Connection) -> list[str]:
        accounts.update_user(connection, user_id, password_hash=hashed)
        tokens = accounts.list_tokens(connection, user_id)
        logins = [token["token_id"] for token in tokens if token["origin"] == "login"]
        for token_id in logins:
            accounts.revoke_token(connection, token_id)
        return logins

    ended = await engine.runner.write(change)
    engine.accounts.forget()
    for token_id in ended:
        engine.connections.end_token(token_id, CloseCode.SESSION_REVOKED)
    return {"logins_ended": len(ended)}


async def import_users(engine: Engine, user_ids: list[str], tokens: bool = False) -> Answer:
    """Create the users that do not exist yet, in one transaction; with `tokens`, a new token for each user.

    Raises:
        RelayError: `invalid_payload` or `conflict` for one name, or a plugin's refusal; then nothing was done.
    """
    now = engine.now()
    issued: list[tuple[str, str]] = []

    def issue(connection: sqlite3.Connection) -> None:
        made = partial(accounts.create_token, connection, now=now, origin="cli", label="import")
        issued.extend((user_id, made(user_id)) for user_id in dict.fromkeys(user_ids))

    created = await engine.registration.add_missing(user_ids, issue if tokens else None)
    return {"created": created, "tokens": issued}


async def create_invite(
    engine: Engine, uses: Annotated[int, Meta(ge=1, le=1_000_000)] = 1, days: Days = 7, admin: bool = False
) -> str:
    """Create an invite for `uses` registrations within `days` (0: for ever); return its code."""
    now = engine.now()
    expires_at = now + days * _DAY if days else None
    return await engine.runner.write(
        lambda connection: accounts.create_invite(
            connection,
            now,
            created_by=None,
            expires_at=expires_at,
            uses=uses,
            role="admin" if admin else "user",
        )
    )


async def create_token(
    engine: Engine, user_id: str, label: Label = "", scopes: tuple[Scope, ...] = (), days: Days = 0
) -> str:
    """Create a token of a user that expires after `days` (0: never); return it.

    Raises:
        RelayError: `not_found` when there is no such user.
    """
    now = engine.now()
    expires_at = now + days * _DAY if days else None
    return await engine.runner.write(
        lambda connection: accounts.create_token(
            connection, user_id, now, origin="cli", label=label, scopes=scopes, expires_at=expires_at
        )
    )


async def list_tokens(engine: Engine, user_id: str | None = None) -> list[Answer]:
    """Return the rows of everybody's tokens, or of one user's; never the tokens themselves.

    Raises:
        RelayError: `not_found` when there is no such user.
    """

    def find(connection: sqlite3.Connection) -> list[Answer]:
        if user_id is not None and accounts.get_user(connection, user_id) is None:
            raise not_found(f"user {user_id!r}")
        return accounts.list_tokens(connection, user_id)

    return await engine.runner.read(find)


async def revoke_token(engine: Engine, token_id: str) -> None:
    """Revoke a token; the connections that used it end with 4503.

    Raises:
        RelayError: `not_found`.
    """
    await engine.accounts.revoke_token(token_id)


OPERATIONS: Final[dict[str, Callable[..., Awaitable[Any]]]] = {
    "user.add": add_user,
    "user.list": list_users,
    "user.disable": disable_user,
    "user.enable": enable_user,
    "user.erase": erase_user,
    "user.passwd": set_password,
    "user.import": import_users,
    "user.invite": create_invite,
    "token.create": create_token,
    "token.list": list_tokens,
    "token.revoke": revoke_token,
    "group.create": admin_groups.create_group,
    "group.list": admin_groups.list_groups,
    "group.show": admin_groups.show_group,
    "group.add": admin_groups.put_member,
    "group.remove": admin_groups.remove_member,
    "group.delete": admin_groups.delete_group,
    "notify": admin_notify.notify,
    "import": admin_import.import_messages,
    "plugin.list": plugin_admin.list_plugins,
    "plugin.resume": plugin_admin.resume_plugin,
    "plugin.reload": plugin_admin.reload_plugin,
    "plugin.unload": plugin_admin.unload_plugin,
    "plugin.command": plugin_admin.run_command,
    "plugin.jobs": admin_jobs.list_jobs,
    "plugin.run_job": admin_jobs.run_job,
}


async def perform(engine: Engine, op: str, arguments: dict[str, Any]) -> Any:
    """Run one operation and return its answer, made of JSON types.

    Raises:
        RelayError: `unknown_type` for an unknown operation, `invalid_payload` for arguments that do not fit,
            or the operation's own refusal.
    """
    operation = OPERATIONS.get(op)
    if operation is None:
        raise RelayError(
            ErrorCode.UNKNOWN_TYPE, f"this server knows no operation {op[:80]!r}: it is of another version"
        )
    try:
        checked = msgspec.convert(arguments, _arguments(operation))
    except msgspec.ValidationError as error:
        raise RelayError(ErrorCode.INVALID_PAYLOAD, f"{op}: {error}") from None
    return msgspec.to_builtins(await operation(engine, **msgspec.structs.asdict(checked)))


@functools.cache
def _arguments(operation: Callable[..., Awaitable[Any]]) -> type[msgspec.Struct]:
    """Return a struct made from an operation's signature, which checks its keyword arguments."""
    hints = get_type_hints(operation, include_extras=True)
    _engine, *parameters = inspect.signature(operation).parameters.values()
    fields = [
        (one.name, hints[one.name], msgspec.NODEFAULT if one.default is one.empty else one.default)
        for one in parameters
    ]
    return msgspec.defstruct("Arguments", fields, kw_only=True, forbid_unknown_fields=True)


async def _hashed(engine: Engine, password: str) -> str:
    engine.logins.check_password(password)
    return await engine.logins.hash_password(password)
