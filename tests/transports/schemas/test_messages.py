"""What every message type says of itself, and the envelopes that clients may send."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest
from jsonschema import Draft202012Validator

from relay.engine.registry import Registry
from relay.protocol.answers import Ack
from relay.protocol.session import Event
from relay.testing import RelayWorld
from relay.transports.schemas.messages import ack_of, camel, client_document, client_events, described_types
from relay.transports.schemas.typescript import typescript
from tests.plugin.authors import HEAD


@pytest.fixture
def registry() -> Registry:
    from relay.app.plugin_admin import load_for
    from relay.settings import Settings

    return load_for(Settings())


async def test_every_type_is_listed_with_all_that_clients_ask_for(relay_world: RelayWorld) -> None:
    async with relay_world(None, RELAY_TYPES__CHAT_MESSAGE__TTL_SECONDS="60") as world:
        told = (await world.rest("GET", "/api/types")).body["types"]
        types = world.engine.registry.types
        assert [one["name"] for one in told] == sorted(types)
        chat = next(one for one in told if one["name"] == "chat_message")
        schema = chat.pop("payload")
        assert chat == {
            "name": "chat_message", "plugin": "chat_message", "description": chat["description"], "kind": "stream",
            "targets": ["user"], "from_clients": True, "priority": 20, "scope": None, "roles": None, "unread": True,
            "editable": True, "deletable": True, "ttl_seconds": 60, "lasts_seconds": None, "max_bytes": None,
            "answer": None,
        }  # fmt: skip
        assert chat["description"].startswith("A text that people write")
        Draft202012Validator.check_schema(schema)
        Draft202012Validator(schema).validate({"content": "hello"})
        assert not Draft202012Validator(schema).is_valid({"content": "hello", "colour": "red"})


async def test_a_plugins_type_is_listed_with_its_plugin_and_its_priority_as_configured(
    tmp_path: Path, relay_world: RelayWorld
) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "moods.py").write_text(
        HEAD
        + "\n@hookimpl\ndef relay_message_types(options: Any) -> list[MessageType]:\n"
        + "    return made(name='mood', max_bytes=50)\n"
    )
    async with relay_world(tmp_path / "mine", RELAY_TYPES__MOOD__PRIORITY="5") as world:
        told = (await world.rest("GET", "/api/types")).body["types"]
        mood = next(one for one in told if one["name"] == "mood")
        assert (mood["plugin"], mood["priority"], mood["max_bytes"]) == ("moods", 5, 50)
        assert (await world.rest("GET", "/asyncapi.json")).body["operations"]["receive.mood"]
        assert "MoodEnvelope" in (await world.rest("GET", "/openapi.json")).body["components"]["schemas"]


async def test_a_payload_that_is_no_struct_is_described_as_well(tmp_path: Path, relay_world: RelayWorld) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "moods.py").write_text(
        HEAD
        + "\n@hookimpl\ndef relay_message_types(options: Any) -> list[MessageType]:\n"
        + "    return made(name='mood', payload=dict[str, int])\n"
    )
    async with relay_world(tmp_path / "mine", "alice") as world:
        told = (await world.rest("GET", "/api/types")).body["types"]
        mood = next(one for one in told if one["name"] == "mood")
        assert (mood["description"], mood["payload"]["additionalProperties"]) == ("", {"type": "integer"})
        assert "mood: Mood;" in typescript(world.engine.registry)
        alice = await world.connect("alice")
        assert (await alice.request("mood", {"joy": 5}, "alice"))["type"] == "ack"


def test_an_answer_that_is_no_struct_is_refused_at_the_start(registry: Registry) -> None:
    with pytest.raises(ValueError, match=r"message type 'search': answer is a msgspec\.Struct, not <class 'int'>"):
        replace(registry.types["search"], answer=int)


def test_the_schema_of_messages_takes_what_the_server_takes_and_nothing_else(registry: Registry) -> None:
    validator = Draft202012Validator(client_document(registry))
    Draft202012Validator.check_schema(client_document(registry))
    meta = {"id": "1", "target_id": "bob", "anything": "else"}
    assert validator.is_valid({"type": "chat_message", "payload": {"content": "x"}, "meta": meta})
    assert validator.is_valid({"type": "search"})
    for wrong in (
        {"type": "chat_message", "payload": {"content": "x"}, "meta": {}},
        {"type": "chat_message", "payload": {"content": 1}, "meta": meta},
        {"type": "chat_message", "payload": {"content": "x", "more": 1}, "meta": meta},
        {"type": "chat_message", "meta": meta},
        {"type": "group_event", "payload": {"event": "created"}, "meta": meta},
        {"type": "nonsense", "payload": {}},
        {"type": "search", "meta": {"id": ""}},
    ):
        assert not validator.is_valid(wrong), wrong


def test_an_ack_says_a_field_as_it_is_sent_not_as_its_attribute_is_called(registry: Registry) -> None:
    class Told(msgspec.Struct, rename={"class_": "class"}):
        class_: str

    ack: Any = ack_of(replace(registry.types["search"], answer=Told))
    assert "class" in msgspec.json.schema(ack)["$defs"]["SearchAck"]["properties"]
    assert next(field.encode_name for field in msgspec.structs.fields(ack)) == "class"


def test_an_ack_says_what_its_type_says_besides(registry: Registry) -> None:
    ack: Any = ack_of(registry.types["follow"])
    assert [field.name for field in msgspec.structs.fields(ack)] == [
        "statuses", "unknown", *(field.name for field in msgspec.structs.fields(Ack)),
    ]  # fmt: skip
    assert ack_of(registry.types["chat_message"]) is Ack


def test_the_events_of_clients_are_those_that_are_welcome() -> None:
    assert client_events() == sorted(
        {Event.HELLO, Event.ACK, Event.HEARTBEAT, Event.GOODBYE, Event.ACTIVE, Event.INACTIVE}
    )


def test_a_types_name_becomes_a_class_name() -> None:
    assert camel("chat_message") == "ChatMessage"
    assert camel("x_2") == "X2"


def test_what_is_described_is_json(registry: Registry) -> None:
    assert json.loads(msgspec.json.encode(described_types(registry)))["types"]
