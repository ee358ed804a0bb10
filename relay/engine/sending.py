"""Sending as a user from inside the server: what plugins and the command line use."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from relay.plugin.types import Draft
from relay.protocol.envelope import Envelope, Meta, encode_json
from relay.protocol.errors import ErrorCode, RelayError, not_found
from relay.services.channels import Conversation
from relay.storage.accounts import Identity, get_user
from relay.storage.log import Entry

if TYPE_CHECKING:
    from relay.engine.engine import Engine
    from relay.engine.plugin_server import PluginServer


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
    depth: int = 0,
) -> Entry:
    """Send a message as a user, through all that a message of theirs goes through; return it once it is stored.

    Args:
        own_id: the idempotency key.
        scopes: what it may do besides what any user may.
        depth: how many answers of programs led to it; see `relay.plugin.answer_depth`.

    Raises:
        RelayError: the message is refused, there is no such user, or their account is disabled.
    """
    user = await engine.runner.read(lambda connection: get_user(connection, user_id), inline=True)
    if user is None:
        raise not_found(f"user {user_id!r}")
    if user.disabled:
        raise RelayError(ErrorCode.FORBIDDEN, f"the account {user_id!r} is disabled")
    identity = Identity(user_id, False, user.disabled, "", scopes, None, user.created_at, None)
    envelope = Envelope(type_name, msgspec.Raw(encode_json(payload)), Meta(id=own_id, target_id=target_id))
    submission = await engine.dispatcher.draft(Inside(identity), envelope)
    submission.entry.depth = max(depth, submission.entry.depth)
    return await engine.router.send(submission)


async def post_as(
    server: PluginServer,
    user_id: str,
    type_name: str,
    payload: dict[str, Any],
    conversation: Conversation,
    own_id: str | None,
    shape: Callable[[Draft], None] | None,
) -> Entry:
    """Say something of a plugin's own type in any conversation; see `relay.engine.plugin_server.Server.post`.

    Raises:
        ValueError: the type is another plugin's.
        RelayError: it is refused.
    """
    engine = server.engine
    type_ = engine.registry.types.get(type_name)
    if type_ is None or engine.registry.owner(type_name) is not server.guard:
        raise ValueError(f"{type_name!r} is no message type of the plugin {server.plugin!r}; use send")
    identity = Identity(user_id, False, False, "", frozenset(), None, 0.0, None)
    checked = type_.read(msgspec.Raw(encode_json(payload)))
    target_id = conversation.target_id(user_id)
    draft = Draft(type_, checked, Inside(identity), conversation, target_id, server)
    if shape is not None:
        shape(draft)
    return await engine.router.send(engine.dispatcher.post(draft, own_id))
