"""Checks that several message types share; each runs in the message's own transaction, or sets what does."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta

from relay.plugin.actions import Actions
from relay.plugin.payloads import Payload
from relay.plugin.types import Draft
from relay.protocol.envelope import Integer, Name, encode_json
from relay.protocol.errors import ErrorCode, RelayError, not_found
from relay.protocol.kinds import ConversationKind
from relay.protocol.rights import Act, Holder
from relay.services.channels import EVERYBODY
from relay.services.permissions import require
from relay.storage import attachments, conversations, history, mentions, messages, threads
from relay.storage.entry import Entry, Unchanged
from relay.storage.messages import Placed

Mentions = Annotated[list[Name], Meta(max_length=50, description="members whom it calls by name; `*` for all")]
"""The members whom a message mentions; `*` mentions all of them."""

LONGEST_CHAIN: Final = 8
"""The most answers that programs may give each other in a row; the next one is refused."""


class AttachedFile(Payload):
    """A file as the server describes it; `width` and `height` are a picture's, in pixels, where they are known."""

    attachment_id: Name
    name: str
    type: str
    size: Integer
    width: Integer | None = None
    height: Integer | None = None


AttachedFiles = Annotated[
    list[AttachedFile],
    Meta(description="its attachments, as the server describes them", extra_json_schema={"readOnly": True}),
]
"""The descriptions of a message's attachments, in their order. The server sets them, see `check_text`."""


class Text(Payload):
    """A text that people write, with attachments, a reply, mentions and data of the application's own."""

    content: Annotated[str, Meta(description="the text")]
    attachments: Annotated[list[Name], Meta(max_length=20, description="ids of uploads")] = []
    reply_to: Annotated[Integer | None, Meta(description="the `message_id` of what it answers")] = None
    mentions: Mentions = []
    extra: Annotated[dict[str, Any] | None, Meta(description="the application's own")] = None
    actions: Annotated[Actions | None, Meta(description="buttons, selects and forms below the text")] = None
    interrupted: Annotated[bool, Meta(description="whether its sender did not come to its end")] = False
    thread: Annotated[Integer | None, Meta(description="the `message_id` of the root of its thread")] = None
    thread_shown: Annotated[bool, Meta(description="whether the conversation shows it beside its thread")] = False
    files: AttachedFiles = []


def refuse_later(draft: Draft, refusal: RelayError) -> None:
    """Have a message refused inside its transaction. If it was stored already, it gets its ack again instead.

    For `handle`, where what it needs may be gone since a first try was stored.
    """

    def apply(_connection: sqlite3.Connection, _entry: Entry) -> None:
        raise refusal

    # Not the conversation that it was sent to: an ack of this message has no `seq` there.
    draft.conversation = draft.server.conversations.own_devices(draft.sender.user_id)
    draft.apply = apply


def check_future(field: str, moment: float | None, entry: Entry) -> None:
    """Refuse a time (Unix seconds) that has passed when its message is stored; None is allowed.

    For `apply`, not for `prepare`: a late retry of a message that was stored in time gets its ack.

    Raises:
        RelayError: `invalid_payload`, naming the field.
    """
    if moment is not None and moment <= entry.timestamp:
        raise RelayError(ErrorCode.INVALID_PAYLOAD, f"{field} is over; it is a time to come, in Unix seconds")


def check_text(draft: Draft) -> None:
    """Have the references of a `Text` checked, and noted with the message: reply, thread, attachments, mentions.

    The message is stored with a description of its attachments in `files`, which its sender cannot set.

    Raises:
        RelayError: `invalid_payload` for a mention of somebody who is not in the conversation, for `thread_shown`
            without a thread, and for `files`.
    """
    text: Text = draft.payload
    # What has the rest of a text, as a bot's answer has, may lack some of these.
    thread, shown = getattr(text, "thread", None), getattr(text, "thread_shown", False)
    if shown and thread is None:
        raise RelayError(ErrorCode.INVALID_PAYLOAD, "thread_shown is for a message with a thread")
    if text.files:
        raise RelayError(ErrorCode.INVALID_PAYLOAD, "files is the server's to say; send the ids as attachments")
    if text.mentions:
        check_mentions(draft, text.mentions)

    def apply(connection: sqlite3.Connection, entry: Entry) -> str | None:
        if text.reply_to is not None:
            find_message(connection, entry, text.reply_to, "to reply to")
        if thread is not None:
            find_root(connection, entry, thread)
        found = attachments.check(connection, entry.sender_id, text.attachments)
        return _with_files(entry.payload, found) if found else None

    def after(connection: sqlite3.Connection, entry: Entry) -> None:
        assert entry.message_id is not None and entry.seq is not None  # noqa: S101, PT018 - it is stored
        attachments.hold(connection, entry.channel_id, entry.message_id, text.attachments)
        mentions.note_mentions(connection, entry.channel_id, entry.seq, text.mentions)
        if thread is not None:
            threads.add_reply(connection, thread, entry, text.mentions, shown=shown)

    if text.reply_to is not None or thread is not None or text.attachments:
        draft.apply = apply
    if text.mentions or thread is not None or text.attachments:
        draft.after = after


