"""What the operator sees of groups."""

from relay.protocol.kinds import Role
from relay.storage import conversations
from relay.storage.accounts import create_user
from relay.storage.listings import list_groups
from tests.storage.books import fresh


def test_groups_are_listed_by_id_with_their_present_members() -> None:
    connection = fresh()
    for name in ("alice", "bob", "carol"):
        create_user(connection, name, 0.0)
    roles = {"alice": Role.OWNER, "bob": Role.MEMBER, "carol": Role.MEMBER}
    rows = {name: conversations.create_group(connection, name, name.upper(), roles, 1.0) for name in "dcba"}
    conversations.end_membership(connection, rows["a"].channel_id, "bob", 1)
    conversations.delete_group(connection, rows["b"].channel_id, 1, 2.0)
    listed = list_groups(connection, "", 2)
    assert [tuple(group) for group in listed] == [
        ("a", "A", "alice", 2, "join", 1.0),
        ("c", "C", "alice", 3, "join", 1.0),
    ]
    assert [group.group_id for group in list_groups(connection, "c", 10)] == ["d"]
