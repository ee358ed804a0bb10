"""Server roles by groups: who is in which of a provider's groups has which role here, anew at each sign-in."""

import sqlite3
from collections.abc import Mapping
from typing import Any

from relay.plugin import About, Actor, Server, ServerRole, get_user, update_user

from .options import RANKS, Provider
from .provider import Client, look_up


def role_of(provider: Provider, claims: Mapping[str, Any]) -> ServerRole | None:
    """Return the role that groups give: the highest of theirs, a member's where none gives one; None without."""
    if provider.groups_claim is None:
        return None
    found = look_up(claims, provider.groups_claim)
    groups = [found] if isinstance(found, str) else found if isinstance(found, list) else []
    given = {provider.roles[group] for group in groups if isinstance(group, str) and group in provider.roles}
    return ServerRole(next((role for role in RANKS if role in given), "member"))


async def give_role(server: Server, client: Client, claims: Mapping[str, Any], user_id: str, address: str) -> None:
    """Give an account the role of its groups; an owner stays one."""
    role = role_of(client.provider, claims)
    if role is None:
        return
    actor = Actor(None, None, "plugin", address, f"plugin {server.plugin}, {client.name}")

    def give(connection: sqlite3.Connection) -> bool:
        user = get_user(connection, user_id)
        if user is None or user.role in (role, ServerRole.OWNER):
            return False
        update_user(connection, user_id, role=role)
        details = {"before": user.role, "after": role, "reason": f"groups at {client.name}"}
        server.audit(connection, actor, "user.role_changed", About("user", user_id), details)
        return True

    if await server.write(give):
        server.users.forget_tokens()
