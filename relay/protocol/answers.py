"""The server's answers to a message: `ack` and `error`, on the socket and in what REST says of either."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec

from relay.protocol.errors import ErrorCode


class Ack(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """The message was done; where it was stored, the commit is on disk."""

    timestamp: Annotated[float, msgspec.Meta(description="when the server took it, Unix seconds")]
    duplicate: Annotated[bool, msgspec.Meta(description="whether it was stored before, under the same id")]
    message_id: Annotated[int | None, msgspec.Meta(description="of what is stored: its place, and a cursor")] = (
        None
    )
    seq: Annotated[int | None, msgspec.Meta(description="its number in the conversation")] = None
    replaces: Annotated[int | None, msgspec.Meta(description="the message whose place it took")] = None


class Error(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """The message was refused; the connection goes on."""

    code: Annotated[ErrorCode, msgspec.Meta(description="for programs")]
    message: Annotated[str, msgspec.Meta(description="for people; its wording may change")]
    retry: Annotated[bool, msgspec.Meta(description="whether the same message may succeed later")]
    retry_after: Annotated[float | None, msgspec.Meta(description="seconds until it may")] = None
    details: Annotated[dict[str, Any] | None, msgspec.Meta(description="particulars, for programs")] = None


class Problem(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """A refusal by REST (RFC 9457), with the codes of the socket's `error`."""

    type: Annotated[str, msgspec.Meta(description="always `about:blank`: `code` tells")]
    title: Annotated[str, msgspec.Meta(description="the status in words")]
    status: Annotated[int, msgspec.Meta(description="the HTTP status", ge=400, le=599)]
    detail: Annotated[str, msgspec.Meta(description="for people; its wording may change")]
    code: Annotated[ErrorCode, msgspec.Meta(description="for programs")]
    retry: Annotated[bool, msgspec.Meta(description="whether the same call may succeed later")]
    retry_after: Annotated[float | None, msgspec.Meta(description="seconds until it may")] = None
    details: Annotated[dict[str, Any] | None, msgspec.Meta(description="particulars, for programs")] = None
    checks: Annotated[dict[str, bool] | None, msgspec.Meta(description="of `/readyz`: which of them failed")] = (
        None
    )
