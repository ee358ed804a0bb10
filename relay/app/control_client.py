"""The command line's side of the control socket: one request and one response, in plain blocking calls.

It is separate from the server's side because it needs neither trio nor the engine: with a running server, a
command takes about as long as Python needs to start.
"""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

import msgspec

from relay.protocol.errors import ErrorCode, RelayError, said

MAX_REQUEST: Final = 4 * 1024 * 1024
"""Bytes of one request; an import of 10,000 users takes 670,000."""

_MAX_ADDRESS: Final = 107
_DESCRIPTORS: Final = Path("/proc/self/fd")
_ANSWER_SECONDS: Final = 40.0
_CHUNK: Final = 65_536


class NoServer(Exception):
    """No server listens: none runs on this database, or it is just starting or ending."""


class ControlError(Exception):
    """A server has the database but could not be asked, or gave no response."""


class Refusal(msgspec.Struct):
    """The error of an operation that was refused."""

    code: ErrorCode
    message: str


class Answer(msgspec.Struct):
    """A response: a result or an error."""

    ok: Any = None
    error: Refusal | None = None


def control_path(database: Path) -> Path:
    """Return the path of a database's control socket, beside it."""
    return database.with_name(database.name + ".sock")


@contextmanager
def short_address(path: Path) -> Iterator[str]:
    """Yield an address for a unix socket at `path` that fits into 107 bytes, however long the path is.

    Raises:
        ControlError: the file name alone is too long.
        OSError: there is no such directory.
    """
    if len(os.fsencode(path)) <= _MAX_ADDRESS:
        yield str(path)
        return
    folder = os.open(path.parent, getattr(os, "O_PATH", os.O_RDONLY) | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        # The kernel follows /proc/self/fd/N, so an open folder gives its files a short name.
        short = _DESCRIPTORS / str(folder) / path.name
        if len(os.fsencode(short)) > _MAX_ADDRESS or not _DESCRIPTORS.is_dir():
            raise ControlError(f"{path}: too long for the address of a socket; use a shorter [storage] path")
        yield str(short)
    finally:
        os.close(folder)


def call(path: Path, op: str, arguments: Mapping[str, Any]) -> Any:
    """Have a running server perform one operation of `relay.app.admin`; return its answer.

    Raises:
        NoServer: no server listens.
        RelayError: the operation was refused.
        ControlError: this user may not ask the server, or it ended before it answered.
    """
    request = msgspec.json.encode({"op": op, "arguments": arguments}) + b"\n"
    if len(request) > MAX_REQUEST:
        raise RelayError(ErrorCode.TOO_LARGE, f"a request has {MAX_REQUEST:,} bytes at most")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(_ANSWER_SECONDS)
        _connect(connection, path)
        with suppress(BrokenPipeError, ConnectionResetError):  # it may have answered without reading everything
            connection.sendall(request)
        answer = _read_answer(connection)
    if answer.error is not None:
        raise RelayError(answer.error.code, answer.error.message)
    return answer.ok


def _connect(connection: socket.socket, path: Path) -> None:
    try:
        with short_address(path) as name:
            connection.connect(name)
    except (FileNotFoundError, NotADirectoryError, ConnectionRefusedError):
        raise NoServer(str(path)) from None
    except PermissionError:
        raise ControlError(
            f"{path}: the database belongs to another user; run this as that user, or as root"
        ) from None
    except OSError as error:
        raise ControlError(f"{path}: the server cannot be asked: {error.strerror or said(error)}") from None


def _read_answer(connection: socket.socket) -> Answer:
    received = bytearray()
    try:
        while not received.endswith(b"\n"):
            chunk = connection.recv(_CHUNK)
            if not chunk:
                raise ControlError("the server ended before it answered; whether it was done is not known")
            received += chunk
        return msgspec.json.decode(received, type=Answer)
    except TimeoutError:
        raise ControlError("the server does not answer; whether it was done is not known") from None
    except ConnectionResetError:
        raise ControlError("the server ended before it answered; whether it was done is not known") from None
    except msgspec.DecodeError as error:
        raise ControlError(f"the server's answer is of another version: {error}") from None


def server_pid(path: Path) -> int | None:
    """Return the process that listens at a control socket; None where there is none, or it is not told."""
    if not hasattr(socket, "SO_PEERCRED"):
        return None
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        try:
            _connect(connection, path)
        except (NoServer, ControlError):
            return None
        credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    return int(struct.unpack("3i", credentials)[0])
