"""Rules, and what they let go: a few hundred messages at a time, found on a reader.

A conversation is looked through from its first `seq` on. Up to where a rule reaches in it is found once, from its
newest message backwards: what is older, what is more than the messages or bytes that stay.
"""

import sqlite3
from collections.abc import Sequence
from typing import Annotated, Any, NamedTuple

import msgspec
from msgspec import Meta

from relay.plugin import ConversationKind, MessageType, Name, group_address, newest_seq

CHANNELS_AT_ONCE = 64
SEQS_AT_ONCE = 20_000
_END = 1 << 62
_DAY = 86_400.0
FILES = (
    "coalesce((SELECT sum(a.size) FROM holds h JOIN attachments a USING (attachment_id)"
    " WHERE h.message_id = log.message_id), 0)"
)
BYTES = "length(CAST(payload AS BLOB))"


class Rule(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`[plugins.retention.rules.NAME]`: which messages it is for, and which of them go.

    Attributes:
        types, groups, senders, kinds: messages of these; None for all. See `Messages` for the types then.
        days: older ones go.
        keep_messages: of each conversation the newest so many stay.
        keep_bytes: of each conversation the newest stay that have so many bytes together, files included.
        keep_unread: whether what a present member has not read stays.
    """

    types: Annotated[list[Name], Meta(min_length=1, max_length=100)] | None = None
    groups: Annotated[list[Name], Meta(min_length=1, max_length=1000)] | None = None
    senders: Annotated[list[Name], Meta(min_length=1, max_length=1000)] | None = None
    kinds: Annotated[list[ConversationKind], Meta(min_length=1)] | None = None
    days: Annotated[float, Meta(gt=0, le=36_500)] | None = None
    keep_messages: Annotated[int, Meta(ge=0, le=1_000_000_000)] | None = None
    keep_bytes: Annotated[int, Meta(ge=0, le=1 << 50)] | None = None
    keep_unread: bool = False

    def __post_init__(self) -> None:
        if self.days is None and self.keep_messages is None and self.keep_bytes is None:
            raise ValueError("say what goes, by days, keep_messages or keep_bytes")
        if self.groups is not None and self.kinds is not None:
            raise ValueError("groups are of the kind group; leave out one of groups and kinds")


class Due(NamedTuple):
    """A message that a rule lets go; sizes in bytes."""

    message_id: int
    size: int
    files: int


class Place(NamedTuple):
    """How far a rule was followed: in which conversation, after which `seq`, and up to where it reaches there.

    Attributes:
        last: the newest `seq` that may go; None where that was not looked up yet.
        excess: the newest `seq` that goes whatever its age.
    """

    channel_id: int = 0
    seq: int = 0
    last: int | None = None
    excess: int = 0


class Messages:
    """The messages that one rule is for, as they are at one moment.

    Without `types` these are what people may delete: not the server's own events, and not what says of other
    messages that they were edited or deleted. An edit goes with its message.

    Args:
        types: all known message types.
        now: Unix seconds.
    """

    def __init__(self, rule: Rule, types: Sequence[MessageType], now: float) -> None:
        self.rule = rule
        self.before = 0.0 if rule.days is None else now - rule.days * _DAY
        kept = [one.name for one in types if not (one.deletable and one.from_clients)]
        self._condition, self._values = " AND deleted_at IS NULL", list[Any]()
        if rule.types is None:
            self._narrow("type NOT IN", kept)
        else:
            self._narrow("type IN", rule.types)
        if rule.senders is not None:
            self._narrow("sender_id IN", rule.senders)

    def _narrow(self, what: str, values: Sequence[str]) -> None:
        self._condition += f" AND {what} ({','.join('?' * len(values))})"
        self._values += values

    def due(self, connection: sqlite3.Connection, place: Place, limit: int) -> tuple[list[Due], Place | None]:
        """Return up to `limit` messages that go, after a place, and where to go on; None at the end."""
        found: list[Due] = []
        channels = self._channels(connection, place.channel_id)
        for channel_id in channels:
            here = place if place.channel_id == channel_id else Place(channel_id)
            if here.last is None:
                here = self._reach(connection, channel_id)
            last = here.last or 0
            if here.seq < last:
                until = min(last, here.seq + SEQS_AT_ONCE)
                rows = self._rows(connection, here, until, limit - len(found))
                found += [Due(message_id, size, files) for message_id, _, size, files in rows]
                full = len(found) == limit
                reached = rows[-1][1] if full else until
                if full or reached < last:
                    return found, here._replace(seq=reached)
        return found, Place(channels[-1] + 1) if len(channels) == CHANNELS_AT_ONCE else None

    def _rows(self, connection: sqlite3.Connection, here: Place, until: int, limit: int) -> list[Any]:
        return connection.execute(
            f"SELECT message_id, seq, {BYTES}, {FILES} FROM log WHERE channel_id = ? AND seq > ? AND seq <= ?"
            f" AND (timestamp < ? OR seq <= ?){self._condition} ORDER BY seq LIMIT ?",
            (here.channel_id, here.seq, until, self.before, here.excess, *self._values, limit),
        ).fetchall()

    def _channels(self, connection: sqlite3.Connection, first: int) -> list[int]:
        condition, values = "", list[Any]()
        if self.rule.groups is not None:
            values = [group_address(name) for name in self.rule.groups]
            condition = f" AND address IN ({','.join('?' * len(values))})"
        elif self.rule.kinds is not None:
            values = [kind.value for kind in self.rule.kinds]
            condition = f" AND kind IN ({','.join('?' * len(values))})"
        rows = connection.execute(
            f"SELECT channel_id FROM channels WHERE channel_id >= ?{condition} ORDER BY channel_id LIMIT ?",
            (first, *values, CHANNELS_AT_ONCE),
        )
        return [row[0] for row in rows]

    def _reach(self, connection: sqlite3.Connection, channel_id: int) -> Place:
        """Return where to begin in a conversation, with up to where the rule reaches there."""
        excess = max(self._beyond_messages(connection, channel_id), self._beyond_bytes(connection, channel_id))
        last = max(excess, _last_before(connection, channel_id, self.before))
        if self.rule.keep_unread:
            last = min(last, _read_by_all(connection, channel_id))
        return Place(channel_id, 0, last, excess)

    def _beyond_messages(self, connection: sqlite3.Connection, channel_id: int) -> int:
        """Return the newest `seq` that is more than the messages which stay; 0 for none."""
        if self.rule.keep_messages is None:
            return 0
        row = connection.execute(
            f"SELECT seq FROM log WHERE channel_id = ?{self._condition} ORDER BY seq DESC LIMIT 1 OFFSET ?",
            (channel_id, *self._values, self.rule.keep_messages),
        ).fetchone()
        return row[0] if row else 0

    def _beyond_bytes(self, connection: sqlite3.Connection, channel_id: int) -> int:
        """Return the newest `seq` that is more than the bytes which stay; 0 for none."""
        if self.rule.keep_bytes is None:
            return 0
        together = 0
        for seq, size, files in connection.execute(
            f"SELECT seq, {BYTES}, {FILES} FROM log WHERE channel_id = ?{self._condition} ORDER BY seq DESC",
            (channel_id, *self._values),
        ):
            together += size + files
            if together > self.rule.keep_bytes:
                return int(seq)
        return 0


def _last_before(connection: sqlite3.Connection, channel_id: int, moment: float) -> int:
    """Return the newest `seq` that was stored before a moment, 0 for none: times rise with `seq`."""
    low, high = 0, newest_seq(connection, channel_id)
    while low < high:
        middle = (low + high + 1) // 2
        row = connection.execute(
            "SELECT timestamp FROM log WHERE channel_id = ? AND seq = ?", (channel_id, middle)
        ).fetchone()
        if row is None or row[0] < moment:
            low = middle
        else:
            high = middle - 1
    return low


def _read_by_all(connection: sqlite3.Connection, channel_id: int) -> int:
    """Return up to which `seq` every present member has read."""
    row = connection.execute(
        "SELECT min(coalesce(p.read_seq, 0)) FROM members m LEFT JOIN pointers p USING (channel_id, user_id)"
        " WHERE m.channel_id = ? AND m.visible_until IS NULL",
        (channel_id,),
    ).fetchone()
    return _END if row[0] is None else int(row[0])
