"""A server as a supervisor starts it that holds the port: systemd with a socket unit."""

from __future__ import annotations

import socket
import sys

from tests.e2e.server import RELAY, Server

HAND_OVER = """
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS="1")
os.execvp(sys.argv[2], sys.argv[2:])
"""
"""Starts a program with a socket as its descriptor 3, as systemd does."""


def hand_over(server: Server, held: socket.socket, *variables: str) -> None:
    """Have a server started with a listening socket that is held here, and with variables, each `NAME=value`."""
    begin = (sys.executable, "-c", HAND_OVER, str(held.fileno()))
    server.command = ("env", *variables, *begin, *(server.command or RELAY))
    server.handed = (held.fileno(),)
    server.port = held.getsockname()[1]
