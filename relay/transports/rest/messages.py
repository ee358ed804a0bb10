"""Messages: history, what was not delivered, sending, and having read."""

from __future__ import annotations

from typing import Annotated, Final, Literal

import msgspec
import trio
from msgspec import Meta
from quart import Blueprint, Response

from relay.http.endpoint import described
from relay.http.requests import (
    Answer,
    Body,
    Limit,
    NoQuery,
    Position,
    Query,
    Seq,
    Text,
    Time,
    Word,
    invalid,
    read_body,
    read_idempotency_key,
    read_json,
    read_query,
)
from relay.http.views import Caller
from relay.protocol.answers import Ack
from relay.protocol.envelope import Envelope, Integer, Name, SentEnvelope, decode
from relay.protocol.errors import ErrorCode, RelayError
from relay.protocol.kinds import ConversationKind, Kind
from relay.services.history import Place
from relay.services.router import Submission, ack_payload
from relay.storage.folding import folded
from relay.storage.history import Filters
from relay.transports.rest.context import await_page, reply, the_caller, the_engine
from relay.transports.rest.marking import mark_read
from relay.transports.rest.users import require_known

blueprint = Blueprint("messages", __name__)

_SENDING: Final = (ErrorCode.NOT_FOUND, ErrorCode.RATE_LIMITED, ErrorCode.PLUGIN_FAILED)
SOCKET_ONLY: Final = frozenset({"connection_event", "ack", "error"})
"""Types that say something of a connection, of which REST has none."""


class HistoryQuery(Query, frozen=True):
    """Which page of a conversation."""

    before: Seq = None
    after: Seq = None
    around: Seq = None
    since: Time = None
    until: Time = None
    q: Text = None
    type: Word = None
    sender: Word = None
    limit: Limit = 50


class UndeliveredQuery(Query, frozen=True):
    """Where to go on; both names mean the same."""

    after: Position = None
    cursor: Position = None
    limit: Limit = 50


class ReadBody(Body, frozen=True):
    """What was read: some messages, or a conversation up to a seq; `kind` is `self` for one's notifications."""

    message_ids: Annotated[list[Integer], Meta(min_length=1, max_length=1000)] | None = None
    target_id: Name | None = None
    up_to_seq: Integer | None = None
    kind: Literal["self"] | None = None
    private: bool = False


class AcknowledgeBody(Body, frozen=True):
    """How far a device has processed what it got; without a `client_id` the token's own device."""

    cursor: Integer
    client_id: Name | None = None


class Acknowledged(Answer, frozen=True):
    """The position that was acknowledged."""

    cursor: Integer


class History(Answer, frozen=True):
    """A page of a conversation, oldest first; `latest` are the values that belong to it, such as reactions.

    `latest_limited` is there, and true, where `latest` has the newest of too many.
    """

    messages: list[SentEnvelope]
    latest: list[SentEnvelope]
    has_more: bool
    next_before: Integer | None
    next_after: Integer | None
    latest_limited: bool = False


class Undelivered(Answer, frozen=True):
    """What no device has acked, by priority; everything up to `cursor` is in the pages so far."""

    messages: list[SentEnvelope]
    cursor: Integer
    has_more: bool


