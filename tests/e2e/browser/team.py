"""A team that has talked for a while: what the views of the page, and pictures of them, show."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx

from tests.e2e.browser import media
from tests.e2e.browser.people import SETTINGS, Place, open_place

PEOPLE = {
    "alice": "Alice Martin",
    "bob": "Bob Nguyen",
    "zoe": "Zoé Laurent",
    "marguerite": "Marguerite Dupont-Lefèvre de la Tour",
    "yusuf": "يوسف أحمد",
    "henri": "Henri Kowalski",
}
TEAM = "team"
GROUPS = {TEAM: "Design review", "lunch": "Lunch on Fridays", "old": "Summer fair"}
PUBLIC = [
    ("books", "Book club", "A book a month. We meet on the last Thursday, with cake."),
    ("runners", "Runners", "Ten easy kilometres after work"),
]
"""Groups that alice is not in, with what they are for."""
PLUGINS = SETTINGS | {"plugins": {"also": ["polls", "tasks", "remind", "bots"]}}

SCENES = [((120, 178, 205), (54, 96, 80)), ((232, 164, 110), (96, 62, 78)), ((112, 128, 190), (44, 54, 92))]
"""The sky and the land of pictures."""

MARKDOWN = """\
The **plan** for the new page, *as discussed*:

1. one list, one conversation, nothing that blinks
2. `Ctrl+K` goes everywhere
   - people and groups
   - messages, ~~files~~ soon

> Calm, fast, whole.

```python
def greet(name: str) -> str:
    return f"Hello, {name}"
```
More at https://example.org/a/rather/long/address?with=parameters"""

APPROVAL: Mapping[str, Any] = {
    "elements": [
        {"type": "button", "id": "yes", "label": "Approve", "style": "primary"},
        {"type": "button", "id": "no", "label": "Reject", "style": "danger"},
    ],
    "once": "message",
}


class Writer:
    """Somebody who writes by REST."""

    def __init__(self, rest: httpx.Client) -> None:
        self.rest = rest

    def say(self, target: str | None, content: str = "", type_: str = "chat_message", **payload: Any) -> int:
        """Send a message, and return its id."""
        whole = {"content": content, **payload} if content or "attachments" in payload else payload
        body = {"type": type_, "payload": whole, "meta": {} if target is None else {"target_id": target}}
        answer = self.rest.post("/api/messages", json=body)
        assert answer.is_success, answer.text
        return int(answer.json()["message_id"])

    def keep(self, name: str, data: bytes) -> str:
        """Upload a file, and return its id."""
        answer = self.rest.post("/api/attachments", params={"name": name}, content=data)
        assert answer.is_success, answer.text
        return str(answer.json()["attachment_id"])


def writers(place: Place) -> dict[str, Writer]:
    return {name: Writer(place.server.rest(token)) for name, token in place.tokens.items()}


@asynccontextmanager
async def open_team(chromium: str, folder: Path) -> AsyncIterator[Place]:
    """Run a server with the team; alice is an admin, and everything is written before she looks."""
    async with open_place(chromium, folder, *list(PEOPLE)[1:], settings=PLUGINS) as place:
        for name in ("alice", "dora"):
            place.server.relay("user", "add", name, "--admin", "--display-name", PEOPLE.get(name, "Dora"))
            place.tokens[name] = place.server.relay("token", "create", name).strip()
        place.tokens["helper"] = place.server.relay("bot", "add", "helper").strip()
        people = writers(place)
        try:
            _meet(people)
            _talk_in_twos(people)
            _talk_in_the_team(people)
            _mark(people["alice"])
        finally:
            for one in people.values():
                one.rest.close()
        yield place


def _meet(people: dict[str, Writer]) -> None:
    for user_id, name in PEOPLE.items():
        answer = people[user_id].rest.patch("/api/users/me", json={"display_name": name})
        assert answer.is_success, answer.text
    for group_id, name in GROUPS.items():
        body = {"group_id": group_id, "name": name, "members": ["alice", "bob", "zoe", "helper"]}
        answer = people["bob" if group_id == "old" else "alice"].rest.post("/api/groups", json=body)
        assert answer.is_success, answer.text
    for group_id, name, description in PUBLIC:
        body = {
            "group_id": group_id,
            "name": name,
            "description": description,
            "public": True,
            "members": ["yusuf"],
        }
        answer = people["henri"].rest.post("/api/groups", json=body)
        assert answer.is_success, answer.text
    _show_themselves(people)
    roll = {"name": "roll", "description": "Roll dice", "usage": "2d6", "private": True}
    people["helper"].say(None, type_="bot_commands", commands=[roll])


