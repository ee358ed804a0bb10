"""One device in a trace: whether it has a message, is being sent it, or waits for it, and since when."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal

import msgspec

from relay.services.connections import Connection, WebSocketManager
from relay.services.departures import Departures
from relay.services.tally import Commit
from relay.services.trace_times import moment, when
from relay.storage.devices import Device
from relay.storage.history import other_party
from relay.storage.replay import Gap, Plan
from relay.storage.tracing import Recipient, TracedMessage

DeviceState = Literal[
    "origin", "acked", "sent", "queued", "replaying", "left_out", "before_it", "waiting", "revoked"
]


class DeviceTrace(msgspec.Struct, frozen=True, kw_only=True):
    """A device, and where a message stands with it.

    `origin` sent it; `acked` has confirmed it; `sent` was written to its connection and not confirmed yet;
    `queued` waits in its outbox; `replaying` is being sent what it missed; `left_out` was too much for one replay,
    and is fetched by REST; `before_it` began after the message; `waiting` is not connected; `revoked` was logged
    out. `at` is since when, null where that is not kept.
    """

    client_id: str
    agent: str
    connected: bool
    state: DeviceState
    text: str
    at: float | None


class Devices:
    """Says of devices where a message stands with them."""

    def __init__(self, connections: WebSocketManager, departures: Departures, replay_limit: int) -> None:
        self._connections = connections
        self._departures = departures
        self._limit = replay_limit

    def trace(
        self,
        message: TracedMessage,
        one: Recipient,
        device: Device,
        commit: Commit | None,
        last_seen: float | None,
        plans: Mapping[tuple[str, str], Plan],
    ) -> DeviceTrace:
        """Return where a message stands with one device of a user."""
        connection = self._connections.of(one.user_id).get(device.client_id)
        name = device.agent or device.client_id
        if one.user_id == message.sender_id and device.client_id == message.client_id:
            found = _stand("origin", f"device {name} sent it.", message.stored_at)
        elif device.acked >= message.message_id:
            found = _acked(message, device, name)
        elif device.revoked_at is not None:
            text = f"device {name} was logged out {when(device.revoked_at)}, before it had confirmed the message."
            found = _stand("revoked", text, device.revoked_at)
        elif connection is not None:
            found = self._connected(message, one.user_id, connection, name, commit)
        else:
            found = self._away(message, one.user_id, device, name, last_seen, plans)
        state, text, at = found
        return DeviceTrace(
            client_id=device.client_id,
            agent=device.agent,
            connected=connection is not None,
            state=state,
            text=text,
            at=at,
        )

    def _connected(
        self, message: TracedMessage, user_id: str, connection: Connection, name: str, commit: Commit | None
    ) -> tuple[DeviceState, str, float | None]:
        since = connection.since or None
        if connection.start >= message.message_id:
            text = f"device {name} began after the message; what it shows from before, it read from history."
            return _stand("before_it", text, since)
        if (gap := _gap(message, user_id, connection.left_out)) is not None:
            return _stand("left_out", f"device {name} {self._cut(gap)}", since)
        if not connection.socket.open:
            return _stand("replaying", f"device {name} is connected, and is being sent what it missed.", since)
        if len(connection.outbox) or connection.sent_cursor < message.message_id:
            frames = len(connection.outbox)
            text = f"device {name} is connected, and does not take what it is sent: {frames} frames wait for it."
            return _stand("queued", text, since)
        live = message.message_id > connection.until
        at = since if not live else commit.done_at if commit is not None else None
        how = "was written to its connection" if live else "came with the replay, when it connected"
        moment = f" {when(at)}" if at is not None else ""
        return _stand("sent", f"device {name} is connected: it {how}{moment}, and was not confirmed yet.", at)

    def _away(
        self,
        message: TracedMessage,
        user_id: str,
        device: Device,
        name: str,
        last_seen: float | None,
        plans: Mapping[tuple[str, str], Plan],
    ) -> tuple[DeviceState, str, float | None]:
        went = self._departures.of(user_id, device.client_id)
        if went is not None:
            text, at = f"device {name} has been offline since {moment(went)}.", went
        else:
            said = f"device {name} is offline. It said hello last {when(device.seen_at)}; when it went is not kept"
            seen = f", {user_id} was last present {when(last_seen)}." if last_seen is not None else "."
            text, at = said + seen, None
        plan = plans.get((user_id, device.client_id))
        gap = None if plan is None else _gap(message, user_id, plan.gaps)
        if gap is not None:
            text += f" When it comes back, it {self._cut(gap, once=False)}"
        return _stand("waiting", text, at)

    def _cut(self, gap: Gap, *, once: bool = True) -> str:
        verb = "missed" if once else "will have missed"
        part = f"seq {gap.from_seq} to {gap.to_seq} of {gap.kind} {gap.target_id}"
        return (
            f"{verb} more than the {self._limit} messages of one replay: it fetches {part} by REST,"
            " when somebody scrolls there."
        )


def _stand(state: DeviceState, text: str, at: float | None) -> tuple[DeviceState, str, float | None]:
    return state, text, at


def _acked(message: TracedMessage, device: Device, name: str) -> tuple[DeviceState, str, float | None]:
    if device.created_at > message.stored_at:
        text = f"device {name} has it, or reads it from history: it connected first {when(device.created_at)}."
    else:
        text = f"device {name} has it: it has confirmed everything up to message {device.acked}. When is not kept."
    if device.revoked_at is not None:
        text += f" It was logged out {when(device.revoked_at)}."
    return _stand("acked", text, None)


def _gap(message: TracedMessage, user_id: str, gaps: Iterable[Gap]) -> Gap | None:
    """Return the gap that a message is in."""
    place = (message.kind, other_party(message.address, user_id))
    for gap in gaps:
        if (gap.kind, gap.target_id) == place and gap.from_seq <= (message.seq or 0) <= gap.to_seq:
            return gap
    return None
