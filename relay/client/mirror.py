"""A copy of what a user may see, kept current by events: conversations, messages, reactions, receipts, unread.

`Mirror` does no I/O. It is given what the server says, in any order that a resume may bring, twice where a
client asks twice, and ends up equal to one that was loaded anew. The rules that make it so, for whoever writes
another:

1. Of two versions of a message a deleted one wins, and else the one with the higher `edit_id`, which is the id of
   the edit: the server's clock may have been set back between two edits.
2. A message without a payload and with `deleted_at` is a tombstone: it keeps its `seq` and says nothing.
3. What `meta.replaces` names is a tombstone from then on: an older edit of the same message, an older notification
   of the same key. A deletion makes tombstones of the message's edits too, and drops its reactions.
4. Pointers only move forward. What its user sends moves their own.
5. A reaction to an unknown message is ignored: the message brings it along when it is loaded.
6. A user who is removed from a group forgets it; one who is added starts with an empty conversation and loads what
   may be seen. So the messages that fill a gap are applied like events, and not loaded.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from relay.client.events import Event
from relay.protocol.bundled import UNREAD_TYPES
from relay.protocol.kinds import ConversationKind

SELF: Final = ConversationKind.SELF.value
"""The key of the user's own channel, which holds notifications to them."""

EVERYBODY: Final = "*"
"""The key of the channel that goes to everybody."""


@dataclass(slots=True)
class Message:
    """A message as it now is; `payload` is empty for a tombstone."""

    message_id: int
    seq: int
    type: str
    sender_id: str
    payload: dict[str, Any]
    timestamp: float
    edited_at: float | None = None
    deleted_at: float | None = None
    expires_at: float | None = None
    edit_id: int | None = None

    def is_over(self, now: float) -> bool:
        """Return whether it is a tombstone at `now`, Unix seconds; no event comes when a message expires."""
        return self.deleted_at is not None or (self.expires_at is not None and self.expires_at <= now)

    def erase(self, at: float) -> None:
        """Turn it into a tombstone, `at` in Unix seconds; one that is a tombstone already stays as it is."""
        if self.deleted_at is None:
            self.payload, self.edited_at, self.edit_id, self.deleted_at = {}, None, None, at


@dataclass(slots=True)
class Conversation:
    """One conversation as far as it is known.

    Attributes:
        receipts: the highest seq by (user, "read" or "delivered").
        reactions: who reacted how: (message id, emoji, user).
        replaced: when messages were replaced, by their ids; of some only the id is known yet.
        stale: whether its user may now see other messages: load its whole history, then set it False.
    """

    messages: dict[int, Message] = field(default_factory=dict)
    by_id: dict[int, Message] = field(default_factory=dict)
    receipts: dict[tuple[str, str], int] = field(default_factory=dict)
    reactions: set[tuple[int, str, str]] = field(default_factory=set)
    replaced: dict[int, float] = field(default_factory=dict)
    read_seq: int = 0
    stale: bool = False

    def unread(self, user_id: str, now: float) -> int:
        """Count the messages of others after the read pointer that are not tombstones at `now`, Unix seconds."""
        return sum(
            message.seq > self.read_seq and message.sender_id != user_id and not message.is_over(now)
            for message in self.messages.values()
            if message.type in UNREAD_TYPES
        )


