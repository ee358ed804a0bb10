"""Having read, as messages: each conversation's pointer moves by a `read_receipt`, as on the socket.

So other devices and, unless it is private, the other side learn of it, and the same rules hold.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
import trio

from relay.engine.engine import Engine
from relay.http.views import Caller
from relay.protocol.envelope import Envelope, Meta, encode_json
from relay.protocol.errors import RelayError
from relay.protocol.kinds import ConversationKind
from relay.services.history import Place
from relay.services.router import Submission


async def mark_read(
    engine: Engine, caller: Caller, places: Mapping[Place, int], *, private: bool
) -> list[dict[str, Any]]:
    """Mark conversations read, each up to a seq, and tell where its pointer is and what is left.

    Everything is checked before anything is stored; a pointer that is ahead already stays where it is.

    Args:
        places: the seq by each conversation.
        private: only the caller's own devices learn of it.

    Raises:
        RelayError: a conversation is not the caller's, a seq is beyond its newest, or there are too many
            at once for the caller's rate.
    """
    drafts = [
        (place.target_id, await engine.dispatcher.draft(caller, _receipt(place, seq, private=private)))
        for place, seq in places.items()
    ]
    await _send_all(engine, [submission for _, submission in drafts])
    told = []
    for target_id, submission in drafts:
        conversation = submission.conversation
        read_seq, unread = await engine.history.unread(caller.user_id, conversation.channel_id)
        row = {"target_id": target_id, "up_to_seq": read_seq, "unread": unread}
        # One's own channel goes by the same target id as the conversation with oneself.
        told.append(row | ({"kind": conversation.kind} if conversation.kind is ConversationKind.SELF else {}))
    return told


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
