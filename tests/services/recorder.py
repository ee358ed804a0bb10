"""The far end of a connection, for tests of what is pushed to it."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from relay.engine.engine import Engine
from relay.protocol.errors import CloseCode
from relay.protocol.kinds import ServerRole
from relay.protocol.outbox import Outbox
from relay.protocol.rights import Act
from relay.services.channels import Conversation
from relay.services.connections import Connection, WebSocketManager
from relay.services.router import Submission
from relay.storage.accounts import Identity
from relay.testing.frames import FrameSplitter
from tests.storage.books import message


def identity(
    user_id: str, *, token_id: str = "tok", admin: bool = False, scopes: tuple[str, ...] = ()
) -> Identity:
    return Identity(
        user_id=user_id,
        role=ServerRole.ADMIN if admin else ServerRole.MEMBER,
        token_id=token_id,
        scopes=frozenset(scopes),
    )


class Recorder:
    """A socket that takes everything at once, or nothing while `stuck` or not `open`."""

    def __init__(self, max_frames: int = 0) -> None:
        self.outbox = Outbox(0, max_frames)
        self.frames: list[dict[str, Any]] = []
        self.flushes = 0
        self.ended: list[CloseCode] = []
        self.stuck = False
        self.open = True
        self.before_flush: Callable[[], None] = lambda: None
        self._splitter = FrameSplitter()

    def flush(self) -> None:
        if self.stuck or not self.open:
            return
        self.before_flush()
        self.flushes += 1
        self.frames.extend(json.loads(frame.payload) for frame in self._splitter.feed(self.outbox.take()))

    def end(self, code: CloseCode, reason: str | None = None) -> None:
        self.ended.append(code)

    def take(self) -> list[dict[str, Any]]:
        """Return what came since the last time."""
        frames, self.frames = self.frames, []
        return frames

    def positions(self) -> list[int]:
        """Return the positions that moved this connection's cursor, in the order of their arrival."""
        found = [frame["meta"].get("message_id") or frame["payload"].get("message_id") for frame in self.frames]
        return [position for position in found if position is not None]


def attach(
    manager: WebSocketManager,
    user_id: str,
    client_id: str = "one",
    *,
    token_id: str = "tok",
    max_frames: int = 0,
    on_settled: Callable[[], None] | None = None,
) -> tuple[Connection, Recorder]:
    """Connect a device that is live."""
    recorder = Recorder(max_frames)
    who = identity(user_id, token_id=token_id)
    connection = Connection(manager, who, client_id, recorder, "192.0.2.1", on_settled)
    manager.register(connection)
    return connection, recorder


async def submission(
    engine: Engine, sender: str, target: str, own_id: str | None = None, origin: Connection | None = None
) -> Submission:
    """Return a message on its way to the router."""
    conversation = await engine.channels.find(sender, target)
    return submit_to(conversation, sender, target, own_id, origin)


def submit_to(
    conversation: Conversation,
    sender: str,
    target: str,
    own_id: str | None = None,
    origin: Connection | None = None,
) -> Submission:
    entry = message(conversation.channel_id, sender, own_id)
    entry.target_id = target
    if origin is not None:
        origin.in_flight += 1
    return Submission(entry, conversation, origin, recheck=Act.WRITE)
