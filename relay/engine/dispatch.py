"""The dispatcher: turns an envelope into a submission, by preconditions, permissions and the type's own code.

The path of the core types never awaits: an envelope whose conversation is in memory and whose type has
no `handle` becomes a submission at once, which is what makes batches large and messages cheap.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import trio
from msgspec import structs

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
from relay.protocol.kinds import ConversationKind, Kind, Role
from relay.protocol.rights import BY_CHOICE, Act
from relay.services import slow_mode
from relay.services.blocks import Blocks
from relay.services.channels import EVERYBODY, ChannelManager, Conversation
from relay.services.connections import Connection
from relay.services.ephemeral import Timeout
from relay.services.limits import Rates
from relay.services.permissions import NOTIFY, require, require_kind, require_open, require_place, require_scope
from relay.services.restrictions import Restrictions
from relay.services.router import Submission
from relay.services.standing import Standing
from relay.storage.turns import reading_for


class Route(NamedTuple):
    """The way of all messages of one type, looked up once.

    Attributes:
        guard, server: of the plugin that the type belongs to.
        hooked: whether `before` hooks see its messages.
        direct: whether its messages need no wait, where their conversation is in memory.
    """

    type_: MessageType
    guard: Guard
    server: Server
    hooked: bool
    direct: bool


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
        restrictions: Restrictions,
        blocks: Blocks,
        standing: Standing,
        content_characters: int,
        payload_bytes: int,
    ) -> None:
        self._registry = registry
        self._channels = channels
        self._rates = rates
        self._hooks = hooks
        self._server_of = server_of
        self._now = now
        self._may_only_read = restrictions.timeouts
        self._blocked = blocks.blockers
        self._standing = standing
        self._content_characters = content_characters
        self._payload_bytes = payload_bytes or 1 << 62
        self._routes: dict[str, Route] = {}
        self._paused: trio.Event | None = None

    def pause(self) -> None:
        """Let new messages wait until `resume`, so that plugins can be changed between two messages."""
        self._paused = trio.Event()
        self._routes = {}  # without a route, a message waits in `draft`

    def resume(self) -> None:
        """Let messages go on, each with what is known of its type by now."""
        self._routes = {}
        if self._paused is not None:
            self._paused.set()
            self._paused = None

    async def resumed(self) -> None:
        """Wait while messages are paused."""
        while self._paused is not None:
            await self._paused.wait()

    def draft_nowait(self, sender: Sender, envelope: Envelope, *, paced: bool = True) -> Submission | None:
        """Return the submission, or None when that needs a wait: then call `draft`.

        Args:
            paced: whether it counts towards its sender's limits.

        Raises:
            RelayError: the message is refused.
        """
        route = self._routes.get(envelope.type) or self._find_route(envelope.type)
        target_id = envelope.meta.target_id
        if route is None or not route.direct or target_id is None:
            return None
        type_ = route.type_
        conversation = self._channels.find_nowait(sender.user_id, target_id)
        if conversation is None:
            return None
        if paced:
            self._rates.take_message(sender, transient=type_.kind is Kind.TRANSIENT)
        payload = type_.read(envelope.payload)
        draft, original = self._checked(route, sender, envelope, payload, conversation)
        if route.hooked:
            self._hooks.before_nowait(draft)
            self._check_content(draft)
        return self._submission(route, draft, envelope.meta, original, conversation)

    async def draft(self, sender: Sender, envelope: Envelope, *, paced: bool = True) -> Submission:
        """Return the submission; wait for the conversation, async hooks and the type's `handle` where needed.

        Args:
            paced: whether it counts towards its sender's limits.

        Raises:
            RelayError: the message is refused, or its plugin failed.
        """
        await self.resumed()
        route = self._find_route(envelope.type)
        if paced and (route is None or route.type_.paced):
            self._rates.take_message(sender, transient=route is not None and route.type_.kind is Kind.TRANSIENT)
        route = _require_route(route, envelope.type)
        type_ = route.type_
        if type_.scope is not None:
            require_scope(sender.identity, type_.scope)
        payload = type_.read(envelope.payload)
        try:
            conversation = await self._find_conversation(type_, sender, payload, envelope.meta.target_id)
        except RelayError as absent:
            envelope = await self._in_its_case(envelope, absent)
            conversation = await self._find_conversation(type_, sender, payload, envelope.meta.target_id)
        draft, original = self._checked(route, sender, envelope, payload, conversation)
        with reading_for(sender.user_id):
            if type_.handle is not None:
                await self._handle(route, draft)
            if route.hooked:
                await self._hooks.before(draft)
        self._check_content(draft)
        return self._submission(route, draft, envelope.meta, original, conversation)

    async def post(self, draft: Draft, own_id: str | None) -> Submission:
        """Return the submission of a plugin's own message, for which no permission is checked.

        The `before` hooks of other plugins see it: what they forbid does not pass in this way either.

        Raises:
            RelayError: a hook's refusal, or `plugin_failed`.
        """
        route = _require_route(self._find_route(draft.type.name), draft.type.name, from_clients=False)
        original = None if own_id is None else original_of(draft)
        if route.hooked:
            self._check_payload(route, draft)
            await self._hooks.before(draft, route.guard.plugin)
        return self._submission(route, draft, Meta(id=own_id), original, None)

    def _find_route(self, name: str) -> Route | None:
        """Return the route of a type; None where no plugin adds it, and while messages are paused."""
        if self._paused is not None:
            return None
        route = self._routes.get(name)
        if route is None and (type_ := self._registry.types.get(name)) is not None:
            guard, steps = self._registry.owner(name), self._hooks.steps(name)
            to_others = bool(type_.targets) and ConversationKind.SELF not in type_.targets
            direct = type_.handle is None and type_.scope is None and type_.from_clients and to_others
            direct = direct and not any(step.waits for step in steps)
            route = Route(type_, guard, self._server_of(guard.plugin), bool(steps), direct)
            self._routes[name] = route
        return route

    async def _in_its_case(self, envelope: Envelope, absent: RelayError) -> Envelope:
        """Return a message to an unknown user as one to the user whose id differs from that in case only.

        Raises:
            RelayError: `absent`, for another refusal, and if there is no such user either.
        """
        typed = envelope.meta.target_id
        if absent.code is not ErrorCode.NOT_FOUND or typed is None:
            raise absent
        target_id = await self._channels.in_its_case(typed)
        if target_id == typed:
            raise absent
        return structs.replace(envelope, meta=structs.replace(envelope.meta, target_id=target_id))

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

    def _checked(
        self, route: Route, sender: Sender, envelope: Envelope, payload: Any, conversation: Conversation
    ) -> tuple[Draft, Original | None]:
        """Check every precondition that needs no wait, then run the type's own `prepare`.

        Returns:
            The draft, and for a message with an id its original payload. Its digest is taken before plugin code
            may change the payload, which may come out differently at each retry.
        """
        type_, guard, server = route.type_, route.guard, route.server
        guard.check()
        target_id = envelope.meta.target_id or ""
        if type_.targets:
            if type_.scope is None:
                require_place(sender.identity, conversation, target_id)
            require_kind(conversation, type_.targets, type_.name)
            between_two = conversation.kind is ConversationKind.USER
            if sender.user_id in self._may_only_read or (self._blocked and between_two):
                self._standing.check(sender.user_id, type_.act_of(payload), conversation)
            if conversation.restricted or type_.managed:  # what all members may do needs no decision
                _require_act(type_, sender, conversation, payload)
        draft = Draft(type_, payload, sender, conversation, target_id, server)
        self._check_content(draft)
        original = None if envelope.meta.id is None else original_of(draft)
        if type_.prepare is not None:
            try:
                guard.call(f"prepare, for {type_.name!r}", type_.prepare, draft)
            except PluginFailed:
                raise guard.refusal() from None
        if conversation.kind is ConversationKind.BROADCAST and draft.only_for is None:
            require_scope(sender.identity, NOTIFY)
        if type_.handle is None and route.hooked:
            # A broken payload is the type's own failure, and not that of the hooks that see it next.
            self._check_payload(route, draft)
        return draft, original

    def _check_content(self, draft: Draft) -> None:
        content = getattr(draft.payload, "content", None)
        if self._content_characters and isinstance(content, str) and len(content) > self._content_characters:
            raise RelayError(
                ErrorCode.TOO_LARGE,
                f"content has at most {self._content_characters} characters; this has {len(content)}",
                details={"reason": "message_too_long", "max": self._content_characters},
            )

    async def _handle(self, route: Route, draft: Draft) -> None:
        """Await the type's own `handle` under the deadline; what it raises is answered `plugin_failed`."""
        type_, guard = route.type_, route.guard
        assert type_.handle is not None  # noqa: S101 - the caller looked
        try:
            await guard.call_async(f"handle, for {type_.name!r}", type_.handle, draft)
        except PluginFailed:
            raise guard.refusal() from None
        if route.hooked:
            self._check_payload(route, draft)

    def _check_payload(self, route: Route, draft: Draft) -> None:
        """Check that a payload which the type's own code has seen still fits its type."""
        guard = route.guard
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
                details={"reason": "message_too_large", "max_bytes": most},
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
        self, route: Route, draft: Draft, meta: Meta, original: Original | None, sent_to: Conversation | None
    ) -> Submission:
        """Return the submission of a draft that plugins' code has finished.

        Args:
            sent_to: the conversation that its sender named, and whose permissions were checked. Where the draft
                goes elsewhere, its plugin answers for that; None for a plugin's own message.
        """
        type_, sender, conversation = draft.type, draft.sender, draft.conversation
        guard = route.guard
        form: StoredForm | None = None
        if type_.without_functions and original is not None and is_original(draft, original):
            payload = original.payload  # most messages: no plugin's code is called, so none has to be guarded
        else:
            form = self._stored_form(guard, draft, original)
            payload = form.payload
        self.check_size(type_, payload)
        # Attributes that are as relay made them need no check.
        changed = conversation is not sent_to or type(draft.target_id) is not str or draft.depth != 0
        changed = changed or draft.expires_at is not None or draft.answer is not None or draft.only_for is not None
        if changed and (problem := problem_of(draft)):
            guard.failed(f"what it made of a {type_.name!r}", TypeError(problem))
            raise guard.refusal()
        if changed and conversation.closed and type_.act is Act.WRITE:  # nor does a plugin write there
            require_open(conversation, Act.WRITE)
        entry = entry_of(draft, guard, payload, None if original is None else original.digest, meta, self._now)
        if form is not None:
            _, entry.key, entry.collapse, entry.about = form
        entry.elsewhere = sent_to is not None and conversation is not sent_to
        origin = sender if isinstance(sender, Connection) else None
        recheck: Act | None = None
        if conversation is sent_to and type_.scope is None and (kind := conversation.kind) in DIALOGUE:
            recheck = type_.act if kind is ConversationKind.USER else type_.act_of(draft.payload)
            if conversation.slow_mode_seconds and type_.kind is not Kind.TRANSIENT:
                slow_mode.attach(entry, conversation, recheck)
        timeout = None if type_.lasts_seconds is None else self._timeout(guard, type_, draft.payload)
        return Submission(entry, conversation, origin, recheck=recheck, timeout=timeout)

    def _timeout(self, guard: Guard, type_: MessageType, payload: Any) -> Timeout:
        assert type_.lasts_seconds is not None and type_.over is not None  # noqa: S101, PT018 - checked at boot
        try:
            over = guard.call(f"over, for {type_.name!r}", ending_payload, type_, payload)
        except PluginFailed:
            raise guard.refusal() from None
        return Timeout(type_.lasts_seconds, over)


def _require_route(route: Route | None, name: str, *, from_clients: bool = True) -> Route:
    if route is None:
        raise RelayError(ErrorCode.UNKNOWN_TYPE, f"there is no message type {name[:80]!r} on this server")
    if from_clients and not route.type_.from_clients:
        raise RelayError(ErrorCode.FORBIDDEN, f"a {route.type_.name} is sent by the server only")
    return route


def _require_act(type_: MessageType, sender: Sender, conversation: Conversation, payload: Any) -> None:
    """Refuse a message that its sender may not send there, by the group's rights or by the type's roles."""
    if type_.scope is not None:
        require_open(conversation, type_.act_of(payload))
        return
    act = type_.act_of(payload)
    require(sender.identity, act, conversation)
    roles = None if act in BY_CHOICE else type_.roles
    if roles is not None and conversation.kind is ConversationKind.GROUP:
        role = conversation.members.get(sender.user_id)
        if role is not None and role not in roles:
            allowed = ", ".join(sorted(roles))
            details = {"reason": "group_role", "role": max(roles, key=list(Role).index)}
            raise RelayError(
                ErrorCode.FORBIDDEN, f"a {type_.name} is for these in a group: {allowed}", details=details
            )
