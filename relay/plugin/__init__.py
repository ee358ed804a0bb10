"""The third floor: the grammar that plugin authors program against.

Everything a plugin needs is importable from here, and nothing below needs to be known::

    from relay.plugin import ConversationKind, Kind, MessageType, hookimpl

Rule 1: hooks *register*, at boot; pluggy is synchronous and isolates nothing. What a plugin registered is
called by relay itself, under a deadline, and what it raises is answered `plugin_failed`.

Rule 2: nothing here knows how a message arrived.
"""

from relay.plugin.hookspecs import hookimpl
from relay.plugin.parts import (
    Authenticator,
    BackgroundTask,
    Claim,
    Coming,
    Command,
    Credentials,
    MessageHook,
    Migration,
    Routes,
    SessionHook,
)
from relay.plugin.server import Server
from relay.plugin.types import Draft, MessageType, Payload, Sender
from relay.protocol.envelope import Integer, Name
from relay.protocol.errors import ErrorCode, RelayError
from relay.protocol.kinds import ConversationKind, Kind, Role
from relay.services.limits import TokenBuckets
from relay.storage.errors import StorageFailed
from relay.storage.log import Unchanged

__all__ = [
    "Authenticator",
    "BackgroundTask",
    "Claim",
    "Coming",
    "Command",
    "ConversationKind",
    "Credentials",
    "Draft",
    "ErrorCode",
    "Integer",
    "Kind",
    "MessageHook",
    "MessageType",
    "Migration",
    "Name",
    "Payload",
    "RelayError",
    "Role",
    "Routes",
    "Sender",
    "Server",
    "SessionHook",
    "StorageFailed",
    "TokenBuckets",
    "Unchanged",
    "hookimpl",
]
