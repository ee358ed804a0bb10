"""The payload of `message_stream`, both ways, and what the ack of a piece says."""

from typing import Annotated

import msgspec
from msgspec import Meta

from relay.plugin import Integer, Name, Payload


class MessageStream(Payload):
    """A piece of a message that grows: what its text is from `offset` on."""

    stream_id: Annotated[Name, Meta(description="the id that the stored message will have as its `meta.id`")]
    offset: Annotated[
        Integer,
        Meta(
            description="where the piece begins, in characters (Unicode code points); what was there after it goes"
        ),
    ] = 0
    text: Annotated[str, Meta(description="the text from there on; empty as a sign of life")] = ""
    reply_to: Annotated[
        Integer | None, Meta(description="with offset 0: the `message_id` of what the message answers")
    ] = None
    cancelled: Annotated[bool, Meta(description="the stream is over, and no message comes of it")] = False


class Taken(msgspec.Struct):
    """The length of the text, and the type of the message that is to end it; neither of a cancelled stream."""

    offset: int | None = None
    type: str | None = None
