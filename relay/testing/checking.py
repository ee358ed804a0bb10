"""Holds what a server says to its own descriptions: answers to `/openapi.json`, frames to `/asyncapi.json`.

A description lets later versions add fields. What is tested is this version, so that here a field that is not
described is a fault.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar, cast

from relay.engine.engine import Engine
from relay.testing.shapes import Document, Shapes, Undescribed, closed
from relay.transports.rest.app import all_calls
from relay.transports.rest.openapi import openapi
from relay.transports.schemas.asyncapi import asyncapi

Made = TypeVar("Made")
_MADE: Final[dict[tuple[Any, ...], Any]] = {}

_PROBLEM: Final = "application/problem+json"


def answers_of(engine: Engine) -> Answers:
    """Return what an engine's answers by REST are held to."""

    def make() -> Answers:
        return Answers(openapi(all_calls(engine.registry), engine.registry))

    return _kept("answers", engine, make)


def frames_of(engine: Engine) -> Described:
    """Return what an engine's frames are held to."""

    def make() -> Described:
        return Described(asyncapi(engine.registry, engine.settings))

    return _kept("frames", engine, make)


def _kept(what: str, engine: Engine, make: Callable[[], Made]) -> Made:
    """Return what was made for the same plugins before, where they are relay's own, which stay as they are."""
    loaded = engine.registry.loaded
    if any(one.source != "bundled" for one in loaded):
        return make()
    key = (what, *((one.name, repr(one.options)) for one in loaded))
    if key not in _MADE:
        _MADE[key] = make()
    return cast(Made, _MADE[key])


class Answers:
    """Holds answers to an OpenAPI document."""

    def __init__(self, document: Document) -> None:
        self._shapes = Shapes(closed(document))
        self._paths: list[tuple[str, Document]] = sorted(
            document["paths"].items(), key=lambda item: item[0].count("{")
        )
        self._responses = document["components"]["responses"]

    def check(self, method: str, path: str, status: int, headers: Mapping[str, str], body: bytes) -> None:
        """Check an answer.

        Args:
            path: as it was asked for; its query is left aside.
            headers: of the answer, names in lower case.
            body: b"" where it is no JSON and was not read.

        Raises:
            Undescribed: its status, its content type, a header or its body is not what the document says.
        """
        said = f"{method} {path}: {status}"
        asked = "get" if method == "HEAD" else method.lower()
        template, operations = self._find(asked, path.partition("?")[0])
        operation = operations.get(asked)
        if method == "OPTIONS" and status == 204:
            return
        if operation is None:
            self._check_refusal(said, status, headers, body, (405,) if template else (404, 405))
            return
        responses = operation["responses"]
        response = responses.get(str(status)) or responses.get("default")
        if response is None:
            raise Undescribed(f"{said} is not among {', '.join(responses)} of {template}: {body[:300]!r}")
        if "$ref" in response:
            response = self._responses[response["$ref"].rpartition("/")[2]]
        missing = [name for name in response.get("headers", {}) if name.lower() not in headers]
        if missing:
            raise Undescribed(f"{said} has no header {', '.join(missing)}")
        if str(status) in responses and method != "HEAD":
            self._check_body(said, response.get("content", {}), headers.get("content-type", ""), body)

    def _find(self, method: str, path: str) -> tuple[str, Document]:
        """Return the template of a path and its operations: the best that fits."""
        for variable in ("[^/]+", ".+"):
            found = [
                one for one in self._paths if re.fullmatch(re.sub(r"\\{\w+\\}", variable, re.escape(one[0])), path)
            ]
            if found:
                return next((one for one in found if method in one[1]), found[0])
        return "", {}

    def _check_refusal(
        self, said: str, status: int, headers: Mapping[str, str], body: bytes, expected: tuple[int, ...]
    ) -> None:
        """Check the answer to what is no call at all."""
        if status not in (*expected, 400, 431, 503):
            raise Undescribed(f"{said}, and no such call is described")
        if status == 405 and "allow" not in headers:
            raise Undescribed(f"{said} does not say what is allowed")
        if not said.startswith("HEAD "):
            self._check_body(
                said,
                {_PROBLEM: {"schema": {"$ref": "#/components/schemas/Problem"}}},
                headers.get("content-type", ""),
                body,
            )

    def _check_body(self, said: str, content: Document, kind: str, body: bytes) -> None:
        if not content:
            if body:
                raise Undescribed(f"{said} has a body: {body[:300]!r}")
            return
        media = kind.partition(";")[0].strip()
        described = content.get(media, content.get("*/*"))
        if described is None:
            raise Undescribed(f"{said} is {media or 'nothing'}, not {', '.join(content)}")
        if "schema" in described and media.endswith("json"):
            self._shapes.check(described["schema"], json.loads(body), said)


