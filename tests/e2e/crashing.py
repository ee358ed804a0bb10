"""Clients that survive the server's death, and the checks of what it left; see `python -m tests.crash`."""

from __future__ import annotations

import contextlib
import random
import shutil
import sqlite3
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from relay.testing.checking import Described
from tests.e2e.server import Server
from tests.e2e.wire import Address, Closed, Envelope, Gone, Wire
from tests.e2e.world import history, message

WINDOW = 8  # messages of one client without an ack
NEIGHBOURS = (1, 2)

Groups = Mapping[str, list[str]]
Position = tuple[int, int]


class Violation(Exception):
    """A promise of the server was broken."""


class Client:
    """One user with one device: what it sent, what was acked, and what it received, over all rounds."""

    def __init__(self, name: str, token: str, names: list[str], groups: Groups, described: Described) -> None:
        self.name = name
        self.described = described
        self.token = token
        at, size = names.index(name), len(names)
        near = {names[(at + step * side) % size] for step in NEIGHBOURS for side in (1, -1)}
        self.peers = sorted(near - {name})
        self.groups = sorted(group for group, members in groups.items() if name in members)
        self.targets: dict[str, str] = {}
        self.unacked: dict[str, Envelope] = {}
        self.resent: set[str] = set()
        self.acks: dict[str, Position] = {}
        self.duplicates = 0
        self.received: set[int] = set()
        self.cursor: int | None = None
        self.epoch: str | None = None
        self._sent = 0
        self._replay: list[int] = []
        self._synced = False
        self._failure: BaseException | None = None
        self._wire: Wire | None = None

    # --- one connection ---

    def run(self, address: Address, seed: str) -> None:
        """Connect, resend what was not acked, and send until the server dies."""
        self._guarded(address, random.Random(f"{seed}/{self.name}"))

    def settle(self, address: Address) -> None:
        """Connect and resend until nothing is without an ack."""
        self._guarded(address, None)

    def receive_rest(self, address: Address) -> None:
        """Connect once more and read to the end of the replay."""
        self._guarded(address, None)
        self.raise_failure()

    def _guarded(self, address: Address, source: random.Random | None) -> None:
        try:
            self._connection(address, source)
        except Closed as closed:
            self._failure = Violation(f"{self.name} was closed: {closed}")
        except (Gone, ConnectionError) as gone:
            if source is None:
                self._failure = Violation(f"{self.name} lost a server that nobody killed: {gone}")
        except Exception as error:
            self._failure = error
        finally:
            self.close()

    def raise_failure(self) -> None:
        if self._failure is not None:
            raise Violation(f"{self.name}: {self._failure!r}") from self._failure

    def close(self) -> None:
        if self._wire is not None:
            self._wire.close()
            self._wire = None

    def _connection(self, address: Address, source: random.Random | None) -> None:
        self._wire = wire = Wire(address, self.described)
        self._synced = False
        self._replay = []
        wire.upgrade()
        ready = wire.hello(self.token, f"{self.name}-device", cursor=self.cursor, epoch=self.epoch)
        if self.cursor is not None and not ready["resumed"]:
            raise Violation(f"{self.name} was not resumed at {self.cursor}: {ready}")
        self.epoch = ready["epoch"]
        if source is None or source.random() < 0.5:
            self._read_until_synced(wire)
        for ref, envelope in list(self.unacked.items()):
            self.resent.add(ref)
            wire.send_json(envelope)
        while source is not None or self.unacked or not self._synced:
            if source is not None:
                while len(self.unacked) < WINDOW:
                    self._send(wire, source)
            self._take(wire.recv_json())

    def _read_until_synced(self, wire: Wire) -> None:
        while not self._synced:
            self._take(wire.recv_json())

    def _send(self, wire: Wire, source: random.Random) -> None:
        to_group = bool(self.groups) and source.random() < 0.3
        target = source.choice(self.groups if to_group else self.peers)
        self._sent += 1
        ref = f"{self.name}-{self._sent}"
        self.targets[ref] = target
        content = ref + " " + "x" * source.choice((0, 10, 100, 2000))
        self.unacked[ref] = message(target, content, id=ref, group=to_group)
        wire.send_json(self.unacked[ref])

    # --- what comes ---

    def _take(self, envelope: Envelope) -> None:
        kind, meta, payload = envelope["type"], envelope["meta"], envelope["payload"]
        if kind == "ack":
            self._acked(meta["ref"], (payload["message_id"], payload["seq"]), payload["duplicate"])
        elif kind == "error":
            raise Violation(f"{self.name} was refused: {envelope}")
        elif kind in ("chat_message", "group_message"):
            self._received(meta)
        elif kind == "connection_event" and payload["event"] == "synced":
            if payload["limited"] or payload["gaps"]:
                raise Violation(f"{self.name}: gaps under the limit: {payload}")
            for message_id in self._replay:
                self._keep(message_id)
            self._synced = True
            self.cursor = payload["cursor"]

    def _acked(self, ref: str, position: Position, duplicate: bool) -> None:
        if duplicate and ref not in self.resent:
            raise Violation(f"{ref} was sent once and called a duplicate")
        if self.acks.setdefault(ref, position) != position:
            raise Violation(f"{ref} was acked as {self.acks[ref]} and then as {position}")
        self.duplicates += duplicate
        self.unacked.pop(ref, None)
        self._move(position[0])

    def _received(self, meta: Envelope) -> None:
        if not meta.get("replay"):
            self._keep(meta["message_id"])
            self._move(meta["message_id"])
        elif self._synced:
            raise Violation(f"{self.name}: a replay after its end: {meta}")
        else:
            self._replay.append(meta["message_id"])

    def _keep(self, message_id: int) -> None:
        if message_id in self.received:
            raise Violation(f"{self.name} received {message_id} twice")
        self.received.add(message_id)

    def _move(self, message_id: int) -> None:
        # An ack that overtakes the replay must not move the cursor past what the replay still owes.
        if self._synced and self.cursor is not None:
            self.cursor = max(self.cursor, message_id)


