"""Text that is no JSON, or JSON that is no envelope: an error that says so, and the connection goes on."""

from __future__ import annotations

import json

import pytest

from tests.e2e.world import Device, World, message, unique

pytestmark = pytest.mark.e2e

NESTED = {"[": 100_000, '{"a":': 20_000}
BAD_FRAMES = 20  # the default of limits.bad_frames


def with_extra(value: str, ref: str = "odd") -> str:
    """Put a piece of JSON text where an application may put anything."""
    extra = f'{{"content":"odd","extra":{{"value":{value}}}}}'
    return f'{{"type":"chat_message","payload":{extra},"meta":{{"target_id":"ann","id":"{ref}"}}}}'


def assert_goes_on(device: Device) -> None:
    assert device.say("ann", unique("goes on"))["duplicate"] is False


def first_error(device: Device) -> dict[str, object]:
    answer = device.wire.recv_json()
    assert answer["type"] == "error", answer
    payload: dict[str, object] = answer["payload"]
    assert payload["message"], "a person must be able to read it"
    assert isinstance(payload["retry"], bool)
    return payload


NOT_JSON = {
    "empty": "",
    "space": " ",
    "a word": "hello",
    "half an object": '{"type":',
    "two objects": "{}{}",
    "single quotes": "{'type':'x'}",
    "a comment": "{}//",
    "a byte order mark": "\ufeff{}",
    "NaN": with_extra("NaN"),
    "Infinity": with_extra("Infinity"),
    "minus Infinity": with_extra("-Infinity"),
    "a raw newline in a string": with_extra('"\n"'),
    "a lone high surrogate": with_extra(r'"\ud800"'),
    "a lone low surrogate": with_extra(r'"\udc00x"'),
}


@pytest.mark.parametrize("name", NOT_JSON)
def test_what_is_not_json_is_the_error_bad_json(world: World, name: str) -> None:
    device = world.device("mallory")
    device.wire.send_frame(NOT_JSON[name].encode())
    assert first_error(device)["code"] == "bad_json"
    assert_goes_on(device)


@pytest.mark.parametrize("opening", NESTED, ids=["lists", "objects"])
def test_brackets_nested_beyond_all_bounds_are_the_error_bad_json(world: World, opening: str) -> None:
    device = world.device("mallory")
    device.wire.send_frame((opening * NESTED[opening]).encode())
    assert first_error(device)["code"] == "bad_json"
    assert_goes_on(device)


def test_deep_but_closed_nesting_in_a_payload_is_refused(world: World) -> None:
    device = world.device("mallory")
    device.wire.send_frame(with_extra("[" * 20_000 + "]" * 20_000).encode())
    assert first_error(device)["code"] in ("bad_json", "invalid_payload", "too_large")
    assert_goes_on(device)


HUGE = {
    "1e400": "1e400",
    "5,000 digits": "9" * 5000,
    "2^64": str(2**64),
    "2^53+1": str(2**53 + 1),
    "-2^63-1": str(-(2**63) - 1),
}


@pytest.mark.parametrize("name", HUGE)
def test_a_number_that_javascript_cannot_hold_is_refused(world: World, name: str) -> None:
    device = world.device("mallory")
    device.wire.send_frame(with_extra(HUGE[name]).encode())
    assert first_error(device)["code"] in ("bad_json", "bad_envelope", "invalid_payload")
    assert_goes_on(device)


def test_the_largest_safe_integer_comes_back_as_it_was(world: World) -> None:
    device = world.device("mallory")
    ref = unique("safe")
    device.wire.send_frame(with_extra(str(2**53 - 1), ref).encode())
    device.acked(ref)
    assert world.history("mallory", peer="ann")[-1]["payload"]["extra"] == {"value": 2**53 - 1}


CHAT = '{"type":"chat_message","payload":{"content":"x"},"meta":%s}'
NOT_AN_ENVELOPE = {
    "a list": "[]",
    "a string": '"chat_message"',
    "a number": "17",
    "null": "null",
    "true": "true",
    "an empty object": "{}",
    "no type": '{"payload":{},"meta":{}}',
    "a type that is a number": '{"type":5,"payload":{},"meta":{}}',
    "a payload that is a list": '{"type":"chat_message","payload":[],"meta":{"target_id":"ann"}}',
    "a payload that is null": '{"type":"chat_message","payload":null,"meta":{"target_id":"ann"}}',
    "a meta that is a string": CHAT % '"ann"',
    "an id that is a number": CHAT % '{"target_id":"ann","id":1}',
    "an empty id": CHAT % '{"target_id":"ann","id":""}',
    "an id of 65 characters": json.dumps(message("ann", "x", id="i" * 65)),
    "a target that is a list": CHAT % '{"target_id":["ann"]}',
}


