"""The walks of ARCHITECTURE.md, taken: the files that a walk names run, in the order in which it names them."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from relay.testing import World

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
STEP = re.compile(r"^\d+\. `([^`]+)`", re.M)

Calls = list[tuple[str, str]]
"""Files, as in the tree, and functions, in the order of their calls."""


def steps(title: str) -> list[str]:
    """Return the files that a walk names, in order."""
    _, _, after = PAGE.partition(f"### {title}\n")
    return STEP.findall(after.partition("\n#")[0])


@contextmanager
def calls() -> Iterator[Calls]:
    """Note which functions of relay and its plugins are called, on this thread."""
    noted: Calls = []

    def note(frame: Any, event: str, _argument: Any) -> None:
        path = Path(frame.f_code.co_filename)
        if event == "call" and path.is_relative_to(ROOT):
            noted.append((str(path.relative_to(ROOT)), frame.f_code.co_name))

    sys.setprofile(note)
    try:
        yield noted
    finally:
        sys.setprofile(None)


def in_order(noted: Calls, named: list[str]) -> list[str]:
    """Return files of those named in the order of their first calls."""
    return [path for path in dict.fromkeys(path for path, _ in noted) if path in named]


@pytest.fixture
async def said(world: World) -> Calls:
    """Give a test the calls that a chat message costs, once everything is warm."""
    alice, bob = await world.connect("alice"), await world.connect("bob")
    for _ in range(3):
        await alice.request("chat_message", {"content": "before"}, "bob")
        await bob.next("chat_message")
    with calls() as noted:
        await alice.request("chat_message", {"content": "hello"}, "bob")
        await bob.next("chat_message")
    return noted


def committed(noted: Calls) -> int:
    return max(index for index, call in enumerate(noted) if call[0] == "relay/storage/log.py") + 1


async def test_a_message_takes_its_walk_there(said: Calls) -> None:
    named = steps("A message, there")
    assert 8 < len(named) <= 12
    assert in_order(said[: committed(said)], named) == named


async def test_a_message_takes_its_walk_back(said: Calls) -> None:
    named = steps("A message, back")
    assert 2 < len(named) <= 4
    assert in_order(said[committed(said) :], named) == named


async def test_a_hook_in_the_transaction_takes_its_walk(said: Calls) -> None:
    named = steps("A hook in the transaction: `stored` of the search plugin")
    assert len(named) == 5
    appended = said.index(("relay/storage/log.py", "append"))
    assert in_order(said[appended:], named) == named


async def test_a_page_of_history_takes_its_walk(world: World) -> None:
    alice = await world.connect("alice")
    await alice.request("chat_message", {"content": "hello"}, "bob")
    await world.rest("GET", "/api/messages/user/bob", "alice")
    with calls() as noted:
        answer = await world.rest("GET", "/api/messages/user/bob", "alice")
    assert answer.status == 200
    named = steps("A page of history by REST")
    assert 8 < len(named) <= 10
    assert in_order(noted, named) == named


async def test_a_hello_takes_its_walk(world: World) -> None:
    alice = await world.connect("alice")
    await alice.request("chat_message", {"content": "missed"}, "bob")
    with calls() as noted:
        bob = await world.connect("bob", cursor=0)
    assert bob.synced is not None
    named = steps("A hello, up to the live flow")
    assert len(named) == 12
    assert in_order(noted, named) == named
