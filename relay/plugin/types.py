"""Message types, the draft of a message, and the server as a plugin sees it: the types that authors work with."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple, Protocol, TypeVar, get_args, get_type_hints

import msgspec

from relay.plugin import validation
from relay.plugin.actions import ActionAnswer, ActionOutcome, Actions
from relay.plugin.facilities import Facilities
from relay.plugin.invocations import SlashCommands
from relay.plugin.payloads import explain, fields_of, free_form_fields, plain_value
from relay.protocol.envelope import check_plain, encode_json
from relay.protocol.errors import ErrorCode, RelayError
from relay.protocol.kinds import ConversationKind, Kind, Role
from relay.protocol.rights import BY_CHOICE, ON_SERVER, Act
from relay.services.channels import Conversation
from relay.storage.accounts import Identity
from relay.storage.entry import After, Apply, Entry

T = TypeVar("T")
_NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,63}")
DIALOGUE: Final = frozenset({ConversationKind.USER, ConversationKind.GROUP})
"""The kinds of conversation that people have with each other."""


class Sender(Protocol):
    """The sender of a message: a connection, a REST caller, or the server itself in the name of a user."""

    @property
    def identity(self) -> Identity:
        """The identity that the sender's token stands for."""

    @property
    def user_id(self) -> str:
        """The authenticated user."""

    @property
    def client_id(self) -> str | None:
        """The sending device, where there is one."""

    @property
    def address(self) -> str:
        """The peer's address."""


@dataclass(slots=True, eq=False)
class Draft:
    """A message that was decoded and is not stored yet; `prepare` and `handle` may change it.

    Attributes:
        payload: the decoded payload; it is stored as `prepare` and `handle` leave it.
        apply: set it to run code in the message's own transaction: `apply(connection, entry)` may return
            other JSON to store, raise `Unchanged` (acked, nothing stored) or `RelayError` (refused). What it
            writes commits with the message or not at all. It runs on the writer's thread: keep it short.
        after: set it to run code once the message is stored: `entry.message_id` and `entry.seq` are known.
        conversation: the conversation that the message goes to. `handle` may set another, with its `target_id`:
            then permissions are not checked again, and the ack has no `seq`.
        only_for: deliver it to this user's devices only, and show it to nobody else; for latest and transient
            types. `only_sender = True` says the same of the sender.
        passed_on: set it to False where the type's code passes the message on by itself, with `Server.tell`: it is
            acked, and delivered to nobody; for transient types.
        expires_at: when the message becomes a tombstone, Unix seconds; None for its type's own time to live.
        answer: further fields of the ack.
        server: the server as its plugin sees it, in a `before` hook as the hook's plugin: `draft.server.groups`.
        edits: the id of the message that is edited, for a `before` hook that sees an edit; None for a new message.
        depth: for a program's answer: `answer_depth` of the message that it answers.
    """

    type: MessageType
    payload: Any
    sender: Sender
    conversation: Conversation
    target_id: str
    server: Server
    apply: Apply | None = None
    after: After | None = None
    only_for: str | None = None
    passed_on: bool = True
    expires_at: float | None = None
    answer: dict[str, Any] | None = None
    edits: int | None = None
    depth: int = 0

    @property
    def only_sender(self) -> bool:
        """Whether it is for its sender's own devices only."""
        return self.only_for == self.sender.user_id

    @only_sender.setter
    def only_sender(self, alone: bool) -> None:
        self.only_for = self.sender.user_id if alone else None


class Delivery(NamedTuple):
    """A message on its way to one user, as `MessageHook.for_recipient` sees it.

    Attributes:
        message_id, seq: None for a transient message; `seq` is None for a latest value as well.
        payload: decoded; a copy that the hook may change and return.
        target_id: the target as its sender named it: a group's id, or the other user's in a conversation of two.
        timestamp: when the server took it, Unix seconds.
    """

    message_id: int | None
    seq: int | None
    type: str
    sender_id: str
    target_id: str
    payload: Any
    timestamp: float


