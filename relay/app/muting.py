"""A process that reaches nobody: Python itself refuses connections and programs, whoever's code asks for them."""

from __future__ import annotations

import errno
import ipaddress
import sys
from typing import Any, Final

_CONNECTS: Final = frozenset({"socket.connect", "socket.sendto", "socket.sendmsg"})
_PROGRAMS: Final = frozenset(
    {"subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.spawn", "pty.spawn"}
)


def mute() -> None:
    """Have this process, for the rest of its life, connect to nothing and start no programs; listening is left.

    By an audit hook (PEP 578), so that it holds for plugins with sockets of their own as well. It is no wall
    against code that means harm: modules in C can go past it.
    """
    sys.addaudithook(refuse)


def refuse(event: str, arguments: tuple[Any, ...]) -> None:
    """Refuse what would reach somebody else.

    Raises:
        PermissionError: for an event of that kind.
    """
    if event in _CONNECTS:
        raise PermissionError(errno.EPERM, "this is a sandbox, which connects to nothing")
    if event in _PROGRAMS:
        raise PermissionError(errno.EPERM, "this is a sandbox, which starts no programs")
    if event == "socket.getaddrinfo" and not _is_address(arguments[0]):
        raise PermissionError(errno.EPERM, "this is a sandbox, which looks up no names")


def _is_address(host: object) -> bool:
    if not host:
        return True  # the addresses of this machine, to listen on
    text = host.decode("ascii", "replace") if isinstance(host, bytes) else str(host)
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
