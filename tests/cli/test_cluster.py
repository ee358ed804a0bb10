"""`relay cluster`: what the operator sees of it at the terminal."""

from __future__ import annotations

import json
import sqlite3
from functools import partial
from pathlib import Path

import pytest

from relay.engine.engine import Engine
from relay.storage.cluster import Position, write_position
from relay.testing.world import make_database
from tests.cli.conftest import Run, controlled
from tests.cluster.office import FixedOffice

pytestmark = pytest.mark.real_time


@pytest.fixture
def offices(monkeypatch: pytest.MonkeyPatch) -> list[FixedOffice]:
    """Have every engine be a cluster's; the list has their offices."""
    found: list[FixedOffice] = []
    make = Engine.__init__

    def init(engine: Engine, *args: object, **named: object) -> None:
        make(engine, *args, **named)  # type: ignore[arg-type]
        found.append(FixedOffice(engine.runner))
        engine.cluster = found[-1]

    monkeypatch.setattr(Engine, "__init__", init)
    return found


def test_the_nodes_as_a_table_and_for_programs(run: Run, folder: Path, offices: list[FixedOffice]) -> None:
    with controlled(folder / "relay.db"):
        lines = run("cluster", "status").output.splitlines()
        assert lines[0].split() == [
            "NODE", "ROLE", "TERM", "NUMBER", "BEHIND", "VERSION", "CONNECTIONS", "ADDRESS", "HEARD",
        ]  # fmt: skip
        assert lines[1].split() == [
            "first", "leader", "3", "120", "0", "1.0", "7", "first.example:7700", "itself",
        ]  # fmt: skip
        assert lines[2].endswith("0.4 s ago")
        assert json.loads(run("cluster", "status", "--json").output)["leader"] == "first"
        offices[-1].leader = None
        assert "no node of the cluster team leads" in run("cluster", "status", ok=False).output


def test_another_node_leads(run: Run, folder: Path, offices: list[FixedOffice]) -> None:
    with controlled(folder / "relay.db"):
        assert run("cluster", "move-leader", "second").output == "second leads from now on\n"
        assert offices[-1].moved == ["second"]
        assert json.loads(run("cluster", "move-leader", "second", "--json").output) == {"node": "second"}
        assert "the cluster team has no node 'third'" in run("cluster", "move-leader", "third", ok=False).output


def test_a_server_that_is_in_no_cluster(run: Run, folder: Path) -> None:
    with controlled(folder / "relay.db"):
        assert "this server is in no cluster" in run("cluster", "status", ok=False).output


def test_a_stopped_node_knows_nothing_of_the_others(run: Run, folder: Path) -> None:
    make_database(folder / "relay.db")
    assert "no server runs on this database" in run("cluster", "status", ok=False).output


def test_a_node_leaves(run: Run, folder: Path) -> None:
    database = folder / "relay.db"
    make_database(database)
    assert "is in no cluster" in run("cluster", "leave", "--yes", ok=False).output
    with sqlite3.connect(database) as connection:
        partial(write_position, position=Position("team", 1, 1, b"d" * 16, 1))(connection)
    assert "say --yes if you mean it" in run("cluster", "leave", ok=False).output
    assert "is a node's of the cluster team" in run("user", "add", "bob", ok=False).output
    assert "is in the cluster team no more" in run("cluster", "leave", "--yes").output
    run("user", "add", "bob")