Prepare = Callable[[Draft], None]
Handle = Callable[[Draft], Awaitable[None]]
Acted = Callable[["Server", sqlite3.Connection, ActionAnswer], "ActionOutcome | None"]


@dataclass(frozen=True, kw_only=True)
class MessageType:
    """A type of message. Register it from `relay_message_types`.

    Args:
        name: the `type` of its envelopes: lower-case letters, digits and `_`, a letter first.
        payload: its schema; derive it from `Payload`.
        kind: stream (each one stored), latest (the newest value stored) or transient (never stored).
        targets: the kinds of conversation it may go to; empty for a type without a target, which goes to the
            sender's own devices. A type for SELF and not for USER goes to the own channel of the user it names.
        priority: its place in a replay, lowest first: 10 notification, 20 direct, 30 group, 40 latest.
        from_clients: False for a type that only the server sends.
        scope: the scope that a token needs, unless it is an admin's; None where none is needed.
        max_bytes: the most bytes of the payload's JSON; the frame has a bound of its own.
        unread: whether it makes a conversation unread.
        editable: whether `message_edit` may change its `content`.
        deletable: whether `message_delete` may make tombstones of its messages.
        key: for a latest type: returns the key of a payload. A newer value replaces an older one of the same
            conversation, type, sender and key.
        collapse: for a stream type: returns the collapse key of a payload, or None. A newer message makes a
            tombstone of an older one of the same conversation, type, sender and collapse key.
        search_text: returns the text that search finds a message by, or None; without it, search does not.
        roles: in a group, the roles that may send it; None for every member.
        act: what it is to send such a message, for which the sender needs the right: by default `Act.WRITE` for a
            stream type (`Act.THREAD` where its payload names a `thread`), `Act.REACT` for the others. With an act
            that groups choose a right for, such as `Act.PIN`, `roles` is the choice of groups that made none.
        private: the name of a field of the payload that is true for what its sender keeps for themself: that is
            `Act.READ`, and who may not write there may send it.
        about: returns the id of the message that a payload refers to, and with which it is deleted.
        ttl_seconds: after so long a stream message becomes a tombstone; None for never.
        lasts_seconds: for a transient type: if the device does not repeat it for so long, the payload of `over` is
            sent. A stream message to the same conversation, and the end of the device's connection, do the same.
        over: for a type that lasts: returns the payload that ends another; None where that one ends itself.
        paced: False for a transient type whose code bounds its rate itself: then `[limits] typing_per_second` does
            not count.
        answer: a struct of the further fields of its ack, where the type's code sets `draft.answer`: for tools
            that read schemas.
        prepare: checks or changes the draft; plain code that must not block.
        handle: the same, awaited under `[timeouts] handler_seconds`; its sender's next messages wait for it.
        acted: `acted(server, connection, answer)` runs in the transaction of a user's answer to the `actions` of
            such a message, on the writer's thread; may refuse with `RelayError`, and return an `ActionOutcome`.
    """

    name: str
    payload: type[msgspec.Struct]
    kind: Kind
    targets: frozenset[ConversationKind] = DIALOGUE
    priority: int = 30
    from_clients: bool = True
    scope: str | None = None
    max_bytes: int | None = None
    unread: bool = False
    editable: bool = False
    deletable: bool = True
    key: Callable[[Any], str] | None = None
    collapse: Callable[[Any], str | None] | None = None
    about: Callable[[Any], int | None] | None = None
    search_text: Callable[[Any], str | None] | None = None
    roles: frozenset[Role] | None = None
    act: Act | None = None
    private: str | None = None
    ttl_seconds: float | None = None
    lasts_seconds: float | None = None
    over: Callable[[Any], Any] | None = None
    paced: bool = True
    answer: type[msgspec.Struct] | None = None
    prepare: Prepare | None = None
    handle: Handle | None = None
    acted: Acted | None = None
    _decoder: msgspec.json.Decoder[Any] = field(init=False, repr=False, compare=False)
    _free_form: tuple[str, ...] | None = field(init=False, default=None, repr=False, compare=False)
    without_functions: bool = field(init=False, repr=False, compare=False)
    managed: bool = field(init=False, repr=False, compare=False)
    _threaded: bool = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not _NAME.fullmatch(self.name):
            raise ValueError(f"message type name {self.name!r}: use a-z, digits and _, a letter first")
        validation.message_type(self)
        if self.kind is not Kind.LATEST and self.key is not None:
            raise ValueError(f"message type {self.name!r}: only a latest type has a key")
        if self.kind is not Kind.STREAM and (self.collapse is not None or self.ttl_seconds is not None):
            raise ValueError(f"message type {self.name!r}: only a stream type collapses or has a time to live")
        if self.kind is Kind.STREAM and self.about is not None and self.collapse is None:
            raise ValueError(f"message type {self.name!r}: a stream type with `about` needs `collapse`")
        if self.roles is not None and ConversationKind.GROUP not in self.targets:
            raise ValueError(f"message type {self.name!r}: roles are for groups, and its targets have no GROUP")
        if (self.lasts_seconds is None) != (self.over is None) or (self.over and self.kind is not Kind.TRANSIENT):
            raise ValueError(
                f"message type {self.name!r}: lasts_seconds and over go together, in a transient type"
            )
        if self.acted is not None and not has_actions(self.payload):
            text = "`acted` is for a payload with a field `actions: Actions | None = None`"
            raise ValueError(f"message type {self.name!r}: {text}")
        if not self.paced and (self.kind is not Kind.TRANSIENT or self.handle is None):
            raise ValueError(f"message type {self.name!r}: paced=False needs a transient type and a `handle`")
        answer: Any = self.answer
        if answer is not None and not (isinstance(answer, type) and issubclass(answer, msgspec.Struct)):
            raise ValueError(f"message type {self.name!r}: answer is a msgspec.Struct, not {answer!r}")
        if self.act is None:
            object.__setattr__(self, "act", Act.WRITE if self.kind is Kind.STREAM else Act.REACT)
        if not isinstance(self.act, Act) or self.act in ON_SERVER:
            raise ValueError(
                f"message type {self.name!r}: act is one of an act in a conversation, such as Act.REACT"
            )
        if self.private is not None and self.private not in fields_of(self.payload):
            raise ValueError(
                f"message type {self.name!r}: private is a field of its payload, not {self.private!r}"
            )
        threaded = self.act is Act.WRITE and "thread" in fields_of(self.payload)
        object.__setattr__(self, "_threaded", threaded)
        object.__setattr__(self, "managed", self.roles is not None or self.act in BY_CHOICE)
        object.__setattr__(self, "_decoder", msgspec.json.Decoder(self.payload))
        object.__setattr__(self, "without_functions", self.key is self.collapse is self.about is None)

    def act_of(self, payload: Any) -> Act:
        """Return what it is to send a message with this payload."""
        if self.private is not None and getattr(payload, self.private) is True:
            return Act.READ
        if self._threaded and payload.thread is not None:
            return Act.THREAD
        assert self.act is not None  # noqa: S101 - set above
        return self.act

    def read(self, raw: msgspec.Raw) -> Any:
        """Decode and check a payload.

        Raises:
            RelayError: `invalid_payload`, naming the field; `too_large`.
        """
        if self.max_bytes is not None and len(raw) > self.max_bytes:
            raise RelayError(ErrorCode.TOO_LARGE, f"a {self.name}'s payload has at most {self.max_bytes} bytes")
        try:
            value = self._decoder.decode(raw)
            free_form = self._free_form
            if free_form is None:  # found out with the first message, as it takes a quarter of a plugin's loading
                free_form = free_form_fields(self.payload)
                object.__setattr__(self, "_free_form", free_form)
            for name in free_form:
                part = getattr(value, name)
                if part is not None:
                    check_plain(plain_value(part), f"payload.{name}")
        except (msgspec.DecodeError, RecursionError, UnicodeError) as error:
            raise RelayError(ErrorCode.INVALID_PAYLOAD, f"{self.name}: {explain(error, self.payload)}") from None
        return value

    def load(self, stored: str) -> Any:
        """Decode a payload as it was stored.

        Raises:
            msgspec.DecodeError: it was stored by an older version of the type and does not fit any more.
        """
        return self._decoder.decode(stored)

    def write(self, payload: Any) -> str:
        """Return a payload's JSON as it is stored and sent."""
        return encode_json(payload).decode()

    def holds(self, payload: Any) -> bool:
        """Tell whether an object is an instance of the payload's class."""
        return not isinstance(self.payload, type) or isinstance(payload, self.payload)

    def check(self, payload: Any) -> str:
        """Return the JSON of a payload that code made or changed, once it fits this type.

        Raises:
            TypeError, ValueError: it does not fit.
        """
        if not self.holds(payload):
            raise TypeError(f"the payload of a {self.name} is a {self.payload.__name__}, not {payload!r:.80}")
        text = self.write(payload)
        self._decoder.decode(text)
        return text


