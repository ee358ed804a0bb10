"""Any bytes give an envelope or a protocol error, never another exception."""

import json

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from relay.protocol.envelope import (
    MAX_DEPTH,
    Envelope,
    SentMeta,
    check_plain,
    decode,
    encode,
    encode_error,
)
from relay.protocol.errors import ErrorCode, ProtocolError, RelayError

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


def is_answered(frame: str | bytes) -> bool:
    """Tell whether a frame is an envelope, or refused by one of the two codes for what is none."""
    try:
        return isinstance(decode(frame), Envelope)
    except ProtocolError as error:
        return error.code in (ErrorCode.BAD_JSON, ErrorCode.BAD_ENVELOPE)


@given(st.text())
@example("[" * 100_000)
@example('{"type":"x","payload":' + "[" * 100_000)
@example('{"a":' * 50_000)
@example("1" * 5000)
@example('{"type":"x","meta":{"timestamp":' + "9" * 5000 + "}}")
@example('{"type":"x","payload":NaN}')
@example('{"type":"x","meta":{"timestamp":1e400}}')
@example('{"type":"\\ud800"}')
@example("\x00")
@example("")
def test_any_text_is_an_envelope_or_a_protocol_error(text: str) -> None:
    assert is_answered(text)


@given(st.binary())
@example(b"\xff\xfe")
@example(b"\xef\xbb\xbf{}")
def test_any_bytes_are_an_envelope_or_a_protocol_error(data: bytes) -> None:
    assert is_answered(data)


@given(JSON)
def test_any_json_is_an_envelope_or_a_protocol_error(value: object) -> None:
    assert is_answered(json.dumps(value))


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", ErrorCode.BAD_JSON),
        ("{", ErrorCode.BAD_JSON),
        ("[" * 100_000, ErrorCode.BAD_JSON),
        ('{"type":"x","payload":NaN}', ErrorCode.BAD_JSON),
        ('{"type":"x"} trailing', ErrorCode.BAD_JSON),
        ("[]", ErrorCode.BAD_ENVELOPE),
        ('"text"', ErrorCode.BAD_ENVELOPE),
        ("{}", ErrorCode.BAD_ENVELOPE),
        ('{"type":1}', ErrorCode.BAD_ENVELOPE),
        ('{"type":""}', ErrorCode.BAD_ENVELOPE),
        ('{"type":"x","meta":[]}', ErrorCode.BAD_ENVELOPE),
        ('{"type":"x","meta":{"id":""}}', ErrorCode.BAD_ENVELOPE),
        ('{"type":"x","meta":{"id":"' + "i" * 65 + '"}}', ErrorCode.BAD_ENVELOPE),
        ('{"type":"x","meta":{"timestamp":"now"}}', ErrorCode.BAD_ENVELOPE),
    ],
)
def test_what_is_wrong_has_the_code_that_the_contract_names(text: str, code: ErrorCode) -> None:
    with pytest.raises(ProtocolError) as caught:
        decode(text)
    assert caught.value.code is code


def test_a_bad_envelope_is_answered_by_its_own_id_where_it_has_one() -> None:
    with pytest.raises(ProtocolError) as caught:
        decode('{"payload":{},"meta":{"id":"mine"}}')
    assert caught.value.ref == "mine"


def test_unknown_fields_of_meta_are_ignored() -> None:
    assert decode('{"type":"x","meta":{"id":"a","colour":"red"},"more":1}').meta.id == "a"


@given(st.text(), st.text(min_size=1, max_size=64), st.integers(0, 2**53))
def test_what_is_encoded_reads_back(content: str, name: str, number: int) -> None:
    payload = msgspec.json.encode({"content": content})
    text = encode("chat_message", payload, SentMeta(message_id=number, sender_id=name, replay=True))
    assert json.loads(text) == {
        "type": "chat_message",
        "payload": {"content": content},
        "meta": {"message_id": number, "sender_id": name, "replay": True},
    }


def test_an_error_says_whether_to_try_again() -> None:
    error = RelayError(ErrorCode.RATE_LIMITED, "slower", retry_after=1.5)
    assert json.loads(encode_error(error, "m1")) == {
        "type": "error",
        "payload": {"code": "rate_limited", "message": "slower", "retry": True, "retry_after": 1.5},
        "meta": {"ref": "m1"},
    }


@pytest.mark.parametrize("value", [2**53 + 1, -(2**53) - 1, {"a": [2**64]}])
def test_integers_that_javascript_cannot_hold_are_refused(value: object) -> None:
    with pytest.raises(RelayError, match="2\\^53"):
        check_plain(value)


def test_free_form_parts_nest_only_so_deep() -> None:
    value: object = 1
    for _ in range(MAX_DEPTH):
        value = [value]
    check_plain(value)
    with pytest.raises(RelayError, match="deep"):
        check_plain([value])
