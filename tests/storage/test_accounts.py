"""People, tokens, invites and devices: only hashes are kept, and what is used up or revoked stays so."""

from __future__ import annotations

import ast
import sqlite3
from functools import partial
from pathlib import Path

import pytest
import trio

from relay.protocol.errors import ErrorCode, RelayError
from relay.protocol.kinds import ServerRole
from relay.storage import accounts, devices, invites
from relay.storage.database import open_runner
from tests.storage.books import fresh

pytestmark = pytest.mark.real_time


def with_users(*names: str) -> sqlite3.Connection:
    connection = fresh()
    for name in names:
        accounts.create_user(connection, name, 1.0)
    return connection


@pytest.mark.parametrize("name", ["a", "Alice", "_bot", "9", "a.b@c+d-e", "x" * 64])
def test_a_plain_name_may_be_taken(name: str) -> None:
    assert accounts.check_name(name, "user id") == name


@pytest.mark.parametrize(
    "name", ["", "x" * 65, ".a", "@a", "-a", "+a", "a b", "a:b", "ä", "a\n", "*", "a/b", "\0"]
)
def test_a_name_that_would_be_ambiguous_is_refused_with_what_would_be_right(name: str) -> None:
    with pytest.raises(RelayError, match="1 to 64 letters, digits") as refused:
        accounts.check_name(name, "user id")
    assert refused.value.code is ErrorCode.INVALID_PAYLOAD


def test_users_and_groups_share_one_namespace() -> None:
    connection = with_users("team")
    with pytest.raises(RelayError) as refused:
        accounts.claim_name(connection, "team", "group")
    assert refused.value.code is ErrorCode.CONFLICT


async def test_of_tokens_and_invites_only_the_hash_is_in_any_file(tmp_path: Path) -> None:
    async with open_runner(tmp_path / "relay.db", inline=True, on_rollback=lambda: None) as runner:
        await runner.write(lambda c: accounts.create_user(c, "alice", 1.0))
        token = await runner.write(lambda c: accounts.create_token(c, "alice", 1.0, origin="cli"))
        code = await runner.write(
            lambda c: invites.create_invite(c, 1.0, created_by=None, expires_at=None, uses=1)
        )
        while_open = files_in(tmp_path)
    for name, data in while_open + files_in(tmp_path):
        assert token.encode() not in data, name
        assert token.removeprefix("rly_").encode() not in data, name
        assert code.encode() not in data, name
    assert any(accounts.hash_secret(token) in data for _, data in files_in(tmp_path))


def files_in(folder: Path) -> list[tuple[str, bytes]]:
    return [(path.name, path.read_bytes()) for path in folder.iterdir()]


def test_a_token_speaks_for_its_user_as_long_as_it_is_not_revoked() -> None:
    connection = with_users("alice")
    token = accounts.create_token(
        connection, "alice", 2.0, origin="login", scopes=("notify", "x"), client_id="phone", expires_at=9.0
    )
    digest = accounts.hash_secret(token)
    identity = accounts.find_token(connection, digest)
    assert identity is not None
    assert identity[:3] == ("alice", "member", False)
    assert identity.scopes == {"notify", "x"}
    assert (identity.client_id, identity.created_at, identity.expires_at) == ("phone", 2.0, 9.0)
    (listed,) = accounts.list_tokens(connection, "alice")
    assert token not in str(listed)
    assert accounts.revoke_token(connection, identity.token_id) == "alice"
    assert accounts.find_token(connection, digest) is None
    with pytest.raises(RelayError) as refused:
        accounts.revoke_token(connection, identity.token_id)
    assert refused.value.code is ErrorCode.NOT_FOUND


def test_tokens_are_long_differ_and_need_a_user() -> None:
    connection = with_users("alice")
    tokens = {accounts.create_token(connection, "alice", 1.0, origin="cli") for _ in range(50)}
    assert len(tokens) == 50
    assert all(token.startswith("rly_") and len(token) >= 44 for token in tokens)
    with pytest.raises(RelayError) as refused:
        accounts.create_token(connection, "nobody", 1.0, origin="cli")
    assert refused.value.code is ErrorCode.NOT_FOUND


def test_revoking_logins_keeps_this_one_and_what_was_made_by_hand() -> None:
    connection = with_users("alice", "bob")
    for origin in ("login", "login", "cli"):
        accounts.create_token(connection, "alice", 1.0, origin=origin)
    accounts.create_token(connection, "bob", 1.0, origin="login")
    kept = next(token for token in accounts.list_tokens(connection, "alice") if token["origin"] == "login")
    revoked = accounts.revoke_logins(connection, "alice", kept["token_id"])
    assert len(revoked) == 1
    left = accounts.list_tokens(connection)
    assert sorted((token["user_id"], token["origin"]) for token in left) == [
        ("alice", "cli"), ("alice", "login"), ("bob", "login"),
    ]  # fmt: skip
    assert kept["token_id"] in {token["token_id"] for token in left}


async def test_an_invite_is_used_up_once_however_many_come_at_once(tmp_path: Path) -> None:
    async with open_runner(tmp_path / "relay.db", on_rollback=lambda: None) as runner:
        code = await runner.write(
            lambda c: invites.create_invite(c, 1.0, created_by=None, expires_at=None, uses=2)
        )
        refused: list[ErrorCode] = []

        def join(connection: sqlite3.Connection, name: str) -> None:
            invites.use_invite(connection, code, 2.0, name)
            accounts.create_user(connection, name, 2.0)

        async def attempt(name: str) -> None:
            try:
                await runner.write(partial(join, name=name))
            except RelayError as error:
                refused.append(error.code)

        async with trio.open_nursery() as nursery:
            for number in range(20):
                nursery.start_soon(attempt, f"u{number}")
        assert refused == [ErrorCode.FORBIDDEN] * 18
        assert await runner.read(accounts.count_users) == 2


