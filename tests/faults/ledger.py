"""What was acknowledged, and what the server must therefore say: the ledger of a run with faults."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

import httpx

from tests.e2e.server import NO_TLS, Server
from tests.e2e.wire import Envelope
from tests.e2e.world import history

_MESSAGES: Final = ("chat_message", "group_message")


class Broken(Exception):
    """A promise of the server was broken."""


@dataclass
class Message:
    """A message that was acknowledged, as everybody must see it.

    Attributes:
        reactions: by who reacted: the emojis that stand.
        attachment: the bytes of its file.
    """

    ref: str
    author: str
    target: str
    message_id: int
    seq: int
    content: str
    deleted: bool = False
    reactions: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    attachment: bytes | None = None


class Ledger:
    """All that was acknowledged on one server.

    Attributes:
        messages: by the id that their senders gave them.
        read: by reader and target: how far was said to be read.
        groups: by id: those that were made, with their members.
        acked: operations that were acknowledged.
        refused: operations that were refused.
        resent: operations that were sent again, as their answers were lost.
    """

    def __init__(self) -> None:
        self.messages: dict[str, Message] = {}
        self.read: dict[tuple[str, str], int] = {}
        self.groups: dict[str, set[str]] = {}
        self.acked = self.refused = self.resent = 0

    def alive(self, author: str | None = None, target: str | None = None) -> list[Message]:
        """Return messages that are not deleted, in the order of their acks."""
        return [
            one
            for one in list(self.messages.values())
            if not one.deleted and author in (None, one.author) and target in (None, one.target)
        ]

    def check(self, server: Server, tokens: dict[str, str]) -> int:
        """Compare with what a fresh load by REST says; return the number of messages compared.

        Raises:
            Broken: something is lost, doubled, out of order, stale, or there though it was refused.
        """
        pairs: dict[tuple[str, str], list[Message]] = defaultdict(list)
        for message in self.messages.values():
            pairs[_conversation(message)].append(message)
        for group_id, members in self.groups.items():
            pairs.setdefault(("group", group_id), [])
            with _rest(server, tokens[min(members)]) as rest:
                found = {one["user_id"] for one in rest.get(f"/api/groups/{group_id}").json()["members"]}
            _must(found == members, f"{group_id} has the members {sorted(found)}, and not {sorted(members)}")
        for (kind, name), messages in pairs.items():
            self._check_conversation(server, tokens, kind, name, messages)
        self._check_read(server, tokens)
        return len(self.messages)

    def _check_conversation(
        self, server: Server, tokens: dict[str, str], kind: str, name: str, messages: list[Message]
    ) -> None:
        """Compare one conversation, as one of those in it sees it."""
        reader, _, peer = name.partition(" ")
        reader, path = (min(self.groups[name]), name) if kind == "group" else (reader, peer)
        with _rest(server, tokens[reader]) as rest:
            rows = history(rest, f"/api/messages/{kind}/{path}")
            seqs = [row["meta"]["seq"] for row in rows]
            _must(seqs == list(range(1, len(rows) + 1)), f"{name} is not counted from 1 without holes: {seqs}")
            stored = [row for row in rows if row["type"] in _MESSAGES]
            wanted = {one.ref: one for one in messages}
            refs = [row["meta"]["id"] for row in stored]
            lost, extra = set(wanted) - set(refs), set(refs) - set(wanted)
            _must(not lost, f"{name}: acknowledged and lost: {sorted(lost)}")
            _must(not extra, f"{name}: stored, though refused or never sent: {sorted(extra)}")
            _must(len(refs) == len(set(refs)), f"{name}: a message is there twice: {refs}")
            for row in stored:
                self._check_message(row, wanted[row["meta"]["id"]])
            reactions = _reactions(rest, f"/api/messages/{kind}/{path}", len(rows))
            for one in messages:
                stands = {user: emojis for user, emojis in one.reactions.items() if emojis and not one.deleted}
                found = reactions.get(one.message_id, {})
                _must(found == stands, f"{one.ref} has the reactions {found}, and not {stands}")
            for one in messages:
                if one.attachment is not None and not one.deleted:
                    [row] = [row for row in stored if row["meta"]["id"] == one.ref]
                    got = rest.get(f"/api/attachments/{row['payload']['attachments'][0]}")
                    _must(got.content == one.attachment, f"{one.ref}: its file is not what was uploaded")

    def _check_message(self, row: Envelope, wanted: Message) -> None:
        meta = row["meta"]
        place = (meta["message_id"], meta["seq"])
        _must(place == (wanted.message_id, wanted.seq), f"{wanted.ref} is at {place}, and was acked elsewhere")
        _must(("deleted_at" in meta) is wanted.deleted, f"{wanted.ref}: deleted is {not wanted.deleted}")
        if not wanted.deleted:
            content = row["payload"]["content"]
            _must(content == wanted.content, f"{wanted.ref} says {content!r}, and not {wanted.content!r}")

    def _check_read(self, server: Server, tokens: dict[str, str]) -> None:
        """Check that nobody's pointer is behind what was acknowledged to them."""
        for user in {user for user, _ in self.read}:
            with _rest(server, tokens[user]) as rest:
                stands = {row["target_id"]: row["read_seq"] for row in _conversations(rest)}
            for (reader, target), said in self.read.items():
                if reader == user:
                    up_to = stands.get(target, 0)
                    _must(up_to >= said, f"{user} read {target} up to {said}, and the server says {up_to}")


def _conversations(rest: httpx.Client) -> Iterator[Envelope]:
    """Yield all conversations of a user, of whom a long run makes more than a page has."""
    where: dict[str, int] = {"limit": 200}
    while True:
        page = rest.get("/api/conversations", params=where).json()
        yield from page["conversations"]
        if not page["has_more"]:
            return
        where["cursor"] = page["next_cursor"]


def _rest(server: Server, token: str) -> httpx.Client:
    """Open a client whose answers are not held to the server's own description: of so many that takes minutes."""
    headers = {"Authorization": f"Bearer {token}"}
    return httpx.Client(base_url=server.url, headers=headers, timeout=30, trust_env=False, verify=NO_TLS)


def _reactions(rest: httpx.Client, path: str, count: int) -> dict[int, dict[str, set[str]]]:
    """Return the reactions of a conversation that stand, by message and by who reacted."""
    found: dict[int, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    for after in range(0, count, 100):
        page = rest.get(path, params={"after": after, "limit": 100}).json()
        for value in page["latest"]:
            if value["type"] == "reaction" and value["payload"]["on"]:
                found[value["payload"]["message_id"]][value["meta"]["sender_id"]].add(value["payload"]["emoji"])
    return {message_id: dict(users) for message_id, users in found.items()}


def _conversation(message: Message) -> tuple[str, str]:
    if message.target.startswith("group"):
        return "group", message.target
    return "user", " ".join(sorted((message.author, message.target)))


def _must(holds: bool, otherwise: str) -> None:
    if not holds:
        raise Broken(otherwise)
