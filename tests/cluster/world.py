"""A cluster with its users, and devices of theirs at any node."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import httpx

from tests.cluster.nodes import Cluster, Node
from tests.e2e.server import Tables
from tests.e2e.wire import Wire
from tests.e2e.world import Device, unique


class World:
    """A running cluster, the tokens of its users, and everything a test opened at its nodes."""

    def __init__(self, folder: Path, names: Iterable[str], settings: Tables | None = None, **options: Any) -> None:
        self.cluster = Cluster(folder, settings, **options)
        self.opened = contextlib.ExitStack()
        try:
            self.cluster.begin(names)
        except BaseException:
            self.end()
            raise
        self.tokens = self.cluster.tokens

    def by_role(self) -> list[Node]:
        """Return the leader, and then the followers."""
        leader = self.cluster.wait_settled()
        return [leader, *(node for node in self.cluster.nodes if node is not leader)]

    def device(self, node: Node, user: str, client_id: str | None = None, **payload: Any) -> Device:
        """Connect a device of a user at a node and read its replay; `payload` goes into the hello."""
        wire = self.opened.enter_context(Wire(node.address, node.described))
        wire.upgrade()
        device = Device(wire, self.tokens[user], client_id or f"{user}-{unique('device')}")
        device.hello(**payload)
        device.sync()
        return device

    def rest(self, node: Node, user: str) -> httpx.Client:
        return self.opened.enter_context(node.rest(self.tokens[user]))

    def forget(self) -> None:
        """Close everything that a test opened; the cluster goes on."""
        self.opened.close()
        self.opened = contextlib.ExitStack()

    def end(self) -> None:
        self.forget()
        print(self.cluster.diagnosis())  # shown by pytest with a failure, and only then
        self.cluster.end()
