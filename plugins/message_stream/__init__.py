"""`message_stream`: a message that grows while it is written; its end is one stored message.

Its pieces are transient, and passed on a few times a second, however fast they come. Its end is an ordinary
`chat_message` or `group_message` whose own id is the `stream_id`: of its sender's, or, when the sender has fallen
silent, of the server's in the sender's name, marked as interrupted.
"""

from functools import partial
from typing import Any

import msgspec

from relay.plugin import (
    Act,
    BackgroundTask,
    DeviceEvent,
    Kind,
    MessageType,
    Routes,
    Server,
    SessionHook,
    hookimpl,
)

from . import receiving, sending, streams
from .options import Options
from .payloads import MessageStream, Taken
from .views import blueprint


@hookimpl
def relay_options() -> type[msgspec.Struct]:
    """Read `[plugins.message_stream]` into `Options`."""
    return Options


@hookimpl
def relay_message_types(options: Options) -> list[MessageType]:
    """Add `message_stream`."""
    return [
        MessageType(
            name=streams.TYPE,
            payload=MessageStream,
            kind=Kind.TRANSIENT,
            priority=0,
            paced=False,
            act=Act.WRITE,
            answer=Taken,
            handle=partial(receiving.handle, options=options),
        )
    ]


@hookimpl
def relay_background(options: Options) -> list[BackgroundTask]:
    """Pass pieces on, and end what has fallen silent."""
    return [BackgroundTask(name="pieces", run=partial(sending.run, options=options))]


@hookimpl
def relay_session_hooks() -> list[SessionHook]:
    """Bring the texts so far to devices that come late, and drop those of accounts that are erased."""

    def live(server: Server, event: DeviceEvent) -> None:
        sending.catch_up(server, event)

    def left(server: Server, connection: Any, user_id: str) -> None:
        streams.streams_of(server).leave(user_id)

    return [SessionHook(live=live, left=left)]


@hookimpl
def relay_routes() -> list[Routes]:
    """Add `GET /api/streams/TARGET`."""
    return [Routes(blueprint=blueprint)]
