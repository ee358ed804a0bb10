"""What relay uses of libraries beyond their public API is there: an upgrade that takes it away fails here first."""

import inspect
from pathlib import Path
from typing import Any

import h11
import trio.testing
from hypercorn.app_wrappers import ASGIWrapper
from hypercorn.config import Config
from hypercorn.events import Closed, Updated
from hypercorn.trio.lifespan import Lifespan
from hypercorn.trio.tcp_server import TCPServer
from hypercorn.trio.worker_context import WorkerContext
from quart import Quart
from trio_websocket import WebSocketConnection
from wsproto.connection import Connection, ConnectionType

PAGE = (Path(__file__).parents[2] / "ARCHITECTURE.md").read_text(encoding="utf-8")
LISTED = PAGE.partition("## Private API")[2]


def parameters(function: Any) -> list[str]:
    return list(inspect.signature(function).parameters)


def listed(*names: str) -> None:
    for name in names:
        assert f"`{name}`" in LISTED or f".{name}`" in LISTED, f"ARCHITECTURE.md does not list {name}"


def test_wsproto_tells_where_its_frame_decoder_stands() -> None:
    listed(
        "Connection._proto", "_frame_decoder", "header", "buffer", "payload_consumed", "_message_decoder", "opcode"
    )
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
    listed("_reader_task", "_handle_message_event", "_handle_close_connection_event")
    listed("_wsproto", "_message_parts", "_reader_running")
    assert parameters(WebSocketConnection._reader_task) == ["self"]
    assert parameters(WebSocketConnection._handle_message_event) == ["self", "event"]
    assert parameters(WebSocketConnection._handle_close_connection_event) == ["self", "event"]
    stream, _ = trio.testing.memory_stream_pair()
    wsproto: Any = Connection(ConnectionType.SERVER)
    library = WebSocketConnection(stream, wsproto, max_message_size=1)
    assert library._wsproto is wsproto
    assert library._message_parts == []
    assert library._reader_running is True


async def test_trio_tells_which_scopes_are_inside_a_scope() -> None:
    listed("CancelScope._cancel_status", "children", "_scope")
    with trio.CancelScope() as outer, trio.CancelScope(shield=True) as inner:
        await trio.lowlevel.checkpoint()
        (status,) = outer._cancel_status.children  # type: ignore[union-attr]
        assert status._scope is inner


def test_hypercorn_runs_one_connection_and_one_lifespan() -> None:
    listed("TCPServer", "Lifespan", "WorkerContext", "ASGIWrapper", "Updated", "Closed")
    assert parameters(TCPServer.__init__) == ["self", "app", "config", "context", "state", "stream"]
    assert parameters(TCPServer.protocol_send) == ["self", "event"]
    assert hasattr(TCPServer, "__await__")
    assert parameters(Lifespan.__init__) == ["self", "app", "config", "state"]
    for name in ("handle_lifespan", "wait_for_startup", "wait_for_shutdown"):
        assert inspect.iscoroutinefunction(getattr(Lifespan, name))
    assert parameters(WorkerContext.__init__) == ["self", "max_requests"]
    assert inspect.iscoroutinefunction(WorkerContext(None).terminated.set)
    assert parameters(ASGIWrapper.__init__) == ["self", "app"]
    assert inspect.isclass(Updated)
    assert inspect.isclass(Closed)


def test_h11_gives_back_what_it_has_not_read() -> None:
    listed("Connection._receive_buffer", "_extract")
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
    listed("Quart.create_url_adapter")
    assert parameters(Quart.create_url_adapter) == ["self", "request"]
