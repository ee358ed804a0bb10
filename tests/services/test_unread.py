"""Unread counts against a recount by brute force, over ten thousand random operations."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from relay.engine.sending import send_as
from relay.protocol.errors import RelayError
from relay.protocol.kinds import Role
from relay.services.permissions import NOTIFY
from relay.testing import World
from relay.testing import world as open_world

USERS = ("ann", "ben", "cat", "dan")
GROUPS = ("team", "family")
OPERATIONS = 10_000
COUNTED = ("chat_message", "group_message", "notification")


@dataclass
class Place:
    """What a test writes down of one conversation, by the simplest means."""

    said: dict[int, tuple[str, str, list[str]]] = field(default_factory=dict)  # seq → type, sender, mentioned
    ids: dict[int, int] = field(default_factory=dict)  # message id → seq
    deleted: set[int] = field(default_factory=set)
    read: dict[str, int] = field(default_factory=dict)
    sees_from: dict[str, int] = field(default_factory=dict)
    stays: dict[str, list[range]] = field(default_factory=dict)  # before the present one

    def sees(self, user: str, seq: int) -> bool:
        return seq >= self.sees_from.get(user, 1) or any(seq in stay for stay in self.stays.get(user, ()))

    def unread(self, user: str) -> tuple[int, int]:
        begin = self.read.get(user, 0) + 1
        new = [
            mentioned
            for seq, (type_, sender, mentioned) in self.said.items()
            if seq >= begin
            and self.sees(user, seq)
            and sender != user
            and seq not in self.deleted
            and type_ in COUNTED
        ]
        return len(new), sum(user in mentioned or "*" in mentioned for mentioned in new)


class Book:
    """Random operations on a server, and what must follow from them."""

    def __init__(self, server: World, seed: int) -> None:
        self.server = server
        self.random = random.Random(seed)
        self.places: dict[tuple[str, ...], Place] = {}
        self.now = 0.0

    def place(self, user: str, target: str) -> Place:
        key = (target,) if target in GROUPS else tuple(sorted((user, target)))
        return self.places.setdefault(key, Place())

    async def send(self, user: str, type_: str, target: str, **payload: Any) -> Any:
        scopes = frozenset({NOTIFY}) if type_ == "notification" else frozenset()
        return await send_as(self.server.engine, user, type_, payload, target, scopes=scopes)

    async def step(self) -> None:
        user, target = self.random.choice(USERS), self.random.choice([*GROUPS, *GROUPS, *USERS])
        place, kind = self.place(user, target), self.random.random()
        if kind < 0.5:
            type_ = "group_message" if target in GROUPS else "chat_message"
            mentioned = [self.random.choice(USERS)] if self.random.random() < 0.3 else []
            await self.note(place, user, type_, target, {"content": "x", "mentions": mentioned})
        elif kind < 0.55 and target in GROUPS:
            await self.note(place, user, "notification", target, {"title": "x"})
        elif kind < 0.65 and place.ids:
            message_id = self.random.choice(list(place.ids))
            entry = await self.send(user, "message_delete", target, message_id=message_id)
            place.deleted.add(place.ids[message_id])
            self.noted(place, user, "message_delete", entry)
        elif kind < 0.75 and place.ids:
            message_id = self.random.choice(list(place.ids))
            mentioned = [self.random.choice(USERS)]
            entry = await self.send(
                user, "message_edit", target, message_id=message_id, content="y", mentions=mentioned
            )
            type_, sender, _ = place.said[place.ids[message_id]]
            place.said[place.ids[message_id]] = (type_, sender, mentioned)
            self.noted(place, user, "message_edit", entry)
        elif kind < 0.9 and place.said:
            up_to = self.random.choice(list(place.said))
            await self.send(user, "read_receipt", target, up_to_seq=up_to, private=self.random.random() < 0.3)
            place.read[user] = max(place.read.get(user, 0), up_to)
        elif kind > 0.97:
            await self.member(self.random.choice(GROUPS), self.random.choice(USERS[1:]))

    async def note(self, place: Place, user: str, type_: str, target: str, payload: dict[str, Any]) -> None:
        entry = await self.send(user, type_, target, **payload)
        self.noted(place, user, type_, entry, payload.get("mentions", []))
        if type_ != "notification":
            place.ids[entry.message_id] = entry.seq

    def noted(self, place: Place, user: str, type_: str, entry: Any, mentioned: list[str] | None = None) -> None:
        place.said[entry.seq] = (type_, user, mentioned or [])
        members = self.server.engine.channels.find_nowait(user, entry.target_id)
        if members is None or user in members.members:
            place.read[user] = max(place.read.get(user, 0), entry.seq)

    async def member(self, group: str, user: str) -> None:
        place, groups = self.places.setdefault((group,), Place()), self.server.engine.groups
        conversation = await self.server.engine.channels.group(group)
        assert conversation is not None
        seq = max(place.said, default=1) + 1
        if user in conversation.members:
            await groups.remove_member("ann", group, user)
            place.stays.setdefault(user, []).append(range(place.sees_from.get(user, 1), seq + 1))
        else:
            await groups.put_member("ann", group, user, Role.MEMBER)
            place.sees_from[user] = 1 if conversation.history == "start" else seq
        place.said[seq] = ("group_event", "ann", [])
        place.read["ann"] = max(place.read.get("ann", 0), seq)

    async def compare(self) -> int:
        compared = 0
        for user in USERS:
            rows = (await self.server.engine.history.conversations(user))["conversations"]
            for row in rows:
                place = self.place(user, row["target_id"])
                assert (row["unread"], row["unread_mentions"]) == place.unread(user), (user, row["target_id"])
                compared += 1
        return compared


async def test_after_ten_thousand_operations_every_count_is_what_a_recount_says(tmp_path: Path) -> None:
    limits = {"RELAY_LIMITS__MESSAGES_PER_SECOND": "0", "RELAY_LIMITS__CONTENT_CHARACTERS": "100"}
    async with open_world(tmp_path, *USERS, **limits) as world:
        for group, history in zip(GROUPS, ("join", "start"), strict=True):
            await world.engine.groups.create("ann", group, ["ben", "cat"], group, history)
        book = Book(world, 11)
        for group in GROUPS:
            book.places[(group,)] = Place(said={1: ("group_event", "ann", [])}, read={"ann": 1})
        refused = 0
        for number in range(OPERATIONS):
            try:
                await book.step()
            except RelayError:
                refused += 1
            if number % 1000 == 0:
                await book.compare()
        assert await book.compare() > 8
        assert refused < OPERATIONS / 2
