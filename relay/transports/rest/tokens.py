"""The caller's API tokens, those that no login made: their list, and the end of one."""

from __future__ import annotations

from quart import Blueprint

from relay.engine.engine import Engine
from relay.http.endpoint import endpoint
from relay.http.requests import MAX_PAGE, Answer, Limit, Query, Word
from relay.http.views import Caller, page_of
from relay.protocol.envelope import Name
from relay.protocol.errors import ErrorCode, not_found
from relay.storage.accounts import ApiToken, list_api_tokens

blueprint = Blueprint("tokens", __name__)


class TokensQuery(Query, frozen=True):
    """The page."""

    cursor: Word = None
    limit: Limit = MAX_PAGE


class KnownToken(Answer, frozen=True):
    """A token; `last_used_at` is when a call or a connection last had it, `this` whether this call has it."""

    token_id: Name
    label: str
    origin: str
    scopes: list[str]
    created_at: float
    expires_at: float | None
    last_used_at: float | None
    this: bool


class KnownTokens(Answer, frozen=True):
    """A page of tokens."""

    tokens: list[KnownToken]
    has_more: bool
    next_cursor: Name | None


@blueprint.get("/api/tokens")
@endpoint(query=TokensQuery, answers={200: KnownTokens})
async def tokens(engine: Engine, caller: Caller, query: TokensQuery) -> KnownTokens:
    """Answer with the caller's tokens that no login made, by their ids."""
    found = await engine.runner.read(lambda connection: list_api_tokens(connection, caller.user_id))
    rows = sorted(token for token in found if token.token_id > (query.cursor or ""))
    page, has_more, next_cursor = page_of(rows, query.limit, lambda token: token.token_id)
    shown = [_shown(token, caller, engine.accounts.last_use(token.token_id, token.last_used_at)) for token in page]
    return KnownTokens(tokens=shown, has_more=has_more, next_cursor=next_cursor)


def _shown(token: ApiToken, caller: Caller, last_used_at: float | None) -> KnownToken:
    return KnownToken(
        token_id=token.token_id,
        label=token.label,
        origin=token.origin,
        scopes=token.scopes.split(),
        created_at=token.created_at,
        expires_at=token.expires_at,
        last_used_at=last_used_at,
        this=token.token_id == caller.identity.token_id,
    )


@blueprint.delete("/api/tokens/<token_id>")
@endpoint(answers={204: None}, refusals=[ErrorCode.NOT_FOUND])
async def revoke(engine: Engine, caller: Caller, token_id: str) -> None:
    """Revoke one of the caller's tokens; the connections that used it end. A login ends with its device."""
    found = await engine.runner.read(lambda connection: list_api_tokens(connection, caller.user_id))
    if token_id not in {token.token_id for token in found}:
        raise not_found(f"token {token_id!r}")
    await engine.accounts.revoke_token(token_id)
