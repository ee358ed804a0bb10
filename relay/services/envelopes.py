"""Messages as clients are sent them: live, from the log, and as the answer to their sender."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple, Protocol

import msgspec

from relay.protocol.bundled import NAMES_ITS_MESSAGE
from relay.protocol.envelope import SentEnvelope, SentMeta, encode, encode_error, encode_json
from relay.storage.entry import Entry
from relay.storage.history import Record

_NO_PAYLOAD: Final = msgspec.Raw(b"{}")


class ForUser(NamedTuple):
    """A message, and a user who is to get it."""

    message: Entry | Record
    user_id: str


class PerRecipient(Protocol):
    """The payloads that single recipients get instead of those that are stored: plugins may translate or redact.

    Attributes:
        any: whether any message may differ; False on most servers.
    """

    any: bool

    def concern(self, type_name: str) -> bool:
        """Tell whether messages of a type may differ."""

    def payloads(self, wanted: Sequence[ForUser]) -> list[str | None]:
        """Return the payload that each user gets of each message, as JSON; None where it is withheld."""


class Alike:
    """A server's way where no plugin changes what single recipients get."""

    any = False

    def concern(self, _type_name: str) -> bool:
        """Return False."""
        return False

    def payloads(self, wanted: Sequence[ForUser]) -> list[str | None]:
        """Return each payload as it is."""
        return [one.message.payload for one in wanted]


ALIKE: Final = Alike()


def sent_meta(message: Entry | Record) -> SentMeta:
    """Return the `meta` that a message has live and from the log."""
    meta = SentMeta(
        message_id=message.message_id,
        seq=message.seq,
        id=message.own_id,
        sender_id=message.sender_id,
        target_id=message.target_id or None,
        client_id=message.client_id,
        timestamp=message.timestamp,
        sent_at=message.sent_at,
        expires_at=message.expires_at,
        replaces=message.replaces,
        depth=message.depth or None,
        only_for=message.only_for,
    )
    if message.about is not None or message.only_for is not None:
        meta.about, meta.key = _subject(message)
    return meta


def _subject(message: Entry | Record) -> tuple[int | None, str | None]:
    """Return the message that a latest value is about, and its key where that says more."""
    stored = message.message_id is not None and message.seq is None
    # A whisper's row has its reader's id before the key, as each of them has a row.
    key = message.key.removeprefix(f"{message.only_for}:")
    whispered = key != message.key
    if not (message.about is not None or whispered) or not stored or message.type in NAMES_ITS_MESSAGE:
        return None, None
    return message.about, key if key and key != str(message.about) else None


def encode_entry(entry: Entry) -> bytes:
    """Return the envelope of a message as its recipients get it live."""
    return encode(entry.type, entry.payload.encode(), sent_meta(entry))


def encode_changed(entry: Entry, edited_at: float | None, deleted_at: float | None, *, removed: bool) -> bytes:
    """Return the envelope of a new message that was edited, or became a tombstone, before it came here."""
    meta = sent_meta(entry)
    meta.edited_at, meta.deleted_at, meta.removed = edited_at, deleted_at, removed
    return encode(entry.type, _NO_PAYLOAD if deleted_at is not None else entry.payload.encode(), meta)


def encode_for(entry: Entry, user_ids: Sequence[str], recipients: PerRecipient) -> dict[str, bytes]:
    """Return the envelope of a message as each of some users gets it live; those who get the same share one."""
    made: dict[str | None, bytes] = {}
    result: dict[str, bytes] = {}
    for user_id, payload in zip(
        user_ids, recipients.payloads([ForUser(entry, user_id) for user_id in user_ids]), strict=True
    ):
        if payload not in made:
            meta = sent_meta(entry)
            meta.withheld = payload is None
            made[payload] = encode(entry.type, _NO_PAYLOAD if payload is None else payload.encode(), meta)
        result[user_id] = made[payload]
    return result


def envelope(record: Record, *, replay: bool = False) -> SentEnvelope:
    """Return a stored message as it is now. A deleted one keeps its place, without its payload."""
    meta = sent_meta(record)
    meta.edited_at, meta.deleted_at, meta.edit_id = record.edited_at, record.deleted_at, record.edit_id
    meta.removed = record.removed_by is not None
    meta.replay = replay
    payload = None if record.deleted_at is not None else record.payload
    return SentEnvelope(record.type, _NO_PAYLOAD if payload is None else msgspec.Raw(payload), meta)


def envelopes(
    records: Sequence[Record], user_id: str, recipients: PerRecipient, *, replay: bool = False
) -> list[SentEnvelope]:
    """Return stored messages as a user gets them now; what is withheld has an empty payload."""
    shown = [envelope(record, replay=replay) for record in records]
    if not recipients.any:
        return shown
    differ = [
        index
        for index, record in enumerate(records)
        if record.payload is not None and record.deleted_at is None and recipients.concern(record.type)
    ]
    wanted = [ForUser(records[index], user_id) for index in differ]
    for index, payload in zip(differ, recipients.payloads(wanted) if wanted else (), strict=True):
        one = shown[index]
        one.payload = _NO_PAYLOAD if payload is None else msgspec.Raw(payload)
        one.meta.withheld = payload is None
    return shown


def ack_payload(entry: Entry) -> dict[str, object]:
    """Return the payload of a message's ack; what its type does not have is left out."""
    payload: dict[str, object] = {"timestamp": entry.timestamp, "duplicate": entry.duplicate}
    if entry.message_id is not None:
        payload["message_id"] = entry.message_id
    if entry.seq is not None and not entry.elsewhere:
        payload["seq"] = entry.seq
    if entry.replaces is not None:
        payload["replaces"] = entry.replaces
    about, key = _subject(entry)
    if about is not None:
        payload["about"] = about
        if key is not None:
            payload["key"] = key
    if entry.answer is not None:
        payload |= entry.answer
    return payload


def encode_answer(entry: Entry) -> bytes:
    """Return the ack or the error that answers a message."""
    if entry.error is not None:
        return encode_error(entry.error, entry.own_id)
    return encode("ack", encode_json(ack_payload(entry)), SentMeta(ref=entry.own_id))
