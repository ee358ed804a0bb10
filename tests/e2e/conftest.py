"""Servers for the end-to-end tests: one that the hostile cases of a file share, and as many others as tests ask for."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest

from tests.e2e.server import Tables
from tests.e2e.world import Device, World, unique

FRAME_BYTES = 131_072  # room for 100,000 brackets
HEAD_BYTES = 8_192
ALLOWED_ORIGIN = "https://chat.example.org"

HOSTILE: Tables = {
    "server": {"allowed_origins": [ALLOWED_ORIGIN]},
    "limits": {"frame_bytes": FRAME_BYTES, "head_bytes": HEAD_BYTES},
}

MakeWorld = Callable[..., World]


class Bystanders:
    """Two people who talk all the time, whatever others do to the server."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.stack = contextlib.ExitStack()
        self.ann, self.ben = (self._lasting(name) for name in ("ann", "ben"))

    def _lasting(self, name: str) -> Device:
        device = self.world.device(name)
        self.world.opened.pop_all()  # these two outlive the case that opens them
        return device

    def assert_undisturbed(self) -> None:
        """Exchange a message both ways on the old connections and say hello on a new one."""
        assert self.world.server.alive, self.world.server.diagnosis()
        for sender, receiver, target in ((self.ann, self.ben, "ben"), (self.ben, self.ann, "ann")):
            content = unique("undisturbed")
            sender.acked(sender.send(target, content))
            receiver.wait_content(content)
            receiver.messages.clear()
        self.world.device("visitor").close()

    def close(self) -> None:
        self.ann.close()
        self.ben.close()


@pytest.fixture(scope="module")
def hostile_world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    world = World(tmp_path_factory.mktemp("hostile"), ("ann", "ben", "mallory", "visitor"), HOSTILE)
    yield world
    world.end()


@pytest.fixture(scope="module")
def lasting_pair(hostile_world: World) -> Iterator[Bystanders]:
    pair = Bystanders(hostile_world)
    yield pair
    pair.close()


@pytest.fixture
def world(hostile_world: World, lasting_pair: Bystanders) -> Iterator[World]:
    """The shared server; after the test it must live, and others' conversations must have gone on."""
    yield hostile_world
    hostile_world.forget()
    lasting_pair.assert_undisturbed()
    hostile_world.forget()


@pytest.fixture
def make_world(tmp_path: Path) -> Iterator[MakeWorld]:
    """Start servers of one's own; they end with the test."""
    with contextlib.ExitStack() as stack:

        def make(names: Iterable[str], settings: Tables | None = None) -> World:
            folder = tmp_path / unique("server")
            folder.mkdir()
            made = World(folder, names, settings)
            stack.callback(made.end)
            return made

        yield make
