"""Messages of an export on their way into the log: stored as they were, with the ids that they get here.

They take the way of every message, through the router and its batches, so that positions stay in order and
connected devices get them. No permission is asked, as the other server did that, and nothing is done because of
them: no command is run again, and nobody is notified.
"""

from __future__ import annotations

import sqlite3
from functools import partial
from typing import Any, Final

import msgspec

from relay.engine.drafts import StoredForm, stored_form
from relay.engine.engine import Engine
from relay.plugin.types import MessageType
from relay.protocol.envelope import encode_json
from relay.protocol.errors import ErrorCode, RelayError
from relay.protocol.framing import text_frame
from relay.protocol.kinds import ConversationKind, Kind
from relay.protocol.records import Message, Said, Value
from relay.services.channels import EVERYBODY, Conversation
from relay.services.envelopes import encode_changed
from relay.services.router import Submission
from relay.storage import attachments, conversations, imported_facts, imports, mentions, messages, threads
from relay.storage.conversations import ChannelRow
from relay.storage.entry import Entry, Unchanged
from relay.storage.history import other_party
from relay.storage.imports import Source

EDIT: Final = "message_edit"
_EMPTY: Final = "{}"


class ImportedMessages:
    """Makes submissions of records.

    Args:
        source: where they come from.
    """

    def __init__(self, engine: Engine, source: Source) -> None:
        self._engine = engine
        self._source = source
        self._conversations: dict[str, Conversation] = {}

    async def submission(self, record: Said) -> Submission:
        """Return a message that is ready to be stored.

        Raises:
            RelayError: `unknown_type`, `invalid_payload` or `not_found`, for its type or its conversation.
        """
        type_ = self._type(record)
        conversation = await self._conversation(record)
        past = _Past(self._engine, self._source, record, type_)
        entry = Entry(
            channel_id=conversation.channel_id,
            type=type_.name,
            kind=type_.kind,
            sender_id=record.by,
            target_id=_target(record, conversation),
            client_id=record.client_id,
            own_id=None,
            digest=None,
            payload=_EMPTY,
            sent_at=record.sent_at,
            reads=type_.unread and self._source.reading == "own" and record.by in conversation.members,
            at=record.at,
            apply=past.apply,
            after=past.after,
            past=True,
        )
        if isinstance(record, Message):
            entry.erased = record.deleted_at is not None
            entry.depth, entry.expires_at = record.depth, record.expires_at
        submission = Submission(entry, conversation)
        submission.committed = partial(_set_frame, submission, record)
        return submission

    def _type(self, record: Said) -> MessageType:
        type_ = self._engine.registry.types.get(record.type)
        if type_ is None:
            text = f"this server knows no type {record.type!r}; enable the plugin that adds it, and import again"
            raise RelayError(ErrorCode.UNKNOWN_TYPE, text)
        if (type_.kind is Kind.STREAM) != isinstance(record, Message) or type_.kind is Kind.TRANSIENT:
            right = {Kind.STREAM: "is a `message`", Kind.LATEST: "is a `value`", Kind.TRANSIENT: "is never stored"}
            raise RelayError(ErrorCode.INVALID_PAYLOAD, f"a {record.type} {right[type_.kind]}")
        return type_

    async def _conversation(self, record: Said) -> Conversation:
        known = self._conversations.get(record.conversation)
        if known is None:
            known = self._conversations[record.conversation] = await self._find(record)
        return known

    async def _find(self, record: Said) -> Conversation:
        """Return the conversation that a record names; one of two users, or of one, is made if need be."""
        engine = self._engine
        address, kind, names = imported_facts.address_of(record.conversation)
        if kind is ConversationKind.BROADCAST:
            return await engine.channels.everybody()
        held = await engine.channels.at(address)
        if held is not None:
            return held

        def make(connection: sqlite3.Connection) -> ChannelRow:
            if kind is ConversationKind.GROUP:
                channel_id = imported_facts.channel_of(connection, address)
                return ChannelRow(channel_id, kind, address, "", {}, "start")
            for user_id in names:
                imported_facts.check_user(connection, user_id)
            if kind is ConversationKind.SELF:
                return conversations.ensure_self_channel(connection, names[0], record.at)
            return conversations.ensure_user_channel(connection, names[0], names[-1], record.at)

        row = await engine.runner.write(make)
        # A deleted group has a row and no place in memory: nobody is in it.
        return Conversation(row) if kind is ConversationKind.GROUP else engine.channels.hold(row)


