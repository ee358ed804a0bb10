"""Sending as a user from inside the server: what plugins and the command line use."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from relay.protocol.envelope import Envelope, Meta, encode_json
from relay.protocol.errors import ErrorCode, RelayError, not_found
from relay.storage.accounts import Identity, get_user
from relay.storage.log import Entry

if TYPE_CHECKING:
    from relay.plugin.engine import Engine


class Inside(NamedTuple):
    """A sender without a connection and without a token."""

    identity: Identity
    client_id: str | None = None
    address: str = "inside"

    @property
    def user_id(self) -> str:
        """Whom it sends as."""
        return self.identity.user_id


async def send_as(
    engine: Engine,
    user_id: str,
    type_name: str,
    payload: dict[str, Any],
    target_id: str | None,
    *,
    own_id: str | None = None,
    scopes: frozenset[str] = frozenset(),
) -> Entry:
    """Send a message as a user, through all that a message of theirs goes through; return it once it is stored.

    Args:
        own_id: the idempotency key.
        scopes: what it may do besides what any user may.

    Raises:
        RelayError: the message is refused, there is no such user, or their account is disabled.
    """
    user = await engine.runner.read(lambda connection: get_user(connection, user_id), brief=True)
    if user is None:
        raise not_found(f"user {user_id!r}")
    if user.disabled:
        raise RelayError(ErrorCode.FORBIDDEN, f"the account {user_id!r} is disabled")
    identity = Identity(user_id, False, user.disabled, "", scopes, None, user.created_at, None)
    envelope = Envelope(type_name, msgspec.Raw(encode_json(payload)), Meta(id=own_id, target_id=target_id))
    return await engine.router.send(await engine.dispatcher.draft(Inside(identity), envelope))
