"""Messages: sending, acknowledging and marking as read. `history.py` has the pages of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal

import msgspec
import trio
from quart import Blueprint, Response

from relay.engine.engine import Engine
from relay.http.endpoint import endpoint
from relay.http.requests import Answer, Body, invalid, read_idempotency_key, read_json
from relay.http.views import Caller, reply
from relay.protocol.answers import Ack
from relay.protocol.envelope import Envelope, Integer, Meta, Name, decode, encode_json
from relay.protocol.errors import ErrorCode, RelayError
from relay.protocol.kinds import ConversationKind, Kind
from relay.services.envelopes import ack_payload
from relay.services.history import Place
from relay.services.router import Submission

blueprint = Blueprint("messages", __name__)

_SENDING: Final = (ErrorCode.NOT_FOUND, ErrorCode.RATE_LIMITED, ErrorCode.PLUGIN_FAILED)
SOCKET_ONLY: Final = frozenset({"connection_event", "ack", "error"})
"""Types that belong to a connection: REST has none."""


class ReadBody(Body, frozen=True):
    """The messages that were read: some, or a conversation up to a seq; `kind` is `self` for notifications."""

    message_ids: Annotated[list[Integer], msgspec.Meta(min_length=1, max_length=1000)] | None = None
    target_id: Name | None = None
    up_to_seq: Integer | None = None
    kind: Literal["self"] | None = None
    private: bool = False


class AcknowledgeBody(Body, frozen=True):
    """The newest position that a device has processed; without a `client_id` the token's own device."""

    cursor: Integer
    client_id: Name | None = None


class Acknowledged(Answer, frozen=True):
    """The position that was acknowledged."""

    cursor: Integer


