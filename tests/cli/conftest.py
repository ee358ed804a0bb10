"""A folder of its own for each test, and an engine with a control socket beside the test."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import click.testing
import pytest
import trio

from relay.app.control import serve_control
from relay.app.control_client import control_path
from relay.cli import main
from relay.engine.opening import open_engine
from relay.settings import load
from relay.testing.world import make_database

Run = Callable[..., click.testing.Result]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, empty, with no relay variable set."""
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("RELAY_")]:
        monkeypatch.delenv(name)
    return tmp_path


@contextmanager
def controlled(database: Path) -> Iterator[None]:
    """Run an engine and its control socket in a thread: a server without its port."""
    settings = load(None, {"RELAY_STORAGE__PATH": str(database)})
    started = threading.Event()
    stop: list[Callable[[], None]] = []
    faults: list[BaseException] = []

    async def serve() -> None:
        async with open_engine(settings) as engine, trio.open_nursery() as nursery:
            await nursery.start(partial(serve_control, engine, control_path(database)))
            token = trio.lowlevel.current_trio_token()
            stop.append(lambda: token.run_sync_soon(nursery.cancel_scope.cancel))
            started.set()

    def work() -> None:
        try:
            trio.run(serve)
        except BaseException as fault:
            faults.append(fault)
            started.set()

    thread = threading.Thread(target=work)
    thread.start()
    started.wait(10)
    try:
        yield
    finally:
        for end in stop:
            end()
        thread.join(10)
    assert not faults
    assert not thread.is_alive()


@pytest.fixture
def run(folder: Path) -> Run:
    """Call `run("user", "add", "bob")` to run a command with a runner of click's; `ok=False` when it must fail."""

    def invoke(*arguments: str, ok: bool = True, **options: object) -> click.testing.Result:
        result = click.testing.CliRunner().invoke(main, list(arguments), prog_name="relay", **options)  # type: ignore[arg-type]
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        assert (result.exit_code == 0) is ok, result.output
        return result

    return invoke


@pytest.fixture(params=["alone", "server"])
def anywhere(request: pytest.FixtureRequest, folder: Path, run: Run) -> Iterator[Run]:
    """The same as `run`, once on a database without a server and once on one that a server has."""
    make_database(folder / "relay.db")
    if request.param == "alone":
        yield run
    else:
        with controlled(folder / "relay.db"):
            yield run
