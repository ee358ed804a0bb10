"""The task that pushes: it follows the log, decides what each user is to be told, and has their targets told."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable
from functools import partial

import trio

from relay.plugin import Server

from . import conversations
from .conversations import Row
from .cursor import GATHER_SECONDS, SLICE, Cursor, patiently
from .delivery import Delivery, of_users, with_something
from .options import Options
from .outward import Outward
from .rules import Rulebook
from .schema import state
from .sending import senders
from .vapid import load_key


async def push(options: Options, server: Server) -> None:
    """Follow the log, decide what each user is to be told, and have their targets told."""
    await patiently(server, partial(_push, options, server))


async def _push(options: Options, server: Server) -> None:
    rules, outward = Rulebook(server, options), Outward(options, server.now)
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
        if not rows:
            return users
        users |= {row.user_id for row in rows}
        active = {user_id for user_id in users if conversations.is_active(server, user_id)}
        changed = await server.read(partial(_looked_at, rules, rows, now, active))
        await server.write(partial(conversations.write, changed=changed))


def _looked_at(
    rules: Rulebook, rows: Iterable[Row], now: float, active: set[str], connection: sqlite3.Connection
) -> list[tuple[Row, Row | None]]:
    return [(row, conversations.look(rules, connection, row, now, active)) for row in rows]
