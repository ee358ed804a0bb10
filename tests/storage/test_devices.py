"""Devices: how far each has got, and what is left of one that was revoked."""

from __future__ import annotations

import sqlite3

import pytest

from relay.protocol.errors import RelayError
from relay.storage import accounts, devices
from tests.storage.books import fresh


@pytest.fixture
def connection() -> sqlite3.Connection:
    """Give a test a database with alice in it, and her telephone."""
    connection = fresh()
    accounts.create_user(connection, "alice", 0.0)
    devices.attach_device(connection, "alice", "phone", "tok_1", 1.0)
    return connection


def acked(connection: sqlite3.Connection) -> int:
    device = devices.get_device(connection, "alice", "phone")
    assert device is not None
    return device.acked


def test_neither_a_devices_position_nor_its_users_goes_back(connection: sqlite3.Connection) -> None:
    devices.attach_device(connection, "alice", "laptop", "tok_2", 1.0)
    assert devices.move_acked(connection, "alice", "phone", 5) == (0, 5)
    assert devices.move_acked(connection, "alice", "phone", 3) == (5, 5)
    assert devices.move_acked(connection, "alice", "laptop", 4) == (5, 5)
    assert (acked(connection), devices.delivered(connection, "alice")) == (5, 5)
    assert devices.move_acked(connection, "alice", "laptop", 6) == (5, 6)


def test_a_new_device_takes_the_place_of_the_one_seen_longest_ago(connection: sqlite3.Connection) -> None:
    devices.attach_device(connection, "alice", "revoked", "tok_2", 2.0)
    devices.revoke_device(connection, "alice", "revoked", 3.0)
    for number in range(4, 8):
        devices.attach_device(connection, "alice", f"new-{number}", "tok_2", float(number), most=3)
    assert [one.client_id for one in devices.list_devices(connection, "alice")] == ["new-7", "new-6", "new-5"]
    assert devices.attach_device(connection, "alice", "revoked", "tok_2", 9.0, since=2.5, most=3) is None
    # The clock went back: the one that has just come stays.
    assert devices.attach_device(connection, "alice", "phone", "tok_2", 1.0, most=3) is not None
    assert {one.client_id for one in devices.list_devices(connection, "alice")} == {"new-7", "new-6", "phone"}


def test_a_device_keeps_its_session_until_it_is_revoked(connection: sqlite3.Connection) -> None:
    first = devices.attach_device(connection, "alice", "phone", "tok_2", 2.0)
    assert devices.attach_device(connection, "alice", "phone", "tok_2", 3.0) == first
    devices.revoke_device(connection, "alice", "phone", 10.0)
    for since in (9.0, 10.0):  # a token from before, or of that very moment
        assert devices.attach_device(connection, "alice", "phone", "tok_2", 11.0, since) is None
    again = devices.attach_device(connection, "alice", "phone", "tok_3", 11.0, 10.5)
    assert again not in (None, first)
    with pytest.raises(RelayError, match="tablet"):
        devices.revoke_device(connection, "alice", "tablet", 12.0)


def test_a_revoked_device_takes_its_logins_along_and_no_other_token(connection: sqlite3.Connection) -> None:
    def token(origin: str, client_id: str | None) -> str:
        secret = accounts.create_token(connection, "alice", 1.0, origin=origin, client_id=client_id)
        found = accounts.find_token(connection, accounts.hash_secret(secret))
        assert found is not None
        assert found.token_id is not None
        return found.token_id

    by_hand, login, earlier, elsewhere = (
        token("cli", None), token("login", None), token("login", "phone"), token("login", "laptop"),
    )  # fmt: skip
    devices.attach_device(connection, "alice", "phone", login, 2.0)
    assert set(devices.revoke_device(connection, "alice", "phone", 3.0)) == {login, earlier}
    left = {row["token_id"] for row in accounts.list_tokens(connection, "alice")}
    assert left == {by_hand, elsewhere}
