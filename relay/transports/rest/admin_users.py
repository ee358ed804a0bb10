"""The administration of accounts by REST: the list of users, changes, passwords, erasure."""

from __future__ import annotations

from typing import Annotated, Final

import msgspec
from msgspec import Meta
from quart import Blueprint, Response

from relay.engine.engine import Engine
from relay.http.endpoint import endpoint
from relay.http.requests import Answer, Body, DisplayName, Limit, Query, Text, Word, invalid
from relay.http.views import Caller, page_of, reply
from relay.protocol.envelope import Integer, Name
from relay.protocol.errors import ErrorCode, not_found
from relay.protocol.kinds import ServerRole
from relay.services.administration import Changes
from relay.services.passwords import MAX_PASSWORD
from relay.storage import listings
from relay.storage.listings import AccountRow

blueprint = Blueprint("admin_users", __name__)

Password = Annotated[str, Meta(max_length=MAX_PASSWORD)]
Reason = Annotated[str, Meta(max_length=200)]
_CHANGING: Final = (ErrorCode.CONFLICT, ErrorCode.PLUGIN_FAILED)


class AccountsQuery(Query, frozen=True):
    """The text to look for, the role, whether disabled, and the page."""

    q: Text = None
    role: Annotated[ServerRole | None, Meta(description="owner, admin, moderator, member or guest")] = None
    disabled: Annotated[bool | None, Meta(description="true or false")] = None
    cursor: Word = None
    limit: Limit = 50


class Account(Answer, frozen=True):
    """An account; `last_seen` is null for who was not seen yet, `devices` counts those that are connected."""

    user_id: Name
    display_name: str
    picture: Name | None
    role: ServerRole
    admin: bool
    disabled: bool
    erased: bool
    has_password: bool
    created_at: float
    last_seen: float | None
    devices: Integer


class AccountList(Answer, frozen=True):
    """A page of accounts, by their ids."""

    users: list[Account]
    has_more: bool
    next_cursor: Name | None


class NewAccount(Body, frozen=True):
    """A new account; without a password its user logs in with tokens only."""

    user_id: Name
    display_name: DisplayName | None = None
    role: ServerRole = ServerRole.MEMBER
    password: Password | None = None


class UsersToImport(Body, frozen=True):
    """Ids of users; with `tokens` each of them gets a token, those that are there already too."""

    user_ids: Annotated[list[Name], Meta(min_length=1, max_length=10_000)]
    tokens: bool = False


class ImportedToken(Answer, frozen=True):
    """A new token of a user, shown this one time."""

    user_id: Name
    token: str


class ImportedUsers(Answer, frozen=True):
    """The number of users that were created, and the tokens that were asked for."""

    created: Integer
    tokens: list[ImportedToken]


class AccountChange(Body, frozen=True):
    """Changes of an account, all or none; `reason` is for the audit log."""

    display_name: DisplayName | None = None
    role: ServerRole | None = None
    disabled: bool | None = None
    reason: Reason = ""


class NewPassword(Body, frozen=True):
    """A new password for somebody else's account."""

    password: Password


class PasswordSet(Answer, frozen=True):
    """The logins with the old password that have ended."""

    logins_ended: Integer


class Erasure(Answer, frozen=True):
    """The progress of an erasure; `done_at` is null while it goes on, `kept` is on legal hold."""

    erased: Integer
    kept: Integer
    files_kept: Integer
    done_at: float | None


@blueprint.get("/api/admin/users")
@endpoint(query=AccountsQuery, answers={200: AccountList}, access="admin")
async def users(engine: Engine, query: AccountsQuery) -> AccountList:
    """Answer with accounts, by their ids."""
    rows = await engine.runner.read(
        lambda connection: listings.list_accounts(
            connection,
            text=query.q or "",
            role=query.role,
            disabled=query.disabled,
            after=query.cursor or "",
            limit=query.limit + 1,
        )
    )
    page, has_more, next_cursor = page_of(rows, query.limit, lambda row: row.user_id)
    return AccountList(users=[_account(engine, row) for row in page], has_more=has_more, next_cursor=next_cursor)


@blueprint.post("/api/admin/users")
@endpoint(body=NewAccount, answers={201: Account}, refusals=_CHANGING, access="admin")
async def add(engine: Engine, caller: Caller, body: NewAccount) -> Response:
    """Create an account; the first admin of a server is its owner."""
    await engine.administration.add(
        caller.actor, body.user_id, body.display_name, role=body.role, password=body.password
    )
    return reply(await _read(engine, body.user_id), 201)


@blueprint.post("/api/admin/users/import")
@endpoint(body=UsersToImport, answers={200: ImportedUsers}, refusals=_CHANGING, access="admin")
async def import_users(engine: Engine, caller: Caller, body: UsersToImport) -> ImportedUsers:
    """Create the users that do not exist yet, all or none; others stay as they are."""
    created, issued = await engine.administration.import_missing(caller.actor, body.user_ids, tokens=body.tokens)
    tokens = [ImportedToken(user_id=user_id, token=token) for user_id, token in issued]
    return ImportedUsers(created=created, tokens=tokens)


@blueprint.get("/api/admin/users/<user_id>")
@endpoint(answers={200: Account}, access="admin")
async def get(engine: Engine, user_id: str) -> Account:
    """Answer with an account."""
    return await _read(engine, user_id)


@blueprint.patch("/api/admin/users/<user_id>")
@endpoint(body=AccountChange, answers={200: Account}, refusals=_CHANGING, access="admin")
async def change(engine: Engine, caller: Caller, body: AccountChange, user_id: str) -> Account:
    """Change an account's display name or role, disable it or enable it again."""
    changes = Changes(body.display_name, body.role, body.disabled)
    if changes == Changes():
        raise invalid("there is nothing to change; the body has some of display_name, role and disabled")
    await engine.administration.change(caller.actor, user_id, changes, body.reason)
    return await _read(engine, user_id)


@blueprint.put("/api/admin/users/<user_id>/password")
@endpoint(body=NewPassword, answers={200: PasswordSet}, refusals=_CHANGING, access="admin")
async def set_password(engine: Engine, caller: Caller, body: NewPassword, user_id: str) -> PasswordSet:
    """Set an account's password, and end the logins with the old one."""
    return PasswordSet(logins_ended=await engine.administration.set_password(caller.actor, user_id, body.password))


@blueprint.delete("/api/admin/users/<user_id>")
@endpoint(answers={200: Account}, refusals=_CHANGING, access="admin")
async def delete(engine: Engine, caller: Caller, user_id: str) -> Account:
    """Delete an account for good; what its user said stays, and the id stays taken."""
    await engine.administration.delete(caller.actor, user_id)
    return await _read(engine, user_id)


@blueprint.post("/api/admin/users/<user_id>/erase")
@endpoint(answers={200: Erasure}, refusals=_CHANGING, access="admin")
async def erase(engine: Engine, caller: Caller, user_id: str) -> Erasure:
    """Erase an account for good; one that takes long goes on, and asking again answers with its progress."""
    found = await engine.administration.erase_within(caller.actor, user_id)
    return msgspec.convert(found._asdict(), Erasure)


async def _read(engine: Engine, user_id: str) -> Account:
    rows = await engine.runner.read(lambda connection: listings.list_accounts(connection, only=user_id))
    if not rows:
        raise not_found(f"user {user_id!r}")
    return _account(engine, rows[0])


def _account(engine: Engine, row: AccountRow) -> Account:
    devices = len(engine.connections.of(row.user_id))
    return Account(**row._asdict(), admin=row.role.reaches(ServerRole.ADMIN), devices=devices)
