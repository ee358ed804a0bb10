"""The exceptions of the client, as one tree.

    Exception
    ├── RelayError        the server refused one message or request; the connection goes on
    │   └── RelayOffline  it could not be asked at all, or the answer was lost
    ├── RelayClosed       the connection is over and does not come back by itself
    ├── OutboxFull        too many messages wait to be sent
    └── StateError        the state file cannot be used

Anything else that comes out of this package is a bug in it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from relay.protocol import errors as protocol
from relay.protocol.errors import ErrorCode


class RelayError(protocol.RelayError):
    """The server refused one message or one request.

    `code` is one of the protocol's error codes, `retry` says whether the same thing may succeed later, and
    `retry_after` (seconds) when; `details` is the server's own addition.
    """

    def __init__(
        self,
        code: str,
        message: str,
        retry: bool = False,
        retry_after: float | None = None,
        details: Any = None,
    ) -> None:
        # A newer server may have codes that are not in this client's table: they stay text.
        super().__init__(cast(ErrorCode, code), message, retry=retry, retry_after=retry_after, details=details)

    def __str__(self) -> str:
        return f"{self.code}: {self.message}"

    @classmethod
    def from_payload(cls, payload: Mapping[str, Any]) -> RelayError:
        """Return the error that an `error` frame's payload or a problem document describes."""
        after = payload.get("retry_after")
        return cls(
            str(payload.get("code") or ErrorCode.INTERNAL),
            str(payload.get("message") or payload.get("detail") or payload.get("title") or "refused"),
            bool(payload.get("retry", False)),
            float(after) if isinstance(after, int | float) else None,
            payload.get("details"),
        )


class RelayOffline(RelayError):
    """There is no connection to ask, or it broke before the answer; asking again may work.

    It does not where `retry` is false: the server's certificate is one that this machine does not trust.
    """

    def __init__(self, message: str, retry: bool = True) -> None:
        super().__init__("offline", message, retry=retry)


class RelayClosed(Exception):
    """The connection is over for good.

    `code` is the WebSocket close code (45xx: do not come back unchanged), the HTTP status when the upgrade itself
    was refused, or 1000 when this side left.
    """

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(f"{code}: {reason}" if reason else str(code))
        self.code = code
        self.reason = reason


class OutboxFull(Exception):
    """The outbox holds as many unanswered messages as it may; wait for some, or use `send`."""


class StateError(Exception):
    """The state file is in use elsewhere, belongs to another user, or cannot be written."""
