"""Hostile bytes, drawn from a seed: what is right at first, changed until it is not."""

from __future__ import annotations

import json
import random
from copy import deepcopy
from typing import Any, Final

from tests.e2e.frames import encode_frame
from tests.e2e.wire import request
from tests.e2e.world import message

_HEADS: Final = (
    request("/ws"),
    request("/ws", {"Origin": "https://elsewhere.example", "Sec-WebSocket-Protocol": "relay.v1"}),
    request("/healthz", upgrade=False),
    request("/api/users/me", {"Authorization": "Bearer rly_x"}, upgrade=False),
    request("/api/login", {"Content-Length": "2", "Content-Type": "application/json"}, method="POST", upgrade=False) + b"{}",
    request("/api/login", {"Transfer-Encoding": "chunked"}, method="POST", upgrade=False) + b"2\r\n{}\r\n0\r\n\r\n",
)  # fmt: skip
_PIECES: Final = (
    b"\r\n", b"\n", b"\r", b"\0", b"\xff", b":", b" ", b"\t", b"HTTP/1.1", b"Host: x\r\n", b"Content-Length: 99999999\r\n",
    b"Content-Length: -1\r\n", b"Transfer-Encoding: chunked\r\n", b"Expect: 100-continue\r\n", b"Upgrade: h2c\r\n",
    b"Connection: close, Upgrade\r\n", b"X: " + b"y" * 9000 + b"\r\n", b"%00", b"/../", b"%2e%2e/", b"?a=%ff", b"\x16\x03\x01",
    b"Sec-WebSocket-Key: \r\n", b"X-Forwarded-For: 1.2.3.4, , ::1\r\n", b"Cookie: " + b"a=b; " * 200 + b"\r\n",
)  # fmt: skip
_VALUES: Final[tuple[Any, ...]] = (
    None, True, False, 0, -1, 1 << 63, 1 << 64, 10**400, 1e308, -0.0, "", " ", "\0", "\ud800", "x" * 5000, "\u202e", "*", "bob", "a" * 200,
    [], {}, [[]], [None] * 500, {"": ""}, {"a": {"b": {"c": []}}},
)  # fmt: skip
_TYPES: Final = (
    "chat_message", "group_message", "message_edit", "message_delete", "reaction", "read_receipt", "typing_indicator", "follow",
    "status_update", "notification", "pin", "conversation_mark", "saved_message", "search", "report", "action", "thread_read",
    "connection_event", "group_event", "message_stream", "ack", "error", "no_such_type", "",
)  # fmt: skip
_FIELDS: Final = (
    "content", "message_id", "up_to_seq", "message_ids", "emoji", "on", "typing", "event", "cursor", "token", "epoch", "q", "kind",
    "mentions", "attachments", "reply_to", "actions", "extra", "thread", "title", "status", "user_id", "reason", "private",
)  # fmt: skip


def mutated(source: random.Random, data: bytes, pieces: tuple[bytes, ...] = _PIECES) -> bytes:
    """Change bytes here and there: replaced, left out, doubled, moved, cut off, or with pieces put between."""
    changed = bytearray(data)
    for _ in range(source.choice((1, 1, 2, 3, 8))):
        at = source.randrange(len(changed) + 1)
        end = min(len(changed), at + source.choice((1, 1, 2, 8, 40)))
        match source.randrange(6):
            case 0:
                changed[at:end] = source.randbytes(end - at)
            case 1:
                del changed[at:end]
            case 2:
                changed[at:at] = changed[at:end]
            case 3:
                changed[at:at] = source.choice(pieces)
            case 4:
                changed[at:at] = source.randbytes(source.choice((1, 4, 100)))
            case 5:
                del changed[source.randrange(len(changed) + 1) :]
    return bytes(changed)


def head(source: random.Random) -> bytes:
    """Return a request, or two in a row, that are mostly wrong."""
    data = mutated(source, source.choice(_HEADS))
    return data + mutated(source, source.choice(_HEADS)) if source.random() < 0.2 else data


