"""The end of a connection: whether the client comes back, and when."""

from __future__ import annotations

import pytest

from relay.client.close import Close


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
