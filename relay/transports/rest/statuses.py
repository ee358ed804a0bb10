"""Presence: how others are, and whose presence one is told of."""

from __future__ import annotations

from quart import Blueprint, Response

from relay.http.endpoint import described
from relay.http.requests import Answer, NoQuery, read_query
from relay.protocol.errors import ErrorCode, not_found
from relay.services.statuses import SeenStatus
from relay.transports.rest.context import nothing, reply, the_caller, the_engine

blueprint = Blueprint("statuses", __name__)


class SeenStatuses(Answer, frozen=True):
    """How several users are."""

    statuses: list[SeenStatus]


@blueprint.get("/api/users/<user_id>/status")
@described(query=NoQuery, answers={200: SeenStatus})
async def of_user(user_id: str) -> Response:
    """Answer with a user's status, as the caller may see it."""
    caller = await the_caller()
    read_query(NoQuery)
    return reply((await the_engine().presence.statuses(caller.user_id, [user_id]))[0])


@blueprint.get("/api/users/following/status")
@described(query=NoQuery, answers={200: SeenStatuses})
async def of_followed() -> Response:
    """Answer with the statuses of all whom the caller follows."""
    caller = await the_caller()
    read_query(NoQuery)
    return reply({"statuses": await the_engine().presence.following(caller.user_id)})


@blueprint.put("/api/users/following/<user_id>")
@described(query=NoQuery, answers={204: None}, refusals=[ErrorCode.FORBIDDEN])
async def follow(user_id: str) -> Response:
    """Follow a user; once is enough."""
    return await _follow(user_id, follow=True)


@blueprint.delete("/api/users/following/<user_id>")
@described(query=NoQuery, answers={204: None})
async def unfollow(user_id: str) -> Response:
    """Follow a user no longer."""
    return await _follow(user_id, follow=False)


async def _follow(user_id: str, *, follow: bool) -> Response:
    caller = await the_caller()
    read_query(NoQuery)
    _, unknown = await the_engine().presence.follow(caller.user_id, [user_id], follow=follow)
    if unknown:
        raise not_found(f"user {user_id!r}")
    return nothing()
