"""The dispatcher: turns an envelope into a submission, by preconditions, permissions and the type's own code.

The path of the core types never awaits: an envelope whose conversation is in memory and whose type has
no `handle` becomes a submission at once, which is what makes batches large and messages cheap.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from relay.engine.drafts import (
    Original,
    StoredForm,
    ending_payload,
    entry_of,
    is_original,
    original_of,
    problem_of,
    stored_form,
)
from relay.engine.guard import Guard, PluginFailed
from relay.engine.hooks import Hooks
from relay.engine.registry import Registry
from relay.plugin.types import DIALOGUE, Draft, MessageType, Sender, Server
from relay.protocol.envelope import Envelope, Meta
from relay.protocol.errors import ErrorCode, RelayError
from relay.protocol.kinds import ConversationKind, Kind
from relay.services.channels import EVERYBODY, ChannelManager, Conversation
from relay.services.connections import Connection
from relay.services.ephemeral import Lasting
from relay.services.limits import Rates
from relay.services.permissions import NOTIFY, require_kind, require_place, require_scope
from relay.services.router import Submission
from relay.storage.turns import reading_for


class Dispatcher:
    """Turns what a client sent into what the router stores.

    Args:
        server_of: returns the server as a plugin sees it, by the plugin's name.
        now: Unix seconds.
        content_characters: the most characters of a payload's `content`; 0 means no limit.
        payload_bytes: the most bytes of a payload's JSON; 0 means no limit.
    """

    def __init__(
        self,
        *,
        registry: Registry,
        channels: ChannelManager,
        rates: Rates,
        hooks: Hooks,
        server_of: Callable[[str], Server],
        now: Callable[[], float],
        content_characters: int,
        payload_bytes: int,
    ) -> None:
        self._registry = registry
        self._channels = channels
        self._rates = rates
        self._hooks = hooks
        self._server_of = server_of
        self._now = now
        self._content_characters = content_characters
        self._payload_bytes = payload_bytes or 1 << 62

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
        if any(step.waits for step in self._hooks.steps(type_.name)):
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
        draft, original = self._checked(type_, sender, envelope, payload, conversation)
        self._hooks.before_nowait(draft)
        return self._submission(draft, envelope.meta, original, conversation)

    async def draft(self, sender: Sender, envelope: Envelope, *, paced: bool = True) -> Submission:
        """Return the submission; wait for the conversation, async hooks and the type's `handle` where needed.

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
        conversation = await self._find_conversation(type_, sender, payload, envelope.meta.target_id)
        draft, original = self._checked(type_, sender, envelope, payload, conversation)
        with reading_for(sender.user_id):
            if type_.handle is not None:
                await self._handle(type_, draft)
            await self._hooks.before(draft)
        self._check_content(draft)
        return self._submission(draft, envelope.meta, original, conversation)

    def post(self, draft: Draft, own_id: str | None) -> Submission:
        """Return the submission of a plugin's own message, for which no permission is checked.

        Raises:
            RelayError: `plugin_failed`.
        """
        original = None if own_id is None else original_of(draft)
        return self._submission(draft, Meta(id=own_id), original, None)

    async def _find_conversation(
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
    ) -> tuple[Draft, Original | None]:
        """Check every precondition that needs no wait, then run the type's own `prepare`.

        Returns:
            The draft, and for a message with an id its original payload. Its digest is taken before plugin code
            may change the payload, which may come out differently at each retry.
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
        server = self._server_of(guard.plugin)
        draft = Draft(type_, payload, sender, conversation, target_id, server)
        self._check_content(draft)
        original = None if envelope.meta.id is None else original_of(draft)
        if type_.prepare is not None:
            try:
                guard.call(f"prepare, for {type_.name!r}", type_.prepare, draft)
            except PluginFailed:
                raise guard.refusal() from None
        if conversation.kind is ConversationKind.BROADCAST and not draft.only_sender:
            require_scope(sender.identity, NOTIFY)
        if type_.handle is None and self._hooks.steps(type_.name):
            # A broken payload is the type's own failure, and not that of the hooks that see it next.
            self._check_payload(draft)
        return draft, original

    def _check_content(self, draft: Draft) -> None:
        content = getattr(draft.payload, "content", None)
        if self._content_characters and isinstance(content, str) and len(content) > self._content_characters:
            raise RelayError(
                ErrorCode.TOO_LARGE,
                f"content has at most {self._content_characters} characters; this has {len(content)}",
            )

    async def _handle(self, type_: MessageType, draft: Draft) -> None:
        """Await the type's own `handle` under the deadline; what it raises is answered `plugin_failed`."""
        assert type_.handle is not None  # noqa: S101 - the caller looked
        guard = self._registry.owner(type_.name)
        try:
            await guard.call_async(f"handle, for {type_.name!r}", type_.handle, draft)
        except PluginFailed:
            raise guard.refusal() from None
        if self._hooks.steps(type_.name):
            self._check_payload(draft)

    def _check_payload(self, draft: Draft) -> None:
        """Check that a payload which the type's own code has seen still fits its type."""
        guard = self._registry.owner(draft.type.name)
        try:
            guard.call(f"the payload of {draft.type.name!r}", draft.type.check, draft.payload)
        except PluginFailed:
            raise guard.refusal() from None

    def check_size(self, type_: MessageType, written: str) -> None:
        """Refuse a payload's JSON, as it would be stored, that is larger than a client's may be.

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

    def _stored_form(self, guard: Guard, draft: Draft, original: Original | None) -> StoredForm:
        """Return how a draft's payload is stored, by its type's own functions."""
        type_ = draft.type
        try:
            return guard.call(
                f"what {type_.name!r} says of a payload", stored_form, type_, draft.payload, original
            )
        except PluginFailed:
            raise guard.refusal() from None

    def _submission(
        self, draft: Draft, meta: Meta, original: Original | None, sent_to: Conversation | None
    ) -> Submission:
        """Return the submission of a draft that plugins' code has finished.

        Args:
            sent_to: the conversation that its sender named, and whose permissions were checked. Where the draft
                goes elsewhere, its plugin answers for that; None for a plugin's own message.
        """
        type_, sender, conversation = draft.type, draft.sender, draft.conversation
        guard = self._registry.owner(type_.name)
        form: StoredForm | None = None
        if type_.without_functions and original is not None and is_original(draft, original):
            payload = original.payload  # most messages: no plugin's code is called, so none has to be guarded
        else:
            form = self._stored_form(guard, draft, original)
            payload = form.payload
        self.check_size(type_, payload)
        # Attributes that are as relay made them need no check.
        changed = conversation is not sent_to or type(draft.target_id) is not str or draft.depth != 0
        changed = changed or draft.expires_at is not None or draft.answer is not None
        if changed and (problem := problem_of(draft)):
            guard.failed(f"what it made of a {type_.name!r}", TypeError(problem))
            raise guard.refusal()
        entry = entry_of(draft, guard, payload, None if original is None else original.digest, meta, self._now)
        if form is not None:
            _, entry.key, entry.collapse, entry.about = form
        entry.elsewhere = sent_to is not None and conversation is not sent_to
        origin = sender if isinstance(sender, Connection) else None
        recheck = conversation is sent_to and type_.scope is None and conversation.kind in DIALOGUE
        lasting = None if type_.lasts_seconds is None else self._lasting(guard, type_, draft.payload)
        return Submission(entry, conversation, origin, recheck=recheck, lasting=lasting)

    def _lasting(self, guard: Guard, type_: MessageType, payload: Any) -> Lasting:
        assert type_.lasts_seconds is not None and type_.over is not None  # noqa: S101, PT018 - checked at boot
        try:
            over = guard.call(f"over, for {type_.name!r}", ending_payload, type_, payload)
        except PluginFailed:
            raise guard.refusal() from None
        return Lasting(type_.lasts_seconds, over)


def _require_role(type_: MessageType, conversation: Conversation, user_id: str) -> None:
    role = conversation.members.get(user_id)
    assert type_.roles is not None  # noqa: S101 - the caller looked
    if role is not None and role not in type_.roles:
        allowed = ", ".join(sorted(type_.roles))
        raise RelayError(ErrorCode.FORBIDDEN, f"a {type_.name} is for these in a group: {allowed}")
