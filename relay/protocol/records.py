"""The records of an export: lines of JSON that carry everything of a server, or of another system, into a server.

docs/operate/data.md describes them. Ids of messages are the file's own; an import gives each message a new one.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from relay.protocol.envelope import Name
from relay.protocol.errors import ErrorCode, RelayError
from relay.protocol.kinds import Role, ServerRole
from relay.protocol.rights import Holder

VERSION: Final = 1
MOST_BYTES: Final = 1_000_000
"""The longest line."""

CHUNK_BYTES: Final = 524_288
"""The bytes of a file in one line, before they are written in base64; the last line of a file has fewer."""

_FIRST_SEQ: Final = 1 << 53

OldId = Annotated[str, Meta(min_length=1, max_length=200)] | Annotated[int, Meta(ge=0, le=_FIRST_SEQ)]
"""The id that a file has for a message."""

Time = Annotated[float, Meta(ge=0, le=1e11)]
"""Unix seconds."""

Seq = Annotated[int, Meta(ge=0, le=_FIRST_SEQ)]
Address = Annotated[str, Meta(min_length=1, max_length=140)]
Words = Annotated[str, Meta(max_length=1000)]
Setting = Literal["everyone", "shared", "nobody"]
Status = Literal["online", "away", "busy", "offline"]


class Record(
    msgspec.Struct, tag_field="record", tag=str.lower, kw_only=True, forbid_unknown_fields=True, omit_defaults=True
):
    """One line."""


class Export(Record):
    """The first line: where the data is from, and how far everybody has read it."""

    version: int
    source: Annotated[str, Meta(min_length=1, max_length=200)]
    made_at: Time | None = None
    made_by: Words | None = None
    reading: Literal["own", "all", "records"] = "own"


class User(Record):
    """An account."""

    user_id: Name
    name: Annotated[str, Meta(max_length=200)] | None = None
    role: ServerRole = ServerRole.MEMBER
    disabled: bool = False
    created_at: Time | None = None
    mail: Annotated[str, Meta(max_length=254)] | None = None
    status: Status | None = None
    status_text: Words | None = None
    status_until: Time | None = None
    last_seen: Time | None = None
    receipts: bool = True
    presence_to: Setting = "everyone"
    groups_from: Setting = "everyone"
    broadcast_from: Seq = 1
    password_hash: Annotated[str, Meta(pattern=r"^\$argon2id\$", max_length=300)] | None = None
    deleted_at: Time | None = None
    erased: bool = False


class Attachment(Record):
    """A file as one user uploaded it; its bytes are at `path`, or in the lines behind it."""

    attachment_id: Name
    user_id: Name
    name: Annotated[str, Meta(max_length=1000)]
    type: Annotated[str, Meta(max_length=200)] | None = None
    size: Seq | None = None
    sha256: Annotated[str, Meta(pattern=r"^[0-9a-f]{64}$")] | None = None
    created_at: Time | None = None
    path: Annotated[str, Meta(max_length=1000)] | None = None


class Chunk(Record):
    """A part of a file's bytes, from `start` on."""

    attachment_id: Name
    start: Seq
    data: bytes
    last: bool = False


