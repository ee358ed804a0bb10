"""What each step does, with the numbers that it has."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import trio

from relay.app.plugin_admin import run_command
from relay.engine.importing import import_messages
from relay.protocol.errors import RelayError
from relay.protocol.kinds import Role
from relay.services.audit import Actor
from relay.services.permissions import NOTIFY
from relay.storage.errors import StorageError
from tests.mirrors import Phone
from tests.simulation.application import Application
from tests.simulation.server import GROUPS, USERS, Life
from tests.simulation.steps import Step

if TYPE_CHECKING:
    from tests.simulation.run import Run

PLACES = (*GROUPS, *GROUPS, *USERS)
_FAILURES = (
    "before-raise", "before-slow", "before-hang", "before-junk", "stored-raise", "stored-sql", "stored-ends",
    "committed-raise", "committed-hang",
)  # fmt: skip


class Moves:
    """The steps by their verbs; each returns what it did, in words."""

    def __init__(self, run: Run) -> None:
        self._run = run

    async def make(self, step: Step) -> str:
        """Do a step."""
        return str(await getattr(self, step.verb if step.verb != "import" else "import_")(step))

    def _later(self, what: str, call: Callable[[Life], Awaitable[Any]]) -> str:
        """Have the server do something, beside what comes next; it may refuse, fail or die meanwhile."""
        life = self._run.server.life
        if life is None:
            return f"{what}, and no server runs"

        async def run() -> None:
            with suppress(RelayError, StorageError):  # as a person may ask for what cannot be
                await call(life)

        life.nursery.start_soon(run)
        return what

    def _phone(self, step: Step) -> Any:
        return self._run.phones[step.a % len(self._run.phones)]

    def _message(self, phone: Phone, number: int, *, mine: bool) -> tuple[str, Any] | None:
        """Return a message that the device knows of, and where it stands."""
        found = [
            (key, message)
            for key, conversation in phone.mirror.conversations.items()
            for message in conversation.messages.values()
            if message.type in ("chat_message", "group_message") and (not mine or message.sender_id == phone.user)
        ]
        return found[-1 - number % min(30, len(found))] if found else None

    # What people do.

    async def _say(self, step: Step, text: str, **more: Any) -> str:
        phone, place = self._phone(step), PLACES[step.b % len(PLACES)]
        await phone.say("group_message" if place in GROUPS else "chat_message", place, content=text, **more)
        return f"{phone.client_id} says {text!r} to {place}"

    async def say(self, step: Step) -> str:
        phone, more = self._phone(step), {}
        if step.c % 5 == 0 and (found := self._message(phone, step.c // 5, mine=False)):
            more["reply_to"] = found[1].message_id
        if step.c % 7 == 0:
            more["mentions"] = [USERS[step.c // 7 % len(USERS)]]
        told = ""
        for _ in range((1, 1, 1, 2, 14)[step.c % 5]):
            told = await self._say(step, self._run.word(), **more)
        return told

    async def provoke(self, step: Step) -> str:
        return await self._say(step, f"!plugin-{_FAILURES[step.c % len(_FAILURES)]} {self._run.word()}")

    async def say_again(self, step: Step) -> str:
        await self._phone(step).say_again(step.b)
        return f"{self._phone(step).client_id} sends again what was acked"

    async def edit(self, step: Step) -> str:
        phone = self._phone(step)
        if (found := self._message(phone, step.b, mine=step.c % 10 > 0)) is None:
            return "nothing to edit"
        for _ in range(1 + step.c % 2):
            await phone.say("message_edit", found[0], message_id=found[1].message_id, content=self._run.word())
        return f"{phone.client_id} edits message {found[1].message_id}"

    async def delete(self, step: Step) -> str:
        phone = self._phone(step)
        if (found := self._message(phone, step.b, mine=step.c % 5 > 0)) is None:
            return "nothing to delete"
        await phone.say("message_delete", found[0], message_id=found[1].message_id)
        return f"{phone.client_id} deletes message {found[1].message_id}"

    async def react(self, step: Step) -> str:
        phone = self._phone(step)
        if (found := self._message(phone, step.b, mine=False)) is None:
            return "nothing to react to"
        emoji, on = "👍🎂"[step.c % 2], step.c % 3 > 0
        await phone.say("reaction", found[0], message_id=found[1].message_id, emoji=emoji, on=on)
        return f"{phone.client_id} reacts to message {found[1].message_id}: {on}"

    async def read(self, step: Step) -> str:
        phone = self._phone(step)
        keys = [
            key for key, one in phone.mirror.conversations.items() if key not in ("self", "*") and one.messages
        ]
        if not keys:
            return "nothing to read"
        key = keys[step.b % len(keys)]
        seqs = list(phone.mirror.conversation(key).messages)
        up_to, private = seqs[-1 - step.c % min(10, len(seqs))], step.c % 4 == 0
        await phone.say("read_receipt", key, up_to_seq=up_to, **({"private": True} if private else {}))
        return f"{phone.client_id} has read {key} up to {up_to}"

    async def ack(self, step: Step) -> str:
        phone = self._phone(step)
        if isinstance(phone, Application) or not phone.connected or phone.cursor is None:
            return "nothing to acknowledge"
        cursor = max(0, phone.cursor - step.b % 5)
        await phone.tell("ack", cursor=cursor)
        return f"{phone.client_id} acknowledges up to {cursor}"

    async def type(self, step: Step) -> str:
        phone = self._phone(step)
        if phone.connected:
            await phone.say("typing_indicator", PLACES[step.b % len(PLACES)], typing=True)
        return f"{phone.client_id} types"

    async def status(self, step: Step) -> str:
        status = ("online", "busy", "offline")[step.b % 3]
        await self._phone(step).say("status_update", None, status=status)
        return f"{self._phone(step).client_id} is {status}"

    async def attach(self, step: Step) -> str:
        phone, word = self._phone(step), self._run.word(file=True)

        async def data() -> AsyncGenerator[bytes, None]:
            yield word.encode() * 40

        async def upload(life: Life) -> None:
            file = await life.engine.attachments.receive(phone.user, f"{word}.txt", data())
            self._run.nursery.start_soon(send, file.attachment_id)

        async def send(file: str) -> None:
            await self._say(step, "", attachments=[file])

        return self._later(f"{phone.client_id} sends the file {word}", upload)

    # What devices and their networks do.

    async def come(self, step: Step) -> str:
        self._run.nursery.start_soon(self._phone(step).come)
        return f"{self._phone(step).client_id} comes"

    def _wire(self, step: Step) -> Any:
        return self._run.network.wires.get(self._phone(step).client_id)

    async def cut(self, step: Step) -> str:
        if (wire := self._wire(step)) is not None:
            wire.cut()
        return f"{self._phone(step).client_id} is cut off"

    async def silence(self, step: Step) -> str:
        if (wire := self._wire(step)) is not None:
            wire.fall_silent()
        return f"the network of {self._phone(step).client_id} swallows everything"

    async def double(self, step: Step) -> str:
        phone = self._phone(step)
        if not isinstance(phone, Application):
            self._run.nursery.start_soon(phone.double)
        return f"{phone.client_id} connects once more"

    async def kill(self, step: Step) -> str:
        await self._phone(step).go()
        return f"{self._phone(step).client_id} dies"

    async def leave(self, step: Step) -> str:
        await self._phone(step).go(goodbye=True)
        return f"{self._phone(step).client_id} says goodbye"

    async def background(self, step: Step) -> str:
        phone = self._phone(step)
        event = "inactive" if step.b % 2 else "active"
        if not isinstance(phone, Application):
            await phone.tell(event)
        return f"{phone.client_id} is {event}"

    async def slow(self, step: Step) -> str:
        self._run.network.slowness = (1.0, 5.0, 60.0)[step.b % 3]
        return f"the network is {self._run.network.slowness:g} times as slow from now on"

    # What groups and operators do.

    async def member(self, step: Step) -> str:
        # Mostly the same one: only who comes back after others have spoken has a hole in what they may see.
        group, user = ("team", "team", "team", "family")[step.a % 4], ("ben", "ben", "cat", "dan")[step.b % 4]
        role, by = (Role.MEMBER, Role.ADMIN)[step.c % 2], "ann" if step.c % 3 else user

        async def change(life: Life) -> None:
            found = await life.engine.groups.get("ann", group)
            if user in found.members and step.c % 4:
                await life.engine.groups.remove_member(by, group, user)
            else:
                await life.engine.groups.put_member("ann", group, user, role)

        return self._later(f"{user} leaves {group}, or comes back", change)

    async def rename(self, step: Step) -> str:
        group = list(GROUPS)[step.a % 2]
        return self._later(
            f"{group} is renamed", lambda life: life.engine.groups.rename("ann", group, f"Name {step.b}")
        )

    async def regroup(self, step: Step) -> str:
        name, phone = f"g{step.a}", self._phone(step)

        async def make(life: Life) -> None:
            groups = life.engine.groups
            await groups.create("ann", name, list(USERS[1 : 2 + step.b % 3]), name)
            await phone.say("group_message", name, content=self._run.word())
            await trio.sleep(step.c / 1000)
            if step.c % 2:
                await groups.delete("ann", name)

        return self._later(f"a group {name} is made, and may go again", make)

    async def notify(self, step: Step) -> str:
        target = ("*", *USERS, *GROUPS)[step.a % (1 + len(USERS) + len(GROUPS))]
        payload: dict[str, Any] = {"title": self._run.word()}
        if step.b % 2:
            payload["collapse_key"] = "ab"[step.b // 2 % 2]
        if step.c % 3 == 0:
            payload["expires_at"] = self._run.clock() + (2, 30, 86_400)[step.c // 3 % 3]
        scopes = frozenset({NOTIFY})
        return self._later(
            f"{target} is notified of {payload}",
            lambda life: life.engine.submitter.send_as("root", "notification", payload, target, scopes=scopes),
        )

    async def import_(self, step: Step) -> str:
        lines = []
        for number in range(1 + step.b % 4):
            sender, target = USERS[(step.a + number) % 4], USERS[(step.a + 1 + step.c) % 4]
            meta = {
                "id": f"import-{step.a}-{number}",
                "sender_id": sender,
                "target_id": target,
                "timestamp": 1000.0,
            }
            lines.append(
                json.dumps({"type": "chat_message", "payload": {"content": self._run.word()}, "meta": meta})
            )
        actor = Actor.operator(0)
        return self._later(
            f"{len(lines)} messages are imported",
            lambda life: import_messages(life.engine, actor, tuple(lines), False, True),
        )

    async def sweep(self, step: Step) -> str:
        self._run.swept = True

        return self._later(
            "retention erases what is due", lambda life: run_command(life.engine, "retention run", {})
        )

    # What happens to the server.

    async def crash(self, step: Step) -> str:
        if step.a % 5 == 0:
            self._run.disk.crash_now()
            return "the server dies"
        manner = ("before", "torn", "after", "after")[step.b % 4]
        self._run.disk.crash_at(1 + step.a % 4, manner, step.c / 999)  # type: ignore[arg-type]
        return f"the server dies at a commit: {manner}"

    async def restart(self, step: Step) -> str:
        self._run.server.stop()
        return "the server is restarted"

    async def fail(self, step: Step) -> str:
        self._run.disk.fail(1 + step.a % 40, full=step.b % 2 > 0, undoes=step.c % 2 > 0)
        return f"the disk fails, {1 + step.a % 40} statements from now"

    async def drag(self, step: Step) -> str:
        self._run.disk.slowness = (1.0, 10.0, 100.0)[step.a % 3]
        return f"the disk is {self._run.disk.slowness:g} times as slow from now on"

    async def clock(self, step: Step) -> str:
        seconds = (-86_400.0, -3600.0, -5.0, 5.0, 3600.0, 86_400.0)[step.a % 6]
        self._run.clock.move(seconds)
        return f"the clock is moved by {seconds:g} s"

    async def backup(self, step: Step) -> str:
        self._run.back_up()
        return "a backup is made"

    async def restore(self, step: Step) -> str:
        return "the backup is restored" if self._run.server.restore() else "there is no backup to restore"
