"""Error and close codes, each with what the peer should do about it.

Two families, and only two::

    RelayError                what an `error` frame or a problem+json body says
     └─ ProtocolError         the peer's bytes were not an envelope (`bad_json`, `bad_envelope`)
    Disconnect                ends the connection with a close code

Everything else that is raised is a fault of our own (close code 1011) or of a plugin
(`plugin_failed`). Close codes come in ranges with a meaning: 44xx, come back and resume; 45xx, do not
come back unchanged. Source: the wire contract, section 4; RFC 6455 section 7.4 for 10xx.

Clients take their tables from here: `relay.client` by importing them, the JavaScript SDK from the file that
`python -m relay.protocol javascript` writes.
"""

from __future__ import annotations

from enum import IntEnum, StrEnum
from typing import Any, Final


class ErrorCode(StrEnum):
    """The codes of `error` frames and of problem+json bodies."""

    BAD_JSON = "bad_json"
    BAD_ENVELOPE = "bad_envelope"
    UNKNOWN_TYPE = "unknown_type"
    INVALID_PAYLOAD = "invalid_payload"
    FORBIDDEN = "forbidden"
    NOT_FOUND = "not_found"
    CONFLICT = "conflict"
    TOO_LARGE = "too_large"
    RATE_LIMITED = "rate_limited"
    OVERLOADED = "overloaded"
    PLUGIN_FAILED = "plugin_failed"
    INTERNAL = "internal"


_DISK_RETRY_SECONDS = 5
"""A full disk is not freed at once."""

RETRYABLE = frozenset({ErrorCode.RATE_LIMITED, ErrorCode.OVERLOADED, ErrorCode.INTERNAL})
"""Codes whose `retry` is true: the same message may succeed later, unchanged."""

BUSY = frozenset({ErrorCode.RATE_LIMITED, ErrorCode.OVERLOADED})
"""Codes after which a client sends the same message again as often as it takes."""

HTTP_STATUS: dict[ErrorCode, int] = {
    ErrorCode.BAD_JSON: 400,
    ErrorCode.BAD_ENVELOPE: 400,
    ErrorCode.UNKNOWN_TYPE: 400,
    ErrorCode.INVALID_PAYLOAD: 400,
    ErrorCode.FORBIDDEN: 403,
    ErrorCode.NOT_FOUND: 404,
    ErrorCode.CONFLICT: 409,
    ErrorCode.TOO_LARGE: 413,
    ErrorCode.RATE_LIMITED: 429,
    ErrorCode.OVERLOADED: 503,
    ErrorCode.PLUGIN_FAILED: 502,
    ErrorCode.INTERNAL: 500,
}
"""The HTTP status that carries each code on the REST side."""

HTTP_CODES: Final[dict[int, ErrorCode]] = {
    400: ErrorCode.INVALID_PAYLOAD,
    401: ErrorCode.FORBIDDEN,
    403: ErrorCode.FORBIDDEN,
    404: ErrorCode.NOT_FOUND,
    409: ErrorCode.CONFLICT,
    413: ErrorCode.TOO_LARGE,
    422: ErrorCode.INVALID_PAYLOAD,
    429: ErrorCode.RATE_LIMITED,
    503: ErrorCode.OVERLOADED,
}
"""The code that a client reads from an HTTP status whose answer names none, such as a proxy's; else `internal`."""

RETRY_STATUSES: Final = frozenset({429, 502, 503, 504})
"""HTTP statuses of such answers after which the same call may succeed later."""


class CloseCode(IntEnum):
    """WebSocket close codes that relay sends."""

    NORMAL = 1000
    PROTOCOL_ERROR = 1002
    UNSUPPORTED_DATA = 1003
    INVALID_DATA = 1007
    TOO_BIG = 1009
    INTERNAL_ERROR = 1011

    NO_HELLO = 4401
    HEARTBEAT_LOST = 4402
    TOO_SLOW = 4403
    DRAINING = 4404
    OVERLOADED = 4405
    ENDED = 4406

    BAD_TOKEN = 4501
    ACCOUNT_DISABLED = 4502
    SESSION_REVOKED = 4503
    TOO_MANY_CONNECTIONS = 4504
    NOT_THE_PROTOCOL = 4505
    ORIGIN_REFUSED = 4506
    REPLACED = 4510


