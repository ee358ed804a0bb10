"""The server's answers to a message: `ack` and `error` on the socket, and a problem by REST."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec

from relay.protocol.envelope import describe
from relay.protocol.errors import ErrorCode


class Ack(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """The message was taken; where it is stored, the commit is on disk."""

    timestamp: Annotated[float, describe("when the server took it, Unix seconds")]
    duplicate: Annotated[bool, describe("whether it was stored before, under the same id")]
    message_id: Annotated[int | None, describe("of what is stored: its place, and a cursor")] = None
    seq: Annotated[int | None, describe("its number in the conversation")] = None
    replaces: Annotated[int | None, describe("the message whose place it took")] = None
    about: Annotated[int | None, describe("of a latest value: the message that it says something of")] = None
    key: Annotated[str | None, describe("of a latest value: what it replaces by, if not by `about`")] = None


class Error(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """The message was refused; the connection goes on."""

    code: Annotated[ErrorCode, describe("for programs")]
    message: Annotated[str, describe("for people; its wording may change")]
    retry: Annotated[bool, describe("whether the same message may succeed later")]
    retry_after: Annotated[float | None, describe("seconds until it may")] = None
    details: Annotated[dict[str, Any] | None, describe("particulars, for programs")] = None


class Problem(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """A refusal by REST (RFC 9457), with the codes of the socket's `error`."""

    type: Annotated[str, describe("always `about:blank`: `code` tells")]
    title: Annotated[str, describe("the status in words")]
    status: Annotated[int, msgspec.Meta(ge=400, le=599, description="the HTTP status")]
    detail: Annotated[str, describe("for people; its wording may change")]
    code: Annotated[ErrorCode, describe("for programs")]
    retry: Annotated[bool, describe("whether the same call may succeed later")]
    retry_after: Annotated[float | None, describe("seconds until it may")] = None
    details: Annotated[dict[str, Any] | None, describe("particulars, for programs")] = None
    checks: Annotated[dict[str, bool] | None, describe("of `/readyz`: which of them failed")] = None
