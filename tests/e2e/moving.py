"""A random world on a real server, and what its users see of it by REST, with names in the place of numbers."""

from __future__ import annotations

import random
import sqlite3
from typing import Any

import httpx

from tests.e2e.server import Server
from tests.e2e.world import World, history, unique

PEOPLE = ("alice", "bob", "carol", "dave")
GROUPS = ("team", "past")
EMOJIS = ("👍", "🎉", "party")
_IDS = frozenset({
    "message_id", "message_ids", "reply_to", "thread", "about", "edit_id", "replaces", "last_id", "root_id", "cursor",
    "next_cursor", "poll", "task",
})  # fmt: skip
"""Fields that have the id of a message."""

_CALLS = (
    "/api/conversations", "/api/notifications", "/api/messages/undelivered", "/api/saved", "/api/marks",
    "/api/threads", "/api/users/me", "/api/users/following/status", "/api/search?q=word",
)  # fmt: skip


class RandomWorld:
    """Makes people talk by REST: whatever they can do to a message is done to some."""

    def __init__(self, world: World, seed: int) -> None:
        self.world = world
        self.rng = random.Random(seed)
        self.said: dict[str, list[dict[str, Any]]] = {}

    def talk(self, messages: int) -> None:
        """Make groups, say as many things as asked for, and do things to them."""
        alice = self.world.rest("alice")
        for group in GROUPS:
            body = {
                "name": group.title(),
                "group_id": group,
                "members": ["bob", "carol"],
                "description": f"the {group}",
            }
            assert alice.post("/api/groups", json=body).status_code == 201
        for number in range(messages):
            self._say()
            if number == messages // 2:  # from here on she sees nothing of it, and what she saw before
                assert alice.delete("/api/groups/past/members/carol").status_code == 204
                assert alice.put("/api/groups/past/members/dave", json={}).status_code in (200, 201)
        self.world.rest("bob").put("/api/users/following/alice")
        self._post("alice", "conversation_mark", "bob", mark="pinned", on=True)

    def _say(self) -> None:
        rng = self.rng
        target = rng.choice([*PEOPLE, *GROUPS, "team"])
        sender = rng.choice(
            ("alice", "bob", "carol") if target == "team" else ("alice", "bob") if target in GROUPS else PEOPLE
        )
        place = target if target in GROUPS else ":".join(sorted({sender, target}))
        before = self.said.setdefault(place, [])
        payload: dict[str, Any] = {"content": f"word {unique('said')} {rng.random()}"}
        roots = [one for one in before if "thread" not in one]
        if roots and rng.random() < 0.2:
            payload["reply_to"] = rng.choice(before)["id"]
        if roots and rng.random() < 0.3:
            payload["thread"] = rng.choice(roots)["id"]
            payload["thread_shown"] = rng.random() < 0.3
        if rng.random() < 0.2:
            file = self.world.rest(sender).post("/api/attachments", content=rng.randbytes(rng.randint(0, 300_000)))
            payload["attachments"] = [file.json()["attachment_id"]]
        if target in GROUPS and rng.random() < 0.3:
            payload["mentions"] = ["bob"]
        type_ = "group_message" if target in GROUPS else "chat_message"
        said = self._post(sender, type_, target, **payload)
        one = {"id": said["message_id"], "by": sender, "target": target} | payload
        before.append(one)
        self._do_something(one, before, place)

    def _do_something(self, one: dict[str, Any], before: list[dict[str, Any]], place: str) -> None:
        rng, target, message_id = self.rng, one["target"], one["id"]
        chance, other = rng.random(), target if target in PEOPLE else "bob"
        seen_by = one["by"] if target in PEOPLE else target
        if chance < 0.15:
            self._post(
                one["by"], "message_edit", target, message_id=message_id, content=f"word edited {rng.random()}"
            )
        elif chance < 0.25:
            self._post(one["by"], "message_delete", target, message_id=message_id)
            before.remove(one)
        elif chance < 0.45:
            self._post(
                other, "reaction", seen_by, message_id=message_id, emoji=rng.choice(EMOJIS), on=rng.random() < 0.8
            )
        elif chance < 0.5:
            self._post("alice" if target in GROUPS else other, "pin", seen_by, message_id=message_id, on=True)
        elif chance < 0.6:
            self._post(other, "saved_message", seen_by, message_id=message_id, on=True)
        elif chance < 0.7:
            self.world.rest(other).post("/api/messages/read", json={"message_ids": [message_id]})
        elif chance < 0.75 and "thread" in one:
            self._post(other, "thread_follow", seen_by, thread=one["thread"], on=rng.random() < 0.5)

    def _post(self, sender: str, type_: str, target: str, **payload: Any) -> dict[str, Any]:
        body = {"type": type_, "payload": payload, "meta": {"target_id": target, "id": unique("id")}}
        answer = self.world.rest(sender).post("/api/messages", json=body)
        assert answer.status_code in (200, 201), (body, answer.text)
        found: dict[str, Any] = answer.json()
        return found


def picture(server: Server, tokens: dict[str, str]) -> dict[str, Any]:
    """Return all that each user sees by REST, where every id of a message is replaced by what it is."""
    names = _names(server)
    found: dict[str, Any] = {}
    for user, token in tokens.items():
        with server.rest(token) as rest:
            found[user] = _named(_seen(rest, user), names)
    return found


def _seen(rest: httpx.Client, user: str) -> dict[str, Any]:
    seen: dict[str, Any] = {path: _answer(rest, path) for path in _CALLS}
    seen["/api/conversations"]["conversations"].sort(key=lambda one: one["target_id"])  # by age, which is not kept
    seen["/api/search?q=word"].pop("next_cursor")  # it counts in positions
    for one in seen["/api/conversations"]["conversations"]:
        target = one["target_id"]
        said = seen[f"history of {target}"] = history(rest, f"/api/messages/{one['kind']}/{target}")
        seen[f"pins of {target}"] = _answer(rest, f"/api/pins/{target}")
        if one["kind"] == "group":
            seen[f"group {target}"] = _answer(rest, f"/api/groups/{target}")
        for message in said:
            for attachment_id in message["payload"].get("attachments", ()):
                seen[attachment_id] = rest.get(f"/api/attachments/{attachment_id}").content
    return seen


def _answer(rest: httpx.Client, path: str) -> Any:
    answer = rest.get(path)
    assert answer.status_code == 200, (path, answer.text)
    return answer.json()


def _names(server: Server) -> dict[int, str]:
    """Return what each message is, by its number on this server."""
    with sqlite3.connect(f"file:{server.database}?mode=ro", uri=True) as connection:
        rows = "SELECT message_id, address, seq FROM log JOIN channels USING (channel_id)"
        names = {row[0]: f"{row[1]} #{row[2]}" for row in connection.execute(rows)}
        rows = (
            "SELECT message_id, address, type, sender_id, key, about FROM latest JOIN channels USING (channel_id)"
        )
        for message_id, address, type_, sender, key, about in connection.execute(rows):
            shown = str(key).replace(str(about), names.get(about, ""))
            names[message_id] = f"{address} {type_} of {sender}: {shown}"
    connection.close()
    return names


def _named(value: Any, names: dict[int, str], field: str = "") -> Any:
    if isinstance(value, dict):
        return {key: _named(one, names, key) for key, one in value.items()}
    if isinstance(value, list):
        return [_named(one, names, field) for one in value]
    if isinstance(value, int) and not isinstance(value, bool) and field in _IDS:
        return names.get(value, value)
    return value
