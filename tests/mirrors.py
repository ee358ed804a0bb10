"""Devices that mirror what they are told, and what a fresh load shows instead: the two must be equal."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

import msgspec
import trio

from relay.client.events import Event, from_object
from relay.client.mirror import EVERYBODY, SELF, Message, Mirror
from relay.protocol.errors import ErrorCode, RelayError
from relay.protocol.kinds import ConversationKind
from relay.testing import Closed, Device, World


def plain(value: Any) -> Any:
    return json.loads(msgspec.json.encode(value))


def events(rows: list[Any]) -> list[Event]:
    return [from_object(row) for row in rows]


async def load(server: World, user: str, limit: int = 50, *, amid: bool = False) -> Mirror:
    """Load all that a user may see by the calls that a client makes at its first start.

    Args:
        amid: whether others go on meanwhile, so that a group of the list may be gone before it is loaded.
    """
    mirror = Mirror(user)
    rows = plain(await server.engine.history.conversations(user))["conversations"]
    for row in rows:
        try:
            await load_conversation(server, mirror, row, limit)
        except RelayError as error:
            if not (amid and error.code == ErrorCode.NOT_FOUND and row["kind"] == "group"):
                raise
            mirror.conversations.pop(row["target_id"], None)
    position: dict[str, Any] = {}
    while True:
        page = plain(await server.engine.history.notifications(user, limit, **position))
        for event in events(page["messages"]):
            key = EVERYBODY if event.target_id == EVERYBODY else SELF
            mirror.load(key, 0, [event])
        if not page["has_more"]:
            break
        position = {"before": page["next_before"]}
    for key in (SELF, EVERYBODY):
        mirror.conversation(key).read_seq = await read_seq(server, user, key)
    return mirror


async def load_conversation(server: World, mirror: Mirror, row: dict[str, Any], limit: int) -> None:
    kind, target = ConversationKind(row["kind"]), row["target_id"]
    position: dict[str, Any] = {}
    while True:
        page = plain(await server.engine.history.page(mirror.user_id, kind, target, limit, **position))
        mirror.load(target, row["read_seq"], events(page["messages"]), events(page["latest"]))
        if not page["has_more"]:
            return
        position = {"before": page["next_before"]}


async def read_seq(server: World, user: str, key: str) -> int:
    address = EVERYBODY if key == EVERYBODY else f"self:{user}"

    def read(connection: Any) -> int:
        row = connection.execute(
            "SELECT read_seq FROM pointers JOIN channels USING (channel_id) WHERE address = ? AND user_id = ?",
            (address, user),
        ).fetchone()
        return row[0] if row else 0

    return await server.engine.runner.read(read)


def shown(mirror: Mirror, now: float) -> dict[str, Any]:
    """Return what a page would draw of a mirror: all of it but what is empty.

    Of a tombstone it does not matter since when it is one: of several reasons a device may know the later one.
    """

    def drawn(message: Message) -> dict[str, Any]:
        over = {"payload": {}, "deleted_at": True} if message.is_over(now) else {}
        return asdict(message) | over

    return {
        key: {
            "messages": {seq: drawn(message) for seq, message in sorted(found.messages.items())},
            "receipts": dict(sorted(found.receipts.items())),
            "reactions": sorted(found.reactions),
            "unread": found.unread(mirror.user_id, now),
        }
        for key, found in sorted(mirror.conversations.items())
        if found.messages
    }


class Phone:
    """A device that keeps a mirror, a cursor and what it has not had acked, and comes and goes."""

    def __init__(self, user: str, client_id: str) -> None:
        self.user = user
        self.client_id = client_id
        self.mirror = Mirror(user)
        self.cursor: int | None = None
        self.pending: dict[str, dict[str, Any]] = {}
        self.refused: list[str] = []
        self.device: Device | None = None
        self._reading = trio.CancelScope()
        self._ids: Iterator[int] = iter(range(1, 1 << 30))

    @property
    def connected(self) -> bool:
        return self.device is not None

    async def come(self, server: World) -> None:
        """Connect, catch up, send again what was not acked, and read on in the background."""
        await self.go()
        position = {} if self.cursor is None else {"cursor": self.cursor}
        if self.cursor is None:
            self.mirror = await load(server, self.user)
        device = self.device = await server.connect(self.user, self.client_id, **position)
        for frame in device.replayed:
            self._take(frame)
        await self._fill(server, device.synced["gaps"])
        self.cursor = max(self.cursor or 0, device.synced["cursor"])
        server.nursery.start_soon(self._read, server, device)
        for envelope in list(self.pending.values()):
            await device.send(envelope)

    async def go(self, goodbye: bool = False) -> None:
        """Be cut off, or say goodbye."""
        device, self.device = self.device, None
        if device is not None:
            self._reading.cancel()
            if goodbye:
                await device.event("goodbye")
            else:
                await device.cut()

    async def say(self, type_: str, target: str | None, **payload: Any) -> None:
        """Send something, now or when it is connected again."""
        id = f"{self.client_id}-{next(self._ids)}"
        meta = {"id": id} | ({} if target is None else {"target_id": target})
        self.pending[id] = {"type": type_, "payload": payload, "meta": meta}
        if self.device is not None:
            try:
                await self.device.send(self.pending[id])
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                self.device = None

    async def _read(self, server: World, device: Device) -> None:
        with trio.CancelScope() as self._reading:
            try:
                while True:
                    self._take(await device.next())
            except (Closed, trio.BrokenResourceError, trio.ClosedResourceError):
                if self.device is device:
                    self.device = None

    def _take(self, frame: dict[str, Any]) -> None:
        event = from_object(frame)
        if event.type in ("ack", "error"):
            self._answered(event)
            return
        if event.event == "heartbeat" and self.device is not None:
            return
        self.mirror.apply(event)
        if event.message_id is not None and not event.replay:
            self.cursor = max(self.cursor or 0, event.message_id)

    def _answered(self, answer: Event) -> None:
        sent = self.pending.pop(answer.meta.get("ref", ""), None)
        if sent is None:
            return
        if answer.type == "error":
            self.refused.append(answer.payload["code"])
            return
        ack = answer.payload
        if "message_id" not in ack:
            return
        meta = {"sender_id": self.user, **sent["meta"], **ack}
        self.mirror.apply(from_object({"type": sent["type"], "payload": sent["payload"], "meta": meta}))
        self.cursor = max(self.cursor or 0, ack["message_id"])

    async def _fill(self, server: World, gaps: list[dict[str, Any]]) -> None:
        """Fetch by REST what a limited replay left out, and conversations that began anew."""
        for gap in gaps:
            if gap["kind"] in ("self", "broadcast"):
                fresh = await load(server, self.user)
                key = SELF if gap["kind"] == "self" else EVERYBODY
                self.mirror.conversations[key] = fresh.conversation(key)
                continue
            after = gap["from_seq"] - 1
            while after < gap["to_seq"]:
                page = await self._page(server, gap["kind"], gap["target_id"], after)
                if not page["messages"]:
                    break
                for event in events(page["messages"]):
                    self.mirror.apply(event)
                self.mirror.load(gap["target_id"], 0, (), events(page["latest"]))
                after = page["next_after"]

    async def _page(self, server: World, kind: str, target: str, after: int) -> dict[str, Any]:
        return plain(await server.engine.history.page(self.user, ConversationKind(kind), target, 50, after=after))

    async def settle(self, server: World) -> None:
        """Load anew what events said is to be loaded."""
        for key, conversation in list(self.mirror.conversations.items()):
            if conversation.stale:
                row = {"kind": "group", "target_id": key, "read_seq": 0}
                try:
                    await load_conversation(server, self.mirror, row, 50)
                    conversation.stale = False
                except RelayError:
                    self.mirror.conversations.pop(key, None)
