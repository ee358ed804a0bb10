"""Who may do what."""

from __future__ import annotations

import pytest

from relay.protocol.errors import ErrorCode, RelayError
from relay.protocol.kinds import ConversationKind, Role
from relay.services import permissions
from relay.services.channels import Conversation
from relay.storage.conversations import ChannelRow
from tests.services.recorder import identity

TEAM = Conversation(
    ChannelRow(
        1,
        ConversationKind.GROUP,
        "group:team",
        "Team",
        {"olga": Role.OWNER, "adam": Role.ADMIN, "mia": Role.MEMBER},
        "join",
    )
)


@pytest.mark.parametrize(
    ("least", "may"),
    [(Role.MEMBER, {"olga", "adam", "mia"}), (Role.ADMIN, {"olga", "adam"}), (Role.OWNER, {"olga"})],
)
def test_a_role_may_what_those_below_it_may(least: Role, may: set[str]) -> None:
    for name in ("olga", "adam", "mia", "eve"):
        if name in may:
            permissions.require_role(name, TEAM, least)
        else:
            with pytest.raises(RelayError) as refused:
                permissions.require_role(name, TEAM, least)
            assert refused.value.code is ErrorCode.FORBIDDEN


def test_owner_and_admins_lead_a_group_and_nobody_leads_another_conversation() -> None:
    leading = [name for name in ("olga", "adam", "mia", "eve") if permissions.is_group_admin(name, TEAM)]
    assert leading == ["olga", "adam"]
    pair = ChannelRow(
        2, ConversationKind.USER, "user:eve:olga", "", {"eve": Role.OWNER, "olga": Role.MEMBER}, "join"
    )
    assert not permissions.is_group_admin("eve", Conversation(pair))


def test_an_admin_needs_no_scope_and_anybody_else_the_right_one() -> None:
    permissions.require_scope(identity("a", admin=True), "notify")
    permissions.require_scope(identity("a", scopes=("notify",)), "notify")
    for scopes in ((), ("other",), ("notif",)):
        with pytest.raises(RelayError, match="'notify'") as refused:
            permissions.require_scope(identity("a", scopes=scopes), "notify")
        assert refused.value.code is ErrorCode.FORBIDDEN


def test_only_an_admin_of_the_server_is_one() -> None:
    permissions.require_admin(identity("a", admin=True))
    with pytest.raises(RelayError) as refused:
        permissions.require_admin(identity("a", scopes=("admin",)))
    assert refused.value.code is ErrorCode.FORBIDDEN


def test_what_is_not_there_and_what_is_not_yours_are_refused_alike() -> None:
    assert permissions.require_member("mia", TEAM, "group 'team'") is TEAM
    said = []
    for conversation in (TEAM, None):
        with pytest.raises(RelayError) as refused:
            permissions.require_member("eve", conversation, "group 'team'")
        said.append((refused.value.code, refused.value.message))
    assert said[0] == said[1]
    assert said[0][0] is ErrorCode.NOT_FOUND


def test_the_wrong_sort_of_target_is_named_with_the_right_one() -> None:
    permissions.require_kind(TEAM, frozenset({ConversationKind.GROUP}), "group_message")
    with pytest.raises(RelayError, match="a chat_message goes to a user; the target is a group") as refused:
        permissions.require_kind(TEAM, frozenset({ConversationKind.USER}), "chat_message")
    assert refused.value.code is ErrorCode.INVALID_PAYLOAD
