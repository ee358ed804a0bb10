"""Users: the directory, their presence, and following them.

With `[accounts] directory = "shared"` the directory has only users who have said something in a conversation with
the caller.
"""

from __future__ import annotations

import sqlite3
from typing import Any

from quart import Blueprint

from relay.engine.engine import Engine
from relay.http.endpoint import endpoint
from relay.http.requests import Answer, Limit, Query, Text, Word, invalid
from relay.http.views import Caller, page_of
from relay.protocol.envelope import Name
from relay.protocol.errors import ErrorCode, not_found
from relay.protocol.kinds import ServerRole
from relay.services.statuses import SeenStatus
from relay.storage import directory
from relay.storage.folding import folded
from relay.storage.names import same_name

blueprint = Blueprint("users", __name__)
statuses = Blueprint("statuses", __name__)


class UsersQuery(Query, frozen=True):
    """The text to look for, and the page."""

    q: Text = None
    cursor: Word = None
    limit: Limit = 50


class KnownUser(Answer, frozen=True):
    """A user as others see them; `picture` is an attachment, null where there is none."""

    user_id: Name
    display_name: str
    picture: Name | None


class OneUser(KnownUser, frozen=True):
    """A user asked for by their id; `disabled` tells that nobody can use the account."""

    disabled: bool


class KnownUsers(Answer, frozen=True):
    """A page of the directory."""

    users: list[KnownUser]
    has_more: bool
    next_cursor: Name | None


class SeenStatuses(Answer, frozen=True):
    """The statuses of several users."""

    statuses: list[SeenStatus]


@blueprint.get("/api/users")
@endpoint(query=UsersQuery, answers={200: KnownUsers})
async def search(engine: Engine, caller: Caller, query: UsersQuery) -> KnownUsers:
    """Answer with the users whose id or name contains a text, by their ids."""
    if query.q is not None and not folded(query.q):
        raise invalid("q has nothing to look for; right is a part of a name", parameter="q")
    found = await engine.runner.read(
        lambda connection: directory.search(
            connection,
            caller.user_id,
            query.q or "",
            after=query.cursor or "",
            limit=query.limit + 1,
            shared=_is_shared(engine),
        )
    )
    page, has_more, next_cursor = page_of(found, query.limit, lambda entry: entry.user_id)
    return KnownUsers(users=[_known(entry) for entry in page], has_more=has_more, next_cursor=next_cursor)


@blueprint.get("/api/users/<user_id>")
@endpoint(answers={200: OneUser})
async def get(engine: Engine, caller: Caller, user_id: str) -> OneUser:
    """Answer with a user's id, display name and picture, and whether the account is disabled.

    The id may be in another case; the answer has the right one.
    """

    def find(connection: sqlite3.Connection) -> directory.Listed | None:
        named = same_name(connection, user_id)
        return directory.find(connection, caller.user_id, named, shared=_is_shared(engine))

    found = await engine.runner.read(find)
    if found is None:
        raise not_found(f"user {user_id!r}")
    return OneUser(
        user_id=found.user_id, display_name=found.display_name, picture=found.picture, disabled=found.disabled
    )


def _known(entry: directory.Listed) -> KnownUser:
    return KnownUser(user_id=entry.user_id, display_name=entry.display_name, picture=entry.picture)


@statuses.get("/api/users/<user_id>/status")
@endpoint(answers={200: SeenStatus})
async def of_user(engine: Engine, caller: Caller, user_id: str) -> Any:
    """Answer with a user's status, as the caller may see it."""
    (status,) = await engine.presence.statuses(caller.user_id, [user_id])
    return status


@statuses.get("/api/users/following/status")
@endpoint(answers={200: SeenStatuses})
async def of_followed(engine: Engine, caller: Caller) -> Any:
    """Answer with the statuses of all whom the caller follows."""
    return {"statuses": await engine.presence.following(caller.user_id)}


@statuses.put("/api/users/following/<user_id>")
@endpoint(answers={204: None}, refusals=[ErrorCode.FORBIDDEN])
async def follow(engine: Engine, caller: Caller, user_id: str) -> None:
    """Follow a user; once is enough."""
    await _follow(engine, caller, user_id, follow=True)


@statuses.delete("/api/users/following/<user_id>")
@endpoint(answers={204: None})
async def unfollow(engine: Engine, caller: Caller, user_id: str) -> None:
    """Follow a user no longer."""
    await _follow(engine, caller, user_id, follow=False)


async def _follow(engine: Engine, caller: Caller, user_id: str, *, follow: bool) -> None:
    _, unknown = await engine.presence.follow(caller.user_id, [user_id], follow=follow)
    if unknown:
        raise not_found(f"user {user_id!r}")


def _is_shared(engine: Engine) -> bool:
    """Tell whether the directory is not the same for everybody."""
    return engine.settings.accounts.directory == "shared"


async def require_known(engine: Engine, caller: Caller, user_id: str) -> None:
    """Refuse to tell of a user whom the caller would not find in the directory, and never wrote to.

    Raises:
        RelayError: `not_found`.
    """
    shared = _is_shared(engine)
    if not shared and caller.identity.role is not ServerRole.GUEST:
        return
    if not await engine.runner.read(
        lambda connection: directory.may_name(connection, caller.user_id, user_id, shared=shared)
    ):
        raise not_found(f"user {user_id!r}")