def _target(record: Said, conversation: Conversation) -> str:
    """Return the target as the sender named it."""
    if record.target_id is not None:
        return record.target_id
    if conversation.kind is ConversationKind.BROADCAST:
        return EVERYBODY
    return other_party(conversation.address, record.by)


def _set_frame(submission: Submission, record: Said, entry: Entry) -> None:
    """Set the frame for those who are connected, where it says more than a new message's."""
    if isinstance(record, Message) and (record.edited_at is not None or record.deleted_at is not None):
        removed = record.removed_by is not None
        frame = encode_changed(entry, record.edited_at, record.deleted_at, removed=removed)
        submission.frame = text_frame(frame)


class _Past:
    """One message of a file, in the transaction that stores it."""

    def __init__(self, engine: Engine, source: Source, record: Said, type_: MessageType) -> None:
        self._engine = engine
        self._source = source
        self._record = record
        self._type = type_
        self._payload: dict[str, Any] = {}

    def apply(self, connection: sqlite3.Connection, entry: Entry) -> str | None:
        """Bring an entry to this server's ids.

        Raises:
            Unchanged: it was imported before, or a newer value is there.
            RelayError: it refers to what is not there, or its payload does not fit its type.
        """
        record, source = self._record, self._source
        if imports.known(connection, source, record.id) is not None:
            raise Unchanged
        imported_facts.check_user(connection, record.by)
        if isinstance(record.payload, dict):
            payload = imports.translated(connection, source, entry.channel_id, record.payload, record.about)
            form = self._form(_described(connection, payload))
            self._payload = payload
            self._place(connection, entry, form)
            entry.payload = form.payload
        if isinstance(record, Message) and entry.erased:
            entry.collapse = entry.about = None
        return None

    def _form(self, payload: dict[str, Any]) -> StoredForm:
        type_, guard = self._type, self._engine.registry.owner(self._type.name)
        read = type_.read(msgspec.Raw(encode_json(payload)))
        return guard.inside(f"what {type_.name!r} says of an imported payload", stored_form)(type_, read, None)

    def _place(self, connection: sqlite3.Connection, entry: Entry, form: StoredForm) -> None:
        """Set what an entry replaces others by, and what it is about."""
        record, source = self._record, self._source
        entry.about = form.about
        if record.about is not None:
            entry.about = imports.new_id(connection, source, record.about, "about")
        if isinstance(record, Message):
            entry.collapse = form.collapse
            return
        assert isinstance(record, Value)  # noqa: S101 - there are these two
        entry.only_for = record.only_for
        entry.key = form.key if record.key is None else self._key(record.key, entry.about)
        newer = connection.execute(
            "SELECT 1 FROM latest WHERE channel_id = ? AND type = ? AND sender_id = ? AND key = ?"
            " AND timestamp >= ?",
            (entry.channel_id, entry.type, entry.sender_id, entry.key, record.at),
        )
        if newer.fetchone() is not None:
            raise Unchanged

    def _key(self, key: str, about: int | None) -> str:
        """Return a key with the new id in the place of the old one of the message that it begins with."""
        first, space, rest = key.partition(" ")
        return f"{about}{space}{rest}" if about is not None and first == str(self._record.about) else key

    def after(self, connection: sqlite3.Connection, entry: Entry) -> None:
        """Complete the row, and store what goes with it: files, mentions, its thread, and its old id."""
        record, source = self._record, self._source
        assert entry.message_id is not None  # noqa: S101 - it is stored
        old_seq = record.seq if isinstance(record, Message) else None
        imports.note(connection, source, record.id, entry.message_id, entry.channel_id, old_seq)
        own_id = _free(connection, record)
        if isinstance(record, Value):
            connection.execute(
                "UPDATE latest SET timestamp = ?, own_id = ? WHERE message_id = ?",
                (record.at, own_id, entry.message_id),
            )
            return
        assert isinstance(record, Message)  # noqa: S101 - there are these two
        self._complete(connection, entry, record, own_id)
        if not entry.reads:
            _note_spoke(connection, entry)
        if not entry.erased:
            self._note_parts(connection, entry)

    def _complete(self, connection: sqlite3.Connection, entry: Entry, record: Message, own_id: str | None) -> None:
        """Store what a row has that no new message has: when it was edited or became a tombstone."""
        source = self._source
        replaces = None if record.replaces is None else imports.known(connection, source, record.replaces)
        if own_id or replaces or record.edited_at or record.deleted_at:
            connection.execute(
                "UPDATE log SET own_id = ?, edited_at = ?, deleted_at = ?, removed_by = ?, replaces = ?,"
                " payload = CASE WHEN ?3 IS NULL THEN payload END WHERE message_id = ?",
                (own_id, record.edited_at, record.deleted_at, record.removed_by, replaces, entry.message_id),
            )
        for version in record.versions:
            payload = imports.translated(connection, source, entry.channel_id, version.payload)
            connection.execute(
                "INSERT INTO versions (message_id, until_seq, channel_id, payload, edited_at)"
                " VALUES (?, ?, ?, ?, ?)",
                (
                    entry.message_id, version.until_seq + (entry.seq or 0) - (record.seq or entry.seq or 0),
                    entry.channel_id, encode_json(payload).decode(), version.edited_at,
                ),
            )  # fmt: skip

    def _note_parts(self, connection: sqlite3.Connection, entry: Entry) -> None:
        """Store what a message holds, whom it calls, and which thread it is in, as its type would have."""
        payload = self._payload
        assert entry.message_id is not None and entry.seq is not None  # noqa: S101, PT018 - it is stored
        files = _texts(payload.get("attachments"))
        if files:
            attachments.hold(connection, entry.channel_id, entry.message_id, files)
            imports.date_files(connection, files)
        called = _texts(payload.get("mentions"))
        mentions.note_mentions(connection, entry.channel_id, entry.seq, called)
        if type(root := payload.get("thread")) is int and "content" in payload:
            shown = payload.get("thread_shown") is True
            if self._source.reading == "records":
                threads.place_reply(connection, root, entry, shown=shown)
            else:
                threads.add_reply(connection, root, entry, called, shown=shown)
        if entry.type == EDIT and entry.about is not None:
            messages.note_edit(connection, entry.about, entry.message_id)


