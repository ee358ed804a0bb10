"""The node port: other nodes connect to it, prove that they read the cluster's bus, and say what for.

The leader's beats have a key of its term. The leader sends a nonce, the node answers with a digest of it under
that key, and the leader proves the same in return: so neither is somebody who cannot read the bus. What follows is
plain unless the cluster has certificates of its own. A node that does not lead refuses everybody.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
import secrets
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from enum import StrEnum
from typing import Final, NamedTuple, TypeVar

import msgspec
import trio

from relay.protocol.errors import said
from relay.transports.accepting import accept
from relay.transports.lobby import ThrottledLog

_log: Final = logging.getLogger("relay.cluster")

_PROTOCOL: Final = 1
"""Goes up with each change of what nodes say to each other here."""

_HELLO_SECONDS: Final = 5.0
"""Until then the handshake of TLS and the hello are over."""

_MOST_STRANGERS: Final = 64
"""Connections that may be in their hello at once."""

_MOST_BYTES: Final = 1024
"""Of each message of the hello."""

_MOST_NAME: Final = 100
"""Characters of a node's name."""

_NONCE_BYTES: Final = 32
_LENGTH: Final = struct.Struct(">H")
_T = TypeVar("_T")


class NodeRefused(Exception):
    """The other node refuses this one; the text says why."""


class Purpose(StrEnum):
    """The purpose of a connection."""

    LINK = "link"
    """To pass its clients on."""

    COPY = "copy"
    """To fetch a copy of the database."""


class Address(NamedTuple):
    """The host and the port that a node is reached at."""

    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> Address:
        """Return the address that a text names: HOST:PORT, or [IPv6]:PORT.

        Raises:
            ValueError: it is none.
        """
        host, colon, port = text.rpartition(":")
        if host.startswith("[") and host.endswith("]"):
            host = host[1:-1]
        elif ":" in host:
            host = ""
        if not colon or not host or not (port.isascii() and port.isdigit()) or not 0 < int(port) < 65536:
            raise ValueError(f"a node's address is HOST:PORT, and not {text!r}")
        return cls(host, int(port))


class _Question(msgspec.Struct):
    """The first message of a hello: the leader's."""

    protocol: int
    nonce: bytes


class _Hello(msgspec.Struct):
    """A node's answer: its name, its purpose, its proof, and its own nonce."""

    purpose: str
    node: str
    term: int
    nonce: bytes
    proof: bytes


class _Answer(msgspec.Struct, omit_defaults=True):
    """The leader's last message: its proof, or the reason of a refusal."""

    proof: bytes = b""
    refused: str = ""


def _proof(key: str, *parts: bytes | str | int) -> bytes:
    return hmac.digest(key.encode(), msgspec.msgpack.encode(parts), hashlib.sha256)


Handler = Callable[[trio.abc.Stream, str], Awaitable[object]]
"""Serves a node's connection after its hello, and closes it; it is given the node's name."""


class _Term(NamedTuple):
    """A term, and what nodes are admitted with in it."""

    number: int
    key: str
    handlers: Mapping[Purpose, Handler]
    nursery: trio.Nursery


class NodePort:
    """A node's side of the port, for as long as the node runs.

    Args:
        tls: the context of a server that asks for certificates, where the cluster has them.
    """

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self._tls = tls
        self._term: _Term | None = None
        self._strangers = 0
        self._log = ThrottledLog(_log)

    async def serve(self, listeners: Sequence[trio.SocketListener]) -> None:
        """Accept connections for ever; nothing that one of them does gets out of here."""
        async with trio.open_nursery() as nursery:
            for listener in listeners:
                nursery.start_soon(accept, listener, self.receive, nursery, self._log)

    @asynccontextmanager
    async def admitting(self, term: int, key: str, handlers: Mapping[Purpose, Handler]) -> AsyncIterator[None]:
        """Admit nodes that know the key of a term, within the block; at its end all their connections are."""
        async with trio.open_nursery() as nursery:
            self._term = _Term(term, key, handlers, nursery)
            try:
                yield
            finally:
                self._term = None
                nursery.cancel_scope.cancel()

    async def receive(self, stream: trio.abc.Stream) -> None:
        """Take one connection through its hello, and hand it over to whom it is for."""
        address, admitted = _address_of(stream), False
        try:
            if self._strangers >= _MOST_STRANGERS:
                self._log.warn("crowd", f"{_MOST_STRANGERS} connections to the node port have said no hello yet")
                return
            self._strangers += 1
            try:
                with trio.fail_after(_HELLO_SECONDS):
                    if self._tls is not None:
                        stream = _wrapped(stream, self._tls, None)
                    term, hello = await self._greet(stream)
            finally:
                self._strangers -= 1
            term.nursery.start_soon(self._handle, term.handlers[Purpose(hello.purpose)], stream, hello.node)
            admitted = True
        except NodeRefused as refused:
            self._log.warn(f"refused {address}", f"{address} is refused at the node port: {said(refused)}")
        except trio.TooSlowError:
            self._log.warn(f"slow {address}", f"{address} said no hello to the node port in {_HELLO_SECONDS:g} s")
        except (trio.BrokenResourceError, trio.ClosedResourceError, OSError) as error:
            self._log.warn(f"broken {address}", f"a connection of {address} to the node port broke: {said(error)}")
        finally:
            if not admitted:
                await trio.aclose_forcefully(stream)

    async def _greet(self, stream: trio.abc.Stream) -> tuple[_Term, _Hello]:
        """Return what a node wants, once it has proved that it may.

        Raises:
            NodeRefused: it may not; it was told so.
        """
        question = _Question(_PROTOCOL, secrets.token_bytes(_NONCE_BYTES))
        await _say(stream, question)
        hello = await _hear(stream, _Hello)
        term = self._term
        if reason := self._refusal(term, question, hello):
            await _say(stream, _Answer(refused=reason))
            raise NodeRefused(reason)
        assert term is not None  # noqa: S101 - that would have been the refusal
        proof = _proof(term.key, "leader", hello.nonce, question.nonce)
        await _say(stream, _Answer(proof))
        if term is not self._term:
            raise NodeRefused("this node's term has ended meanwhile")
        return term, hello

    @staticmethod
    def _refusal(term: _Term | None, question: _Question, hello: _Hello) -> str:
        """Return why a hello is refused; "" where it is not."""
        if term is None:
            return "this node does not lead"
        proof = _proof(term.key, "node", question.nonce, hello.purpose, hello.node, hello.term, hello.nonce)
        if not hmac.compare_digest(proof, hello.proof):
            return f"the key is not that of term {term.number}, in which this node leads"
        if hello.term != term.number:
            return f"this node leads in term {term.number}, and not in term {hello.term}"
        if hello.purpose not in term.handlers:
            return f"nodes do not connect for {hello.purpose[:20]!r}"
        if not 0 < len(hello.node) <= _MOST_NAME or len(hello.nonce) != _NONCE_BYTES:
            return f"a node has a name of up to {_MOST_NAME} characters, and a nonce of {_NONCE_BYTES} bytes"
        return ""

    async def _handle(self, handler: Handler, stream: trio.abc.Stream, node: str) -> None:
        try:
            await handler(stream, node)
        except* (trio.BrokenResourceError, trio.ClosedResourceError, OSError) as broken:
            self._log.warn(f"node {node}", f"the connection of node {node} broke: {said(broken.exceptions[0])}")
        except* Exception as faults:
            _log.error("a connection of node %s ended with a fault of our own", node, exc_info=faults)
        finally:
            await trio.aclose_forcefully(stream)