class Frames:
    """Holds the frames of one connection to an AsyncAPI document.

    What the server sends is checked as it comes, without exception. What the client sends is checked once the
    server has taken it: tests send what is wrong as well, and are refused. A frame with an id is taken when it is
    acked, a hello when `ready` comes, and one without an id when a later message is acked and no error without a
    `ref` came in between: the server takes a connection's messages in their order.
    """

    def __init__(self, described: Described) -> None:
        self._described = described
        self._named: dict[str, list[Any]] = {}
        self._unnamed: list[tuple[int, Any]] = []
        self._last: dict[str, int] = {}
        self._count = 0
        self._hello: Any = None

    def sent(self, text: str) -> None:
        """Note what the client sends."""
        try:
            frame = json.loads(text)
        except (ValueError, RecursionError):
            return
        if not isinstance(frame, dict) or "type" not in frame:
            return
        self._count += 1
        meta, payload = frame.get("meta"), frame.get("payload")
        own_id = meta.get("id") if isinstance(meta, dict) else None
        if isinstance(payload, dict) and payload.get("event") == "hello":
            self._hello = frame
        elif isinstance(own_id, str):
            self._named.setdefault(own_id, []).append(frame)
            self._last[own_id] = self._count
        else:
            self._unnamed.append((self._count, frame))

    def received(self, frame: Any) -> None:
        """Check what the server sends, and what it thereby says of what the client sent.

        Raises:
            Undescribed: either is not what the document says.
        """
        described = self._described
        described.check_server(frame)
        payload, ref = frame["payload"], frame["meta"].get("ref")
        if frame["type"] == "connection_event" and payload["event"] == "ready" and self._hello is not None:
            described.check_client(self._hello)
        elif frame["type"] == "error":
            self._refused(ref)
        elif frame["type"] == "ack":
            taken = self._named.pop(ref, [])
            for one in taken:
                described.check_client(one)
            if taken:
                described.check_ack(taken[0]["type"], frame)
                if "message_id" in payload:
                    self._settle(self._last[ref])

    def _refused(self, ref: str | None) -> None:
        if ref is None:
            self._unnamed.clear()  # one of these; nobody can tell which
        else:
            self._named.pop(ref, None)

    def _settle(self, until: int) -> None:
        """Check what was sent before the message that was acked and is stored."""
        for number, frame in self._unnamed:
            if number < until:
                self._described.check_client(frame)
        self._unnamed = [one for one in self._unnamed if one[0] >= until]


class Described:
    """An AsyncAPI document, to check frames with."""

    def __init__(self, document: Document) -> None:
        self._messages = document["components"]["messages"]
        self._sent = Shapes(closed(document))
        self._taken = Shapes(document)

    def check_server(self, frame: Any) -> None:
        """Check one frame of the server's.

        Raises:
            Undescribed: no message of the document is like that.
        """
        type_, meta = frame.get("type"), frame.get("meta", {})
        name = f"server.{type_}"
        if type_ == "connection_event":
            name += f".{frame['payload'].get('event')}"
        elif "deleted_at" in meta:
            name = "server.any.tombstone"
        elif type_ == "ack":
            self._check_any([one for one in self._messages if one == name or one.startswith(f"{name}.")], frame)
            return
        elif name not in self._messages and meta.get("replay"):
            name = "server.any.orphan"
        self._check(self._sent, name, frame)

    def check_ack(self, type_: str, frame: Any) -> None:
        """Check the ack of a message of a type, which may say more than others.

        Raises:
            Undescribed: it says something that its type does not.
        """
        special = f"server.ack.{type_}"
        self._check(self._sent, special if special in self._messages else "server.ack", frame)

    def check_client(self, frame: Any) -> None:
        """Check one frame of a client's, which the server took.

        Raises:
            Undescribed: no message of the document is like that.
        """
        name = f"client.{frame['type']}"
        if frame["type"] == "connection_event":
            name += f".{frame['payload'].get('event')}"
        self._check(self._taken, name, frame)

    def _check(self, shapes: Shapes, name: str, frame: Any) -> None:
        if name not in self._messages:
            raise Undescribed(f"no {name} is described: {frame}")
        shapes.check({"$ref": f"#/components/messages/{name}/payload"}, frame, name)

    def _check_any(self, names: list[str], frame: Any) -> None:
        problems = []
        for name in names:
            try:
                self._check(self._sent, name, frame)
            except Undescribed as problem:
                problems.append(str(problem))
            else:
                return
        raise Undescribed("\n".join(problems))
