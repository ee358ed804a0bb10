"""Pieces on their way in: checked as the message that they become, and taken into the text so far."""

import trio

from relay.plugin import Draft, ErrorCode, RelayError, Text, TokenBuckets, find_in_channel, not_found

from .options import Options
from .payloads import MessageStream
from .streams import FINAL, Stream, Streams, gap, streams_of


async def handle(draft: Draft, options: Options) -> None:
    """Take a piece; the readers are sent it a moment later, together with others.

    Raises:
        RelayError: it is refused. A refusal that no later try can pass ends the stream.
    """
    draft.passed_on = False
    piece: MessageStream = draft.payload
    server, sender = draft.server, draft.sender
    _rate(draft, options).take(sender.user_id)
    streams = streams_of(server)
    known = streams.by_key.get((sender.user_id, piece.stream_id))
    if piece.cancelled:
        if known is not None:
            streams.end(server, known, cancelled=True)
        return
    if known is not None and known.conversation is not draft.conversation:
        raise RelayError(ErrorCode.CONFLICT, f"the stream {piece.stream_id!r} goes to {known.conversation.name!r}")
    stream = known or await _begun(draft, piece, streams, options)
    before = stream.text
    text = stream.extended(piece.offset, piece.text)
    try:
        _check_length(draft, text)
        shown = await _shown(draft, stream, text)
    except RelayError as refusal:
        if not refusal.retry:
            streams.end(server, stream, cancelled=True)
        raise
    if streams.has_ended(stream.key):
        raise _over(piece.stream_id)
    now = streams.by_key.get(stream.key, stream)
    if now is not stream or stream.text != before:
        raise gap(piece.offset, len(now.text))  # another connection of the sender's was faster
    if known is None:
        streams.begin(server, stream)
    stream.text, stream.shown, stream.client_id = text, shown, sender.client_id
    stream.heard_at, stream.alive = trio.current_time(), True
    streams.wakeup.set()
    draft.answer = {"offset": len(text), "type": stream.type}


async def _begun(draft: Draft, piece: MessageStream, streams: Streams, options: Options) -> Stream:
    """Return a new stream, which is not held yet.

    Raises:
        RelayError: there are too many, what it answers is not there, or it is no beginning.
    """
    server, sender, conversation = draft.server, draft.sender, draft.conversation
    key = (sender.user_id, piece.stream_id)
    if streams.has_ended(key):
        raise _over(piece.stream_id)
    if piece.offset:
        raise gap(piece.offset, 0)
    if streams.count_of(sender.user_id) >= options.streams_per_user:
        said = f"you have {options.streams_per_user} streams already; end one first"
        raise RelayError(ErrorCode.RATE_LIMITED, said, retry_after=options.silence_seconds)
    if len(streams.by_key) >= options.streams:
        raise RelayError(
            ErrorCode.OVERLOADED, "too many messages are being streamed; try again later", retry_after=1.0
        )
    final = FINAL[conversation.kind]
    if final not in server.message_types.types:
        raise RelayError(
            ErrorCode.UNKNOWN_TYPE, f"there is no message type {final!r} on this server to end a stream"
        )
    reply_to = piece.reply_to
    if reply_to is not None:
        place = conversation.channel_id
        if await server.read(lambda connection: find_in_channel(connection, place, reply_to), inline=True) is None:
            raise not_found(f"message {reply_to} to reply to in this conversation")
    await server.conversations.begin_message(sender.user_id, conversation, piece.stream_id)
    return Stream(key, conversation, reply_to, server.now())


async def _shown(draft: Draft, stream: Stream, text: str) -> str:
    """Return the text so far as every `before` hook of the message that it becomes leaves it.

    Where single readers may get another text than others, they see none before the end: see `for_recipient`.

    Raises:
        RelayError: a hook refuses it, or failed.
    """
    server = draft.server
    final = server.message_types.types[stream.type]
    said = Text(content=text, reply_to=stream.reply_to)
    seen = Draft(final, said, draft.sender, draft.conversation, draft.target_id, server)
    await server.check_draft(seen)
    if server.differs(stream.type):
        return ""
    return str(seen.payload.content)


def _check_length(draft: Draft, text: str) -> None:
    most = draft.server.settings.limits.content_characters
    if most and len(text) > most:
        raise RelayError(
            ErrorCode.TOO_LARGE, f"a streamed text has at most {most} characters; this would have {len(text)}"
        )


def _rate(draft: Draft, options: Options) -> TokenBuckets:
    rate = options.pieces_per_second
    made = TokenBuckets(rate, 10 * rate, "pieces of streamed messages", trio.current_time)
    found: TokenBuckets = draft.server.memory.setdefault("rate", made)
    return found


def _over(stream_id: str) -> RelayError:
    return RelayError(ErrorCode.CONFLICT, f"the stream {stream_id!r} has ended; begin another one, with a new id")
