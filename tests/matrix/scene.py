"""The scene of the matrix: everybody who calls, and a group with all that can be in one."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path
from typing import Any, Final

from relay.protocol.kinds import ServerRole
from relay.storage import accounts, devices
from tests.actors import OPERATOR
from tests.transports.rest.world import Answer, World, open_world

SECRET: Final = "wintergreen"
"""A word that only those in the group may read; only `member` says it."""

PLUGINS: Final = ["webhooks", "bots", "retention", "notifications", "polls", "tasks", "remind", "mcp", "oidc"]
NAMES: Final = {
    "owner": "olga", "admin": "adam", "member": "mia", "guest": "gus", "bot": "robo",
    "ex": "gone", "stranger": "stan", "far guest": "gil", "far bot": "rover", "notifier": "stan", "scraper": "stan",
    "scoped": "stan", "moderator": "mod", "server admin": "chief", "server owner": "root",
    "revoked": "mia", "removed device": "mia", "expired": "mia", "disabled": "dis", "banned": "ban",
}  # fmt: skip
"""The users of the callers; the others have none."""

ROLES: Final = {
    "gus": ServerRole.GUEST, "gil": ServerRole.GUEST, "mod": ServerRole.MODERATOR, "chief": ServerRole.ADMIN,
    "root": ServerRole.OWNER,
}  # fmt: skip
SCOPES: Final = {
    "notifier": ("notify",),
    "scraper": ("metrics",),
    "scoped": ("admin", "owner", "all", "moderator"),
}
BY_ITSELF: Final = ("facts", "figures")
"""Tables that a server writes every minute."""

TOPIC: Final = "https://127.0.0.1:9/mia"
"""A topic where nobody listens."""

OPTIONS: Final = {
    "message_stream": {"silence_seconds": 3600},
    "notifications": {"allow_networks": ["127.0.0.1/32"]},
    "oidc": {
        "providers": {"there": {"issuer": "http://127.0.0.1:9", "client_id": "relay"}},
        "allow_networks": ["127.0.0.1/32"],
    },
}

OTHERS: Final = ("vic", "new", "quiet", "farouk")
"""`farouk` shares nothing with any guest; no guest may learn of him."""


class Scene:
    """A server with everybody, and things to call it about."""

    def __init__(self, world: World) -> None:
        self.world = world
        self._numbers = count(1)
        self._streaming = ""

    async def fill(self) -> None:
        """Make the people, a token for each caller, and a public group."""
        world = self.world
        await world.add("root", role=ServerRole.OWNER)
        for name in sorted({*NAMES.values(), *OTHERS} - {"root", "robo", "rover"}):
            await world.add(name, role=ROLES.get(name, ServerRole.MEMBER))
        for bot in ("robo", "rover"):
            made = (await world.post("root", "/api/admin/bots", {"user_id": bot, "owner": "farouk"})).ok(201)
            world.tokens[bot] = made["token"]
        for who, user in NAMES.items():
            world.tokens[who] = world.tokens[user]
        for who, scopes in SCOPES.items():
            world.tokens[who] = await self._token("stan", scopes=scopes)
        world.tokens["unknown"] = "rly_" + "x" * 43
        world.tokens["revoked"] = await self._token("mia", label="to revoke")
        (await world.call("mia", "DELETE", f"/api/tokens/{await self._token_id('to revoke')}")).done()
        world.tokens["removed device"] = await self._token("mia", origin="login", client_id="lost")
        await self._attach("lost")
        (await world.call("mia", "DELETE", "/api/devices/lost")).done()
        world.tokens["expired"] = await self._token("mia", expires_at=world.engine.now() - 1)
        await world.group("farouk", "new", group_id="plaza", public=True)
        await self.group("ended", "dis", "ban")
        await world.engine.administration.set_disabled(OPERATOR, "dis", True)
        await world.engine.moderation.restrict(OPERATOR, "ban", "ban", reason="spam")

    async def _token(self, user: str, *, origin: str = "cli", **given: Any) -> str:
        now = self.world.engine.now()

        def make(connection: sqlite3.Connection) -> str:
            return accounts.create_token(connection, user, now, origin=origin, **given)

        return await self.world.engine.runner.write(make)

    async def renew(self, who: str) -> None:
        """Give a caller a token of their own, which nobody else needs."""
        self.world.tokens[who] = await self._token(NAMES[who])

    async def _token_id(self, label: str) -> str:
        sql = "SELECT token_id FROM tokens WHERE label = ?"
        [[found]] = await self.world.engine.runner.read(
            lambda connection: connection.execute(sql, (label,)).fetchall()
        )
        return str(found)

    async def _attach(self, client_id: str) -> None:
        now = self.world.engine.now()
        await self.world.engine.runner.write(
            lambda connection: devices.attach_device(connection, "mia", client_id, "", now)
        )

    async def group(self, group_id: str, *more: str) -> None:
        """Make a group with everybody who belongs into one, and one who was removed."""
        world = self.world
        await world.group("olga", "adam", "mia", "gus", "robo", "gone", "vic", "quiet", *more, group_id=group_id)
        await world.call("olga", "PUT", f"/api/groups/{group_id}/members/adam", {"role": "admin"})
        (await world.call("olga", "DELETE", f"/api/groups/{group_id}/members/gone")).done()

    async def things(self) -> dict[str, str]:
        """Make a group anew, with all that can be in one, and things of `member`; return their ids by name."""
        world, number = self.world, next(self._numbers)
        group_id = f"group{number}"
        await self.group(group_id)

        async def said(type_: str, by: str = "mia", **payload: Any) -> str:
            meta = {"target_id": group_id, "id": f"m{next(self._numbers)}"}
            body = {"type": type_, "payload": payload, "meta": meta}
            return str((await world.post(by, "/api/messages", body)).ok(201).get("message_id"))

        async def uploaded() -> str:
            sent = await world.post(
                "mia", "/api/attachments", SECRET.encode(), headers={"Content-Type": "text/plain"}, name="a.txt"
            )
            return str(sent.ok(201)["attachment_id"])

        file = await uploaded()
        root = await said("group_message", content=SECRET, attachments=[file])
        await said("group_message", content=f"{SECRET} too", thread=int(root))
        await said("pin", "olga", message_id=int(root), on=True)
        await said("task", title=SECRET)
        await self._stream(group_id)
        push = (await world.post("mia", "/api/push/targets", {"kind": "ntfy", "url": TOPIC})).body
        quiet = f"/api/groups/{group_id}/restrictions/timeout/quiet"
        (await world.call("olga", "PUT", quiet, {"seconds": 86_400})).ok()
        device = f"phone{number}"
        await self._attach(device)
        await self._token("mia", label=device)
        return {
            "group_id": group_id,
            "target_id": group_id,
            "message_id": root,
            "attachment_id": file,
            "unsent": await uploaded(),
            "poll": await said("poll", question=SECRET, options=["a", "b"]),
            "reminder": await self._reminder(group_id),
            "push": push["target_id"],
            "client_id": device,
            "token_id": await self._token_id(device),
            "user_id": "vic",
            "kind": "timeout",
            "secret": SECRET,
            "far": "farouk",
            "public": "plaza",
        }

    async def _stream(self, group_id: str) -> None:
        """Begin a stream, and end the one in the group before: a user has some at once, and no more."""
        for target, payload in (
            (self._streaming, {"offset": 1, "cancelled": True}),
            (group_id, {"offset": 0, "text": SECRET}),
        ):
            meta = {"target_id": target}
            if target:
                body = {"type": "message_stream", "payload": {"stream_id": target, **payload}, "meta": meta}
                await self.world.post("mia", "/api/messages", body)
        self._streaming = group_id

    async def _reminder(self, group_id: str) -> str:
        found = (await self.world.get("mia", "/api/reminders")).ok()["reminders"]
        if found:
            return str(found[0]["message_id"])
        command = {"command": "remind", "text": f"in 10d {SECRET}"}
        body = {"type": "slash_command", "payload": command, "meta": {"target_id": group_id}}
        (await self.world.post("mia", "/api/messages", body)).ok(201)
        found = (await self.world.get("mia", "/api/reminders")).ok()["reminders"]
        return str(found[0]["message_id"])

    async def state(self) -> dict[str, Any]:
        """Return all that is stored, but for what every call notes of its caller."""

        def read(connection: sqlite3.Connection) -> dict[str, Any]:
            tables = connection.execute(
                "SELECT name FROM sqlite_master WHERE type = 'table' AND sql NOT LIKE '%VIRTUAL%'"
            )
            found = {
                name: connection.execute(f'SELECT * FROM "{name}"').fetchall() for (name,) in tables.fetchall()
            }
            for name in BY_ITSELF:
                del found[name]
            found["tokens"] = connection.execute("SELECT token_id, user_id FROM tokens").fetchall()
            return found

        found: dict[str, Any] = await self.world.engine.runner.read(read)
        return found

    async def call(self, who: str, method: str, path: str, body: Any, query: dict[str, str]) -> Answer:
        """Call as somebody."""
        caller = None if who == "anonymous" else self.world.tokens[who]
        headers = {"Accept": "application/json, text/event-stream"}
        headers |= {"Content-Type": "text/plain"} if isinstance(body, str) else {}
        given = {} if body is None else {"body": body.encode() if isinstance(body, str) else body}
        return await self.world.call(caller, method, path, **given, headers=headers, **query)


NOTHING: Final = {
    "group_id": "nogroup", "target_id": "nogroup", "message_id": "999999", "attachment_id": "a_" + "x" * 22, "unsent": "a_" + "x" * 22,
    "poll": "999999", "reminder": "999999", "push": "none", "client_id": "none", "token_id": "none", "user_id": "nobody",
    "kind": "timeout", "secret": SECRET, "far": "nobody", "public": "nogroup",
}  # fmt: skip
"""Names under which there is nothing."""


def filled(value: Any, things: dict[str, str]) -> Any:
    """Return a value with the names of things for each `{name}` in its texts."""
    if isinstance(value, str):
        return re.sub(r"{(\w+)}", lambda found: things[found[1]], value)
    return {name: filled(one, things) for name, one in value.items()} if isinstance(value, dict) else value


def nameless(text: str, things: dict[str, str]) -> str:
    """Return what a refusal says, without the names of things."""
    names = "|".join(map(re.escape, sorted(set(things.values()), key=len, reverse=True)))
    return re.sub(rf"'?\b({names})\b'?", "?", text)


@asynccontextmanager
async def scene(folder: Path) -> AsyncIterator[Scene]:
    """Open a server with the scene."""
    limits = {"uploads_per_minute": 0, "logins_per_minute": 0, "groups_per_user": 0}
    server = {"public_url": "https://chat.example.org"}
    plugins = {"also": PLUGINS, "options": OPTIONS}
    async with open_world(folder, server=server, plugins=plugins, limits=limits) as world:
        assert world.engine.registry.broken == []
        made = Scene(world)
        await made.fill()
        yield made
