"""From an envelope to a submission: preconditions, permission, and the type's own code, guarded.

The path of the core types never awaits: an envelope whose conversation is in memory and whose type has
no `handle` becomes a submission at once, which is what makes batches large and messages cheap.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from relay.engine.guard import Guard, PluginFailed
from relay.engine.outcomes import Said, checked_apply, described, over_of, problem_of, say, unchanged
from relay.plugin.types import DIALOGUE, Draft, MessageType, Sender
from relay.protocol.envelope import Envelope, Meta
from relay.protocol.errors import ErrorCode, RelayError
from relay.protocol.kinds import ConversationKind, Kind
from relay.services.channels import EVERYBODY, Conversation
from relay.services.connections import Connection
from relay.services.ephemeral import Lasting
from relay.services.permissions import NOTIFY, require_kind, require_place, require_scope
from relay.services.router import Submission
from relay.storage.log import Entry
from relay.storage.turns import reading_for

if TYPE_CHECKING:
    from relay.engine.engine import Engine


class Dispatcher:
    """Turns what a client sent into what the router stores."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._registry = engine.registry
        self._channels = engine.channels
        self._rates = engine.rates
        self._content_characters = engine.settings.limits.content_characters
        self._payload_bytes = engine.settings.limits.message_bytes or 1 << 62

    def draft_nowait(self, sender: Sender, envelope: Envelope, *, paced: bool = True) -> Submission | None:
        """Return the submission, or None when that needs a wait: then call `draft`.

        Args:
            paced: whether it counts towards its sender's limits.

        Raises:
            RelayError: the message is refused.
        """
        type_ = self._registry.types.get(envelope.type)
        if type_ is None or type_.handle is not None or type_.scope is not None or not type_.from_clients:
            return None
        if any(step.waits for step in self._engine.hooks.steps(type_.name)):
            return None
        target_id = envelope.meta.target_id
        if target_id is None or not type_.targets or ConversationKind.SELF in type_.targets:
            return None
        conversation = self._channels.find_nowait(sender.user_id, target_id)
        if conversation is None:
            return None
        if paced:
            self._rates.take_message(sender, transient=type_.kind is Kind.TRANSIENT)
        payload = type_.read(envelope.payload)
        draft, said = self._checked(type_, sender, envelope, payload, conversation)
        self._engine.hooks.before_nowait(draft)
        return self._finished(draft, envelope.meta, said, conversation)

    async def draft(self, sender: Sender, envelope: Envelope, *, paced: bool = True) -> Submission:
        """Return the submission, waiting for the conversation and the type's `handle` where need be.

        Args:
            paced: whether it counts towards its sender's limits.

        Raises:
            RelayError: the message is refused, or its plugin failed.
        """
        known = self._registry.types.get(envelope.type)
        if paced:
            self._rates.take_message(sender, transient=known is not None and known.kind is Kind.TRANSIENT)
        type_ = self._type(envelope.type)
        if type_.scope is not None:
            require_scope(sender.identity, type_.scope)
        payload = type_.read(envelope.payload)
        conversation = await self._place(type_, sender, payload, envelope.meta.target_id)
        draft, said = self._checked(type_, sender, envelope, payload, conversation)
        with reading_for(sender.user_id):
            if type_.handle is not None:
                await self._handle(type_, draft)
            await self._engine.hooks.before(draft)
        self._check_content(draft)
        return self._finished(draft, envelope.meta, said, conversation)

    def post(self, draft: Draft, own_id: str | None) -> Submission:
        """Return the submission of what a plugin says by itself: nobody's permission is asked for it.

        Raises:
            RelayError: `plugin_failed`.
        """
        said = None if own_id is None else say(draft)
        return self._finished(draft, Meta(id=own_id), said, None)

    async def _place(
        self, type_: MessageType, sender: Sender, payload: Any, target_id: str | None
    ) -> Conversation:
        """Return the conversation that a message goes to; see MessageType's `targets`."""
        channels = self._channels
        if not type_.targets:
            if target_id is not None:
                raise RelayError(ErrorCode.BAD_ENVELOPE, f"a {type_.name} has no meta.target_id")
            kept = type_.kind is not Kind.TRANSIENT
            return await channels.own(sender.user_id) if kept else channels.own_devices(sender.user_id)
        if target_id is None:
            raise RelayError(ErrorCode.BAD_ENVELOPE, f"a {type_.name} needs meta.target_id")
        if target_id == EVERYBODY:
            return await channels.everybody()
        to_self = ConversationKind.SELF in type_.targets and ConversationKind.USER not in type_.targets
        if to_self or getattr(payload, "kind", None) == ConversationKind.SELF:
            return await channels.notified(target_id)
        return await channels.find(sender.user_id, target_id)

    def _type(self, name: str) -> MessageType:
        type_ = self._registry.types.get(name)
        if type_ is None:
            raise RelayError(ErrorCode.UNKNOWN_TYPE, f"there is no message type {name[:80]!r} on this server")
        if not type_.from_clients:
            raise RelayError(ErrorCode.FORBIDDEN, f"a {type_.name} is sent by the server only")
        return type_

    def _checked(
        self, type_: MessageType, sender: Sender, envelope: Envelope, payload: Any, conversation: Conversation
    ) -> tuple[Draft, Said | None]:
        """Ask every precondition that needs no wait, then the type's own `prepare`.

        Returns:
            The draft, and for a message with an id what the client said: it tells the same message again, as the
            type's own code may add what differs at each try.
        """
        guard = self._registry.owner(type_.name)
        guard.check()
        target_id = envelope.meta.target_id or ""
        if type_.roles is not None and conversation.kind is ConversationKind.GROUP:
            _require_role(type_, conversation, sender.user_id)
        if type_.targets:
            if type_.scope is None:
                require_place(sender.identity, conversation, target_id)
            require_kind(conversation, type_.targets, type_.name)
        server = self._engine.server_of(guard.plugin)
        draft = Draft(type_, payload, sender, conversation, target_id, server)
        self._check_content(draft)
        said = None if envelope.meta.id is None else say(draft)
        if type_.prepare is not None:
            try:
                guard.call(f"prepare, for {type_.name!r}", type_.prepare, draft)
            except PluginFailed:
                raise guard.refusal() from None
        if conversation.kind is ConversationKind.BROADCAST and not draft.only_sender:
            require_scope(sender.identity, NOTIFY)
        if type_.handle is None and self._engine.hooks.steps(type_.name):
            self._check_payload(draft)  # before others' hooks see it, who are not to be blamed for it
        return draft, said

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
        guard = self._registry.owner(type_.name)
        try:
            await guard.call_async(f"handle, for {type_.name!r}", type_.handle, draft)
        except PluginFailed:
            raise guard.refusal() from None
        if self._engine.hooks.steps(type_.name):
            self._check_payload(draft)

    def _check_payload(self, draft: Draft) -> None:
        """Have a payload that plugins' code has seen fit its type still, whatever they made of it."""
        guard = self._registry.owner(draft.type.name)
        try:
            guard.call(f"the payload of {draft.type.name!r}", draft.type.check, draft.payload)
        except PluginFailed:
            raise guard.refusal() from None

    def check_size(self, type_: MessageType, written: str) -> None:
        """Refuse a payload's JSON, as it would be stored, that is larger than what a client may send.

        Raises:
            RelayError: `too_large`.
        """
        most = self._payload_bytes
        # A character has at most four bytes: nearly all are known to fit by their length alone.
        if len(written) * 4 > most and (size := len(written.encode())) > most:
            raise RelayError(
                ErrorCode.TOO_LARGE,
                f"a {type_.name}'s payload has at most {most} bytes as it is stored; this has {size}",
                details={"max_bytes": most},
            )

    def _written(self, draft: Draft, said: Said | None) -> tuple[str, str, str | None, int | None]:
        """Return the payload's JSON, and what `key`, `collapse` and `about` say of it."""
        type_ = draft.type
        if type_.says_nothing and said is not None and unchanged(draft, said):
            return said.payload, "", None, None
        guard = self._registry.owner(type_.name)
        try:
            return guard.call(f"what {type_.name!r} says of a payload", described, type_, draft.payload, said)
        except PluginFailed:
            raise guard.refusal() from None

    def _finished(self, draft: Draft, meta: Meta, said: Said | None, sent_to: Conversation | None) -> Submission:
        """Return the submission of a draft; one that goes elsewhere than it was sent to, a plugin answers for."""
        type_, sender = draft.type, draft.sender
        guard = self._registry.owner(type_.name)
        payload, key, collapse, about = self._written(draft, said)
        self.check_size(type_, payload)
        # Where nothing was set there is nothing to look at.
        looked_at = draft.conversation is not sent_to or type(draft.target_id) is not str or draft.depth != 0
        looked_at = looked_at or draft.expires_at is not None or draft.answer is not None
        if looked_at and (problem := problem_of(draft)):
            guard.failed(f"what it made of a {type_.name!r}", TypeError(problem))
            raise guard.refusal()
        apply, after = draft.apply, draft.after
        if apply is not None or after is not None:
            apply = apply and guard.inside(f"apply, for {type_.name!r}", checked_apply(apply))
            after = after and guard.inside(f"after, for {type_.name!r}", after)
        entry = Entry(
            draft.conversation.channel_id,
            type_.name,
            type_.kind,
            sender.user_id,
            draft.target_id,
            sender.client_id,
            meta.id,
            None if said is None else said.digest,
            payload,
            meta.timestamp,
            key,
            apply,
            type_.kind is Kind.STREAM and sender.user_id in draft.conversation.members,
            sender.user_id if draft.only_sender else None,
            after,
            collapse,
            about,
            self._expiry(draft),
            draft.answer,
            sent_to is not None and draft.conversation is not sent_to,
            draft.depth,
        )
        origin = sender if isinstance(sender, Connection) else None
        recheck = draft.conversation is sent_to and type_.scope is None and sent_to.kind in DIALOGUE
        lasting = self._lasting(guard, type_, draft.payload) if type_.lasts_seconds is not None else None
        return Submission(entry, draft.conversation, origin, recheck=recheck, lasting=lasting)

    def _lasting(self, guard: Guard, type_: MessageType, payload: Any) -> Lasting:
        assert type_.lasts_seconds is not None and type_.over is not None  # noqa: S101, PT018 - checked at boot
        try:
            over = guard.call(f"over, for {type_.name!r}", over_of, type_, payload)
        except PluginFailed:
            raise guard.refusal() from None
        return Lasting(type_.lasts_seconds, over)

    def _expiry(self, draft: Draft) -> float | None:
        ttl, expires_at = draft.type.ttl_seconds, draft.expires_at
        if ttl is None:
            return expires_at
        by_type = self._engine.now() + ttl
        return by_type if expires_at is None else min(by_type, expires_at)


def _require_role(type_: MessageType, conversation: Conversation, user_id: str) -> None:
    role = conversation.members.get(user_id)
    assert type_.roles is not None  # noqa: S101 - the caller looked
    if role is not None and role not in type_.roles:
        allowed = ", ".join(sorted(type_.roles))
        raise RelayError(ErrorCode.FORBIDDEN, f"a {type_.name} is for these in a group: {allowed}")
