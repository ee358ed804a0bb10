"""What relay uses of libraries beyond their public API is there: an upgrade that takes it away fails here first."""

import inspect
import re
from pathlib import Path
from typing import Any, cast

import h11
import trio.testing
from hypercorn.app_wrappers import ASGIWrapper
from hypercorn.config import Config
from hypercorn.events import Closed, Updated
from hypercorn.protocol import ProtocolWrapper
from hypercorn.trio.lifespan import Lifespan
from hypercorn.trio.tcp_server import TCPServer
from hypercorn.trio.worker_context import WorkerContext
from quart import Quart
from trio_websocket import WebSocketConnection
from wsproto.connection import Connection, ConnectionType

from tests.docs.private_api import functions_in, used_in

ROOT = Path(__file__).parents[2]
LISTED = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8").partition("## Private API")[2]
PUBLIC = {"Connection", "WebSocketConnection", "CancelScope", "Quart"}
SOURCES = [*(ROOT / "relay").rglob("*.py"), *(ROOT / "plugins").rglob("*.py")]


def listed() -> set[str]:
    """Return the names in the table's second column; of `Class.name`, where a class is public, the name alone."""
    found: set[str] = set()
    for row in LISTED.splitlines():
        cells = row.split("|")
        for quoted in re.findall(r"`([\w.]+)`", cells[2] if len(cells) > 3 else ""):
            first, *more = quoted.split(".")
            found.update(more if more and first in PUBLIC else [first, *more])
    return found


def test_the_page_lists_exactly_what_the_code_uses() -> None:
    ours = {name for path in SOURCES for name in functions_in(path) if name.startswith("_")}
    used = {path: used_in(path, ours) for path in SOURCES}
    assert set().union(*used.values()) == listed()


def parameters(function: Any) -> list[str]:
    return list(inspect.signature(function).parameters)


def test_wsproto_tells_where_its_frame_decoder_stands() -> None:
    connection: Any = Connection(ConnectionType.SERVER)
    frames, messages = connection._proto._frame_decoder, connection._proto._message_decoder
    assert [frames.header, len(frames.buffer), messages.opcode] == [None, 0, None]
    connection.receive_data(b"\x01\xfe\x01\x00" + bytes(4) + b"abc")  # the first fragment, 3 of 256 bytes of it
    assert list(connection.events())
    assert frames.header is not None
    assert frames.header.payload_len == 256
    assert frames.payload_consumed == 3
    assert messages.opcode is not None


async def test_trio_websocket_has_the_methods_that_are_replaced_and_the_state_they_use() -> None:
    assert parameters(WebSocketConnection._reader_task) == ["self"]
    assert parameters(WebSocketConnection._handle_message_event) == ["self", "event"]
    assert parameters(WebSocketConnection._handle_close_connection_event) == ["self", "event"]
    assert parameters(WebSocketConnection._handle_ping_event) == ["self", "event"]
    assert parameters(WebSocketConnection._handle_pong_event) == ["self", "event"]
    stream, _ = trio.testing.memory_stream_pair()
    wsproto: Any = Connection(ConnectionType.SERVER)
    library = WebSocketConnection(stream, wsproto, max_message_size=1)
    assert library._wsproto is wsproto
    assert library._message_parts == []
    assert library._reader_running is True


async def test_trio_tells_which_scopes_are_inside_a_scope() -> None:
    with trio.CancelScope() as outer, trio.CancelScope(shield=True) as inner:
        await trio.lowlevel.checkpoint()
        (status,) = outer._cancel_status.children  # type: ignore[union-attr]
        assert status._scope is inner


def test_trios_virtual_clock_has_a_time_and_a_step_that_can_be_replaced() -> None:
    clock = trio.testing.MockClock()
    assert clock._virtual_base == clock.current_time() == 0
    clock.jump(5)
    assert clock._virtual_base == clock.current_time() == 5
    assert parameters(clock._autojump) == []


def test_hypercorn_runs_one_connection_and_one_lifespan() -> None:
    assert parameters(TCPServer.__init__) == ["self", "app", "config", "context", "state", "stream"]
    assert parameters(TCPServer.protocol_send) == ["self", "event"]
    assert parameters(TCPServer._read_data) == ["self"]
    assert parameters(TCPServer._idle_timeout) == ["self"]
    assert hasattr(TCPServer, "__await__")
    assert parameters(Lifespan.__init__) == ["self", "app", "config", "state"]
    for name in ("handle_lifespan", "wait_for_startup", "wait_for_shutdown"):
        assert inspect.iscoroutinefunction(getattr(Lifespan, name))
    assert parameters(WorkerContext.__init__) == ["self", "max_requests"]
    assert inspect.iscoroutinefunction(WorkerContext(None).terminated.set)
    assert parameters(ASGIWrapper.__init__) == ["self", "app"]
    assert inspect.isclass(Updated)
    assert inspect.isclass(Closed)


def test_hypercorn_has_an_h11_connection_two_protocols_down() -> None:
    nothing: Any = None
    stream: Any = trio.testing.memory_stream_pair()[0]
    server = TCPServer(nothing, Config(), WorkerContext(None), nothing, stream)
    assert server.stream is stream
    assert "protocol" in TCPServer.run.__code__.co_names
    protocol = ProtocolWrapper(nothing, Config(), WorkerContext(None), *[nothing] * 6)
    assert isinstance(cast(Any, protocol.protocol).connection, h11.Connection)


def test_h11_gives_back_what_it_has_not_read() -> None:
    connection = h11.Connection(h11.SERVER)
    connection.receive_data(b"GET / HTTP/1.1\r\nHost: h\r\n\r\nGET /next")
    assert isinstance(connection.next_event(), h11.Request)
    held: Any = connection._receive_buffer
    assert bytes(held._extract(len(held))) == b"GET /next"
    assert len(held) == 0


def test_hypercorn_knows_the_settings_that_relay_gives_it() -> None:
    config = Config()
    for name in (
        "keep_alive_timeout", "h11_max_incomplete_size", "alpn_protocols", "include_server_header", "accesslog",
        "errorlog",
    ):  # fmt: skip
        assert hasattr(config, name), name


def test_quart_makes_its_router_where_relay_replaces_it() -> None:
    assert parameters(Quart.create_url_adapter) == ["self", "request"]
