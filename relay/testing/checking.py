"""Checks of a server against its own descriptions: responses by `/openapi.json`, frames by `/asyncapi.json`.

A description allows later versions to add fields. A test knows the version, so here a field that is not described
is an error.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from functools import cache, lru_cache
from typing import Any, Final, TypeVar, cast

import msgspec

from relay.engine.engine import Engine
from relay.testing.shapes import Document, Shapes, Undescribed, closed
from relay.transports.rest.app import all_calls
from relay.transports.rest.openapi import openapi
from relay.transports.schemas.asyncapi import asyncapi

Made = TypeVar("Made")
_MADE: Final[dict[tuple[Any, ...], Any]] = {}

_PROBLEM: Final = "application/problem+json"


def answers_of(engine: Engine) -> Answers:
    """Return the check of an engine's REST responses."""

    def make() -> Answers:
        return _answers(msgspec.json.encode(openapi(all_calls(engine.registry), engine.registry)))

    return _kept("answers", engine, make)


def frames_of(engine: Engine) -> Described:
    """Return the check of an engine's frames."""

    def make() -> Described:
        return _described(msgspec.json.encode(asyncapi(engine.registry, engine.settings)))

    return _kept("frames", engine, make)


@lru_cache(maxsize=8)
def _answers(document: bytes) -> Answers:
    return Answers(json.loads(document))


@lru_cache(maxsize=8)
def _described(document: bytes) -> Described:
    return Described(json.loads(document))


def _kept(what: str, engine: Engine, make: Callable[[], Made]) -> Made:
    """Return what was made for the same plugins before; only if all are relay's own, which do not change."""
    loaded = engine.registry.loaded
    if any(one.source != "bundled" for one in loaded):
        return make()
    key = (what, *((one.name, repr(one.options)) for one in loaded))
    if key not in _MADE:
        _MADE[key] = make()
    return cast(Made, _MADE[key])


@cache
def _pattern(template: str, variable: str) -> re.Pattern[str]:
    """Return what matches the paths of a template, whose variables match `variable`."""
    return re.compile(re.sub(r"\\{\w+\\}", variable, re.escape(template)))


class Answers:
    """A check of REST responses against an OpenAPI document."""

    def __init__(self, document: Document) -> None:
        self._shapes = Shapes(closed(document))
        self._paths: list[tuple[str, Document]] = sorted(
            document["paths"].items(), key=lambda item: item[0].count("{")
        )
        self._responses = document["components"]["responses"]

    def check(self, method: str, path: str, status: int, headers: Mapping[str, str], body: bytes) -> None:
        """Check a response.

        Args:
            path: of the request; a query in it is ignored.
            headers: of the response, names in lower case.
            body: b"" if it is not JSON and was not read.

        Raises:
            Undescribed: the status, content type, a header or the body does not match the document.
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
        """Return the best fitting path template of a path, and its operations."""
        for variable in ("[^/]+", ".+"):
            found = [one for one in self._paths if _pattern(one[0], variable).fullmatch(path)]
            if found:
                return next((one for one in found if method in one[1]), found[0])
        return "", {}

    def _check_refusal(
        self, said: str, status: int, headers: Mapping[str, str], body: bytes, expected: tuple[int, ...]
    ) -> None:
        """Check the response to a request that is not an operation of the document."""
        if status not in (*expected, 400, 408, 431, 503):
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
    """A check of one connection's frames against an AsyncAPI document.

    Every frame of the server is checked as it comes. A client's frame is checked once the server has accepted it,
    since tests also send wrong ones on purpose. A frame with an id is accepted when it is acked, a hello when
    `ready` comes, and a frame without an id when a later message is acked and no error without a `ref` came in
    between: the server handles a connection's messages in their order.
    """

    def __init__(self, described: Described) -> None:
        self._described = described
        self._named: dict[str, list[Any]] = {}
        self._unnamed: list[tuple[int, Any]] = []
        self._last: dict[str, int] = {}
        self._count = 0
        self._hello: Any = None

    def sent(self, text: str) -> None:
        """Record a frame that the client sends."""
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
        """Check a frame of the server, and the client's frames that it accepts.

        Raises:
            Undescribed: one of them does not match the document.
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
            self._unnamed.clear()  # one of these, and it is not known which
        else:
            self._named.pop(ref, None)

    def _settle(self, until: int) -> None:
        """Check the frames that were sent before the message that was acked and is stored."""
        for number, frame in self._unnamed:
            if number < until:
                self._described.check_client(frame)
        self._unnamed = [one for one in self._unnamed if one[0] >= until]


class Described:
    """An AsyncAPI document to check frames against."""

    def __init__(self, document: Document) -> None:
        self._messages = document["components"]["messages"]
        self._sent = Shapes(closed(document))
        self._taken = Shapes(document)

    def check_server(self, frame: Any) -> None:
        """Check one frame of the server.

        Raises:
            Undescribed: no message of the document matches.
        """
        type_, meta = frame.get("type"), frame.get("meta", {})
        name = f"server.{type_}"
        if type_ == "connection_event":
            name += f".{frame['payload'].get('event')}"
        elif "deleted_at" in meta:
            name = "server.any.tombstone"
        elif meta.get("withheld"):
            name = "server.any.withheld"
        elif type_ == "ack":
            self._check_any([one for one in self._messages if one == name or one.startswith(f"{name}.")], frame)
            return
        elif name not in self._messages and meta.get("replay"):
            name = "server.any.orphan"
        self._check(self._sent, name, frame)

    def check_ack(self, type_: str, frame: Any) -> None:
        """Check the ack of a message of a type, which may have additional fields.

        Raises:
            Undescribed: it has a field that its type does not describe.
        """
        special = f"server.ack.{type_}"
        self._check(self._sent, special if special in self._messages else "server.ack", frame)

    def check_client(self, frame: Any) -> None:
        """Check one frame of a client that the server accepted.

        Raises:
            Undescribed: no message of the document matches.
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
