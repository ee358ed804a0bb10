"""A server that has been used for a year: accounts, groups, messages, reports, an audit log and much besides."""

import random
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

import httpx
import msgspec

from benchmarks.frames import MismatchError
from benchmarks.server import Server
from relay.storage.aggregates import KEPT, Buckets, Row, Value, slot

ADMIN, TALKERS = "admin", ("talker", "listener")
MONTH = 30 * 86_400
TEXT = "the lunch is at noon bring your notes and the plan for next week we meet in the hall by the river"
WORDS = TEXT.split(" ")
PAIRS, MEMBERS, LARGE = 200, 20, 1_000


@dataclass(frozen=True)
class Amounts:
    """How much of everything there is."""

    users: int = 10_000
    connections: int = 5_000
    groups: int = 300
    messages: int = 100_000
    reports: int = 1_000
    entries: int = 3_000
    invites: int = 500
    restrictions: int = 200


@dataclass
class Found:
    """What the views are about: a busy user, a group, and messages of two, of the largest group, of everybody."""

    user: str
    group: str
    messages: dict[str, int] = field(default_factory=dict)


class Maker:
    """Fills a running server, by what its users and operators have for that."""

    def __init__(self, server: Server, amounts: Amounts) -> None:
        self._server = server
        self._amounts = amounts
        self._users = users(amounts)
        self._random = random.Random(5)
        self._rest = httpx.Client(base_url=f"http://127.0.0.1:{server.port}", timeout=60, trust_env=False)

    def fill(self) -> Found:
        """Make everything; return what the views are about.

        Raises:
            MismatchError: the server refused something.
        """
        self._server.command("user", "role", ADMIN, "owner")
        self._server.command("user", "role", self._users[-1], "moderator")
        found = Found(self._users[0], "group0000")
        self._groups()
        self._import()
        self._reports(found)
        self._acts()
        self._figures()
        self._rest.close()
        return found

    def _call(self, user: str, method: str, path: str, body: Any = None, **query: Any) -> Any:
        headers = {"Authorization": f"Bearer {self._server.tokens[user]}"}
        answer = self._rest.request(method, path, json=body, headers=headers, params=query)
        if not answer.is_success:
            raise MismatchError(f"{method} {path} by {user}: {answer.status_code} {answer.text[:300]}")
        return msgspec.json.decode(answer.content) if answer.content else None

    def _groups(self) -> None:
        for number in range(self._amounts.groups):
            size = min(LARGE if number == 0 else MEMBERS, len(self._users) // 2)
            owner, *members = self._random.sample(self._users, size)
            body = {"name": f"Group {number}", "group_id": f"group{number:04d}", "members": members}
            self._call(owner, "POST", "/api/groups", body)

    def _import(self) -> None:
        file = self._server.folder / "history.ndjson"
        with file.open("wb") as lines:
            for envelope in self._messages():
                lines.write(msgspec.json.encode(envelope) + b"\n")
        self._server.command("import", str(file))

    def _messages(self) -> Iterator[dict[str, Any]]:
        """Yield messages of a year, between few pairs who talk much, the first user in the half of them."""
        count, begun = self._amounts.messages, time.time() - 12 * MONTH
        for number in range(count):
            pair = number % PAIRS
            one, other = self._users[0 if pair % 2 else pair], self._users[pair + PAIRS]
            sender, target = (one, other) if self._random.random() < 0.5 else (other, one)
            meta = {"id": f"old-{number}", "sender_id": sender, "target_id": target}
            content = " ".join(self._random.choices(WORDS, k=self._random.randint(2, 40)))
            when = begun + 12 * MONTH * number / count
            yield {"type": "chat_message", "payload": {"content": content}, "meta": {**meta, "timestamp": when}}

    def _reports(self, found: Found) -> None:
        """Have messages reported by whom they were sent to; every third report is closed."""
        made = 0
        for pair in range(PAIRS):
            one, other = self._users[0 if pair % 2 else pair], self._users[pair + PAIRS]
            page = self._call(other, "GET", f"/api/messages/user/{one}", limit=100)["messages"]
            sent = [message["meta"]["message_id"] for message in page if message["meta"]["sender_id"] == one]
            for message in sent[: max(1, self._amounts.reports // PAIRS)]:
                body = {"reason": "spam", "text": "This came three times today."}
                report = self._call(other, "POST", f"/api/messages/{message}/report", body)["report_id"]
                if made % 3 == 0:
                    closed = {"state": "dismissed", "note": "Not what it seems."}
                    self._call(ADMIN, "POST", f"/api/admin/reports/{report}", closed)
                made += 1
        found.messages["two"] = sent[0]
        said = {
            "type": "group_message",
            "payload": {"content": "For all of us"},
            "meta": {"target_id": found.group},
        }
        owner = self._owner_of(found.group)
        found.messages["group"] = self._call(owner, "POST", "/api/messages", said)["message_id"]
        said = {"type": "notification", "payload": {"title": "For everybody"}, "meta": {"target_id": "*"}}
        found.messages["everybody"] = self._call(ADMIN, "POST", "/api/messages", said)["message_id"]

    def _owner_of(self, group: str) -> str:
        groups = self._call(ADMIN, "GET", "/api/admin/groups", limit=1)["groups"]
        return str(next(one["owner"] for one in groups if one["group_id"] == group))

    def _acts(self) -> None:
        """Do what admins do, so that the audit log has something to tell."""
        for number in range(self._amounts.entries):
            user = self._users[-2 - number % 500]
            body = {"display_name": f"Name {number}", "reason": f"they asked for it, {number}"}
            self._call(ADMIN, "PATCH", f"/api/admin/users/{user}", body)
        for number in range(self._amounts.invites):
            self._call(ADMIN, "POST", "/api/admin/invites", {"label": f"Team {number}", "days": 90})
        for user in self._users[-1000 : -1000 + self._amounts.restrictions]:
            self._call(
                ADMIN, "PUT", f"/api/admin/restrictions/timeout/{user}", {"seconds": 86_400, "reason": "spam"}
            )

    def _figures(self) -> None:
        """Store figures as they are after five years, beside the server: nobody waits so long."""
        now = time.time()
        names = (
            "messages deliveries refused failed_commits plugin_failures connections users_online router_waiting"
        )
        names += " writer_lag database_bytes used_bytes wal_bytes"
        with closing(sqlite3.connect(self._server.folder / "relay.db", timeout=30)) as connection, connection:
            for step, kept in KEPT.items():
                for at in range(slot(now, step) - kept + step, slot(now, step), step):
                    value = 1000 + 900 * self._random.random()
                    values = {name: Value(step // 60, value * step, value, value) for name in names.split()}
                    commits: Buckets = {bucket: self._random.randint(1, 50) for bucket in range(20, 40)}
                    row = msgspec.json.encode(Row(values, {"commit_seconds": commits}))
                    connection.execute("INSERT OR IGNORE INTO figures VALUES (?, ?, ?)", (step, at, row))


def users(amounts: Amounts) -> list[str]:
    """Return the names of the users, without the admin and those who talk."""
    return [f"user{number:05d}" for number in range(amounts.users)]


def devices(amounts: Amounts) -> list[tuple[str, str]]:
    """Return the devices that are connected, two for each of the first users, as user and client id."""
    names = users(amounts)
    return [(names[number // 2], f"device-{number}") for number in range(amounts.connections)]
