"""The server's side of the control socket, through which the command line uses a running server's database.

A unix socket beside the database, mode 0600. A request is one JSON line, `{"op", "arguments"}` of
`relay.app.admin`; the response is one, `{"ok": …}` or `{"error": {"code", "message"}}`, and ends the connection.
Only the server's own user and root may connect. No client can harm the server, however broken: each has a
deadline, a limit on its bytes, and a task group of its own.
"""

from __future__ import annotations

import logging
import os
import socket
import stat
import struct
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final

import msgspec
import trio

from relay.app import admin
from relay.app.control_client import MAX_REQUEST, ControlError, short_address
from relay.engine.engine import Engine
from relay.protocol.errors import ErrorCode, RelayError, said
from relay.services.audit import Actor
from relay.storage.errors import StorageError
from relay.storage.invites import id_of
from relay.transports.accepting import accept
from relay.transports.lobby import ThrottledLog

log: Final = logging.getLogger("relay.control")

REQUEST_SECONDS: Final = 30.0
"""Seconds for a request to arrive, and again for it to be done; the command line waits a little longer."""

TOLD: Final = frozenset({
    "user_id", "group_id", "owner", "sender_id", "target_id", "members", "user_ids", "user", "target", "client_id",
    "token_id", "report_id", "message_id", "plugin", "name", "command", "schedule", "key", "address", "invite",
    "label", "role", "kind", "act", "state", "seconds", "until", "days", "uses", "groups", "about", "by", "lines",
    "language", "credentials", "source", "node",
})  # fmt: skip
"""The arguments that are logged, of lists their length; the others may be secrets, or what somebody wrote."""

_LONGEST: Final = 80

_SEND_SECONDS: Final = 5.0
_AT_ONCE: Final = 8


class Request(msgspec.Struct, forbid_unknown_fields=True):
    """One request: an operation's name and its keyword arguments."""

    op: str
    arguments: dict[str, Any] = {}


Perform = Callable[[str, dict[str, Any], Actor], Awaitable[Any]]
"""Does an operation, by its name, with its arguments, for somebody; returns its answer, made of JSON types."""


async def serve_control(
    engine: Engine, path: Path, *, task_status: trio.TaskStatus[object] = trio.TASK_STATUS_IGNORED
) -> None:
    """Do the operations of `relay.app.admin` for the command line; see `serve_operations`.

    Raises:
        ControlError: the socket cannot be made; the message says why.
    """
    await serve_operations(partial(admin.perform, engine), path, task_status=task_status)


async def serve_operations(
    perform: Perform, path: Path, *, task_status: trio.TaskStatus[object] = trio.TASK_STATUS_IGNORED
) -> None:
    """Answer the command line on a socket at `path` until cancelled, then remove the socket.

    The caller holds the database's lock, so a socket that is already there was left by a dead server and is
    replaced.

    Raises:
        ControlError: the socket cannot be made; the message says why.
    """
    limiter = trio.CapacityLimiter(_AT_ONCE)
    with _listening(path) as listening:
        listener = trio.SocketListener(trio.socket.from_stdlib_socket(listening))
        async with trio.open_nursery() as nursery:
            task_status.started()
            await accept(listener, partial(_guard, perform, limiter), nursery, ThrottledLog(log))


@contextmanager
def _listening(path: Path) -> Iterator[socket.socket]:
    """Yield the listening socket, which only its owner can connect to from the first moment on."""
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        _bind(listening, path)
        try:
            listening.listen()
            yield listening
        finally:
            path.unlink(missing_ok=True)
    finally:
        listening.close()


def _bind(listening: socket.socket, path: Path) -> None:
    try:
        if path.is_symlink() or (path.exists() and not stat.S_ISSOCK(path.lstat().st_mode)):
            raise ControlError(f"{path}: something else than a socket is in the way of the control socket")
        path.unlink(missing_ok=True)
        # By umask and not by chmod, which would come a moment after others could connect.
        previous = os.umask(0o177)
        try:
            with short_address(path) as name:
                listening.bind(name)
        finally:
            os.umask(previous)
    except OSError as error:
        raise ControlError(
            f"{path}: the control socket cannot be made: {error.strerror or said(error)}"
        ) from error


async def _guard(perform: Perform, limiter: trio.CapacityLimiter, stream: trio.SocketStream) -> None:
    """Answer one client; every error ends here."""
    try:
        async with stream, limiter:
            answer = await _answer(perform, stream)
            with trio.move_on_after(_SEND_SECONDS):
                await stream.send_all(msgspec.json.encode(answer) + b"\n")
    except trio.BrokenResourceError:
        log.debug("a control client left before its answer")
    except Exception:
        log.exception("a control request failed")


async def _answer(perform: Perform, stream: trio.SocketStream) -> dict[str, Any]:
    try:
        peer = _permitted(stream.socket)
        with trio.fail_after(REQUEST_SECONDS):
            request = msgspec.json.decode(await _read_line(stream), type=Request)
        log.info("control: %s%s, asked by uid %s", request.op[:80], _about(request.arguments), peer)
        with trio.fail_after(REQUEST_SECONDS):
            return {"ok": await perform(request.op, request.arguments, Actor.operator(peer))}
    except RelayError as error:
        return _refusal(error.code, error.message)
    except StorageError as error:
        return _refusal(ErrorCode.OVERLOADED, str(error))
    except (msgspec.DecodeError, RecursionError, UnicodeError) as error:
        return _refusal(ErrorCode.BAD_JSON, f"a request is one line of JSON: {error}")
    except trio.TooSlowError:
        return _refusal(ErrorCode.INTERNAL, f"not done within {REQUEST_SECONDS:g} s; it may still be")
    except trio.BrokenResourceError:
        raise
    except Exception:
        log.exception("a control request failed")
        return _refusal(ErrorCode.INTERNAL, "the server failed; its log says how")


def _about(arguments: dict[str, Any]) -> str:
    """Return the arguments of an operation that may be logged, as text."""
    told = []
    for name in arguments:
        value = arguments[name]
        if name not in TOLD or value in (None, "", [], ()):
            continue
        if name == "invite" and isinstance(value, str):
            value = id_of(value)  # its code lets somebody in
        if isinstance(value, list | tuple):
            told.append(f" {name}=({len(value)})")
        elif isinstance(value, str):
            told.append(f" {name}={value[:_LONGEST]!r}")
        elif isinstance(value, int | float):
            told.append(f" {name}={value}")
    return "".join(told)


def _refusal(code: ErrorCode, message: str) -> dict[str, Any]:
    return {"error": {"code": code, "message": message}}


async def _read_line(stream: trio.SocketStream) -> bytes:
    received = bytearray()
    while not received.endswith(b"\n"):
        chunk = await stream.receive_some(65_536)
        if not chunk:
            break  # the end of the stream also ends a line
        received += chunk
        if len(received) > MAX_REQUEST:
            raise RelayError(ErrorCode.TOO_LARGE, f"a request has {MAX_REQUEST:,} bytes at most")
    return bytes(received)


def _permitted(peer: trio.socket.SocketType) -> int | None:
    """Return the peer's user id if it may connect; None if the system does not tell it, and the file mode decides.

    Raises:
        RelayError: `forbidden`.
    """
    if not hasattr(socket, "SO_PEERCRED"):
        return None
    credentials = peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    _pid, uid, _gid = struct.unpack("3i", credentials)
    if uid not in (0, os.geteuid()):
        raise RelayError(ErrorCode.FORBIDDEN, "only the server's own user and root may ask it")
    return int(uid)
