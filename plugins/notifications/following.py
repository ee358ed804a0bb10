"""The plugin's two tasks: both follow the log by cursors of their own, so that messages pay nothing for them."""

from __future__ import annotations

import sqlite3
from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from hashlib import blake2b

import trio

from relay.plugin import RelayError
from relay.plugin.server import Server
from relay.storage import accounts
from relay.storage.errors import StorageFailed

from . import conversations
from .conversations import Row
from .delivery import Delivery, of_users, with_something
from .notices import words
from .options import Options, narrower
from .outward import Outward
from .rules import COLUMNS, Message, Rulebook
from .schema import remember, state
from .sending import senders
from .vapid import load_key

SLICE = 500
GATHER_SECONDS = 0.5
"""After something was stored: how long to wait for what comes with it."""

NOTED_SECONDS = 60.0
"""How often the cursor is noted while nothing else is to be written."""

DISK_SECONDS = 30.0
"""How long to wait for a disk that is full."""

NOTIFY = frozenset({"notify"})


class Cursor:
    """How far a task has read the log.

    It is noted with what the log said, and now and then besides; so after a crash a part that said nothing is read
    again, and nothing that said something is missed.

    Attributes:
        at: the position up to which it was read.
    """

    def __init__(self, server: Server, name: str, at: int) -> None:
        self.at = at
        self._server = server
        self._name = name
        self._noted = (at, server.now())

    @classmethod
    async def load(cls, server: Server, name: str) -> Cursor:
        """Return where the task was; the first time, what is there already concerns nobody."""
        position = server.services.router.position
        done = await server.read(lambda connection: state(connection, name))
        cursor = cls(server, name, position if done is None else min(int(done), position))
        if done is None:
            await cursor.note()
        return cursor

    async def note(self) -> None:
        """Write down where it is."""
        at = self.at
        await self._server.write(lambda connection: remember(connection, self._name, at))
        self._noted = (at, self._server.now())

    async def note_now_and_then(self) -> None:
        """Write it down where it has moved and was not written for a minute."""
        at, when = self._noted
        if self.at != at and self._server.now() - when >= NOTED_SECONDS:
            await self.note()


def rulebook(server: Server, options: Options) -> Rulebook:
    """Return the rules of a server."""
    return Rulebook(server, options, server.services.registry.counted)


async def push(options: Options, server: Server) -> None:
    """Follow the log, decide what each user is to be told, and have their targets told."""
    await _patiently(server, partial(_push, options, server))


async def store(options: Options, server: Server) -> None:
    """Follow the log, and store notifications for whom the rules say; once each, whatever ends in between."""
    if rulebook(server, options).stores:
        await _patiently(server, partial(_store, options, server))


async def _patiently(server: Server, run: Callable[[], Awaitable[None]]) -> None:
    """Run a task, and again when the disk did not take something: that is no failure of the plugin's."""
    while True:
        try:
            await run()
        except* StorageFailed:
            server.log.warning("the disk did not take something; notifications go on in %g s", DISK_SECONDS)
        await trio.sleep(DISK_SECONDS)


async def _push(options: Options, server: Server) -> None:
    rules, outward = rulebook(server, options), Outward(options, server.now)
    key = load_key(await server.read(lambda connection: state(connection, "vapid")))
    delivery = Delivery(server, options, rules, senders(options, outward, server.now, key))
    try:
        async with trio.open_nursery() as nursery:
            delivery.start(nursery, await server.read(with_something))
            await _follow(server, options, rules, partial(delivery.start, nursery))
    finally:
        with trio.CancelScope(shield=True, deadline=trio.current_time() + 1):
            await outward.aclose()


async def _follow(
    server: Server, options: Options, rules: Rulebook, start: Callable[[Iterable[str]], None]
) -> None:
    cursor = await Cursor.load(server, "done")
    await trio.sleep(options.delay_seconds)  # after a start, devices come back first
    while True:
        position = server.services.router.position
        while cursor.at < position:
            await _take_slice(server, options, rules, cursor, position)
        await cursor.note_now_and_then()
        start(await server.read(partial(of_users, user_ids=await _look(server, rules))))
        upcoming = await server.read(conversations.next_look)
        with trio.move_on_after(float("inf") if upcoming is None else max(0.0, upcoming - server.now())):
            await server.stored_beyond(cursor.at)
            await trio.sleep(GATHER_SECONDS)


