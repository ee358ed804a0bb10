"""Claims: what a plugin says of a user whom it recognized."""

from __future__ import annotations

from typing import NamedTuple

from relay.protocol.kinds import ServerRole


class Claim(NamedTuple):
    """The user whom an authenticator recognized.

    Attributes:
        user_id: the user. One that does not exist yet is created, unless `create` is False.
        expires_at: the end of the claim, Unix seconds; None for as long as the connection or request lasts.
        issued_at: its beginning, Unix seconds: a device that was revoked later stays out.
        scopes: what the user may do besides what any user may.
        admin: whether the user is an admin, also where their account is none.
        role: the user's role on this server, where it is higher than that of their account; None for that one.
    """

    user_id: str
    expires_at: float | None = None
    issued_at: float = 0.0
    scopes: frozenset[str] = frozenset()
    admin: bool = False
    display_name: str | None = None
    create: bool = True
    role: ServerRole | None = None
