"""/asyncapi.json: every frame is in it, both ways, and every reference leads somewhere."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from jsonschema import Draft202012Validator

from relay.engine.registry import Registry
from relay.protocol.errors import CLOSE_REASONS, CloseCode
from relay.protocol.session import Event
from relay.settings import Settings
from relay.settings.sections import ServerSettings
from relay.transports.schemas.asyncapi import asyncapi
from tests.transports.schemas.test_messages import registry

__all__ = ["registry"]


@pytest.fixture
def document(registry: Registry) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(msgspec.json.encode(asyncapi(registry, Settings())))
    return told


def references(value: Any) -> Iterator[str]:
    if isinstance(value, list):
        for one in value:
            yield from references(one)
    elif isinstance(value, dict):
        for name, one in value.items():
            if name == "$ref":
                yield one
            else:
                yield from references(one)


def test_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    found = set(references(document))
    assert len(found) > 50
    for reference in found:
        part: Any = document
        for step in reference.removeprefix("#/").split("/"):
            part = part[step]


def test_every_payload_is_a_json_schema(document: dict[str, Any]) -> None:
    for message in document["components"]["messages"].values():
        Draft202012Validator.check_schema(message["payload"])
        # What no schema can be made of would be described as anything.
        assert message["payload"]["properties"]["payload"] != {}
    for schema in document["components"]["schemas"].values():
        Draft202012Validator.check_schema(schema)


def test_every_type_and_every_connection_event_is_there_in_its_directions(
    document: dict[str, Any], registry: Registry
) -> None:
    messages = set(document["components"]["messages"])
    for name, type_ in registry.types.items():
        if name != "connection_event":
            assert (f"client.{name}" in messages) is type_.from_clients
            assert f"server.{name}" in messages
    for event in Event:
        assert {f"client.connection_event.{event}", f"server.connection_event.{event}"} & messages, event
    assert {"server.ack.follow", "server.ack.search", "server.any.tombstone", "server.any.orphan"} <= messages


def test_every_message_of_a_client_has_its_answers(document: dict[str, Any]) -> None:
    for name, operation in document["operations"].items():
        assert operation["action"] == name.partition(".")[0]
        assert ("reply" in operation) is (operation["action"] == "receive")
    answers = [
        one["$ref"].rpartition("/")[2] for one in document["operations"]["receive.search"]["reply"]["messages"]
    ]
    assert answers == ["server.ack.search", "server.error"]


def test_every_close_code_is_there_and_says_whether_to_come_back(document: dict[str, Any]) -> None:
    told = {one["code"]: one for one in document["channels"]["socket"]["x-close-codes"]}
    assert {code: one["reason"] for code, one in told.items()} == {
        int(code): CLOSE_REASONS[code] for code in CloseCode
    }
    assert [code for code, one in told.items() if one["comeBack"]] == [1011, 4401, 4402, 4403, 4404, 4405, 4406]


@pytest.mark.parametrize(
    ("host", "certificate", "expected"),
    [
        ("127.0.0.1", "", ("127.0.0.1:8484", "ws")),
        ("0.0.0.0", "", ("127.0.0.1:8484", "ws")),
        ("::1", "", ("[::1]:8484", "ws")),
        ("chat.example.org", "c.pem", ("chat.example.org:8484", "wss")),
    ],
)
def test_the_server_is_named_as_a_client_reaches_it(
    registry: Registry, host: str, certificate: str, expected: tuple[str, str]
) -> None:
    server = ServerSettings(host=host, tls_certificate=certificate, tls_key=certificate)
    told = asyncapi(registry, msgspec.structs.replace(Settings(), server=server))["servers"]["relay"]
    assert (told["host"], told["protocol"]) == expected
