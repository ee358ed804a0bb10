"""The submitter: sends messages as users from inside the server, for plugins and for the command line."""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec

from relay.engine.dispatch import Dispatcher
from relay.plugin.types import Draft
from relay.protocol.envelope import Envelope, Meta, encode_json
from relay.protocol.errors import ErrorCode, RelayError, not_found
from relay.services.router import MessageRouter
from relay.storage.accounts import Identity, get_user
from relay.storage.entry import Entry
from relay.storage.jobs import Runner


class InternalSender(NamedTuple):
    """A sender without a connection and without a token; see `relay.plugin.Sender`."""

    identity: Identity
    client_id: str | None = None
    address: str = "inside"

    @property
    def user_id(self) -> str:
        """The user in whose name it sends."""
        return self.identity.user_id


class Submitter:
    """Submits messages that no client sent, and waits until they are stored."""

    def __init__(self, *, runner: Runner, dispatcher: Dispatcher, router: MessageRouter) -> None:
        self._runner = runner
        self._dispatcher = dispatcher
        self._router = router

    async def send_as(
        self,
        user_id: str,
        type_name: str,
        payload: dict[str, Any],
        target_id: str | None,
        *,
        own_id: str | None = None,
        scopes: frozenset[str] = frozenset(),
        depth: int = 0,
    ) -> Entry:
        """Send a message as a user, with every check that a message of theirs meets; return it once it is stored.

        Args:
            own_id: the idempotency key.
            scopes: what it may do besides what any user may.
            depth: how many answers of programs led to it; see `relay.plugin.answer_depth`.

        Raises:
            RelayError: the message is refused, there is no such user, or their account is disabled.
        """
        user = await self._runner.read(lambda connection: get_user(connection, user_id), inline=True)
        if user is None:
            raise not_found(f"user {user_id!r}")
        if user.disabled:
            raise RelayError(ErrorCode.FORBIDDEN, f"the account {user_id!r} is disabled")
        sender = InternalSender(Identity(user_id=user_id, scopes=scopes, created_at=user.created_at))
        envelope = Envelope(type_name, msgspec.Raw(encode_json(payload)), Meta(id=own_id, target_id=target_id))
        submission = await self._dispatcher.draft(sender, envelope)
        submission.entry.depth = max(depth, submission.entry.depth)
        return await self._router.send(submission)

    async def post(self, draft: Draft, own_id: str | None) -> Entry:
        """Store a plugin's own message, for which no permission is checked; return it once it is stored.

        Args:
            own_id: the idempotency key.

        Raises:
            RelayError: it is refused.
        """
        await self._dispatcher.resumed()
        return await self._router.send(self._dispatcher.post(draft, own_id))
