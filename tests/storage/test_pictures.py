"""Pictures: who shows which file, who may see it, and that it is kept for as long."""

from __future__ import annotations

import sqlite3

import pytest

from relay.protocol.errors import RelayError
from relay.protocol.kinds import Role
from relay.storage import accounts, attachments, conversations, pictures
from relay.storage.attachments import Attachment
from tests.storage.books import fresh

pytestmark = pytest.mark.real_time


@pytest.fixture
def connection() -> sqlite3.Connection:
    database = fresh()
    for name in ("alice", "bob", "carol"):
        accounts.create_user(database, name, 1.0)
    return database


def uploaded(connection: sqlite3.Connection, attachment_id: str, *, by: str = "alice", size: int = 9) -> str:
    blob = attachments.begin(connection, 1.0)
    digest = attachment_id.encode().ljust(32)
    new = Attachment(attachment_id, blob, by, "me.png", "image/png", size, digest)
    attachments.finish(connection, new, 1.0)
    return attachment_id


def test_a_picture_is_not_forgotten_while_it_is_shown(connection: sqlite3.Connection) -> None:
    first, second = uploaded(connection, "a_1"), uploaded(connection, "a_2")
    pictures.show(connection, "alice", first, "alice")
    assert attachments.forget_unheld(connection, 0.0, 10) == 0, "neither the one shown nor the new one"
    pictures.show(connection, "alice", second, "alice")
    assert pictures.of(connection, "alice") == second
    assert attachments.forget_unheld(connection, 0.0, 10) == 1
    pictures.show(connection, "alice", None, "alice")
    assert pictures.of(connection, "alice") is None
    assert attachments.forget_unheld(connection, 0.0, 10) == 1


def test_a_users_picture_is_seen_by_all_or_by_those_they_have_met(connection: sqlite3.Connection) -> None:
    pictures.show(connection, "alice", uploaded(connection, "a_1"), "alice")
    assert pictures.find(connection, "bob", "a_1", shared=False) is not None
    assert pictures.find(connection, "bob", "a_1", shared=True) is None
    row = conversations.ensure_user_channel(connection, "alice", "bob", 1.0)
    conversations.acquaint(connection, row.channel_id, ["alice"])
    assert pictures.find(connection, "bob", "a_1", shared=True) is not None
    assert pictures.find(connection, "carol", "a_1", shared=True) is None
    assert pictures.find(connection, "bob", "a_none", shared=False) is None


def test_a_groups_picture_is_seen_by_its_present_members(connection: sqlite3.Connection) -> None:
    roles = {"alice": Role.OWNER, "bob": Role.MEMBER}
    group = conversations.create_group(connection, "team", "Team", roles, 1.0)
    pictures.show(connection, "team", uploaded(connection, "a_1"), "alice")
    assert pictures.find(connection, "bob", "a_1", shared=False) is not None
    assert pictures.find(connection, "carol", "a_1", shared=False) is None
    conversations.end_membership(connection, group.channel_id, "bob", 1)
    assert pictures.find(connection, "bob", "a_1", shared=False) is None
    conversations.delete_group(connection, group.channel_id, 1, 2.0)
    assert pictures.of(connection, "team") is None


def test_only_an_own_picture_of_some_size_is_taken(connection: sqlite3.Connection) -> None:
    others = uploaded(connection, "a_1", by="bob")
    large = uploaded(connection, "a_2", size=pictures.MAX_PICTURE_BYTES + 1)
    codes = []
    for attachment_id in (others, large, "a_none"):
        with pytest.raises(RelayError) as refused:
            pictures.show(connection, "alice", attachment_id, "alice")
        codes.append(str(refused.value.code))
    assert codes == ["not_found", "too_large", "not_found"]
    assert pictures.of(connection, "alice") is None
