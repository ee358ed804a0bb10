"""Addresses, closes and back-off: the plain values."""

from __future__ import annotations

import random

import pytest

from relay.client import Backoff
from relay.client.address import parse
from relay.client.closing import Close


@pytest.mark.parametrize(
    ("url", "authority", "base", "socket"),
    [
        ("http://localhost:8000", "localhost:8000", "http://localhost:8000", "/ws"),
        ("ws://localhost:8000/ws", "localhost:8000", "http://localhost:8000", "/ws"),
        ("https://chat.example", "chat.example", "https://chat.example", "/ws"),
        ("wss://chat.example/relay/", "chat.example", "https://chat.example/relay", "/relay/ws"),
        ("http://[::1]:80", "[::1]", "http://[::1]", "/ws"),
    ],
)
def test_an_address_is_read_in_any_of_its_forms(url: str, authority: str, base: str, socket: str) -> None:
    address = parse(url)
    assert (address.authority, address.base_url, address.socket_path) == (authority, base, socket)


@pytest.mark.parametrize(
    "url", ["localhost:8000", "ftp://h", "http://", "http://u:p@h", "http://h/?token=x", "http://h#x"]
)
def test_what_is_no_address_or_holds_a_secret_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="server address"):
        parse(url)


@pytest.mark.parametrize("code", [1000, 1001, 1006, 1009, 1011, 1012, 1013, 4000, 4400, 4499, 429, 502, 503])
def test_passing_closes_are_not_final(code: int) -> None:
    assert not Close(code).final


@pytest.mark.parametrize("code", [1002, 1003, 1007, 1008, 4500, 4510, 4599, 301, 401, 404])
def test_hopeless_closes_are_final(code: int) -> None:
    assert Close(code).final


@pytest.mark.parametrize(
    ("close", "wait"),
    [
        (Close(4404, "3"), 3.0),
        (Close(4404, "draining; retry_after=2.5"), 2.5),
        (Close(4405, "too many hellos from 127.0.0.1; retry_after=7"), 7.0),
        (Close(4404, "draining"), None),
        (Close(4404, "999999"), 300.0),
        (Close(1006, "after 30 s"), None),
        (Close(503, "", 12.0), 12.0),
    ],
)
def test_the_wait_a_close_asks_for(close: Close, wait: float | None) -> None:
    assert close.retry_after == wait


def test_a_delay_lies_between_nothing_and_the_doubled_base_up_to_the_cap() -> None:
    backoff, rng = Backoff(base=0.5, cap=30.0), random.Random(1)
    for attempt in range(2_000):
        assert 0 <= backoff.delay(attempt, rng) <= min(30.0, 0.5 * 2.0 ** min(attempt, 60))
