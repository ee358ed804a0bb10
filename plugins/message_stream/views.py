"""The view `GET /api/streams/TARGET`: the texts so far, for a client that has missed a piece."""

import msgspec

from relay.http import Answer, Blueprint, Caller, endpoint
from relay.plugin import Server

from .streams import streams_of

blueprint = Blueprint("message_stream", __name__)


class StreamSoFar(msgspec.Struct, omit_defaults=True):
    """A message that is being streamed: who writes it, its text so far, and since when, in Unix seconds."""

    stream_id: str
    sender_id: str
    type: str
    text: str
    begun_at: float
    reply_to: int | None = None


class StreamsAnswer(Answer, frozen=True):
    """The messages that are being streamed in a conversation."""

    streams: list[StreamSoFar]


@blueprint.get("/api/streams/<target_id>")
@endpoint(answers={200: StreamsAnswer})
async def streams_in(caller: Caller, server: Server, target_id: str) -> StreamsAnswer:
    """Return the messages that are being streamed in a conversation, with their texts so far."""
    user_id = caller.user_id
    found = [
        StreamSoFar(one.key[1], one.sender_id, one.type, one.shown, one.begun_at, one.reply_to)
        for one in streams_of(server)
        if user_id in one.conversation.members and one.conversation.target_id(user_id) == target_id
    ]
    return StreamsAnswer(streams=found)