def has_actions(payload: type[msgspec.Struct]) -> bool:
    """Tell whether messages with this payload may have actions."""
    hint = get_type_hints(payload).get("actions") if "actions" in fields_of(payload) else None
    return hint is Actions or Actions in get_args(hint)


class MessageTypes(Protocol):
    """The message types of all plugins."""

    @property
    def types(self) -> Mapping[str, MessageType]:
        """The types by name."""

    def is_deletable(self, type_name: str) -> bool:
        """Tell whether messages of a type may be deleted; those of a type that nobody knows any more may."""

    def counted(self) -> list[str]:
        """Return the names of the types that make a conversation unread."""

    def searched(self, type_name: str, stored: str) -> tuple[Any, str] | None:
        """Return a stored payload with its search text; None for a message that search does not find."""

    def all_searched(self, stored: Sequence[tuple[str, str | None]]) -> list[tuple[Any, str] | None]:
        """Return what `searched` returns, for the type and payload of many messages; None for a tombstone."""


class Server(Facilities, Protocol):
    """The server as one plugin sees it: its facilities, and what has to do with message types."""

    @property
    def message_types(self) -> MessageTypes:
        """The message types of all plugins."""

    @property
    def slash_commands(self) -> SlashCommands:
        """The slash commands of all plugins."""

    async def post(
        self,
        user_id: str,
        type_name: str,
        payload: dict[str, Any],
        conversation: Conversation,
        *,
        own_id: str | None = None,
        shape: Callable[[Draft], None] | None = None,
    ) -> Entry:
        """Store a message of one of this plugin's own types, as any user, in any conversation; return it.

        No permission is checked, and the type's `prepare` and `handle` are not called. The type may be one that
        clients cannot send.

        Args:
            own_id: the idempotency key, as if the user had chosen it.
            shape: sets `apply`, `after`, `expires_at` and other attributes of the draft, as `prepare` would.

        Raises:
            ValueError: the type is another plugin's.
            RelayError: it is refused; `rate_limited` beyond `[plugins] messages_per_second`.
        """

    async def check_draft(self, draft: Draft) -> None:
        """Call every `before` hook for a draft that is not sent itself: a message as an edit would leave it.

        Raises:
            RelayError: a hook's refusal, or `plugin_failed`.
        """

    def check_size(self, type_: MessageType, payload: str) -> None:
        """Refuse a payload's JSON that is too large for its type or the server.

        Raises:
            RelayError: `too_large`.
        """
