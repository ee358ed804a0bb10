"""A week in the life of five people on nine devices: sleep, roaming, crashes, restarts, edits, removals.

At its end every device shows what a fresh load shows. `WEEK_SEEDS=20` runs more of them; a failure names its seed.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing

from relay.engine.sending import send_as
from relay.protocol.errors import RelayError
from relay.protocol.kinds import Role
from relay.services.permissions import NOTIFY
from relay.testing import World
from relay.testing import world as open_world
from tests.mirrors import Phone, load, plain, shown

DAY = 86_400.0
USERS = ("ann", "ben", "cat", "dan", "eve")
GROUPS = ("team", "family")
STEPS = 420
SETTINGS = {
    "RELAY_REPLAY__LIMIT": "25",
    "RELAY_LIMITS__MESSAGES_PER_SECOND": "0",
    "RELAY_HEARTBEAT__INTERVAL_SECONDS": "1200",  # or a week is half a million beats
}
SEEDS = range(int(os.environ.get("WEEK_SEEDS", "2")))


class Week:
    """One history, made of a seed."""

    def __init__(self, seed: int, folder: Path) -> None:
        self.random = random.Random(seed)
        self.folder = folder
        self.server: World
        self.running = AsyncExitStack()
        self.tokens: dict[str, str] = {}
        counts = dict(zip(USERS, (3, 2, 2, 1, 1), strict=True))
        self.phones = [Phone(user, f"{user}-{n}") for user, count in counts.items() for n in range(count)]
        self.moves: list[tuple[int, Callable[[], Any]]] = [
            (30, self.say), (10, self.edit), (5, self.delete), (10, self.react), (12, self.read), (5, self.type),
            (3, self.choose), (5, self.notify), (6, self.member), (1, self.rename), (14, self.come),
            (10, self.vanish), (4, self.leave), (3, self.sleep), (1, self.restart), (1, self.regroup),
        ]  # fmt: skip

    async def start(self, *users: str) -> None:
        self.running = AsyncExitStack()
        self.server = await self.running.enter_async_context(open_world(self.folder, *users, **SETTINGS))
        self.tokens |= self.server.tokens
        self.server.tokens = self.tokens

    async def run(self) -> None:
        await self.start("root", *USERS)
        try:
            await self.live()
        finally:
            await self.running.aclose()

    async def live(self) -> None:
        for group in GROUPS:
            await self.server.engine.groups.create(
                "ann", group, ["ben", "cat"], group, self.random.choice(["join", "start"])
            )
        for phone in self.phones:
            await phone.come(self.server)
        weights = [weight for weight, _ in self.moves]
        for _ in range(STEPS):
            _, move = self.random.choices(self.moves, weights)[0]
            with suppress(RelayError):  # refused, as it would be for a person who asks for what cannot be
                await move()
            await trio.sleep(self.random.choice([0.0, 0.001, 1, 60, 2 * 7 * DAY / STEPS]))
        await self.finish()

    async def finish(self) -> None:
        """Have everybody come back, and compare."""
        for phone in self.phones:
            await phone.come(self.server)
        for _ in range(100):
            await trio.sleep(0.1)
            if not any(phone.pending for phone in self.phones):
                break
        for phone in self.phones:
            await phone.settle(self.server)
            assert phone.pending == {}, phone.client_id
        await trio.sleep(1)
        for phone in self.phones:
            fresh = await load(self.server, phone.user)
            now = self.server.engine.now()
            mine, theirs = shown(phone.mirror, now), shown(fresh, now)
            for key in theirs.keys() | mine.keys():
                ours, right = mine.get(key), theirs.get(key)
                assert ours == right, (phone.client_id, key, differences(ours, right))
            rows = plain(await self.server.engine.history.conversations(phone.user))["conversations"]
            for row in rows:
                assert phone.mirror.conversation(row["target_id"]).unread(phone.user, now) == row["unread"], row

    # What people do.

    def phone(self) -> Phone:
        return self.random.choice(self.phones)

    def place(self, user: str) -> tuple[str, str]:
        target = self.random.choice([*GROUPS, *GROUPS, *(other for other in USERS)])
        return ("group_message" if target in GROUPS else "chat_message"), target

    def message(self, phone: Phone, mine: bool) -> tuple[str, Any] | None:
        """Pick a message that the device knows of, and where it stands."""
        found = [
            (key, message)
            for key, conversation in phone.mirror.conversations.items()
            for message in conversation.messages.values()
            if message.type in ("chat_message", "group_message") and (not mine or message.sender_id == phone.user)
        ]
        return self.random.choice(found[-40:]) if found else None

    async def say(self) -> None:
        phone = self.phone()
        for _ in range(self.random.choice([1, 1, 2, 12])):
            type_, target = self.place(phone.user)
            more: dict[str, Any] = {}
            if self.random.random() < 0.2 and (found := self.message(phone, mine=False)):
                more["reply_to"] = found[1].message_id
            if self.random.random() < 0.1:
                more["mentions"] = [self.random.choice(USERS)]
            await phone.say(type_, target, content=f"words {self.random.random()}", **more)

    async def edit(self) -> None:
        phone = self.phone()
        if found := self.message(phone, mine=True):
            for _ in range(self.random.choice([1, 2])):
                content = f"better words {self.random.random()}"
                await phone.say("message_edit", found[0], message_id=found[1].message_id, content=content)

    async def delete(self) -> None:
        phone = self.phone()
        if found := self.message(phone, mine=self.random.random() < 0.8):
            await phone.say("message_delete", found[0], message_id=found[1].message_id)

    async def react(self) -> None:
        phone = self.phone()
        if found := self.message(phone, mine=False):
            emoji, on = self.random.choice("👍🎂😀"), self.random.random() < 0.7
            await phone.say("reaction", found[0], message_id=found[1].message_id, emoji=emoji, on=on)

    async def read(self) -> None:
        phone = self.phone()
        key = self.random.choice(list(phone.mirror.conversations) or ["*"])
        conversation = phone.mirror.conversation(key)
        if key not in ("self", "*") and conversation.messages:
            up_to = self.random.choice(list(conversation.messages))
            more = {"private": True} if self.random.random() < 0.2 else {}
            await phone.say("read_receipt", key, up_to_seq=up_to, **more)

    async def type(self) -> None:
        phone = self.phone()
        if phone.connected:
            await phone.say("typing_indicator", self.place(phone.user)[1], typing=True)

    async def choose(self) -> None:
        await self.phone().say("status_update", None, status=self.random.choice(["online", "busy", "offline"]))

    async def notify(self) -> None:
        payload: dict[str, Any] = {"title": f"news {self.random.random()}"}
        if self.random.random() < 0.5:
            payload["collapse_key"] = self.random.choice(["a", "b"])
        if self.random.random() < 0.3:
            payload["expires_at"] = self.server.engine.now() + self.random.choice([10, DAY])
        target = self.random.choice([*USERS, *GROUPS, "*"])
        await send_as(self.server.engine, "root", "notification", payload, target, scopes=frozenset({NOTIFY}))

    async def member(self) -> None:
        groups, group, user = self.server.engine.groups, self.random.choice(GROUPS), self.random.choice(USERS[1:])
        if self.random.random() < 0.5:
            await groups.put_member("ann", group, user, self.random.choice([Role.MEMBER, Role.ADMIN]))
        else:
            await groups.remove_member(self.random.choice(["ann", user]), group, user)

    async def rename(self) -> None:
        await self.server.engine.groups.rename("ann", self.random.choice(GROUPS), f"Name {self.random.random()}")

    async def regroup(self) -> None:
        """Make a group that is deleted again."""
        groups, name = self.server.engine.groups, f"g{self.random.randrange(10**6)}"
        await groups.create("ann", name, list(USERS[1:3]), name)
        await self.phones[0].say("group_message", name, content="hello, and goodbye")
        await trio.sleep(0.01)
        await groups.delete("ann", name)

    async def come(self) -> None:
        await self.phone().come(self.server)

    async def vanish(self) -> None:
        await self.phone().go()

    async def leave(self) -> None:
        await self.phone().go(goodbye=True)

    async def sleep(self) -> None:
        phone = self.phone()
        if phone.device is not None:
            await phone.device.event(self.random.choice(["inactive", "active"]))

    async def restart(self) -> None:
        for phone in self.phones:
            await phone.go()
        await self.running.aclose()
        await trio.sleep(self.random.choice([1, 600]))
        await self.start()


def differences(ours: Any, right: Any) -> list[Any]:
    """Return what a device shows and what it should, where the two differ."""
    if ours is None or right is None:
        return [ours, right]
    numbers = ours["messages"].keys() | right["messages"].keys()
    pairs = [(ours["messages"].get(number), right["messages"].get(number)) for number in sorted(numbers)]
    pairs += [(ours[name], right[name]) for name in ("receipts", "reactions", "unread")]
    return [str(pair) for pair in pairs if pair[0] != pair[1]][:3]


@pytest.mark.parametrize("seed", SEEDS)
def test_after_a_week_every_device_shows_what_a_fresh_load_shows(tmp_path: Path, seed: int) -> None:
    print(f"seed {seed}")
    trio.run(Week(seed, tmp_path).run, clock=trio.testing.MockClock(autojump_threshold=0))
