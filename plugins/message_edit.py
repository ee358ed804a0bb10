"""`message_edit`: an author gives a message another content.

The message itself is rewritten in the edit's transaction, so history, search and replay show it as it now is.
Of several edits of one message only the newest keeps its text: late or out of order, they agree.
"""

import sqlite3
from typing import Annotated, Any, NamedTuple

import msgspec
from msgspec import Meta

from relay.plugin import (
    Draft,
    Entry,
    ErrorCode,
    Integer,
    Kind,
    Mentions,
    MessageType,
    Payload,
    RelayError,
    check_mentions,
    find_in_channel,
    find_message,
    forget_mentions,
    hookimpl,
    note_edit,
    note_mentions,
    rewrite_message,
)


class MessageEdit(Payload):
    """Which message, and what it says from now on; without `mentions` it keeps its own."""

    message_id: Annotated[Integer, Meta(description="the message")]
    content: Annotated[str, Meta(description="its text from now on")]
    mentions: Mentions | None = None


async def handle(draft: Draft) -> None:
    """Have the message rewritten in the edit's own transaction."""
    edit: MessageEdit = draft.payload
    if edit.mentions:
        check_mentions(draft, edit.mentions)
    shaped = await shown_to_hooks(draft, edit)

    def apply(connection: sqlite3.Connection, entry: Entry) -> None:
        message = find_message(connection, entry, edit.message_id, "to edit")
        known = draft.server.message_types.types.get(message.type)
        if known is None or not known.editable:
            raise RelayError(ErrorCode.INVALID_PAYLOAD, f"a {message.type} cannot be edited")
        if message.sender_id != entry.sender_id:
            raise RelayError(ErrorCode.FORBIDDEN, "only its author may edit a message")
        payload = {
            name: value
            for name, value in (msgspec.json.decode(message.payload) | shaped.said).items()
            if name not in shaped.cleared
        }
        if edit.mentions is not None:
            forget_mentions(connection, entry.channel_id, message.seq)
            note_mentions(connection, entry.channel_id, message.seq, edit.mentions)
        written = known.write(payload)
        draft.server.check_size(known, written)
        rewrite_message(connection, message.message_id, written, entry.timestamp)

    def after(connection: sqlite3.Connection, entry: Entry) -> None:
        assert entry.message_id is not None  # noqa: S101 - it is stored
        note_edit(connection, edit.message_id, entry.message_id)

    draft.apply, draft.after = apply, after


class Shaped(NamedTuple):
    """What an edit changes of a payload: fields with another value, and those that are back at their defaults."""

    said: dict[str, Any]
    cleared: frozenset[str]


async def shown_to_hooks(draft: Draft, edit: MessageEdit) -> Shaped:
    """Let every hook that checks messages of the edited one's type see it as it would be; return what changes.

    What is not there, or cannot be edited, is refused in the transaction, where nothing can come between.
    """
    changed: dict[str, Any] = {"content": edit.content}
    if edit.mentions is not None:
        changed["mentions"] = edit.mentions
    cleared = frozenset(name for name, value in changed.items() if value == [])
    place = draft.conversation.channel_id
    message = await draft.server.read(lambda found: find_in_channel(found, place, edit.message_id), inline=True)
    known = draft.server.message_types.types.get(message.type) if message else None
    if message is None or known is None or not known.editable or message.sender_id != draft.sender.user_id:
        return Shaped(changed, cleared)
    before: dict[str, Any] = msgspec.json.decode(message.payload)
    payload = known.read(msgspec.Raw(msgspec.json.encode(before | changed)))
    seen = Draft(known, payload, draft.sender, draft.conversation, draft.target_id, draft.server)
    seen.edits = edit.message_id
    await draft.server.check_draft(seen)
    shaped: dict[str, Any] = msgspec.json.decode(known.write(seen.payload))
    edit.content = shaped["content"]
    said = {name: value for name, value in shaped.items() if before.get(name) != value} | {"content": edit.content}
    # What is at its default is not written: a field that a payload lacks now was set back.
    return Shaped(said, cleared | (before.keys() - shaped.keys()))


@hookimpl
def relay_message_types(options: dict[str, Any]) -> list[MessageType]:
    """Add `message_edit`."""
    return [
        MessageType(
            name="message_edit",
            payload=MessageEdit,
            kind=Kind.STREAM,
            priority=30,
            deletable=False,
            collapse=lambda edit: str(edit.message_id),
            about=lambda edit: edit.message_id,
            handle=handle,
        )
    ]
