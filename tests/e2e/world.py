"""A server with its users, and devices that remember what they received."""

from __future__ import annotations

import contextlib
import json
import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from itertools import count
from pathlib import Path
from typing import Any

import httpx

from tests.e2e.server import Server, Tables
from tests.e2e.wire import PATIENCE, Closed, Envelope, Gone, Wire, hello

STREAM = frozenset({"chat_message", "group_message", "notification", "group_event"})
_ids = count(1)


def unique(prefix: str = "m") -> str:
    """Make a message id or content that no other test of this process uses."""
    return f"{prefix}-{next(_ids)}"


def message(target: str, content: str, *, id: str | None, group: bool = False, **payload: Any) -> Envelope:
    meta = {"target_id": target} if id is None else {"target_id": target, "id": id}
    kind = "group_message" if group else "chat_message"
    return {"type": kind, "payload": {"content": content, **payload}, "meta": meta}


def without_replay(envelope: Envelope) -> Envelope:
    meta = {name: value for name, value in envelope["meta"].items() if name != "replay"}
    return {**envelope, "meta": meta}


class Device:
    """A connection past its hello, which sorts what comes into messages, answers and events."""

    def __init__(self, wire: Wire, token: str, client_id: str) -> None:
        self.wire = wire
        self.token = token
        self.client_id = client_id
        self.messages: list[Envelope] = []
        self.answers: dict[str | None, list[Envelope]] = defaultdict(list)
        self.events: list[Envelope] = []
        self.ready: Envelope = {}
        self.synced: Envelope = {}
        self.cursor = 0

    def hello(self, **payload: Any) -> None:
        self.ready = self.wire.hello(self.token, self.client_id, **payload)

    def sync(self, timeout: float = PATIENCE) -> Envelope:
        """Read the replay to its end and return the payload of `synced`."""
        assert self.pump(lambda: bool(self.synced), timeout), "no synced in time"
        return self.synced

    def take(self, timeout: float) -> Envelope:
        """Read one envelope and file it."""
        envelope = self.wire.recv_json(timeout)
        kind = envelope["type"]
        if kind in STREAM:
            self.messages.append(envelope)
        elif kind in ("ack", "error"):
            self.answers[envelope["meta"].get("ref")].append(envelope)
        elif kind == "connection_event":
            self.events.append(envelope)
            if envelope["payload"]["event"] == "synced":
                self.synced = envelope["payload"]
                self.cursor = self.synced["cursor"]
        if not envelope["meta"].get("replay") and (kind in STREAM or kind == "ack"):
            body = envelope["payload"] if kind == "ack" else envelope["meta"]
            self.cursor = max(self.cursor, body.get("message_id", 0))
        return envelope

    def pump(self, until: Callable[[], bool], timeout: float = PATIENCE) -> bool:
        """Read until the condition holds; False when the time is over before."""
        deadline = time.monotonic() + timeout
        while not until():
            left = deadline - time.monotonic()
            if left <= 0:
                return False
            with contextlib.suppress(TimeoutError):
                self.take(left)
        return True

    # --- sending ---

    def send(self, target: str, content: str, *, group: bool = False, id: str | None = None) -> str:
        """Send a message with an id and return the id."""
        ref = id or unique()
        self.wire.send_json(message(target, content, id=ref, group=group))
        return ref

    def send_all(self, envelopes: Iterable[Envelope]) -> None:
        """Send many envelopes in as few packets as the kernel makes of them."""
        self.wire.send_all([json.dumps(envelope) for envelope in envelopes])

    def answer(self, ref: str | None, timeout: float = PATIENCE) -> Envelope:
        """Wait for the ack or error of a message."""
        assert self.pump(lambda: bool(self.answers[ref]), timeout), f"no answer to {ref}"
        return self.answers[ref][0]

    def acked(self, ref: str, timeout: float = PATIENCE) -> Envelope:
        """Wait for the ack of a message and return its payload."""
        answer = self.answer(ref, timeout)
        assert answer["type"] == "ack", answer
        payload: Envelope = answer["payload"]
        return payload

    def refused(self, ref: str | None, timeout: float = PATIENCE) -> Envelope:
        """Wait for the error of a message and return its payload."""
        answer = self.answer(ref, timeout)
        assert answer["type"] == "error", answer
        payload: Envelope = answer["payload"]
        return payload

    def say(self, target: str, content: str, *, group: bool = False) -> Envelope:
        """Send a message and return the payload of its ack."""
        return self.acked(self.send(target, content, group=group))

    # --- receiving ---

    def contents(self) -> list[str]:
        return [m["payload"]["content"] for m in self.messages if "content" in m["payload"]]

    def wait_content(self, content: str, timeout: float = PATIENCE) -> Envelope:
        """Wait for the message with this content."""
        assert self.pump(lambda: content in self.contents(), timeout), f"{content} never came"
        return next(m for m in self.messages if m["payload"].get("content") == content)

    def seqs(self) -> list[int]:
        return [m["meta"]["seq"] for m in self.messages]

    def close(self) -> None:
        self.wire.close()

    def wait_closed(self, timeout: float = PATIENCE) -> int | None:
        return self.wire.wait_closed(timeout)


