"""docs/python-client.md and the docstrings of relay.client: the examples are run, the tables are held to the code."""

from __future__ import annotations

import ast
import builtins
import inspect
import re
import textwrap
import time
from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest
import trio

import relay.client
from relay.client import Backoff, Client, Mirror, RestClient
from relay.client.address import parse
from relay.client.close import Close
from relay.protocol.errors import BUSY, FINAL_CLOSE_CODES
from relay.settings import Settings
from relay.testing import World
from tests.client.peer import inline
from tests.docs.conversation import blocks
from tests.docs.test_docs import ROOT, read, rows

PAGE = read("docs/python-client.md")
IN_DOCSTRING = re.compile(r"^( *)```python\n(.*?)^\1```", re.MULTILINE | re.DOTALL)
CONTENT = re.compile(r'"content": "([^"]*)"')
START = "\n\ntrio.run(main)"


class Example(NamedTuple):
    """A piece of Python that somebody is shown, and where."""

    place: str
    text: str


def examples() -> Iterator[Example]:
    for number, block in enumerate(block for block in blocks(PAGE) if block.language == "python"):
        yield Example(f"python-client.md {number}", block.text)
    for path in sorted((ROOT / "relay" / "client").glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                for _, text in IN_DOCSTRING.findall(ast.get_docstring(node) or ""):
                    yield Example(f"{path.name} {getattr(node, 'name', '')}", textwrap.dedent(text))


def program(text: str, names: dict[str, Any]) -> Any:
    """Return an example as a function to await: a whole program's `main`, or the lines as the body of one."""
    if text.endswith(START):
        text = text.removesuffix(START)
    else:
        text = "async def main():\n" + textwrap.indent(text, "    ")
    exec(compile(text, "example", "exec"), names)
    return names["main"]


async def serve_rest(world: World, client: Client) -> None:
    """Give a client that is shown to an example the REST side of the server in memory."""

    async def answer(request: httpx.Request) -> httpx.Response:
        found = await world.rest(request.method, request.url.raw_path.decode(), "alice")
        return httpx.Response(found.status, json=found.body)

    transport = httpx.MockTransport(answer)
    client._rest = RestClient("http://relay.test", world.tokens["alice"], transport=transport)
    await client.wait_live()


@pytest.mark.parametrize("example", list(examples()), ids=lambda example: example.place)
async def test_every_example_runs_and_what_it_sends_arrives(
    example: Example, world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect, default = relay.client.connect, Settings().server

    def to_the_world(url: str, token: str, **options: Any) -> AbstractAsyncContextManager[Client]:
        address = parse(url)
        assert (address.host, address.port) in {("localhost", default.port), ("127.0.0.1", default.port)}
        return connect(url, token, dial=world.dial, run_in_thread=inline, **options)

    monkeypatch.chdir(tmp_path)
    await world.engine.groups.create("alice", "The team", ["bob"], "team")
    bob = await world.connect("bob")
    names: dict[str, Any] = {"relay": relay, "Mirror": Mirror, "time": time, "token": world.tokens["alice"]}
    async with connect("http://relay.test", names["token"], dial=world.dial, run_in_thread=inline) as client:
        monkeypatch.setattr(relay.client, "connect", to_the_world)
        await serve_rest(world, client)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(program(example.text, names | {"client": client}))
            await trio.sleep(1)
            await bob.say("alice", "hello")
            await trio.sleep(1)
            nursery.cancel_scope.cancel()
    heard = {frame["payload"]["content"] for frame in await bob.drain() if frame["type"] == "chat_message"}
    assert heard == set(CONTENT.findall(example.text))


def test_there_are_examples_in_the_page_and_in_the_docstring() -> None:
    assert {example.place.split()[0] for example in examples()} == {"python-client.md", "__init__.py"}


def test_every_option_of_connect_is_in_the_table_with_its_default() -> None:
    named = [re.findall(r"`(\w+)`", row[0]) for row in rows(PAGE, "Options of `connect`")]
    parameters = inspect.signature(relay.client.connect).parameters
    assert sorted(name for names in named for name in names) == sorted(set(parameters) - {"url", "token"})
    told = {row[0].strip("`"): row[1] for row in rows(PAGE, "Options of `connect`")}
    for name in ("in_flight", "outbox_capacity", "inbox_capacity", "heartbeats"):
        assert told[name].strip("`").replace(",", "") == str(parameters[name].default)
    backoff = Backoff()
    assert told["backoff"] == f"`Backoff(base={backoff.base}, cap={backoff.cap}, settle={backoff.settle})`"


def test_the_codes_after_which_it_does_not_come_back_are_named() -> None:
    named = re.search(r"hopeless: 45xx, ([\d, ]+),\s+or an HTTP refusal", PAGE)
    assert named is not None
    assert {int(code) for code in named[1].split(", ")} == FINAL_CLOSE_CODES
    passing = re.search(r"other than ([\d, ]+) and 5xx", PAGE)
    assert passing is not None
    assert {int(status) for status in passing[1].split(", ")} == {
        status for status in range(300, 500) if not Close(status).final
    }


def test_the_refusals_after_which_it_sends_again_without_end_are_named() -> None:
    [row] = [row for row in rows(PAGE, "Sending") if "rate_limited" in row[0]]
    assert set(re.findall(r"`(\w+)`", row[0])) == BUSY


def test_every_name_that_applications_import_is_there() -> None:
    assert all(hasattr(relay.client, name) for name in relay.client.__all__)
    assert not set(relay.client.__all__) & set(dir(builtins))
