"""The trace of one message, for admins: what became of it, who has it, who waits for it, and why."""

from __future__ import annotations

from quart import Blueprint

from relay.engine.engine import Engine
from relay.http.endpoint import endpoint
from relay.http.requests import Limit, Query, Word
from relay.http.views import Caller
from relay.services.tracing import Trace

blueprint = Blueprint("trace", __name__)


class TraceQuery(Query, frozen=True):
    """The page of a trace: recipients after a user id, or one alone."""

    user: Word = None
    after: Word = None
    limit: Limit = 50


@blueprint.get("/api/admin/trace/<int:message_id>")
@endpoint(query=TraceQuery, answers={200: Trace}, access="admin")
async def trace(engine: Engine, caller: Caller, query: TraceQuery, message_id: int) -> Trace:
    """Answer with the life of a message, and with those who were to get it; the audit log has the look."""
    position, after = engine.router.position, query.after or ""
    return await engine.tracing.look(
        caller.actor, message_id, position, user=query.user, after=after, limit=query.limit
    )
