"""The hello of a connection: whose it is, which device, and where its replay begins."""

from __future__ import annotations

import sqlite3

from relay.engine.authentication import identify
from relay.engine.engine import Engine
from relay.plugin.registrations import Credentials
from relay.protocol.envelope import SentMeta, encode_event
from relay.protocol.errors import CloseCode, Disconnect
from relay.protocol.events import GapRange, Heartbeat, Limits, Ready, Synced
from relay.protocol.framing import text_frame
from relay.protocol.session import ConnectionEvent
from relay.services.connections import Connection
from relay.services.followers import Company, read_company
from relay.services.offline_queue import Resumption
from relay.storage import accounts
from relay.storage.accounts import Device, Identity
from relay.storage.history import few_conversations

_SEEN_SECONDS = 3600
"""A known device is noted anew, with a write, at most this often."""


async def authenticate(engine: Engine, shown: Credentials) -> Identity:
    """Return whom a hello speaks for.

    Raises:
        Disconnect: 4404 while draining, 4405 for too many hellos of one address, 4501 or 4502 for the token.
    """
    if engine.draining:
        raise Disconnect(CloseCode.DRAINING)
    if wait := engine.rates.hellos.wait_for(shown.address):
        raise Disconnect(CloseCode.OVERLOADED, f"too many hellos from this address; retry_after={wait:.0f}")
    return await identify(engine, shown)


async def look_up(
    engine: Engine, identity: Identity, client_id: str, hello: ConnectionEvent, until: int
) -> tuple[Device | None, Resumption]:
    """Return the device, where it was here before, and the plan of its replay up to position `until`."""
    user_id = identity.user_id

    def read(database: sqlite3.Connection) -> tuple[Device | None, Resumption]:
        device = accounts.get_device(database, user_id, client_id)
        return device, engine.offline_queue.plan(database, user_id, hello.cursor, hello.epoch, until)

    inline = await engine.runner.read(lambda database: few_conversations(database, user_id), inline=True)
    return await engine.runner.read(read, inline=inline)


async def company(engine: Engine, user_id: str) -> Company:
    """Return a user's own presence, and that of those they follow.

    Read where it stands, so that whoever goes on without a wait knows of every change before and is told of
    every change after.
    """
    return await engine.runner.read(lambda database: read_company(database, user_id), inline=True)


async def attach(engine: Engine, identity: Identity, client_id: str, device: Device | None) -> str:
    """Note that a device is here, and return its session id.

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
    # Looked at again in the transaction: it may have been revoked since it was read.
    session_id = await engine.batched_writes.write(
        lambda database: accounts.attach_device(
            database, identity.user_id, client_id, identity.token_id, now, identity.created_at
        )
    )
    if session_id is None:
        raise Disconnect(CloseCode.SESSION_REVOKED)
    return session_id


def ready(engine: Engine, connection: Connection, plan: Resumption, version: str) -> bytes:
    """Return the frame that answers a hello."""
    settings, limits = engine.settings, engine.settings.limits
    payload = Ready(
        user_id=connection.user_id,
        session_id=connection.session_id,
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
        ),
        server=version,
    )
    meta = SentMeta(client_id=connection.client_id, timestamp=engine.now())
    return text_frame(encode_event("connection_event", payload, meta))


def behind(position: int) -> bytes:
    """Return the heartbeat that tells a client it has missed something, which now follows."""
    return text_frame(encode_event("connection_event", Heartbeat(cursor=position, behind=True)))


def synced(plan: Resumption) -> bytes:
    """Return the frame that ends a replay."""
    payload = Synced(
        cursor=plan.until,
        replayed=len(plan.message_ids),
        limited=bool(plan.gaps),
        gaps=[GapRange(**gap._asdict()) for gap in plan.gaps],
    )
    return text_frame(encode_event("connection_event", payload))