@pytest.mark.parametrize("name", NOT_AN_ENVELOPE)
def test_what_is_no_envelope_is_refused_as_one(world: World, name: str) -> None:
    device = world.device("mallory")
    device.wire.send_frame(NOT_AN_ENVELOPE[name].encode())
    assert first_error(device)["code"] in ("bad_envelope", "bad_json", "invalid_payload")
    assert_goes_on(device)


@pytest.mark.parametrize(
    ("envelope", "code"),
    [
        ({"type": "no_such_type", "payload": {}}, "unknown_type"),
        ({"type": "chat_message", "payload": {}}, "invalid_payload"),
        ({"type": "chat_message", "payload": {"content": 5}}, "invalid_payload"),
        ({"type": "chat_message", "payload": {"content": "x", "surprise": 1}}, "invalid_payload"),
        ({"type": "ack", "payload": {}}, None),
        ({"type": "error", "payload": {}}, None),
        ({"type": "connection_event", "payload": {"event": "ready"}}, None),
        ({"type": "connection_event", "payload": {"event": "no such event"}}, None),
    ],
)
def test_a_refused_message_names_its_id_and_the_reason(
    world: World, envelope: dict[str, object], code: str | None
) -> None:
    device = world.device("mallory")
    ref = unique("refused")
    device.wire.send_json({**envelope, "meta": {"id": ref, "target_id": "ann"}})
    answered = device.refused(ref)["code"]
    assert answered == code if code else answered in ("bad_envelope", "invalid_payload", "forbidden")
    assert_goes_on(device)


def test_a_target_that_does_not_exist_is_refused(world: World) -> None:
    device = world.device("mallory")
    ref = device.send("nobody-of-this-name", "x")
    assert device.refused(ref)["code"] in ("not_found", "forbidden")
    assert_goes_on(device)


def test_a_missing_target_is_refused(world: World) -> None:
    device = world.device("mallory")
    device.wire.send_json({"type": "chat_message", "payload": {"content": "x"}, "meta": {"id": "untargeted"}})
    assert device.refused("untargeted")["code"] in ("bad_envelope", "invalid_payload", "not_found")


def test_duplicate_keys_are_taken_or_refused_and_never_fatal(world: World) -> None:
    device = world.device("mallory")
    device.wire.send_frame(b'{"type":"x",' + json.dumps(message("ann", "dup", id="dup")).encode()[1:])
    answer = device.wire.recv_json()
    assert answer["type"] == "ack" or answer["payload"]["code"] == "bad_json"
    assert_goes_on(device)


def test_a_sender_cannot_be_forged(world: World) -> None:
    device = world.device("mallory")
    content = unique("forged")
    forged = {"sender_id": "ben", "message_id": 1, "seq": 1, "client_id": "ben-phone"}
    envelope = message("ann", content, id=content)
    device.wire.send_json({**envelope, "meta": {**envelope["meta"], **forged}})
    answer = device.answer(content)
    if answer["type"] == "ack":
        meta = world.history("mallory", peer="ann")[-1]["meta"]
        assert (meta["sender_id"], meta["client_id"]) == ("mallory", device.client_id)
    assert_goes_on(device)


def test_the_error_never_carries_a_trace_or_a_path(world: World) -> None:
    device = world.device("mallory")
    for text in ("", "[]", with_extra("NaN"), '{"type":"chat_message","payload":[],"meta":{}}'):
        device.wire.send_frame(text.encode())
        raw = json.dumps(first_error(device))
        assert not any(leak in raw for leak in ("Traceback", ".py", "Error(", "msgspec", "/site-packages"))


def test_one_who_never_speaks_the_protocol_is_closed_with_4505(world: World) -> None:
    device = world.device("mallory")
    for _ in range(BAD_FRAMES + 2):
        device.wire.send_frame(b"not json")
    assert device.wait_closed() == 4505