async def _take_slice(server: Server, options: Options, rules: Rulebook, cursor: Cursor, until: int) -> None:
    """Read a part of the log, and write down what it says where it says something."""
    now = server.now()
    oldest = now - options.max_age_hours * 3600
    news = await server.read(
        lambda connection: conversations.gather(rules, connection, cursor.at, until, oldest, SLICE)
    )
    if news.told or news.touched:
        for transaction in conversations.takings(news, now, now + options.delay_seconds):
            await server.write(transaction)
    cursor.at = news.reached


async def _look(server: Server, rules: Rulebook) -> set[str]:
    """Look at every conversation that is due, and return whose they are."""
    users: set[str] = set()
    while True:
        now = server.now()
        rows = await server.read(partial(conversations.due, now=now))
        active = {row.user_id for row in rows if conversations.is_active(server, row.user_id)}
        changed = await server.read(partial(_looked_at, rules, rows, now, active))
        if rows:
            await server.write(partial(conversations.write, changed=changed))
        users |= {row.user_id for row in rows}
        if len(rows) < conversations.AT_ONCE:
            return users


def _looked_at(
    rules: Rulebook, rows: Iterable[Row], now: float, active: set[str], connection: sqlite3.Connection
) -> list[tuple[Row, Row | None]]:
    return [(row, conversations.look(rules, connection, row, now, active)) for row in rows]


async def _store(options: Options, server: Server) -> None:
    rules = rulebook(server, options)
    await server.write(partial(_ensure_sender, options=options, now=server.now()))
    cursor = await Cursor.load(server, "stored")
    while True:
        await server.stored_beyond(cursor.at)
        until = server.services.router.position
        while cursor.at < until:
            found = await server.read(partial(_to_store, rules, options, cursor.at, until, server.now()))
            for user_id, own_id, payload in found.items:
                await _send(server, options, user_id, own_id, payload)
            cursor.at = found.reached
            if found.items:
                await cursor.note()
        await cursor.note_now_and_then()
        await trio.sleep(GATHER_SECONDS)


class _ToStore:
    """Notifications that are to be stored: for whom, under which id, saying what; and how far the log was read."""

    def __init__(self, reached: int) -> None:
        self.reached = reached
        self.items: list[tuple[str, str, dict[str, object]]] = []


def _to_store(
    rules: Rulebook, options: Options, at: int, until: int, now: float, connection: sqlite3.Connection
) -> _ToStore:
    rows = connection.execute(
        f"SELECT {COLUMNS} FROM log l JOIN channels c USING (channel_id)"
        " WHERE l.message_id > ? AND l.message_id <= ? ORDER BY l.message_id LIMIT ?",
        (at, until, SLICE),
    ).fetchall()
    found = _ToStore(rows[-1][0] if len(rows) == SLICE else until)
    for row in rows:
        message = rules.message(row)
        if message is None or message.timestamp < now - options.max_age_hours * 3600:
            continue
        members = connection.execute(
            "SELECT user_id FROM members WHERE channel_id = ? AND visible_until IS NULL AND visible_from <= ?",
            (message.channel_id, message.seq),
        ).fetchall()
        for (user_id,) in members:
            payload = _stored(rules, options, connection, message, user_id)
            if payload is not None:
                who = blake2b(user_id.encode(), digest_size=12).hexdigest()
                found.items.append((user_id, f"{message.message_id}-{who}", payload))
    return found


def _stored(
    rules: Rulebook, options: Options, connection: sqlite3.Connection, message: Message, user_id: str
) -> dict[str, object] | None:
    """Return the notification that a rule stores for a user; None where none does."""
    rule = rules.stored_for(message, user_id)
    if rule is None:
        return None
    sender = accounts.get_user(connection, message.sender_id)
    level = narrower(options.content, rule.content)
    name = sender.display_name if sender else message.sender_id
    title, body = words(connection, options, rule, message, user_id, level, name, 1)
    about = {"message_id": message.message_id, "kind": message.kind, "target_id": message.target_for(user_id)}
    payload: dict[str, object] = {"title": title or options.name, "data": about}
    if body:
        payload["body"] = body
    if "push" in rule.actions:
        about["pushed"] = True
    return payload


async def _send(server: Server, options: Options, user_id: str, own_id: str, payload: dict[str, object]) -> None:
    """Send a stored notification, waiting where there are too many at once."""
    while True:
        try:
            await server.send(options.sender, "notification", payload, user_id, own_id=own_id, scopes=NOTIFY)
            return
        except RelayError as refusal:
            if refusal.retry_after is None:
                server.log.warning("a notification for %r was refused: %s", user_id, refusal)
                return
            await trio.sleep(refusal.retry_after)


def _ensure_sender(connection: sqlite3.Connection, options: Options, now: float) -> None:
    if accounts.get_user(connection, options.sender) is None:
        accounts.create_user(connection, options.sender, now, display_name=options.name)
