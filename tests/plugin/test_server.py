"""What a plugin is handed: the server, as it may use it."""

from __future__ import annotations

import pytest

from relay.plugin import RelayError
from relay.testing import RelayWorld


async def test_a_user_is_created_where_there_is_none(relay_world: RelayWorld) -> None:
    async with relay_world(None, "alice") as world:
        server = world.engine.server_of("search")
        assert await server.ensure_user("helper", "A helper") is True
        assert await server.ensure_user("helper") is False
        assert await server.ensure_user("alice") is False
        shown = await world.rest("GET", "/api/users/helper", "alice")
        assert shown.body["display_name"] == "A helper"
        await world.engine.groups.create("alice", "Team", [], "team")
        with pytest.raises(RelayError, match="the name 'team' is taken"):
            await server.ensure_user("team")
        with pytest.raises(RelayError, match="cannot be a user id"):
            await server.ensure_user("a b")


async def test_nothing_is_sent_as_a_user_who_is_disabled_or_not_there(relay_world: RelayWorld) -> None:
    async with relay_world(None, "alice", "bob") as world:
        server = world.engine.server_of("search")
        await world.engine.accounts.set_disabled("bob", True)
        for user, told in (("bob", "the account 'bob' is disabled"), ("nobody", "user 'nobody'")):
            with pytest.raises(RelayError, match=told):
                await server.send(user, "chat_message", {"content": "hello"}, "alice")
        assert await world.history("alice", "user", "bob") == []
