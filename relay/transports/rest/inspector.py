"""The inspector by REST, for admins of the server: verdicts on what users may do."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta
from quart import Blueprint

from relay.engine.engine import Engine
from relay.http.endpoint import endpoint
from relay.http.requests import Answer, Query
from relay.protocol.envelope import Name
from relay.protocol.errors import ErrorCode
from relay.protocol.rights import Act
from relay.services.inspector import inspect

blueprint = Blueprint("inspector", __name__)


class MayQuery(Query, frozen=True):
    """The question: a user, an act, and the group, user or `*` that it is done in."""

    user: Annotated[Name, Meta(description="a name of 1 to 64 characters")]
    act: Annotated[Act, Meta(description=f"one of {', '.join(Act)}")]
    target: Annotated[str | None, Meta(description="a group, a user or *")] = None


class Verdict(Answer, frozen=True):
    """A verdict; `rule` is what decided, `reason` the word of the refusal, `sentence` says it all."""

    user: Name
    act: Act
    target: str | None
    allowed: bool
    rule: str
    reason: str | None
    sentence: str


@blueprint.get("/api/admin/may")
@endpoint(query=MayQuery, answers={200: Verdict}, access="admin", refusals=[ErrorCode.NOT_FOUND])
async def may(engine: Engine, query: MayQuery) -> Verdict:
    """Answer whether a user may do something, and why."""
    found = await inspect(engine, query.user, query.act, query.target)
    return Verdict(**found._asdict())