def _with_files(payload: str, found: Sequence[attachments.Attachment]) -> str:
    """Return a payload's JSON with a description of its attachments."""
    files = [attachments.description(one) for one in found]
    return encode_json(msgspec.json.decode(payload) | {"files": files}).decode()


def check_mentions(draft: Draft, mentioned: Sequence[str]) -> None:
    """Refuse mentions of users who are not in the conversation; `*` is for groups only.

    Raises:
        RelayError: `invalid_payload`; `forbidden` for `*` without the right to it.
    """
    conversation = draft.conversation
    restricted = conversation.rights.mention_all is not Holder.EVERYBODY
    if restricted and EVERYBODY in mentioned and conversation.kind is ConversationKind.GROUP:
        require(draft.sender.identity, Act.MENTION_ALL, conversation)
    for user_id in mentioned:
        if user_id not in conversation.members and not (
            user_id == EVERYBODY and conversation.kind is ConversationKind.GROUP
        ):
            raise RelayError(
                ErrorCode.INVALID_PAYLOAD, f"mentions names {user_id!r}, who is not in this conversation"
            )


def find_message(connection: sqlite3.Connection, entry: Entry, message_id: int, purpose: str) -> Placed:
    """Return a message of the entry's conversation that its sender may see and that is not deleted.

    Args:
        purpose: the end of the error's text, such as "to reply to".

    Raises:
        RelayError: `not_found`.
    """
    found = messages.find_in_channel(connection, entry.channel_id, message_id)
    seen = history.present(connection, entry.channel_id, entry.sender_id) if found is not None else None
    if found is None or (seen is not None and not seen.sees(connection, found.seq)):
        raise not_found(f"message {message_id} {purpose} in this conversation")
    return found


def find_root(connection: sqlite3.Connection, entry: Entry, message_id: int) -> Placed:
    """Return the message whose thread is meant: one as of `find_message` that is no reply in a thread itself.

    Raises:
        RelayError: `not_found`; `invalid_payload` for a reply, naming its root.
    """
    found = find_message(connection, entry, message_id, "with a thread")
    root_id = threads.root_of(connection, message_id)
    if root_id is not None:
        said = f"message {message_id} is in a thread itself; reply in the thread of message {root_id}"
        raise RelayError(ErrorCode.INVALID_PAYLOAD, said, details={"thread": root_id})
    return found


def move_read_pointer(
    connection: sqlite3.Connection,
    entry: Entry,
    up_to_seq: int | None,
    message_ids: Sequence[int] | None,
    *,
    shown: bool,
) -> int:
    """Move the sender's read pointer forward and return where it is.

    Raises:
        Unchanged: it is as far already.
        RelayError: `not_found` for messages of another conversation; `invalid_payload` beyond the newest.
    """
    if message_ids is not None:
        found = messages.locate(connection, list(message_ids))
        if not found or any(message.channel_id != entry.channel_id for message in found):
            raise not_found("message among these in this conversation")
        up_to_seq = max(message.seq for message in found)
    newest = history.newest_seq(connection, entry.channel_id)
    if up_to_seq is None or up_to_seq > newest:
        raise RelayError(
            ErrorCode.INVALID_PAYLOAD, f"up_to_seq is {up_to_seq}, but the newest message is {newest}"
        )
    if not conversations.move_read(connection, entry.channel_id, entry.sender_id, up_to_seq, shown=shown):
        raise Unchanged
    return up_to_seq


def move_thread_pointer(connection: sqlite3.Connection, entry: Entry, root_id: int, up_to_seq: int) -> None:
    """Move the sender's read pointer in a thread forward.

    Raises:
        Unchanged: it is as far already.
        RelayError: `not_found` for a root as of `find_root`; `invalid_payload` beyond the newest reply.
    """
    find_root(connection, entry, root_id)
    newest = threads.newest_reply(connection, root_id)
    if up_to_seq > newest:
        raise RelayError(ErrorCode.INVALID_PAYLOAD, f"up_to_seq is {up_to_seq}, but the newest reply is {newest}")
    if not threads.move_read(connection, entry.sender_id, root_id, entry.channel_id, up_to_seq):
        raise Unchanged


def follow_thread(connection: sqlite3.Connection, entry: Entry, root_id: int, *, on: bool) -> None:
    """Store whether the sender takes part in a thread from now on.

    Raises:
        RelayError: `not_found` for a root as of `find_root`.
    """
    find_root(connection, entry, root_id)
    threads.set_follows(connection, entry.sender_id, root_id, entry.channel_id, on=on)


def answer_depth(depth: int | None) -> int:
    """Return the depth of a program's answer to a message of this depth.

    Raises:
        RelayError: `forbidden` for one answer too many in a row, as programs might answer each other for ever.
    """
    answer = (depth or 0) + 1
    if answer > LONGEST_CHAIN:
        said = f"programs have answered each other {LONGEST_CHAIN} times in a row here; that is enough"
        raise RelayError(ErrorCode.FORBIDDEN, said)
    return answer