async def test_a_registration_that_fails_gives_its_invite_back(tmp_path: Path) -> None:
    async with open_runner(tmp_path / "relay.db", inline=True, on_rollback=lambda: None) as runner:
        await runner.write(lambda c: accounts.create_user(c, "alice", 1.0))
        code = await runner.write(
            lambda c: invites.create_invite(c, 1.0, created_by=None, expires_at=None, uses=1)
        )

        def join(connection: sqlite3.Connection, name: str) -> None:
            invites.use_invite(connection, code, 2.0, name)
            accounts.create_user(connection, name, 2.0)

        with pytest.raises(RelayError):
            await runner.write(partial(join, name="alice"))
        await runner.write(partial(join, name="bob"))


def test_an_expired_or_wrong_invite_is_refused_alike() -> None:
    connection = fresh()
    code = invites.create_invite(connection, 1.0, created_by="alice", expires_at=10.0, uses=5)
    invites.use_invite(connection, code, 9.9, "new")
    messages = set()
    for attempt, now in ((code, 10.0), ("wrong", 5.0)):
        with pytest.raises(RelayError) as refused:
            invites.use_invite(connection, attempt, now, "other")
        messages.add((refused.value.code, refused.value.message))
    assert len(messages) == 1


def test_a_device_keeps_its_session_until_it_is_revoked() -> None:
    connection = with_users("alice")
    session = devices.attach_device(connection, "alice", "phone", "tok_1", 1.0, agent="Phone/1")
    assert devices.attach_device(connection, "alice", "phone", "tok_2", 2.0) == session
    device = devices.get_device(connection, "alice", "phone")
    assert device is not None
    assert device.agent == "Phone/1", "who says nothing is still what they said before"
    assert (device.created_at, device.seen_at, device.token_id, device.revoked_at) == (1.0, 2.0, "tok_2", None)
    devices.revoke_device(connection, "alice", "phone", 3.0)
    assert devices.list_devices(connection, "alice") == []
    with pytest.raises(RelayError):
        devices.revoke_device(connection, "alice", "phone", 4.0)
    renewed = devices.attach_device(connection, "alice", "phone", "tok_3", 5.0)
    assert renewed != session
    assert [one.session_id for one in devices.list_devices(connection, "alice")] == [renewed]


def test_revoking_a_device_revokes_the_logins_it_came_with_and_nothing_else() -> None:
    connection = with_users("alice")
    accounts.create_token(connection, "alice", 1.0, origin="login", client_id="phone")
    accounts.create_token(connection, "alice", 1.0, origin="login", client_id="laptop")
    accounts.create_token(connection, "alice", 1.0, origin="cli")
    by_hand = next(token for token in accounts.list_tokens(connection) if token["origin"] == "cli")
    devices.attach_device(connection, "alice", "phone", by_hand["token_id"], 1.0)
    devices.revoke_device(connection, "alice", "phone", 2.0)
    assert sorted(token["origin"] for token in accounts.list_tokens(connection)) == ["cli", "login"]


def test_sessions_of_two_users_devices_with_one_name_differ() -> None:
    connection = with_users("alice", "bob")
    sessions = {devices.attach_device(connection, user, "phone", "t", 1.0) for user in ("alice", "bob")}
    assert len(sessions) == 2


def test_acks_move_forward_only_and_the_highest_of_any_device_counts() -> None:
    connection = with_users("alice")
    for device in ("phone", "laptop"):
        devices.attach_device(connection, "alice", device, "t", 1.0)
    assert devices.move_acked(connection, "alice", "phone", 5) == (0, 5)
    assert devices.move_acked(connection, "alice", "laptop", 3) == (5, 5)
    assert devices.move_acked(connection, "alice", "phone", 2) == (5, 5)
    acked = {one.client_id: one.acked for one in devices.list_devices(connection, "alice")}
    assert acked == {"phone": 5, "laptop": 3}
    assert devices.delivered(connection, "alice") == 5
    assert devices.delivered(connection, "nobody") == 0


def test_updating_changes_what_is_named_and_nothing_else() -> None:
    connection = with_users("alice", "bob")
    accounts.update_user(connection, "alice", display_name="Alice A.", disabled=1)
    alice, bob = accounts.get_user(connection, "alice"), accounts.get_user(connection, "bob")
    assert alice == accounts.User("alice", "Alice A.", ServerRole.MEMBER, True, 1.0, True, "everyone")
    assert bob == accounts.User("bob", "bob", ServerRole.MEMBER, False, 1.0, True, "everyone")
    with pytest.raises(RelayError) as refused:
        accounts.update_user(connection, "nobody", admin=1)
    assert refused.value.code is ErrorCode.NOT_FOUND
    assert accounts.get_user(connection, "nobody") is None
    assert accounts.password_hash(connection, "alice") is None


def test_users_are_listed_in_pages_by_id() -> None:
    connection = with_users("a1", "a2", "b_1", "b21")
    assert [user.user_id for user in accounts.list_users(connection, limit=3)] == ["a1", "a2", "b21"]
    assert [user.user_id for user in accounts.list_users(connection, after="b21")] == ["b_1"]
    assert accounts.list_users(connection, after="b_1") == []


def test_an_identity_is_made_with_keywords_as_a_swapped_pair_would_be_a_hole() -> None:
    root = Path(accounts.__file__).parent.parent
    made = [path for path in root.rglob("*.py") if "client" not in path.parts and "Identity(" in path.read_text()]
    for path in made:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Identity":
                assert not node.args, f"{path}:{node.lineno}"
    assert len(made) > 2