class ReadPointer(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The caller's read pointer in a conversation, and how much is unread; `kind` is `self` for notifications."""

    target_id: Name
    up_to_seq: Integer
    unread: Integer
    kind: Literal["self"] | None = None


class ReadPointers(Answer, frozen=True):
    """The caller's read pointer in each of the conversations."""

    read: list[ReadPointer]


@blueprint.post("/api/messages")
@endpoint(
    body=Envelope,
    answers={201: Ack, 200: Ack},
    refusals=[*_SENDING, ErrorCode.CONFLICT],
    headers={"Idempotency-Key": "stands for `meta.id`: 1 to 64 printable ASCII characters"},
)
async def send(engine: Engine, caller: Caller) -> Response:
    """Take a message as the socket does, and answer with its ack once it is on disk."""
    envelope = await _read_message(engine, caller)
    if envelope.type in SOCKET_ONLY:
        raise RelayError(ErrorCode.FORBIDDEN, f"a {envelope.type} belongs to a connection; it is not sent by REST")
    _apply_idempotency_key(envelope)
    if envelope.meta.client_id is not None:
        caller = caller._replace(client_id=envelope.meta.client_id)
    submission = await engine.dispatcher.draft(caller, envelope)
    entry = submission.entry
    if entry.kind is Kind.TRANSIENT:
        engine.router.submit_nowait(submission)  # nothing to wait for: it is never stored
    else:
        await engine.router.send(submission)
    return reply(ack_payload(entry), 200 if entry.duplicate else 201)


async def _read_message(engine: Engine, caller: Caller) -> Envelope:
    """Return the body as an envelope, within the limits of a frame on the socket: its size, and its user's bytes.

    Raises:
        RelayError: `bad_json`, `bad_envelope`, `too_large`.
        HTTPException: 413, 415.
    """
    raw, most = await read_json(), engine.settings.limits.message_bytes
    envelope = decode(raw)
    if most and len(raw) > most:
        raise RelayError(
            ErrorCode.TOO_LARGE,
            f"a message has at most {most} bytes; this has {len(raw)}",
            details={"reason": "message_too_large", "max_bytes": most},
        )
    await trio.sleep(engine.rates.bytes.wait_for(caller.user_id, len(raw)))
    return envelope


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
@endpoint(body=AcknowledgeBody, answers={200: Acknowledged}, refusals=[ErrorCode.RATE_LIMITED])
async def acknowledge(engine: Engine, caller: Caller, body: AcknowledgeBody) -> Acknowledged:
    """Store how far a device of the caller has processed messages, as the socket's `ack` does."""
    newest = engine.router.position
    if body.cursor > newest:
        raise invalid(f"an ack has a cursor of at most {newest}", field="cursor")
    engine.rates.messages.take(caller.user_id)
    client_id = body.client_id or caller.client_id or ""
    await engine.offline_queue.acknowledge(caller.user_id, client_id, body.cursor)
    return Acknowledged(cursor=body.cursor)


@blueprint.post("/api/messages/read")
@endpoint(body=ReadBody, answers={200: ReadPointers}, refusals=_SENDING)
async def read(engine: Engine, caller: Caller, body: ReadBody) -> dict[str, Any]:
    """Move the caller's read pointers forward, and answer with them and how much is left unread."""
    by_place = body.target_id is not None and body.up_to_seq is not None
    by_place_partly = by_place or any(part is not None for part in (body.target_id, body.up_to_seq, body.kind))
    if by_place_partly == (body.message_ids is not None) or by_place_partly != by_place:
        raise invalid("the body has either message_ids, or both target_id and up_to_seq")
    if body.message_ids is not None:
        places = await engine.history.locate(caller.user_id, body.message_ids)
    else:
        assert body.target_id is not None and body.up_to_seq is not None  # noqa: S101, PT018 - just checked
        places = {Place(body.kind and ConversationKind(body.kind), body.target_id): body.up_to_seq}
    return {"read": await _mark_read(engine, caller, places, private=body.private)}


async def _mark_read(
    engine: Engine, caller: Caller, places: Mapping[Place, int], *, private: bool
) -> list[dict[str, Any]]:
    """Mark conversations as read, each up to a seq; return their pointers and how much is left unread.

    Each pointer moves by a `read_receipt`, as on the socket: other devices and, unless it is private, the other
    side see it, and the same rules hold. All are checked before any is stored; no pointer moves back.

    Args:
        places: the seq by conversation.
        private: only the caller's own devices see it.

    Raises:
        RelayError: a conversation is not the caller's, a seq is beyond its newest, or there are too many
            at once for the caller's rate.
    """
    drafts = [
        (place.target_id, await engine.dispatcher.draft(caller, _receipt(place, seq, private=private)))
        for place, seq in places.items()
    ]
    await _send_all(engine, [submission for _, submission in drafts])
    pointers = []
    for target_id, submission in drafts:
        conversation = submission.conversation
        read_seq, unread = await engine.history.unread(caller.user_id, conversation.channel_id)
        row = {"target_id": target_id, "up_to_seq": read_seq, "unread": unread}
        # The caller's own channel has the same target id as the conversation with themselves.
        pointers.append(row | ({"kind": conversation.kind} if conversation.kind is ConversationKind.SELF else {}))
    return pointers


def _receipt(place: Place, up_to_seq: int, *, private: bool) -> Envelope:
    payload: dict[str, Any] = {"up_to_seq": up_to_seq, "private": private}
    if place.kind is ConversationKind.SELF:
        payload["kind"] = place.kind
    return Envelope("read_receipt", msgspec.Raw(encode_json(payload)), Meta(target_id=place.target_id))


async def _send_all(engine: Engine, submissions: list[Submission]) -> None:
    """Send all at once, so that they share a commit; then raise the first refusal there was."""
    refusals: list[RelayError] = []

    async def send(submission: Submission) -> None:
        try:
            await engine.router.send(submission)
        except RelayError as refusal:
            refusals.append(refusal)

    async with trio.open_nursery() as nursery:
        for submission in submissions:
            nursery.start_soon(send, submission)
    if refusals:
        raise refusals[0]