CLOSE_REASONS: dict[CloseCode, str] = {
    CloseCode.NORMAL: "",
    CloseCode.PROTOCOL_ERROR: "not the WebSocket protocol",
    CloseCode.UNSUPPORTED_DATA: "binary frames are not spoken here; send JSON in text frames",
    CloseCode.INVALID_DATA: "text frames must be UTF-8",
    CloseCode.TOO_BIG: "frame over the limit",
    CloseCode.INTERNAL_ERROR: "a fault of the server's own",
    CloseCode.NO_HELLO: "no hello in time",
    CloseCode.HEARTBEAT_LOST: "heartbeat lost",
    CloseCode.TOO_SLOW: "too slow; resume brings everything stored",
    CloseCode.DRAINING: "server is draining",
    CloseCode.OVERLOADED: "overloaded",
    CloseCode.ENDED: "ended by an admin; resume brings everything stored",
    CloseCode.BAD_TOKEN: "token missing or wrong",
    CloseCode.ACCOUNT_DISABLED: "account disabled",
    CloseCode.SESSION_REVOKED: "session revoked",
    CloseCode.TOO_MANY_CONNECTIONS: "too many connections",
    CloseCode.NOT_THE_PROTOCOL: "not the protocol, repeatedly",
    CloseCode.ORIGIN_REFUSED: "the origin of this page is not in the server's [server] allowed_origins",
    CloseCode.REPLACED: "replaced by a newer connection of the same client",
}

FINAL_CLOSE_CODES: Final = frozenset({1002, 1003, 1007, 1008, 1010})
"""Codes outside 45xx after which a client stays away: the peer cannot read its frames, or forbids them."""


def is_final(close_code: int) -> bool:
    """Return whether a client stays away after this close; after any other it comes back and resumes."""
    # The whole range, so that it holds for codes of a later server as well.
    return 4500 <= close_code <= 4599 or close_code in FINAL_CLOSE_CODES


class RelayError(Exception):
    """A refusal that the peer is told of; the connection goes on.

    Args:
        code: one of ErrorCode.
        message: what a person reads; names what was wrong and what would be right, never internals.
        retry: whether the same message may succeed later, unchanged; by its code unless given.
        retry_after: seconds until the same message may succeed, when known.
        details: machine-readable particulars, JSON-encodable.
    """

    def __init__(
        self,
        code: ErrorCode,
        message: str,
        *,
        retry: bool | None = None,
        retry_after: float | None = None,
        details: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.retry = code in RETRYABLE if retry is None else retry
        self.retry_after = retry_after
        self.details = details


class ProtocolError(RelayError):
    """Bytes that are not an envelope. `ref` is the message's own id where one could be made out."""

    def __init__(self, code: ErrorCode, message: str, *, ref: str | None = None) -> None:
        super().__init__(code, message)
        self.ref = ref


class Disconnect(Exception):
    """Ends the connection with a close code and a reason of at most 123 bytes (RFC 6455 section 5.5.1).

    Args:
        details: machine-readable particulars, for an answer by REST; a close frame has no room for them.
    """

    def __init__(self, code: CloseCode, reason: str | None = None, details: dict[str, Any] | None = None) -> None:
        self.code = code
        self.details = details
        self.reason = CLOSE_REASONS[code] if reason is None else reason
        super().__init__(f"{int(code)} {self.reason}")


def said(error: BaseException) -> str:
    """Return what an exception says; of one that says nothing, what caused it says, or else its name.

    Exceptions are never false, so `error or "a text"` does not do it.
    """
    cause: BaseException | None = error
    while cause is not None:
        if text := str(cause).strip():
            return text
        cause = cause.__cause__ or cause.__context__
    return type(error).__name__


def not_found(what: str) -> RelayError:
    """Return the one answer for what is absent and for what the caller may not see."""
    return RelayError(ErrorCode.NOT_FOUND, f"there is no {what}, or you may not see it")


def not_saved() -> RelayError:
    """Return the answer to a message that the disk did not take; nothing of it was stored."""
    return RelayError(
        ErrorCode.OVERLOADED, "the message could not be saved; send again later", retry_after=_DISK_RETRY_SECONDS
    )
