"""From an envelope to a submission: preconditions, permission, and the type's own code, guarded.

The path of the core types never awaits: an envelope whose conversation is in memory and whose type has
no `handle` becomes a submission at once, which is what makes batches large and messages cheap.
"""

from __future__ import annotations

import hashlib
import logging
from collections import Counter
from typing import TYPE_CHECKING, Final

import trio

from relay.plugin.types import Draft, MessageType, Sender
from relay.protocol.envelope import Envelope
from relay.protocol.errors import ErrorCode, RelayError
from relay.protocol.kinds import Kind
from relay.services.connections import Connection
from relay.services.permissions import require_kind, require_member, require_scope
from relay.services.router import Submission
from relay.storage.log import Entry

if TYPE_CHECKING:
    from relay.plugin.loader import Registry
    from relay.services.channels import ChannelManager, Conversation
    from relay.services.limits import TokenBuckets

_log: Final = logging.getLogger("relay.plugin")


class Dispatcher:
    """Turns what a client sent into what the router stores.

    Args:
        rate: messages per second of each user.
        handler_seconds: the deadline of a type's `handle`.
        content_characters: the longest `content` of a message; 0 means no limit.
    """

    def __init__(
        self,
        registry: Registry,
        channels: ChannelManager,
        rate: TokenBuckets,
        *,
        handler_seconds: float = 5.0,
        content_characters: int = 20_000,
    ) -> None:
        self._registry = registry
        self._channels = channels
        self._rate = rate
        self._handler_seconds = handler_seconds
        self._content_characters = content_characters
        self.failures: Counter[str] = Counter()

    def draft_nowait(self, sender: Sender, envelope: Envelope) -> Submission | None:
        """Return the submission, or None when that needs a wait: then call `draft`.

        Raises:
            RelayError: the message is refused.
        """
        type_ = self._registry.types.get(envelope.type)
        if type_ is None or type_.handle is not None:
            return None
        target_id = envelope.meta.target_id
        if target_id is None:
            return None
        conversation = self._channels.find_nowait(sender.user_id, target_id)
        if conversation is None or type_.scope is not None:
            return None
        self._rate.take(sender.user_id)
        draft, digest = self._checked(type_, sender, envelope, conversation, target_id)
        return self._finished(draft, envelope, digest)

    async def draft(self, sender: Sender, envelope: Envelope) -> Submission:
        """Return the submission, waiting for the conversation and the type's `handle` where need be.

        Raises:
            RelayError: the message is refused, or its plugin failed.
        """
        self._rate.take(sender.user_id)
        type_ = self._type(envelope.type)
        target_id = envelope.meta.target_id
        if type_.scope is not None:
            require_scope(sender.identity, type_.scope)
        if target_id is None:
            raise RelayError(ErrorCode.BAD_ENVELOPE, f"a {type_.name} needs meta.target_id")
        conversation = await self._channels.find(sender.user_id, target_id)
        draft, digest = self._checked(type_, sender, envelope, conversation, target_id)
        if type_.handle is not None:
            await self._handle(type_, draft)
        return self._finished(draft, envelope, digest)

    def _type(self, name: str) -> MessageType:
        type_ = self._registry.types.get(name)
        if type_ is None:
            raise RelayError(ErrorCode.UNKNOWN_TYPE, f"there is no message type {name[:80]!r} on this server")
        return type_

    def _checked(
        self, type_: MessageType, sender: Sender, envelope: Envelope, conversation: Conversation, target_id: str
    ) -> tuple[Draft, bytes | None]:
        """Ask every precondition that needs no wait, then the type's own `prepare`.

        Returns:
            The draft, and what tells the same message again: taken of what the client sent, as the type's
            own code may add what differs at each try.
        """
        if not type_.from_clients:
            raise RelayError(ErrorCode.FORBIDDEN, f"a {type_.name} is sent by the server only")
        require_member(sender.user_id, conversation, f"user or group {target_id!r}")
        require_kind(conversation, type_.targets, type_.name)
        draft = Draft(type_, type_.read(envelope.payload), sender, conversation, target_id)
        self._check_content(draft)
        digest = None
        if envelope.meta.id is not None:
            digest = content_digest(type_.name, target_id, type_.write(draft.payload))
        if type_.prepare is not None:
            try:
                type_.prepare(draft)
            except RelayError:
                raise
            except (Exception, SystemExit) as fault:
                raise self._failed(type_, fault) from fault
        return draft, digest

    def _check_content(self, draft: Draft) -> None:
        content = getattr(draft.payload, "content", None)
        if self._content_characters and isinstance(content, str) and len(content) > self._content_characters:
            raise RelayError(
                ErrorCode.TOO_LARGE,
                f"content has at most {self._content_characters} characters; this has {len(content)}",
            )

    async def _handle(self, type_: MessageType, draft: Draft) -> None:
        """Await the type's own code under a deadline, and answer for what it raises."""
        assert type_.handle is not None  # noqa: S101 - the caller looked
        try:
            with trio.fail_after(self._handler_seconds):
                await type_.handle(draft)
        except RelayError:
            raise
        except (Exception, SystemExit) as fault:
            raise self._failed(type_, fault) from fault

    def _written(self, draft: Draft) -> tuple[str, str]:
        """Return the payload's JSON, and what a newer value of a latest type replaces by."""
        type_ = draft.type
        try:
            return type_.write(draft.payload), str(type_.key(draft.payload)) if type_.key is not None else ""
        except (Exception, SystemExit) as fault:
            raise self._failed(type_, fault) from fault

    def _failed(self, type_: MessageType, fault: BaseException) -> RelayError:
        self.failures[type_.name] += 1
        _log.error("the plugin for %r failed", type_.name, exc_info=fault)
        return RelayError(ErrorCode.PLUGIN_FAILED, f"the plugin for {type_.name!r} failed; its author was told")

    def _finished(self, draft: Draft, envelope: Envelope, digest: bytes | None) -> Submission:
        type_, meta = draft.type, envelope.meta
        payload, key = self._written(draft)
        entry = Entry(
            draft.conversation.channel_id,
            type_.name,
            type_.kind,
            draft.sender.user_id,
            draft.target_id,
            draft.sender.client_id,
            meta.id,
            digest,
            payload,
            meta.timestamp,
            key,
            draft.apply,
            type_.kind is Kind.STREAM,
            draft.sender.user_id if draft.only_sender else None,
        )
        origin = draft.sender if isinstance(draft.sender, Connection) else None
        return Submission(entry, draft.conversation, origin, recheck=True)


def content_digest(type_name: str, target_id: str, payload: str) -> bytes:
    """Return what tells the same message from another under one id."""
    return hashlib.blake2b(f"{type_name}\0{target_id}\0{payload}".encode(), digest_size=12).digest()
