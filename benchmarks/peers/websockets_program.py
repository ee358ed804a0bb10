"""A chat server of the `websockets` library and SQLite: what waits is stored in one commit, then acked."""

import asyncio
import json
import sqlite3
import sys
import urllib.parse

from websockets.asyncio.server import ServerConnection, broadcast, serve

connections: dict[str, set[ServerConnection]] = {}
waiting: asyncio.Queue[tuple[ServerConnection, str, str, str]] = asyncio.Queue()


async def talk(connection: ServerConnection) -> None:
    """Take the messages of one user, who hears what is said to any of the names in the path."""
    path = urllib.parse.urlsplit(connection.request.path).path[1:] if connection.request else ""
    names = path.split("/")  # the user's own, and those of rooms
    for name in names:
        connections.setdefault(name, set()).add(connection)
    await connection.send('{"hello":true}')
    try:
        async for frame in connection:
            message = json.loads(frame)
            await waiting.put((connection, names[0], message["to"], message["text"]))
    finally:
        for name in names:
            connections[name].discard(connection)


def store(path: str) -> sqlite3.Connection:
    """Open the database."""
    database = sqlite3.connect(path, check_same_thread=False)
    database.executescript("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;")
    database.execute("CREATE TABLE messages (id INTEGER PRIMARY KEY, sender TEXT, target TEXT, text TEXT)")
    return database


def insert(database: sqlite3.Connection, rows: list[tuple[str, str, str]]) -> int:
    """Store messages and return the number of the last."""
    with database:
        for row in rows:
            last = database.execute("INSERT INTO messages (sender, target, text) VALUES (?, ?, ?)", row).lastrowid
    return last or 0


async def write(database: sqlite3.Connection) -> None:
    """Store what waits, then ack it and hand it on."""
    while True:
        batch = [await waiting.get()]
        while not waiting.empty():
            batch.append(waiting.get_nowait())
        last = await asyncio.to_thread(insert, database, [item[1:] for item in batch])
        for number, (connection, user, to, text) in enumerate(batch, last - len(batch) + 1):
            broadcast([connection], json.dumps({"ack": number}))
            broadcast(connections.get(to, ()), json.dumps({"id": number, "from": user, "text": text}))


async def main(port: int, path: str) -> None:
    """Serve."""
    async with serve(talk, "127.0.0.1", port, compression=None):
        await write(store(path))


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), sys.argv[2]))
