"""What a message type is: its name, its schema, and the numbers and depths that other languages spoil."""

from __future__ import annotations

import json
from typing import Annotated, Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.plugin import Integer, Kind, MessageType, Payload
from relay.plugin.types import DIALOGUE
from relay.protocol.errors import ErrorCode, RelayError
from relay.protocol.kinds import ConversationKind


class Free(Payload):
    """A payload with a part that may hold anything."""

    extra: dict[str, Any] | None = None
    number: int = 0


class Bounded(Payload):
    """A payload of which nothing is free."""

    content: str
    place: Integer = 0


FREE = MessageType(name="free", payload=Free, kind=Kind.STREAM)
BOUNDED = MessageType(name="bounded", payload=Bounded, kind=Kind.STREAM, max_bytes=100)


def read(type_: MessageType, value: Any) -> Any:
    return type_.read(msgspec.Raw(value if isinstance(value, bytes) else json.dumps(value).encode()))


def refused(type_: MessageType, value: Any) -> RelayError:
    with pytest.raises(RelayError) as error:
        read(type_, value)
    return error.value


@pytest.mark.parametrize("name", ["a", "a1", "poke_2", "x" * 64])
def test_a_plain_name_is_one(name: str) -> None:
    assert MessageType(name=name, payload=Free, kind=Kind.STREAM).targets == DIALOGUE


@pytest.mark.parametrize("name", ["", "A", "1a", "_a", "a-b", "a b", "ä", "x" * 65, "a\n"])
def test_another_name_is_refused_with_what_would_be_right(name: str) -> None:
    with pytest.raises(ValueError, match="a-z, digits and _, a letter first"):
        MessageType(name=name, payload=Free, kind=Kind.STREAM)


@pytest.mark.parametrize("kind", [Kind.STREAM, Kind.TRANSIENT])
def test_only_a_latest_type_has_a_key(kind: Kind) -> None:
    with pytest.raises(ValueError, match="latest"):
        MessageType(name="a", payload=Free, kind=kind, key=str)
    MessageType(name="a", payload=Free, kind=Kind.LATEST, key=str)


@pytest.mark.parametrize(
    "where", [lambda n: {"extra": {"a": n}}, lambda n: {"extra": {"a": [{"b": n}]}}, lambda n: {"number": n}]
)
def test_an_integer_is_taken_up_to_what_javascript_can_hold(where: Any) -> None:
    for number in (2**53, -(2**53), 0):
        read(FREE, where(number))
    for number in (2**53 + 1, -(2**53) - 1, 2**63, 2**64, 10**30):
        assert refused(FREE, where(number)).code is ErrorCode.INVALID_PAYLOAD


def nested(depth: int, *, lists: bool) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value] if lists else {"a": value}
    return value


@pytest.mark.parametrize("lists", [False, True])
def test_nesting_is_taken_to_its_limit_and_refused_beyond(lists: bool) -> None:
    read(FREE, {"extra": {"a": nested(31, lists=lists)}})
    for depth in (32, 33, 100, 900):
        assert refused(FREE, {"extra": {"a": nested(depth, lists=lists)}}).code is ErrorCode.INVALID_PAYLOAD


def test_nesting_without_end_is_refused_and_nothing_else() -> None:
    for opening in (b'{"extra":{"a":' + b"[" * 100_000, b'{"extra":' + b'{"a":' * 100_000):
        assert refused(FREE, opening).code is ErrorCode.INVALID_PAYLOAD


@pytest.mark.parametrize(
    ("value", "named"),
    [
        ({"content": 7}, "payload.content"),
        ({}, "content"),
        ({"content": "x", "other": 1}, "other"),
        ({"content": "x", "place": -1}, "payload.place"),
        ([], "object"),
        (b'{"content":"x"', "bounded"),
        (b'{"content":"\\ud800"}', "bounded"),
        (b'{"content":NaN}', "bounded"),
    ],
)
def test_what_does_not_fit_is_named(value: Any, named: str) -> None:
    error = refused(BOUNDED, value)
    assert error.code is ErrorCode.INVALID_PAYLOAD
    assert named in error.message


def test_a_payload_is_measured_before_it_is_read() -> None:
    fits = b'{"content":"%s"}' % (b"x" * 86)
    assert len(fits) == 100
    read(BOUNDED, fits)
    assert refused(BOUNDED, fits + b" ").code is ErrorCode.TOO_LARGE
    assert refused(BOUNDED, b"{" * 101).code is ErrorCode.TOO_LARGE


def test_what_is_absent_stays_absent() -> None:
    assert BOUNDED.write(read(BOUNDED, {"content": "x"})) == '{"content":"x"}'


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=4),
    max_leaves=20,
)


def beyond(value: Any) -> bool:
    if isinstance(value, dict):
        return any(map(beyond, value.values()))
    if isinstance(value, list):
        return any(map(beyond, value))
    return type(value) is int and abs(value) > 2**53


@given(st.dictionaries(st.text(max_size=3), json_values, max_size=4))
def test_a_free_part_comes_out_as_it_went_in_or_is_refused_for_its_integers(extra: dict[str, Any]) -> None:
    if beyond(extra):
        assert refused(FREE, {"extra": extra}).code is ErrorCode.INVALID_PAYLOAD
    else:
        assert json.loads(FREE.write(read(FREE, {"extra": extra}))) == {"extra": extra}


def test_a_type_may_have_no_target() -> None:
    type_ = MessageType(name="a", payload=Free, kind=Kind.TRANSIENT, targets=frozenset())
    assert ConversationKind.USER not in type_.targets


class Raw(Payload):
    """A payload with a part that its plugin reads itself."""

    anything: msgspec.Raw = msgspec.Raw(b"{}")
    bounded: Annotated[int, msgspec.Meta(ge=0, le=9)] = 0


def test_a_raw_part_is_free_as_well() -> None:
    raw = MessageType(name="raw", payload=Raw, kind=Kind.STREAM)
    assert refused(raw, {"anything": 2**60}).code is ErrorCode.INVALID_PAYLOAD
    assert refused(raw, {"anything": nested(100, lists=True)}).code is ErrorCode.INVALID_PAYLOAD
    assert refused(raw, b'{"anything":' + b"[" * 50_000 + b"]" * 50_000 + b"}").code is ErrorCode.INVALID_PAYLOAD
    read(raw, {"anything": {"a": [1, 2]}})
