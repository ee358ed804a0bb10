"""The address that a server listens on: whether it can be had, and what is right where it cannot.

A supervisor may hand sockets over that listen already (systemd's socket activation): they stay open while the
server is started anew, and who connects meanwhile waits.
"""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Mapping
from typing import Final

import trio

from relay.protocol.errors import said
from relay.settings import Settings

_OURS: Final = "[server] host names an address of this machine, such as 127.0.0.1 or 0.0.0.0"
_FIRST_HANDED: Final = 3
"""The number of the first descriptor that a supervisor hands over."""

TAKEN: Final = "another program listens there, or another relay; stop it, or give [server] port another number"


class CannotListen(Exception):
    """The server cannot listen on the port; the text says which, why, and what would be right."""


async def open_listeners(settings: Settings) -> list[trio.SocketListener]:
    """Return the listeners that the supervisor handed over; where there are none, bind the port.

    Raises:
        CannotListen: the port is taken, or not allowed; what was handed over is no listening socket.
    """
    if handed := handed_over(os.environ):
        return [trio.SocketListener(trio.socket.from_stdlib_socket(one)) for one in handed]
    server = settings.server
    try:
        return await trio.open_tcp_listeners(server.port, host=server.host or None, backlog=server.backlog)
    except OSError as error:
        raise CannotListen(_sentence(server.host, server.port, error)) from error


def handed_over(environ: Mapping[str, str]) -> list[socket.socket]:
    """Return copies of the listening sockets that a supervisor handed to this process; mostly none.

    Args:
        environ: the variables of the process: `LISTEN_FDS` and `LISTEN_PID`.

    Raises:
        CannotListen: one of them is no listening TCP socket.
    """
    if environ.get("LISTEN_PID") != str(os.getpid()):
        return []
    count = environ.get("LISTEN_FDS", "")
    if not count.isdecimal():
        raise CannotListen(f"LISTEN_FDS says how many sockets are handed over, and is {count!r}")
    return [_handed(number) for number in range(_FIRST_HANDED, _FIRST_HANDED + int(count))]


def _handed(number: int) -> socket.socket:
    """Return a copy of a socket that was handed over, which programs that the server starts do not inherit."""
    try:
        os.set_inheritable(number, False)
        found = socket.socket(fileno=os.dup(number))
    except OSError as error:
        reason = error.strerror or said(error)
        raise CannotListen(f"LISTEN_FDS: descriptor {number} is no socket: {reason}") from None
    listens = found.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
    if not listens or found.family not in (socket.AF_INET, socket.AF_INET6):
        found.close()
        raise CannotListen(
            f"LISTEN_FDS: descriptor {number} is no listening TCP socket; use ListenStream=ADDRESS:PORT"
        )
    return found


def listening_problem(host: str, port: int, *, may_be_taken: bool = False) -> str | None:
    """Return why a server cannot listen on an address; None if it can.

    Args:
        may_be_taken: whether the port may be in use, as by the server that runs already.
    """
    try:
        found = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        for family, kind, protocol, _name, address in found:
            with socket.socket(family, kind, protocol) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                if family == socket.AF_INET6:
                    probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                probe.bind((address[0], 0 if may_be_taken else port, *address[2:]))
    except OSError as error:
        return _sentence(host, port, error)
    return None


def _sentence(host: str, port: int, error: OSError) -> str:
    reason = error.strerror or said(error)
    text = f"cannot listen on {host}:{port}: {reason}"
    if error.errno == errno.EADDRINUSE:
        return f"{text}; {TAKEN}"
    if error.errno in (errno.EACCES, errno.EPERM):
        return f"{text}; a port below 1024 needs a right of its own: give [server] port a higher number"
    if isinstance(error, socket.gaierror) or error.errno == errno.EADDRNOTAVAIL:
        return f"{text}; {_OURS}"
    return text
