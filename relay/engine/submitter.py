"""The submitter: sends messages as users from inside the server, for plugins and for the command line."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import msgspec

from relay.engine.dispatch import Dispatcher
from relay.plugin.types import Draft, MessageType
from relay.protocol.envelope import Envelope, Meta, encode_json
from relay.protocol.errors import ErrorCode, RelayError, not_found
from relay.protocol.kinds import ConversationKind, Kind
from relay.services.channels import Conversation
from relay.services.router import MessageRouter
from relay.storage.accounts import Identity, get_user
from relay.storage.entry import Entry
from relay.storage.jobs import Runner

MOST_RECIPIENTS: Final = 500
"""Recipients of one whisper, which one transaction stores."""


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
        return await self._router.send(await self._dispatcher.post(draft, own_id))

    async def whisper(self, drafts: Sequence[Draft], own_id: str | None) -> list[Entry]:
        """Send a plugin's own message to single users, in one transaction; return one entry for each.

        Args:
            drafts: one for each user, with `only_for` set.
            own_id: the idempotency key, to which each user's id is added.

        Raises:
            RelayError: it is refused.
        """
        await self._dispatcher.resumed()
        submissions = []
        for draft in drafts:
            own = None if own_id is None else f"{own_id}:{draft.only_for}"
            submission = await self._dispatcher.post(draft, own)
            submission.entry.key = f"{draft.only_for}:{submission.entry.key}"  # one row for each user
            submissions.append(submission)
        return await self._router.send_together(submissions)


def check_recipients(type_: MessageType, user_ids: Sequence[str], conversation: Conversation) -> None:
    """Check that a message of a type can go to some users of a conversation alone.

    Raises:
        TypeError, ValueError: it cannot be.
        RelayError: `not_found`; one of them is not in the conversation.
    """
    if type_.kind is Kind.STREAM:
        raise ValueError(
            f"{type_.name!r} is a stream type: its messages have a seq, which all members share; whisper with a"
            " latest type, which is stored, or a transient one"
        )
    if isinstance(user_ids, str):
        raise TypeError(f"user_ids is {user_ids!r}; it is a list of user ids")
    if not user_ids or len(user_ids) > MOST_RECIPIENTS or len(set(user_ids)) < len(user_ids):
        raise ValueError(f"user_ids has 1 to {MOST_RECIPIENTS} users, each once")
    for user_id in user_ids:
        if conversation.kind is not ConversationKind.BROADCAST and user_id not in conversation.members:
            raise not_found(f"user {user_id!r} in this conversation")