class ReadPointer(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How far the caller has read a conversation, and what is left; `kind` is `self` for one's notifications."""

    target_id: Name
    up_to_seq: Integer
    unread: Integer
    kind: Literal["self"] | None = None


class ReadPointers(Answer, frozen=True):
    """How far the caller has read each of the conversations."""

    read: list[ReadPointer]


@blueprint.get("/api/messages/user/<user_id>")
@described(query=HistoryQuery, answers={200: History})
async def with_user(user_id: str) -> Response:
    """Answer with a page of the caller's conversation with a user."""
    caller = await the_caller()
    await require_known(caller.user_id, user_id)
    return await _page(caller, ConversationKind.USER, user_id)


@blueprint.get("/api/messages/group/<group_id>")
@described(query=HistoryQuery, answers={200: History})
async def in_group(group_id: str) -> Response:
    """Answer with a page of a group's conversation."""
    return await _page(await the_caller(), ConversationKind.GROUP, group_id)


async def _page(caller: Caller, kind: ConversationKind, target_id: str) -> Response:
    asked = read_query(HistoryQuery)
    if sum(position is not None for position in (asked.before, asked.after, asked.around)) > 1:
        raise invalid("give only one of the query parameters before, after and around")
    if asked.q is not None and not folded(asked.q):
        raise invalid("q has nothing to look for; right is a part of what was said", parameter="q")
    await await_page(caller)
    page = await the_engine().history.page(
        caller.user_id,
        kind,
        target_id,
        asked.limit,
        before=asked.before,
        after=asked.after,
        around=asked.around,
        filters=Filters(asked.since, asked.until, asked.q, asked.type, asked.sender),
    )
    return reply(page)


@blueprint.get("/api/messages/undelivered")
@described(query=UndeliveredQuery, answers={200: Undelivered})
async def undelivered() -> Response:
    """Answer with the oldest messages that no device of the caller's has acked."""
    caller = await the_caller()
    asked = read_query(UndeliveredQuery)
    if asked.after is not None and asked.cursor is not None:
        raise invalid("give only one of the query parameters after and cursor; they mean the same")
    after = asked.cursor if asked.after is None else asked.after
    await await_page(caller)
    return reply(await the_engine().offline_queue.undelivered(caller.user_id, after=after, limit=asked.limit))


@blueprint.post("/api/messages")
@described(
    query=NoQuery,
    body=Envelope,
    answers={201: Ack, 200: Ack},
    refusals=[*_SENDING, ErrorCode.CONFLICT],
    headers={"Idempotency-Key": "stands for `meta.id`: 1 to 64 printable ASCII characters"},
)
async def send() -> Response:
    """Take a message as the socket would, and answer with its ack once it is on disk."""
    caller = await the_caller()
    read_query(NoQuery)
    envelope = await _read_message(caller)
    if envelope.type in SOCKET_ONLY:
        raise RelayError(ErrorCode.FORBIDDEN, f"a {envelope.type} belongs to a connection; it is not sent by REST")
    _apply_idempotency_key(envelope)
    if envelope.meta.client_id is not None:
        caller = caller._replace(client_id=envelope.meta.client_id)
    engine = the_engine()
    submission = await engine.dispatcher.draft(caller, envelope)
    await _submit(submission)
    entry = submission.entry
    return reply(ack_payload(entry), 200 if entry.duplicate else 201)


async def _read_message(caller: Caller) -> Envelope:
    """Return an envelope, held to what a frame of the socket is held to: its size, and its user's bytes.

    Raises:
        RelayError: `bad_json`, `bad_envelope`, `too_large`.
        HTTPException: 413, 415.
    """
    engine = the_engine()
    raw, most = await read_json(), engine.settings.limits.message_bytes
    envelope = decode(raw)
    if most and len(raw) > most:
        raise RelayError(
            ErrorCode.TOO_LARGE,
            f"a message has at most {most} bytes; this has {len(raw)}",
            details={"max_bytes": most},
        )
    await trio.sleep(engine.rates.bytes.wait_for(caller.user_id, len(raw)))
    return envelope


async def _submit(submission: Submission) -> None:
    router = the_engine().router
    if submission.entry.kind is Kind.TRANSIENT:
        router.submit_nowait(submission)  # nothing to wait for: it is never stored
    else:
        await router.send(submission)


def _apply_idempotency_key(envelope: Envelope) -> None:
    """Let the header `Idempotency-Key` stand for `meta.id`.

    Raises:
        RelayError: `invalid_payload` when it cannot be an id, or is another one than `meta.id`.
    """
    key = read_idempotency_key()
    if key is None:
        return
    if envelope.meta.id not in (None, key):
        raise invalid("the header Idempotency-Key and meta.id differ; give one of them, or both alike")
    envelope.meta.id = key


@blueprint.post("/api/messages/acknowledge")
@described(query=NoQuery, body=AcknowledgeBody, answers={200: Acknowledged}, refusals=[ErrorCode.RATE_LIMITED])
async def acknowledge() -> Response:
    """Take what a device of the caller's has processed, as the socket's `ack` does; answered once it is stored."""
    caller = await the_caller()
    read_query(NoQuery)
    body = await read_body(AcknowledgeBody)
    engine = the_engine()
    newest = engine.router.position
    if body.cursor > newest:
        raise invalid(f"an ack has a cursor of at most {newest}", field="cursor")
    engine.rates.messages.take(caller.user_id)
    client_id = body.client_id or caller.client_id or ""
    await engine.offline_queue.acknowledge(caller.user_id, client_id, body.cursor)
    return reply(Acknowledged(cursor=body.cursor))


@blueprint.post("/api/messages/read")
@described(query=NoQuery, body=ReadBody, answers={200: ReadPointers}, refusals=_SENDING)
async def read() -> Response:
    """Move the caller's read pointers forward, and tell what is left unread."""
    caller = await the_caller()
    read_query(NoQuery)
    body = await read_body(ReadBody)
    by_place = body.target_id is not None and body.up_to_seq is not None
    by_place_partly = by_place or any(part is not None for part in (body.target_id, body.up_to_seq, body.kind))
    if by_place_partly == (body.message_ids is not None) or by_place_partly != by_place:
        raise invalid("the body has either message_ids, or both target_id and up_to_seq")
    if body.message_ids is not None:
        places = await the_engine().history.locate(caller.user_id, body.message_ids)
    else:
        assert body.target_id is not None and body.up_to_seq is not None  # noqa: S101, PT018 - just checked
        places = {Place(body.kind and ConversationKind(body.kind), body.target_id): body.up_to_seq}
    return reply({"read": await mark_read(the_engine(), caller, places, private=body.private)})
