"""`message_edit`: a new text for a message of the same author.

The transaction that stores the edit rewrites the message itself, so history, search and replay show the new text.
Of several edits of one message only the newest keeps its text, so late or out-of-order readers agree.
"""

import sqlite3
from typing import Annotated, Any, NamedTuple

import msgspec
from msgspec import Meta

from relay.plugin import (
    Act,
    Actions,
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
    require,
    rewrite_message,
)


class MessageEdit(Payload):
    """The message and its new text; without `mentions` it keeps its own, and so with `actions`."""

    message_id: Annotated[Integer, Meta(description="the message")]
    content: Annotated[str, Meta(description="the new text")]
    mentions: Mentions | None = None
    actions: Annotated[Actions | None, Meta(description="its actions from now on; no elements for none")] = None


async def handle(draft: Draft) -> None:
    """Rewrite the message in the transaction that stores the edit."""
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
            require(draft.sender.identity, Act.EDIT_OTHERS, draft.conversation)
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
    """The changes of an edit to a payload: fields with new values, and fields that are back at their defaults."""

    said: dict[str, Any]
    cleared: frozenset[str]


async def shown_to_hooks(draft: Draft, edit: MessageEdit) -> Shaped:
    """Show every hook that checks messages of this type the edited payload; return the changes.

    A message that is unknown, or cannot be edited, is refused later in the transaction, where nothing can
    interfere.
    """
    changed: dict[str, Any] = {"content": edit.content}
    if edit.mentions is not None:
        changed["mentions"] = edit.mentions
    if edit.actions is not None:
        changed["actions"] = msgspec.to_builtins(edit.actions)
    cleared = frozenset(name for name, value in changed.items() if value in ([], {"elements": []}))
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
    # Fields at their defaults are not encoded: one that is missing now was set back to its default.
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
            act=Act.EDIT,
            collapse=lambda edit: str(edit.message_id),
            about=lambda edit: edit.message_id,
            handle=handle,
        )
    ]