class World:
    """A running server, the tokens of its users, and everything a test opened on it."""

    def __init__(
        self,
        folder: Path,
        names: Iterable[str],
        settings: Tables | None = None,
        **options: Any,
    ) -> None:
        self.server = Server(folder, settings, **options)
        self.opened = contextlib.ExitStack()
        self.tokens = self.server.import_users(names)
        self.server.start()

    def wire(self, **options: Any) -> Wire:
        return self.opened.enter_context(Wire(self.server.address, self.server.described, **options))

    def upgraded(self, **options: Any) -> Wire:
        """Open a WebSocket that has not said hello."""
        wire = self.wire(**options)
        wire.upgrade()
        return wire

    def device(self, user: str, client_id: str | None = None, *, sync: bool = True, **payload: Any) -> Device:
        """Connect a device of a user and read its replay; `payload` goes into the hello."""
        receive_buffer = payload.pop("receive_buffer", None)
        wire = self.upgraded(receive_buffer=receive_buffer)
        device = Device(wire, self.tokens[user], client_id or f"{user}-{unique('device')}")
        device.hello(**payload)
        if sync:
            device.sync()
        return device

    def refused_hello(self, token: str | None, client_id: str = "stranger", **payload: Any) -> int | None:
        """Say a hello that must not be accepted and return the close code."""
        wire = self.upgraded()
        wire.send_json(hello(token, client_id, **payload))
        try:
            first = wire.recv_json()
        except Closed as closed:
            return closed.code
        except Gone:
            return None
        assert first["type"] != "connection_event", first
        return wire.wait_closed()

    def rest(self, user: str | None) -> httpx.Client:
        return self.opened.enter_context(self.server.rest(None if user is None else self.tokens[user]))

    def group(self, owner: str, *members: str) -> str:
        """Create a group and return its id."""
        name = unique("group")
        body = {"name": name, "members": list(members), "group_id": name}
        answer = self.rest(owner).post("/api/groups", json=body)
        assert answer.status_code == 201, answer.text
        group_id: str = answer.json()["group_id"]
        return group_id

    def history(self, user: str, *, peer: str | None = None, group: str | None = None) -> list[Envelope]:
        """Fetch a whole conversation by REST, oldest first."""
        path = f"/api/messages/group/{group}" if peer is None else f"/api/messages/user/{peer}"
        return history(self.rest(user), path)

    def forget(self) -> None:
        """Close everything that tests opened; the server goes on."""
        self.opened.close()
        self.opened = contextlib.ExitStack()

    def end(self) -> None:
        self.forget()
        if self.server.alive:
            self.server.stop()
        print(self.server.diagnosis())  # shown by pytest with a failure, and only then


def history(rest: httpx.Client, path: str, *, after: int = 0) -> list[Envelope]:
    """Fetch everything of a conversation behind a seq, oldest first, page by page."""
    found: list[Envelope] = []
    position = after
    while True:
        answer = rest.get(path, params={"after": position, "limit": 200})
        assert answer.status_code == 200, answer.text
        page = answer.json()
        found += page["messages"]
        if not page["has_more"]:
            return found
        assert page["messages"], page
        position = page["messages"][-1]["meta"]["seq"]
