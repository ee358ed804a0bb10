"""The greeting of a connection: its hello, whom and which device that speaks for, and what answers it.

It is dropped once the connection is ready. What a replay consists of is in `relay.services.offline_queue`.
"""

from __future__ import annotations

import math
import secrets
import sqlite3
from collections.abc import Callable
from typing import Final

import trio

from relay.engine.engine import Engine
from relay.plugin.registrations import Credentials
from relay.protocol.envelope import SentMeta, encode_event
from relay.protocol.errors import CloseCode, Disconnect
from relay.protocol.events import GapRange, Heartbeat, Limits, Ready, Synced
from relay.protocol.framing import text_frame
from relay.protocol.session import ConnectionEvent
from relay.services.connections import Connection
from relay.services.offline_queue import Resumption
from relay.services.tally import Start
from relay.storage import devices
from relay.storage.accounts import Identity
from relay.storage.devices import Device
from relay.storage.history import few_conversations

_SEEN_SECONDS: Final = 3600
"""That a known device is here is written again at most this often."""


class Greeting:
    """The beginning of a connection, until it is ready.

    Args:
        credentials: what the upgrade's head says of who this is, a token in its Authorization header for one.
        version: what `ready` names as the server.
        on_known: called once it is known who this is.
        agent: how the program names itself, for the list of the user's devices.
    """

    __slots__ = ("_agent", "_client_id", "_credentials", "_engine", "_heard", "_hello", "_on_known", "_version")

    def __init__(
        self,
        engine: Engine,
        credentials: Credentials,
        version: str,
        on_known: Callable[[], None],
        agent: str = "",
    ) -> None:
        self._agent = agent
        self._engine = engine
        self._credentials = credentials
        self._version = version
        self._on_known = on_known
        self._hello: ConnectionEvent | None = None
        self._client_id: str | None = None
        self._heard = trio.Event()

    def hear(self, hello: ConnectionEvent, client_id: str | None) -> None:
        """Take the hello that the client sent, with the device's id where it names one."""
        self._hello = hello
        self._client_id = client_id
        self._heard.set()

    async def identify(self) -> tuple[Identity, str]:
        """Wait for the hello; return whom it speaks for, and the device's id.

        Raises:
            Disconnect: 4401 for no hello in time, 4404 while draining, 4405 for too many hellos of one address,
                4501 or 4502 for the token.
        """
        engine, credentials = self._engine, self._credentials
        with trio.move_on_after(engine.settings.timeouts.hello_seconds):
            await self._heard.wait()
        if self._hello is None:
            raise Disconnect(CloseCode.NO_HELLO)
        if engine.drain.begun:
            raise Disconnect(CloseCode.DRAINING)
        if wait := engine.rates.hellos.wait_for(credentials.address):
            raise Disconnect(
                CloseCode.OVERLOADED, f"too many hellos from this address; retry_after={max(1, math.ceil(wait))}"
            )
        if self._hello.token:
            credentials = credentials._replace(token=self._hello.token)
        identity = await engine.authentication.identify(credentials)
        self._on_known()
        return identity, self._client_id or identity.client_id or f"c_{secrets.token_hex(8)}"

    async def attach(self, identity: Identity, client_id: str, until: int) -> tuple[str, Resumption]:
        """Note that the device is here; return its session id and the plan of its replay up to position `until`.

        Raises:
            Disconnect: 4503 for a revoked session; 4404 for a cursor that the cluster's next leader has given out.
        """
        engine, hello, user_id = self._engine, self._hello, identity.user_id
        assert hello is not None  # noqa: S101 - it was identified

        def read(database: sqlite3.Connection) -> tuple[Device | None, Resumption]:
            device = devices.get_device(database, user_id, client_id)
            return device, engine.offline_queue.plan(database, user_id, hello.cursor, hello.epoch, until)

        # A plan of few conversations takes less time than handing it to a reader's thread does.
        inline = await engine.runner.read(lambda database: few_conversations(database, user_id), inline=True)
        device, plan = await engine.runner.read(read, inline=inline)
        ahead = hello.cursor is not None and hello.cursor > until and hello.epoch in (None, engine.epoch)
        if ahead and not await engine.leads():
            raise Disconnect(CloseCode.DRAINING, "another node leads; retry_after=1")
        return await attach_device(engine, identity, client_id, device, self._agent), plan

    def start(self, plan: Resumption) -> Start:
        """Return how the connection begins, seen from the client's own position."""
        if plan.resumed:
            return "limited" if plan.gaps else "resumed"
        return "new" if self._hello is None or self._hello.cursor is None else "reset"

    def ready(self, connection: Connection, session_id: str, plan: Resumption) -> bytes:
        """Return the frame that answers the hello."""
        engine = self._engine
        settings, limits = engine.settings, engine.settings.limits
        payload = Ready(
            user_id=connection.user_id,
            session_id=session_id,
            client_id=connection.client_id,
            resumed=plan.resumed,
            cursor=plan.start,
            epoch=engine.epoch,
            heartbeat_seconds=settings.heartbeat.interval_seconds,
            limits=Limits(
                frame_bytes=limits.frame_bytes,
                content_characters=limits.content_characters,
                messages_per_second=limits.messages_per_second,
                in_flight=limits.in_flight,
                replay=settings.replay.limit,
                attachment_bytes=settings.attachments.max_bytes,
            ),
            server=self._version,
        )
        meta = SentMeta(client_id=connection.client_id, timestamp=engine.now())
        return text_frame(encode_event("connection_event", payload, meta))


async def attach_device(
    engine: Engine, identity: Identity, client_id: str, device: Device | None, agent: str = ""
) -> str:
    """Note that a device is here, and return its session id.

    Args:
        device: what is known of it; None where it was never here.
        agent: how its program names itself.

    Raises:
        Disconnect: 4503 for a revoked session; it stays revoked for every token from before.
    """
    now = engine.now()
    if device is not None:
        if device.revoked_at is not None and identity.created_at <= device.revoked_at:
            raise Disconnect(CloseCode.SESSION_REVOKED)
        same = device.token_id == identity.token_id and device.revoked_at is None
        if same and now - device.seen_at < _SEEN_SECONDS:
            return device.session_id
    most = engine.settings.limits.devices_per_user if device is None else 0
    # Looked at again in the transaction: it may have been revoked since it was read.
    session_id = await engine.batched_writes.write(
        lambda database: devices.attach_device(
            database, identity.user_id, client_id, identity.token_id, now, identity.created_at, agent, most
        )
    )
    if session_id is None:
        raise Disconnect(CloseCode.SESSION_REVOKED)
    return session_id


def behind_frame(position: int) -> bytes:
    """Return the heartbeat that tells a client it has lost something, which now follows."""
    return text_frame(encode_event("connection_event", Heartbeat(cursor=position, behind=True)))


def synced_frame(plan: Resumption) -> bytes:
    """Return the frame that ends a replay."""
    payload = Synced(
        cursor=plan.until,
        replayed=len(plan.message_ids),
        limited=bool(plan.gaps),
        gaps=[GapRange(**gap._asdict()) for gap in plan.gaps],
    )
    return text_frame(encode_event("connection_event", payload))