def frames(source: random.Random) -> bytes:
    """Return frames in any order, of any opcode, and with any fault that a header can have."""
    made = b""
    for _ in range(source.choice((1, 2, 5, 30))):
        payload = source.choice(
            (b"", b"{}", b"\xff", envelope(source), source.randbytes(source.choice((1, 125, 126, 3000))))
        )
        length = source.choice((None, None, None, None, 0, 125, 126, 65536, 1 << 40, (1 << 63) - 1))
        made += encode_frame(
            payload,
            source.choice((0, 1, 1, 1, 2, 3, 7, 8, 9, 10, 11, 15)),
            fin=source.random() < 0.8,
            mask=source.randbytes(4),
            masked=source.random() < 0.95,
            rsv=source.choice((0, 0, 0, 0, 0, 1, 2, 4)),
            length=length,
        )
    return (
        mutated(source, made, (b"\x81", b"\x88\x80", b"\x89\xff", b"\0" * 14)) if source.random() < 0.3 else made
    )


def value(source: random.Random, depth: int = 0) -> Any:
    """Return a JSON value, mostly one that is nowhere right."""
    if depth < 3 and source.random() < 0.3:
        return {source.choice(_FIELDS): value(source, depth + 1) for _ in range(source.randrange(4))}
    if depth < 3 and source.random() < 0.1:
        return [value(source, depth + 1) for _ in range(source.randrange(4))]
    return deepcopy(source.choice(_VALUES))


def envelope(source: random.Random) -> bytes:
    """Return an envelope: a type, fields of all types, values that do not fit; sometimes no JSON at all."""
    made: Any = message("bob", "hello", id=f"hostile-{source.randrange(1000)}")
    made["type"] = source.choice(_TYPES)
    made["payload"] = {source.choice(_FIELDS): value(source) for _ in range(source.randrange(5))}
    for part in ("type", "payload", "meta"):
        if source.random() < 0.1:
            made[part] = value(source)
    if isinstance(made["meta"], dict) and source.random() < 0.3:
        made["meta"][source.choice(("id", "target_id", "client_id", "timestamp", "ref", "seq"))] = value(source)
    data = json.dumps(made).encode()
    return (
        mutated(source, data, (b"{", b"[" * 2000, b'"', b"\\ud800", b"\xed\xa0\x80", b"1e999", b","))
        if source.random() < 0.3
        else data
    )


def texts(source: random.Random) -> bytes:
    """Return envelopes as frames that are right as frames."""
    return b"".join(
        encode_frame(envelope(source), mask=source.randbytes(4)) for _ in range(source.choice((1, 3, 10)))
    )


def bodies(source: random.Random, token: str) -> bytes:
    """Return REST calls with bodies that do not fit, on one connection."""
    made = b""
    for _ in range(source.choice((1, 2, 5))):
        method, path = source.choice((
            ("POST", "/api/messages"), ("POST", "/api/groups"), ("PATCH", "/api/users/me"), ("POST", "/api/messages/read"),
            ("POST", "/api/messages/acknowledge"), ("POST", "/api/login"), ("POST", "/api/attachments"), ("GET", "/api/search?q=%ff"),
            ("PUT", "/api/users/following/%00"), ("DELETE", "/api/devices/%F0%9F"), ("GET", "/api/messages/user/..%2f..%2f"),
        ))  # fmt: skip
        body = envelope(source) if source.random() < 0.5 else json.dumps(value(source)).encode()
        said = source.choice((len(body), len(body), len(body), len(body) + 5, max(0, len(body) - 3), 1 << 33))
        kind = source.choice(
            (
                "application/json",
                "text/plain",
                "multipart/form-data; boundary=x",
                "",
                "application/json; charset=utf-16",
            )
        )
        made += request(
            path,
            {"Authorization": f"Bearer {token}", "Content-Length": str(said), "Content-Type": kind},
            method=method,
            upgrade=False,
        ) + body  # fmt: skip
    return made