class Member(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A member of a group; with `until_seq`, one who has left."""

    user_id: Name
    role: Role = Role.MEMBER
    joined_at: Time | None = None
    from_seq: Seq = 1
    until_seq: Seq | None = None
    stays: list[tuple[Seq, Seq]] = []


class Group(Record):
    """A group and its members."""

    group_id: Name
    name: Annotated[str, Meta(min_length=1, max_length=200)]
    description: Annotated[str, Meta(max_length=10_000)] = ""
    history: Literal["start", "join"] = "start"
    public: bool = False
    rights: dict[str, Holder] = {}
    slow_mode_seconds: Annotated[int, Meta(ge=0, le=86_400)] = 0
    created_at: Time | None = None
    made_by: Name | None = None
    closed_at: Time | None = None
    deleted_at: Time | None = None
    members: list[Member] = []
    barred: list[Name] = []


class Version(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A message as it was before an edit, for those who had left by `until_seq`."""

    until_seq: Seq
    payload: dict[str, Any]
    edited_at: Time | None = None


class Said(Record):
    """The fields that messages and values have alike."""

    id: OldId
    conversation: Address
    type: Name
    by: Name
    at: Time
    payload: dict[str, Any] | UnsetType = UNSET
    sent_at: float | None = None
    client_id: Name | None = None
    own_id: Name | None = None
    target_id: Name | None = None
    about: OldId | None = None


class Message(Said, tag="message"):
    """A message of a stream type; without a payload it is a tombstone."""

    seq: Seq | None = None
    edited_at: Time | None = None
    deleted_at: Time | None = None
    removed_by: Annotated[str, Meta(max_length=64)] | None = None
    expires_at: Time | None = None
    depth: Annotated[int, Meta(ge=0, le=100)] = 0
    replaces: OldId | None = None
    versions: list[Version] = []


class Value(Said, tag="value"):
    """The newest value of a latest type."""

    key: Annotated[str, Meta(max_length=1000)] | None = None
    only_for: Name | None = None


class Picture(Record):
    """The picture of a user or a group."""

    of: Name
    attachment_id: Name


class Read(Record):
    """The read pointer of a user in a conversation, and the one that others see."""

    conversation: Address
    user_id: Name
    up_to: OldId | None = None
    shown_up_to: OldId | None = None
    spoke: bool = False


class Delivered(Record):
    """The newest message that a device of the user has had."""

    user_id: Name
    up_to: OldId


class Thread(Record):
    """A user's part in a thread: whether they follow it, and how far they have read it."""

    root: OldId
    user_id: Name
    follows: bool = True
    up_to: OldId | None = None


class Follow(Record):
    """A user who follows another's presence."""

    user_id: Name
    other: Name
    at: Time


class Block(Record):
    """A user who blocks another."""

    user_id: Name
    other: Name
    at: Time


class Restriction(Record):
    """A timeout or a ban, in a group or on the whole server."""

    user_id: Name
    kind: Literal["timeout", "ban"]
    at: Time
    reason: Words = ""
    group: Name | None = None
    by: Name | None = None
    until: Time | None = None


class Row(Record):
    """A row of a plugin's table."""

    table: Annotated[str, Meta(pattern=r"^[a-z][a-z0-9_]{0,63}$")]
    values: dict[str, str | int | float | None]


class End(Record):
    """The last line: how many there are before it."""

    lines: Seq


AnyRecord = (
    Export | User | Attachment | Chunk | Group | Message | Value | Picture | Read | Delivered | Thread | Follow
    | Block | Restriction | Row | End
)  # fmt: skip
_decoder: Final = msgspec.json.Decoder(AnyRecord)
_encoder: Final = msgspec.json.Encoder()


def read_record(line: str | bytes) -> AnyRecord:
    """Read a line.

    Raises:
        RelayError: `invalid_payload`, with what is wrong in it.
    """
    try:
        found: AnyRecord = _decoder.decode(line)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise RelayError(ErrorCode.INVALID_PAYLOAD, f"not a record of an export: {error}") from None
    if isinstance(found, Message) and (found.payload is UNSET) != (found.deleted_at is not None):
        text = "a message has a payload, and a tombstone has deleted_at and none"
        raise RelayError(ErrorCode.INVALID_PAYLOAD, text)
    return found


def write_record(record: Record) -> bytes:
    """Return a record as a line."""
    return _encoder.encode(record) + b"\n"


def is_record(line: str) -> bool:
    """Tell whether a line is a record, or meant to be one, and not an envelope.

    A record begins with `record`; an object that has it further on is found by a look at all of it.
    """
    start = line.lstrip("\ufeff \t{")
    if start.startswith('"record"'):
        return True
    if '"record"' not in line:
        return False
    try:
        found = msgspec.json.decode(line)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return False
    return isinstance(found, dict) and "record" in found