def _show_themselves(people: dict[str, Writer]) -> None:
    picture = people["zoe"].keep("me.png", media.landscape(160, 160, *SCENES[1]))
    answer = people["zoe"].rest.patch("/api/users/me", json={"picture": picture})
    assert answer.is_success, answer.text
    picture = people["alice"].keep("lunch.png", media.landscape(160, 160, *SCENES[0]))
    answer = people["alice"].rest.patch("/api/groups/lunch", json={"picture": picture})
    assert answer.is_success, answer.text
    answer = people["alice"].rest.patch(
        f"/api/groups/{TEAM}", json={"description": "Every page, looked at by all"}
    )
    assert answer.is_success, answer.text
    answer = people["alice"].rest.put(f"/api/groups/{TEAM}/members/zoe", json={"role": "admin"})
    assert answer.is_success, answer.text


def _talk_in_twos(people: dict[str, Writer]) -> None:
    alice, bob, zoe = people["alice"], people["bob"], people["zoe"]
    for number in range(90):  # longer than what is loaded at first
        (bob if number % 3 else alice).say("alice" if number % 3 else "bob", f"Point {number} of the long list")
    pictures = [
        bob.keep(f"mock-up {at}.png", media.landscape(480, 260 + 60 * at, *colours))
        for at, colours in enumerate(SCENES, 1)
    ]
    bob.say("alice", "The mock-ups", attachments=pictures)
    papers = [
        bob.keep("voice-1.wav", media.wav(3)),
        bob.keep("Minutes.pdf", media.pdf()),
        bob.keep("notes.txt", b"To do"),
    ]
    bob.say("alice", attachments=papers)
    question = bob.say("alice", "Number three?")
    alice.say("bob", "A `word` for @bob and https://example.org", mentions=["bob"])
    alice.say("bob", "Very much, it is the calmest of them", reply_to=question)
    alice.say("bob", type_="reaction", message_id=question, emoji="👍", on=True)
    gone = bob.say("alice", "Wrong window")
    bob.say("alice", type_="message_delete", message_id=gone)
    people["yusuf"].say("alice", "مرحبا! كيف حالك؟")
    zoe.say("alice", "See you at the lunch")
    alice.say("zoe", type_="saved_message", message_id=zoe.say("alice", "The new menu of the canteen"), on=True)
    people["marguerite"].say("alice", "Merci beaucoup pour votre aide, tout est parfait")
    people["marguerite"].say("alice", "À demain !")
    people["henri"].say("alice", "😀")
    alice.say("henri", "🎉")
    alice.say(
        "alice", type_="notification", title="Backup done", body="Everything of today is safe.", level="success"
    )
    alice.say("alice", type_="notification", title="The disk is nearly full", level="warning")


def _mark(alice: Writer) -> None:
    archived = {"mark": "archived", "on": True, "up_to_seq": 2}
    alice.say("henri", type_="conversation_mark", **archived)
    alice.say("yusuf", type_="conversation_mark", mark="pinned", on=True)


def _talk_in_the_team(people: dict[str, Writer]) -> None:
    alice, bob, zoe, helper = (people[name] for name in ("alice", "bob", "zoe", "helper"))
    kind = "group_message"
    bob.say("lunch", "At the usual place?", kind)
    bob.say("old", "That was fun", kind)
    alice.say("lunch", "Yes, at noon", kind)
    plan = bob.say(TEAM, MARKDOWN, kind)
    thread = zoe.say(TEAM, "Which colours?", kind)
    for who, text in (
        (bob, "Warm"),
        (zoe, "And calm. The button is a bit loud"),
        (bob, "@alice, what do you say?"),
    ):
        mentions = {"mentions": ["alice"]} if "@" in text else {}
        who.say(TEAM, text, kind, thread=thread, **mentions)
    for pinned in (plan, thread):
        alice.say(TEAM, type_="pin", message_id=pinned, on=True)
    bob.say(TEAM, type_="poll", question="Which day suits you?", options=["Monday", "Tuesday", "Never"])
    zoe.say(TEAM, type_="task", title="Draw icons", assignee="alice")
    bob.say(TEAM, type_="remind", text="Stand-up!", when="in 3 days")
    helper.say(TEAM, "Version 7 is ready. Put it online?", kind, actions=APPROVAL)
    for emoji in ("👍", "🎉", "❤️"):
        for who in (bob, zoe):
            who.say(TEAM, type_="reaction", message_id=thread, emoji=emoji, on=True)
    fixed = zoe.say(TEAM, "I like the third one beter", kind)
    zoe.say(
        TEAM, type_="message_edit", message_id=fixed, content="I like the third one better, the colours are calmer"
    )
    bob.say(TEAM, "@alice, can you look at the second page?", kind, mentions=["alice"])