def _texts(value: object) -> list[str]:
    return [one for one in value if isinstance(one, str)] if isinstance(value, list) else []


def _described(connection: sqlite3.Connection, payload: dict[str, Any]) -> dict[str, Any]:
    """Return a payload with a description of its files, as the server makes it."""
    ids = _texts(payload.get("attachments"))
    if not ids:
        return payload
    return payload | {"files": attachments.described(connection, ids)}


def _free(connection: sqlite3.Connection, record: Said) -> str | None:
    """Return the id that a sender gave a message, where they have not given it to another one here."""
    if record.own_id is None:
        return None
    row = connection.execute(
        "SELECT 1 FROM log WHERE sender_id = ?1 AND own_id = ?2 UNION ALL"
        " SELECT 1 FROM latest WHERE sender_id = ?1 AND own_id = ?2",
        (record.by, record.own_id),
    ).fetchone()
    return record.own_id if row is None else None


def _note_spoke(connection: sqlite3.Connection, entry: Entry) -> None:
    """Note that its sender has said something in the conversation, without moving how far they have read."""
    connection.execute(
        "INSERT INTO pointers (channel_id, user_id, spoke) VALUES (?, ?, 1) ON CONFLICT DO UPDATE SET spoke = 1",
        (entry.channel_id, entry.sender_id),
    )
