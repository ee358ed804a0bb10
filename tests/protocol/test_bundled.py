"""What relay.protocol says of the bundled plugins is what they declare."""

from __future__ import annotations

from pathlib import Path

from msgspec import inspect

from relay.engine.discovery import bundled_directory, in_directory
from relay.protocol.bundled import MAX_FOLLOW, UNREAD_TYPES
from relay.testing import World
from relay.testing import world as open_world

NEED_OPTIONS = {"jwt_auth", "oidc", "proxy_auth"}
"""Ways to log in, which load only when they are told how; they have no message types."""


async def test_the_types_that_make_a_conversation_unread_are_those_that_say_so(tmp_path: Path) -> None:
    every = in_directory(bundled_directory(), "bundled").keys() - NEED_OPTIONS
    async with open_world(tmp_path, RELAY_PLUGINS__ALSO=",".join(sorted(every))) as world:
        assert world.engine.registry.broken == []
        types = world.engine.registry.types
        assert {name for name, type_ in types.items() if type_.unread} == UNREAD_TYPES


async def test_as_many_users_as_it_says_can_be_followed_at_once(world: World) -> None:
    payload = world.engine.registry.types["follow"].payload
    assert payload is not None
    [users] = [one.type for one in inspect.type_info(payload).fields if one.name == "user_ids"]
    assert users.type.max_length == MAX_FOLLOW