# --- checks ---


@contextlib.contextmanager
def copied(database: Path) -> Iterator[Path]:
    """Copy a database as a kill left it: recovering the original is the server's own business."""
    with tempfile.TemporaryDirectory(prefix="relay-copy-") as folder:
        copy = Path(folder) / database.name
        for suffix in ("", "-wal"):
            with contextlib.suppress(FileNotFoundError):
                shutil.copy(f"{database}{suffix}", f"{copy}{suffix}")
        yield copy


def check_file(copy: Path, clients: Iterable[Client]) -> None:
    """Check the copy of a database after a kill.

    Raises:
        Violation: the file is damaged, a sequence has a hole, or an acked or delivered message is not in it.
    """
    with contextlib.closing(sqlite3.connect(copy)) as connection:
        [(verdict,), *more] = connection.execute("PRAGMA integrity_check").fetchall()
        holes = connection.execute(
            "SELECT channel_id, min(seq), max(seq), count(*) FROM log GROUP BY channel_id"
            " HAVING min(seq) != 1 OR max(seq) != count(*)"
        ).fetchall()
        rows = connection.execute("SELECT sender_id, own_id, message_id, seq FROM log").fetchall()
    if verdict != "ok" or more:
        raise Violation(f"integrity_check: {verdict} {more}")
    if holes:
        raise Violation(f"sequences with holes (channel, min, max, count): {holes}")
    by_id = {(sender, own_id): (message_id, seq) for sender, own_id, message_id, seq in rows if own_id}
    stored = {row[2] for row in rows}
    for client in clients:
        for ref, position in client.acks.items():
            if by_id.get((client.name, ref)) != position:
                raise Violation(f"{ref} was acked as {position}, found {by_id.get((client.name, ref))}")
        if missing := client.received - stored:
            raise Violation(f"{client.name} was delivered what was never committed: {sorted(missing)[:5]}")


def check_history(server: Server, clients: list[Client], groups: Groups) -> None:
    """Check by REST that every acked message is there once, where the ack said, in sequences without holes.

    Raises:
        Violation: one is lost, doubled, out of place or was never sent.
    """
    found: dict[str, Position] = {}
    for client in clients:
        with server.rest(client.token) as rest:
            direct = [f"/api/messages/user/{peer}" for peer in client.peers if peer > client.name]
            grouped = [f"/api/messages/group/{g}" for g in client.groups if groups[g][0] == client.name]
            for path in direct + grouped:
                rows = history(rest, path)
                if [row["meta"]["seq"] for row in rows] != list(range(1, len(rows) + 1)):
                    raise Violation(f"{path} of {client.name} is not contiguous from 1")
                for row in rows:
                    _collect(row, found)
    acked = {ref: position for client in clients for ref, position in client.acks.items()}
    if found != acked:
        odd = sorted(set(found.items()) ^ set(acked.items()))[:10]
        raise Violation(f"history and acks differ: {odd}")


def _collect(row: Envelope, found: dict[str, Position]) -> None:
    if row["type"] not in ("chat_message", "group_message"):
        return
    ref = row["payload"]["content"].split(" ", 1)[0]
    if ref in found or ref != row["meta"]["id"]:
        raise Violation(f"{ref} is there twice, or under another id: {row['meta']}")
    found[ref] = (row["meta"]["message_id"], row["meta"]["seq"])


def check_received(clients: list[Client], groups: Groups) -> None:
    """Check that each client received everything that others sent to it, and nothing else.

    Raises:
        Violation: something never came, or came to one it was not for.
    """
    audience: dict[str, set[int]] = {client.name: set() for client in clients}
    # A replay may bring a device its own messages too, those whose acks died with the server.
    own = {client.name: {message_id for message_id, _ in client.acks.values()} for client in clients}
    for client in clients:
        for ref, (message_id, _) in client.acks.items():
            target = client.targets[ref]
            for reader in {target, *groups.get(target, [])} - {client.name} - set(groups):
                audience[reader].add(message_id)
    for client in clients:
        missing = sorted(audience[client.name] - client.received)[:5]
        extra = sorted(client.received - audience[client.name] - own[client.name])[:5]
        if missing or extra:
            raise Violation(f"{client.name} never received {missing}, and wrongly received {extra}")
