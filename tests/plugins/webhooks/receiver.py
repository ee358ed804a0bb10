"""Receivers on a network in memory, which behave as a test tells them, on the test's clock."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

import h11
import httpcore
import trio
import trio.testing


class Posted(NamedTuple):
    """A request as it arrived."""

    at: float
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def content(self) -> str:
        return str(self.json["payload"].get("content"))


class Reply(NamedTuple):
    status: int = 204
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = ()


Behaviour = Callable[[Posted], Awaitable[Reply]]


async def accept(_posted: Posted) -> Reply:
    return Reply()


def answering(status: int, body: Any = None, **headers: str) -> Behaviour:
    named = tuple((name.replace("_", "-"), value) for name, value in headers.items())
    kind = (("content-type", "application/json"),) if body is not None else ()

    async def behave(_posted: Posted) -> Reply:
        return Reply(status, b"" if body is None else json.dumps(body).encode(), (*kind, *named))

    return behave


def failing(times: int, then: Behaviour = accept, status: int = 500) -> Behaviour:
    """Fail the first attempts of each delivery."""
    seen: dict[str, int] = {}

    async def behave(posted: Posted) -> Reply:
        seen[posted.id] = seen.get(posted.id, 0) + 1
        return Reply(status) if seen[posted.id] <= times else await then(posted)

    return behave


async def hang(_posted: Posted) -> Reply:
    await trio.sleep_forever()
    raise AssertionError


class Receiver:
    """One host: what was posted to it, and what it does.

    Attributes:
        posted: every request, also those that failed.
        taken: those that were answered by a success.
        up: whether it can be connected to.
        cut: how much of its answers' bodies it sends; None for all.
    """

    def __init__(self) -> None:
        self.posted: list[Posted] = []
        self.taken: list[Posted] = []
        self.behaviour: Behaviour = accept
        self.up = True
        self.cut: int | None = None
        self.at_once = self.most_at_once = 0

    def contents(self) -> list[str]:
        return [posted.content for posted in self.taken]

    async def serve(self, stream: trio.abc.Stream) -> None:
        connection = h11.Connection(h11.SERVER)
        try:
            while await self._answer(connection, stream):
                connection.start_next_cycle()
        except (trio.BrokenResourceError, trio.ClosedResourceError, h11.RemoteProtocolError):
            pass  # the server may end in the middle of a request
        finally:
            await trio.aclose_forcefully(stream)

    async def _answer(self, connection: h11.Connection, stream: trio.abc.Stream) -> bool:
        request, body = None, b""
        while True:
            event = connection.next_event()
            if event is h11.NEED_DATA:
                connection.receive_data(bytes(await stream.receive_some(65536)))
            elif isinstance(event, h11.Request):
                request = event
            elif isinstance(event, h11.Data):
                body += event.data
            elif isinstance(event, h11.EndOfMessage):
                break
            else:
                return False
        assert request is not None
        headers = {name.decode(): value.decode() for name, value in request.headers}
        posted = Posted(trio.current_time(), request.target.decode(), headers, body)
        self.posted.append(posted)
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            reply = await self._behave(posted, stream)
        finally:
            self.at_once -= 1
        if reply is None:
            return False
        if 200 <= reply.status < 300:
            self.taken.append(posted)
        await _send(connection, stream, reply, self.cut)
        return True

    async def _behave(self, posted: Posted, stream: trio.abc.Stream) -> Reply | None:
        """Return the reply; None when the other side left before there was one."""
        reply = None
        async with trio.open_nursery() as nursery:

            async def watch() -> None:
                assert not await stream.receive_some(1), "a second request came before the answer"
                nursery.cancel_scope.cancel()

            nursery.start_soon(watch)
            reply = await self.behaviour(posted)
            nursery.cancel_scope.cancel()
        return reply


async def _send(connection: h11.Connection, stream: trio.abc.Stream, reply: Reply, cut: int | None) -> None:
    headers = [*reply.headers, ("content-length", str(len(reply.body)))]
    await stream.send_all(connection.send(h11.Response(status_code=reply.status, headers=headers)) or b"")
    await stream.send_all(connection.send(h11.Data(data=reply.body[:cut])) or b"")
    if cut is not None:
        await trio.sleep_forever()
    await stream.send_all(connection.send(h11.EndOfMessage()) or b"")


class _Stream(httpcore.AsyncNetworkStream):
    def __init__(self, stream: trio.abc.Stream) -> None:
        self._stream = stream

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ASYNC109
        try:
            return bytes(await self._stream.receive_some(max_bytes))
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            raise httpcore.ReadError(str(error)) from error

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ASYNC109
        try:
            await self._stream.send_all(buffer)
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            raise httpcore.WriteError(str(error)) from error

    async def aclose(self) -> None:
        await self._stream.aclose()


class Receivers(httpcore.AsyncNetworkBackend):
    """A network of receivers, by host; it is put in the place of httpcore's own."""

    nursery: trio.Nursery

    def __init__(self) -> None:
        self.hosts: dict[str, Receiver] = {}

    def __getitem__(self, host: str) -> Receiver:
        return self.hosts.setdefault(host, Receiver())

    async def connect_tcp(self, host: str, port: int, *_more: Any, **_named: Any) -> httpcore.AsyncNetworkStream:
        await trio.lowlevel.checkpoint()
        receiver = self[host]
        if not receiver.up:
            raise httpcore.ConnectError(f"{host} refuses connections")
        ours, theirs = trio.testing.memory_stream_pair()
        self.nursery.start_soon(receiver.serve, theirs)
        return _Stream(ours)
