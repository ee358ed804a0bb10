"""The directory: who is there. With `[accounts] directory = "shared"` one finds only whom one talks with."""

from __future__ import annotations

from quart import Blueprint, Response

from relay.http.endpoint import described
from relay.http.requests import Answer, Limit, NoQuery, Query, Text, Word, invalid, read_query
from relay.protocol.envelope import Name
from relay.protocol.errors import not_found
from relay.storage import directory
from relay.storage.folding import folded
from relay.transports.rest.context import reply, the_caller, the_engine

blueprint = Blueprint("users", __name__)


class UsersQuery(Query, frozen=True):
    """Whom to look for."""

    q: Text = None
    cursor: Word = None
    limit: Limit = 50


class KnownUser(Answer, frozen=True):
    """A user as others see them."""

    user_id: Name
    display_name: str


class KnownUsers(Answer, frozen=True):
    """A page of the directory."""

    users: list[KnownUser]
    has_more: bool
    next_cursor: Name | None


@blueprint.get("/api/users")
@described(query=UsersQuery, answers={200: KnownUsers})
async def search() -> Response:
    """Answer with the users whose id or name contains a text, by their ids."""
    caller = await the_caller()
    asked = read_query(UsersQuery)
    if asked.q is not None and not folded(asked.q):
        raise invalid("q has nothing to look for; right is a part of a name", parameter="q")
    found = await the_engine().runner.read(
        lambda connection: directory.search(
            connection,
            caller.user_id,
            asked.q or "",
            after=asked.cursor or "",
            limit=asked.limit + 1,
            shared=_is_closed(),
        )
    )
    page = found[: asked.limit]
    further = len(found) > asked.limit
    users = [KnownUser(user_id=entry.user_id, display_name=entry.display_name) for entry in page]
    return reply(KnownUsers(users=users, has_more=further, next_cursor=page[-1].user_id if further else None))


@blueprint.get("/api/users/<user_id>")
@described(query=NoQuery, answers={200: KnownUser})
async def get(user_id: str) -> Response:
    """Answer with a user's id and display name."""
    caller = await the_caller()
    read_query(NoQuery)
    shared = _is_closed()
    found = await the_engine().runner.read(
        lambda connection: directory.find(connection, caller.user_id, user_id, shared=shared)
    )
    if found is None:
        raise not_found(f"user {user_id!r}")
    return reply(KnownUser(user_id=found.user_id, display_name=found.display_name))


async def require_known(caller_id: str, user_id: str) -> None:
    """Refuse to tell of a user whom the caller would not find in the directory, and never wrote to.

    Raises:
        RelayError: `not_found`.
    """
    if not _is_closed():
        return
    met = await the_engine().runner.read(lambda connection: directory.has_met(connection, caller_id, user_id))
    if not met:
        raise not_found(f"user {user_id!r}")


def _is_closed() -> bool:
    return the_engine().settings.accounts.directory == "shared"