async def connect(
    address: str, term: int, key: str, purpose: Purpose, node: str, *, tls: ssl.SSLContext | None = None
) -> trio.abc.Stream:
    """Connect to the leader's node port; return the stream once it has admitted this node.

    Args:
        address: HOST:PORT, as the leader's beats have it, with `term` and `key`.
        node: this node's name.

    Raises:
        NodeRefused: the leader refuses, or is no leader of this cluster.
        OSError: it cannot be reached, or says nothing in time.
        ValueError: the address is none.
    """
    host, port = Address.parse(address)
    with trio.move_on_after(_HELLO_SECONDS):
        stream: trio.abc.Stream = await trio.open_tcp_stream(host, port)
        try:
            if tls is not None:
                stream = _wrapped(stream, tls, host)
            await introduce(stream, term, key, purpose, node)
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            await trio.aclose_forcefully(stream)
            raise ConnectionError(f"the connection to node {address} broke: {said(error)}") from error
        except BaseException:
            await trio.aclose_forcefully(stream)
            raise
        return stream
    raise TimeoutError(f"node {address} does not answer within {_HELLO_SECONDS:g} s")


async def introduce(stream: trio.abc.Stream, term: int, key: str, purpose: Purpose, node: str) -> None:
    """Say hello on a stream to a node port, and hear its proof.

    Raises:
        NodeRefused: as `connect` says.
    """
    question = await _hear(stream, _Question)
    if question.protocol != _PROTOCOL:
        raise NodeRefused(f"the leader speaks protocol {question.protocol} of nodes, and this node {_PROTOCOL}")
    nonce = secrets.token_bytes(_NONCE_BYTES)
    proof = _proof(key, "node", question.nonce, purpose, node, term, nonce)
    await _say(stream, _Hello(purpose, node, term, nonce, proof))
    answer = await _hear(stream, _Answer)
    if answer.refused:
        raise NodeRefused(answer.refused)
    if not hmac.compare_digest(answer.proof, _proof(key, "leader", nonce, question.nonce)):
        raise NodeRefused("who answers there does not know the leader's key")


async def _say(stream: trio.abc.Stream, message: msgspec.Struct) -> None:
    data = msgspec.msgpack.encode(message)
    await stream.send_all(_LENGTH.pack(len(data)) + data)


async def _hear(stream: trio.abc.Stream, kind: type[_T]) -> _T:
    """Return the next message of a hello; not a byte behind it is read.

    Raises:
        NodeRefused: it is none.
        trio.BrokenResourceError: the other node is gone.
    """
    [size] = _LENGTH.unpack(await _exactly(stream, _LENGTH.size))
    if not 0 < size <= _MOST_BYTES:
        raise NodeRefused("what comes from there is no hello of a node")
    try:
        return msgspec.msgpack.decode(await _exactly(stream, size), type=kind)
    except msgspec.MsgspecError:
        raise NodeRefused("what comes from there is no hello of a node") from None


async def _exactly(stream: trio.abc.Stream, size: int) -> bytes:
    data = b""
    while len(data) < size:
        more = await stream.receive_some(size - len(data))
        if not more:
            raise trio.BrokenResourceError("the other side has left")
        data += more
    return data


def _wrapped(stream: trio.abc.Stream, tls: ssl.SSLContext, host: str | None) -> trio.abc.Stream:
    """Return TLS on a stream: of a server where there is no host."""
    return trio.SSLStream(
        stream,
        tls,
        server_hostname=host,
        server_side=host is None,
        https_compatible=True,
    )


def _address_of(stream: trio.abc.Stream) -> str:
    """Return where a connection comes from, as the log says it."""
    try:
        return str(stream.socket.getpeername()[0]) if isinstance(stream, trio.SocketStream) else "memory"
    except OSError:
        return "somebody who is gone"
