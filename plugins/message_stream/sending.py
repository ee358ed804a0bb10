"""Pieces on their way out: gathered, passed on to the readers, and brought to devices that come late."""

import math
from typing import Any

import trio

from relay.plugin import DeviceEvent, ErrorCode, RelayError, Server, StorageFailed

from .options import Options
from .streams import TYPE, Stream, Streams, streams_of

AGAIN_SECONDS = 1.0
"""The wait before the end of a stream that the server could not store is tried again."""


async def run(server: Server, options: Options) -> None:
    """Pass pieces on and end streams that have fallen silent, in a loop that never ends."""
    streams = streams_of(server)
    async with trio.open_nursery() as nursery:
        while True:
            await streams.wakeup.wait_until(_next(streams, options))
            for stream in streams.of_left():
                streams.end(server, stream, cancelled=True)
            now = trio.current_time()
            for stream in streams:
                if stream.waits and stream.told_at + options.pass_on_seconds <= now:
                    server.tell(
                        stream.conversation,
                        TYPE,
                        stream.news(),
                        sender_id=stream.sender_id,
                        client_id=stream.client_id,
                    )
                if not stream.ending and stream.heard_at + options.silence_seconds <= now:
                    stream.ending = True
                    nursery.start_soon(_interrupt, server, streams, stream, options)


def _next(streams: Streams, options: Options) -> float:
    """Return when there is something to do, on trio's clock; infinity where there are no streams."""
    moments = [math.inf]
    for stream in streams:
        if stream.waits:
            moments.append(stream.told_at + options.pass_on_seconds)
        if not stream.ending:
            moments.append(stream.heard_at + options.silence_seconds)
    return min(moments)


async def _interrupt(server: Server, streams: Streams, stream: Stream, options: Options) -> None:
    """Store what there is of a stream, in its sender's name; an empty one leaves nothing.

    Its sender may come back while that is being tried: then it goes on.
    """
    try:
        while stream.heard_at + options.silence_seconds <= trio.current_time():
            if not stream.text:
                streams.end(server, stream, cancelled=True)
                return
            try:
                await server.send(
                    stream.sender_id,
                    stream.type,
                    _interrupted(stream),
                    stream.conversation.target_id(stream.sender_id),
                    own_id=stream.key[1],
                )
            except (RelayError, StorageFailed) as refused:
                if isinstance(refused, RelayError) and not refused.retry:
                    # A conflict: the message was stored before this server began.
                    streams.end(server, stream, cancelled=refused.code != ErrorCode.CONFLICT)
                    return
                await trio.sleep(AGAIN_SECONDS)
            else:
                streams.end(server, stream)
                return
    finally:
        stream.ending = False
        streams.wakeup.set()  # for its next silence


def _interrupted(stream: Stream) -> dict[str, Any]:
    payload: dict[str, Any] = {"content": stream.text, "interrupted": True}
    return payload if stream.reply_to is None else payload | {"reply_to": stream.reply_to}


def catch_up(server: Server, event: DeviceEvent) -> None:
    """Send a device that has come late the texts so far of the streams that its user reads."""
    for stream in streams_of(server):
        if event.user_id in stream.conversation.members:
            server.tell(
                stream.conversation,
                TYPE,
                stream.whole(),
                sender_id=stream.sender_id,
                client_id=stream.client_id,
                only=(event.user_id, event.client_id),
            )
