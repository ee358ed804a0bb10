"""People who write, edit, delete, react, read, make groups and send files, and note in the ledger what was acknowledged."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from itertools import count
from typing import Any, Final

import httpx

from tests.e2e.server import Server
from tests.e2e.wire import Envelope, Gone, Wire
from tests.e2e.world import Device
from tests.faults.ledger import Broken, Ledger, Message

_numbers = count(1)
ANSWER_SECONDS: Final = 15.0
"""How long an answer may take on a busy machine; a server that says nothing for longer has lost the message."""

Taken = Callable[[Envelope], None]


class Person:
    """One user with one device. What is without an answer when the server goes is sent again, with the same id.

    Attributes:
        patience: how long an answer may take, in seconds; for a connection, as it was when it was opened.
    """

    def __init__(self, name: str, token: str, server: Server, ledger: Ledger, peers: Sequence[str]) -> None:
        self.name = name
        self.token = token
        self.server = server
        self.ledger = ledger
        self.peers = peers
        self.device: Device | None = None
        self._pending: tuple[Envelope, Taken] | None = None
        self._cursor: int | None = None
        self._group_pending: str | None = None
        self.failure: Exception | None = None
        self.patience = ANSWER_SECONDS

    # --- the connection ---

    def connect(self) -> None:
        """Connect, unless that is so already, and send again what is without an answer.

        Raises:
            Gone: the server is not there, or ended the connection.
        """
        if self.device is not None:
            return
        try:
            wire = Wire(self.server.address, self.server.described, timeout=self.patience)
        except OSError as error:
            raise Gone(str(error)) from error
        device = Device(wire, self.token, f"{self.name}-device")
        try:
            wire.upgrade()
            device.hello(**({} if self._cursor is None else {"cursor": self._cursor}))
            device.sync(self.patience)
        except BaseException:
            wire.close()
            raise
        self.device = device
        if self._pending is not None:
            self.ledger.resent += 1
            self._ask(*self._pending)

    def close(self) -> None:
        """Leave without a word."""
        if self.device is not None:
            self._cursor = self.device.cursor or self._cursor
            self.device.close()
            self.device = None

    def _ask(self, envelope: Envelope, taken: Taken) -> bool:
        """Send a message and wait for its answer; tell whether it was acknowledged.

        Raises:
            Gone: the connection ended before the answer; it is sent again after the next `connect`.
            Broken: there is no answer, or one that tells of a fault.
        """
        assert self.device is not None
        self._pending = (envelope, taken)
        ref = envelope["meta"]["id"]
        try:
            self.device.wire.send_json(envelope)
            answer = self.device.answer(ref, self.patience)
        except Gone:
            self.close()
            raise
        except AssertionError:
            raise Broken(f"no answer to {envelope} within {self.patience} s") from None
        self._pending = None
        self.device.messages.clear()
        self.device.events.clear()
        if answer["type"] == "error":
            self.ledger.refused += 1
            if answer["payload"]["code"] not in ("overloaded", "not_found"):
                raise Broken(f"{envelope} was refused: {answer}")
            return False
        self.ledger.acked += 1
        taken(answer["payload"])
        return True

    # --- what people do ---

    def say(self, target: str, size: int = 20, attachment: bytes | None = None) -> bool:
        """Write a message."""
        ref = f"{self.name}-{next(_numbers)}"
        content = f"{ref} " + "x" * size
        payload: dict[str, Any] = {"content": content}
        if attachment is not None:
            found = self._upload(ref, attachment)
            if found is None:
                return False
            payload["attachments"] = [found]

        def taken(ack: Envelope) -> None:
            place = (ack["message_id"], ack["seq"])
            self.ledger.messages[ref] = Message(ref, self.name, target, *place, content, attachment=attachment)

        kind = "group_message" if target.startswith("group") else "chat_message"
        return self._ask(_envelope(kind, payload, target, ref), taken)

    def edit(self, message: Message) -> bool:
        """Give a message of one's own another text."""
        content = f"{message.ref} edited {next(_numbers)}"

        def taken(_ack: Envelope) -> None:
            message.content = content

        return self._about("message_edit", {"message_id": message.message_id, "content": content}, message, taken)

    def delete(self, message: Message) -> bool:
        """Delete a message of one's own."""

        def taken(_ack: Envelope) -> None:
            message.deleted = True

        return self._about("message_delete", {"message_id": message.message_id}, message, taken)

    def react(self, message: Message, emoji: str, *, on: bool) -> bool:
        """React to a message, or take a reaction back."""

        def taken(_ack: Envelope) -> None:
            if on:
                message.reactions[self.name].add(emoji)
            else:
                message.reactions[self.name].discard(emoji)

        payload = {"message_id": message.message_id, "emoji": emoji, "on": on}
        return self._about("reaction", payload, message, taken)

    def read(self, message: Message) -> bool:
        """Say that one has read up to a message."""
        target = self._seen_as(message)

        def taken(_ack: Envelope) -> None:
            before = self.ledger.read.get((self.name, target), 0)
            self.ledger.read[self.name, target] = max(before, message.seq)

        return self._about("read_receipt", {"up_to_seq": message.seq}, message, taken)

    def make_group(self, *members: str) -> str | None:
        """Make a group, by REST; None where that was refused or has no answer yet."""
        group_id = self._group_pending or f"group-{next(_numbers)}"
        self._group_pending = group_id
        body = {"name": group_id, "members": list(members), "group_id": group_id}
        status = self._post("/api/groups", json=body).status_code
        if status in (201, 409):  # it is there from a call whose answer was lost
            self.ledger.groups[group_id] = {self.name, *members}
        self._group_pending = None
        return group_id if status in (201, 409) else None

    def _upload(self, name: str, data: bytes) -> str | None:
        answer = self._post("/api/attachments", params={"name": f"{name}.txt"}, content=data)
        if answer.status_code != 201:
            return None
        found: str = answer.json()["attachment_id"]
        return found

    def _post(self, path: str, **given: Any) -> httpx.Response:
        try:
            with self.server.rest(self.token) as rest:
                answer = rest.post(path, **given)
        except httpx.TransportError as error:
            raise Gone(str(error)) from error
        if answer.status_code in (201, 409):
            self.ledger.acked += 1
        elif answer.status_code in (408, 503):  # 408: its head lay unread while the process was stopped
            self.ledger.refused += 1
        else:
            raise Broken(f"{path} was answered {answer.status_code}: {answer.text}")
        return answer

    def _about(self, kind: str, payload: Envelope, message: Message, taken: Taken) -> bool:
        ref = f"{self.name}-{next(_numbers)}"
        return self._ask(_envelope(kind, payload, self._seen_as(message), ref), taken)

    def _seen_as(self, message: Message) -> str:
        """Return the target that a message's conversation has for this person."""
        return message.author if message.target == self.name else message.target

    # --- anything ---

    def do_something(self, source: random.Random) -> None:
        """Do one thing, drawn at random."""
        mine = self.ledger.alive(self.name)[-20:]
        near = [one for one in self.ledger.alive()[-60:] if self._is_in(one)]
        groups = [group for group, members in list(self.ledger.groups.items()) if self.name in members]
        choice = source.random()
        if choice < 0.4 or not mine or not near:
            self.say(source.choice([*self.peers, *groups[-3:]]), source.choice((0, 10, 100, 2000)))
        elif choice < 0.55:
            self.edit(source.choice(mine))
        elif choice < 0.62:
            self.delete(source.choice(mine))
        elif choice < 0.75:
            self.react(source.choice(near), source.choice(("👍", "🎉")), on=source.random() < 0.7)
        elif choice < 0.85:
            self.read(source.choice(near))
        elif choice < 0.95:
            self.say(source.choice(self.peers), attachment=source.randbytes(source.choice((10, 5000, 70_000))))
        else:
            self.make_group(*self.peers)

    def _is_in(self, message: Message) -> bool:
        if message.target.startswith("group"):
            return self.name in self.ledger.groups.get(message.target, ())
        return self.name in (message.author, message.target)

    def keep_busy(self, seed: str, until: float) -> None:
        """Connect and do things until a monotonic time, or until the server goes."""
        source = random.Random(seed)
        try:
            self.connect()
            while time.monotonic() < until:
                self.do_something(source)
        except Gone:
            self.close()


def _envelope(kind: str, payload: Envelope, target: str, ref: str) -> Envelope:
    return {"type": kind, "payload": payload, "meta": {"id": ref, "target_id": target}}