class Mirror:
    """All that one user may see.

    Args:
        user_id: the user.
    """

    def __init__(self, user_id: str) -> None:
        self.user_id = user_id
        self.conversations: dict[str, Conversation] = {}
        self.statuses: dict[str, dict[str, Any]] = {}

    def conversation(self, key: str) -> Conversation:
        """Return the conversation with a user or group, SELF or EVERYBODY; an unknown one is created."""
        return self.conversations.setdefault(key, Conversation())

    def key(self, event: Event) -> str:
        """Return the key of the conversation that an event belongs to, as its user names it."""
        target, sender = event.target_id or SELF, event.sender_id or ""
        if target != self.user_id:
            return target
        to_self = event.type == "notification" or event.payload.get("kind") == SELF
        return SELF if to_self else sender

    def load(self, key: str, read_seq: int, messages: Iterable[Event], latest: Iterable[Event] = ()) -> None:
        """Merge an answer of REST about a conversation with what events have brought meanwhile."""
        conversation = self.conversation(key)
        conversation.read_seq = max(conversation.read_seq, read_seq)
        for event in (*messages, *latest):
            self._apply_to(conversation, event)

    def apply(self, event: Event) -> None:
        """Apply one event, live or replayed; types that change nothing here are ignored."""
        if event.type == "status_update":
            if event.message_id is None:
                self.statuses[event.sender_id or ""] = event.payload
        elif event.message_id is not None:
            key = self.key(event)
            if event.type == "group_event" and self._ends(key, event):
                return
            self._apply_to(self.conversation(key), event)

    def _ends(self, key: str, event: Event) -> bool:
        """Return whether its user left the group, which is then forgotten; start again where they were added."""
        what, about = event.payload.get("event"), event.payload.get("user_id")
        if what == "deleted" or (what == "member_removed" and about == self.user_id):
            self.conversations.pop(key, None)
            return True
        if what == "member_added" and about == self.user_id:
            self.conversations[key] = Conversation(stale=True)
        return False

    def _apply_to(self, conversation: Conversation, event: Event) -> None:
        if event.seq is not None:
            self._take_message(conversation, event)
        elif event.type == "reaction":
            self._take_reaction(conversation, event)
        elif event.type == "read_receipt":
            self._take_receipt(conversation, event)

    def _take_message(self, conversation: Conversation, event: Event) -> None:
        message = _read(event)
        known = conversation.messages.get(message.seq)
        if known is not None and _wins(known, message):
            message = known
        conversation.messages[message.seq] = conversation.by_id[message.message_id] = message
        if (replaces := event.meta.get("replaces")) is not None:
            conversation.replaced[replaces] = message.timestamp
            if (older := conversation.by_id.get(replaces)) is not None:
                older.erase(message.timestamp)
        if message.message_id in conversation.replaced:
            message.erase(conversation.replaced[message.message_id])
        if message.sender_id == self.user_id:
            conversation.read_seq = max(conversation.read_seq, message.seq)
        if message.deleted_at is not None:
            _drop_reactions(conversation, message.message_id)
        elif message.type == "message_edit":
            _edit(conversation, message)
        elif message.type == "message_delete":
            _delete(conversation, message)

    def _take_reaction(self, conversation: Conversation, event: Event) -> None:
        message_id, emoji = event.payload["message_id"], event.payload["emoji"]
        about = conversation.by_id.get(message_id)
        reaction = (message_id, emoji, event.sender_id or "")
        if event.payload["on"] and about is not None and about.deleted_at is None:
            conversation.reactions.add(reaction)
        else:
            conversation.reactions.discard(reaction)

    def _take_receipt(self, conversation: Conversation, event: Event) -> None:
        sender, up_to = event.sender_id or "", event.payload["up_to_seq"]
        state = event.payload.get("state", "read")
        if sender == self.user_id and state == "read":
            conversation.read_seq = max(conversation.read_seq, up_to)
        if not event.payload.get("private"):
            place = (sender, state)
            conversation.receipts[place] = max(conversation.receipts.get(place, 0), up_to)


def _read(event: Event) -> Message:
    meta: Mapping[str, Any] = event.meta
    return Message(
        meta["message_id"], meta["seq"], event.type, meta["sender_id"], dict(event.payload), meta["timestamp"],
        meta.get("edited_at"), meta.get("deleted_at"), meta.get("expires_at"), meta.get("edit_id"),
    )  # fmt: skip


def _wins(known: Message, other: Message) -> bool:
    if known.deleted_at is not None or other.deleted_at is not None:
        return known.deleted_at is not None
    return (known.edit_id or 0) > (other.edit_id or 0)


def _edit(conversation: Conversation, edit: Message) -> None:
    about = conversation.by_id.get(edit.payload.get("message_id", 0))
    if about is None or edit.deleted_at is not None or (about.edit_id or 0) > edit.message_id:
        return
    if about.deleted_at is not None:
        edit.erase(about.deleted_at)
        return
    about.payload = about.payload | {
        name: value for name, value in edit.payload.items() if name in ("content", "mentions", "actions")
    }
    if not about.payload.get("mentions"):  # cleared: as the server has it
        about.payload.pop("mentions", None)
    if not about.payload.get("actions", {}).get("elements"):
        about.payload.pop("actions", None)
    about.edited_at, about.edit_id = edit.timestamp, edit.message_id


def _delete(conversation: Conversation, deletion: Message) -> None:
    message_id = deletion.payload["message_id"]
    about = conversation.by_id.get(message_id)
    if about is not None:
        about.erase(deletion.timestamp)
    _drop_reactions(conversation, message_id)
    for other in conversation.messages.values():
        if other.type == "message_edit" and other.payload.get("message_id") == message_id:
            other.erase(deletion.timestamp)


def _drop_reactions(conversation: Conversation, message_id: int) -> None:
    conversation.reactions = {reaction for reaction in conversation.reactions if reaction[0] != message_id}
