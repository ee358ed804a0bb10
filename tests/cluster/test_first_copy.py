"""A cluster is begun and joined at the command line, with a NATS server and a leader's node port on real sockets."""

from __future__ import annotations

import json
import os
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from functools import partial
from pathlib import Path

import click.testing
import pytest
import trio

from relay.cli import main
from relay.cluster.beats import LEADER, Beat, encode_beat
from relay.cluster.copies import Copies
from relay.cluster.nats import connect
from relay.cluster.port import NodePort, Purpose
from relay.cluster.replication import LeaderLog
from relay.settings import load
from relay.settings.cluster import ClusterSettings
from relay.storage.cluster import read_position, schema_digest
from relay.storage.database import open_runner
from relay.testing.world import make_database
from tests.cluster.servers import NatsServer

pytestmark = pytest.mark.real_time
PATIENCE = 60.0


@pytest.fixture
def node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """Call `node("first", nats_server.url)` for the settings file of a node with a folder of its own."""
    for name in [name for name in os.environ if name.startswith("RELAY_")]:
        monkeypatch.delenv(name)

    def make(name: str, url: str) -> str:
        folder = tmp_path / name
        folder.mkdir()
        file = folder / "relay.toml"
        file.write_text(
            f'[storage]\npath = "{folder / "relay.db"}"\n[cluster]\nname = "team"\nnode = "{name}"\n'
            f'servers = ["{url}"]\naddress = "127.0.0.1:1"\nreplicas = 1\nlease_seconds = 0.5\n'
        )
        return str(file)

    return make


def run(file: str, *arguments: str, ok: bool = True) -> str:
    result = click.testing.CliRunner().invoke(main, [*arguments, "--config", file], prog_name="relay")
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert (result.exit_code == 0) is ok, result.output
    return result.output


def settings_of(file: str) -> ClusterSettings:
    return load(Path(file), {}).cluster


def position_of(file: str) -> int:
    with closing(sqlite3.connect(Path(file).with_name("relay.db"))) as connection:
        position = read_position(connection)
    assert position is not None
    return position.number


def insert(name: str, connection: sqlite3.Connection) -> None:
    connection.execute("INSERT INTO facts VALUES (?, 1)", (name,))


@contextmanager
def leading(file: str, name: str = "first") -> Iterator[None]:
    """Lead with a node's database, in a thread: beats, the node port, and a commit all the time."""
    begun, stop = threading.Event(), list[Callable[[], None]]()

    async def lead() -> None:
        path = Path(file).with_name("relay.db")
        async with (
            connect(settings_of(file)) as (stream, bus),
            open_runner(path, recorded=True, on_rollback=lambda: None) as runner,
            trio.open_nursery() as nursery,
        ):
            position, schema = await runner.read(read_position), await runner.read(schema_digest)
            assert position is not None
            runner.replicate(lambda handle: LeaderLog(stream, position, schema, lambda _: None, handle, name))
            port = NodePort()
            (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
            nursery.start_soon(port.serve, [listener])
            address = f"127.0.0.1:{listener.socket.getsockname()[1]}"
            async with port.admitting(1, "secret", {Purpose.COPY: Copies(path).send}):
                number = 0
                token = trio.lowlevel.current_trio_token()
                stop.append(lambda: token.run_sync_soon(nursery.cancel_scope.cancel))
                while True:
                    number += 1
                    await runner.write(partial(insert, f"{name}-{number}"))
                    begun.set()
                    await bus.publish(LEADER, encode_beat(Beat(name, 1, number, "", address, "secret")))
                    await trio.sleep(0.02)

    def work() -> None:
        try:
            trio.run(lead)
        finally:
            begun.set()  # a leader that fails is not waited for

    thread = threading.Thread(target=work)
    thread.start()
    try:
        assert begun.wait(PATIENCE)
        yield
    finally:
        for end in stop:
            with suppress(trio.RunFinishedError):
                end()
        thread.join(PATIENCE)
    assert not thread.is_alive()


def test_a_cluster_is_begun_once_and_joined(nats_server: NatsServer, node: Callable[..., str]) -> None:
    first, second = node("first", nats_server.url), node("second", nats_server.url)
    make_database(Path(first).with_name("relay.db"))
    assert "the cluster team begins with" in run(first, "cluster", "begin")
    with leading(first):
        assert "at record" in run(second, "cluster", "join")
        assert position_of(second) > 0
        told = json.loads(run(second, "cluster", "join", "--json"))
        assert told["cluster"] == "team"
        assert told["number"] == position_of(second) > 0
    assert "has begun already" in run(second, "cluster", "begin", ok=False)
    assert "the cluster team begins with" in run(second, "cluster", "begin", "--again")


def test_a_node_with_a_database_of_its_own_or_with_the_leaders_name_does_not_join(
    nats_server: NatsServer, node: Callable[..., str]
) -> None:
    first, second, other = (node(name, nats_server.url) for name in ("first", "second", "other"))
    run(first, "cluster", "begin")
    make_database(Path(second).with_name("relay.db"))
    with leading(first):
        assert "is of no cluster, and what is in it would be lost" in run(second, "cluster", "join", ok=False)
    with leading(first, "other"):
        assert "the node that leads is called other as well" in run(other, "cluster", "join", ok=False)
    assert not Path(other).with_name("relay.db").exists()


def test_nobody_joins_where_nobody_leads(
    nats_server: NatsServer, node: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("relay.cluster.first_copy._LEAST_SECONDS", 0.5)
    first = node("first", nats_server.url)
    told = run(first, "cluster", "join", ok=False)
    assert "no leader of the cluster team was heard for 1.5 s" in told
    nats_server.kill()
    assert "NATS does not answer" in run(first, "cluster", "begin", ok=False)


def test_a_server_that_is_no_node_begins_and_joins_nothing(tmp_path: Path) -> None:
    file = tmp_path / "relay.toml"
    file.write_text("")
    for command in ("begin", "join"):
        assert "this server is in no cluster" in run(str(file), "cluster", command, ok=False)
