"""Rules: they decide which messages notify whom. The first rule that fits a message and a user decides."""

import re
import sqlite3
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import msgspec

from relay.plugin import SAID_HERE, MessageType, SentEnvelope, Server, other_party, read_records

from .options import Options, Rule

EVERYBODY = "*"


class Message(NamedTuple):
    """A stored message, as rules and templates see it.

    Attributes:
        kind, address: of its conversation.
        payload: decoded.
    """

    message_id: int
    channel_id: int
    seq: int
    type: str
    sender_id: str
    payload: Any
    timestamp: float
    edited_at: float | None
    expires_at: float | None
    address: str
    kind: str

    @property
    def text(self) -> str:
        """Its text; empty where it has none."""
        for field in ("content", "body"):
            said = getattr(self.payload, field, None)
            if isinstance(said, str):
                return said
        return ""

    @property
    def title(self) -> str | None:
        """Its own title, as a `notification` has one."""
        title = getattr(self.payload, "title", None)
        return title if isinstance(title, str) else None

    @property
    def words(self) -> str:
        """Its title and text, for rules with `words`."""
        return f"{self.title or ''}\n{self.text}"

    @property
    def group(self) -> str | None:
        """The group that it was sent to; None for other conversations."""
        return self.address.partition(":")[2] if self.kind == "group" else None

    @property
    def mentions(self) -> list[str]:
        """The users that it mentions; `*` stands for everybody."""
        mentioned = getattr(self.payload, "mentions", None)
        return mentioned if isinstance(mentioned, list) else []

    def calls(self, user_id: str) -> bool:
        """Tell whether it mentions a user, by name or by `*`."""
        return user_id in self.mentions or EVERYBODY in self.mentions

    def target_for(self, user_id: str) -> str:
        """Return the target id by which a user names its conversation."""
        return other_party(self.address, user_id)


SELECT_MESSAGES = (
    "SELECT l.message_id, l.channel_id, l.seq, l.type, l.sender_id, l.payload, l.timestamp, l.edited_at,"
    " l.expires_at, c.address, c.kind FROM log l JOIN channels c USING (channel_id)"
)
"""Begins a query for the rows that `Rulebook.message` takes."""

_SLICE = 500
_EVERYTHING = Rule()
"""The rule for those who want to know of everything."""


def read_slice(connection: sqlite3.Connection, after: int, until: int) -> tuple[list[tuple[Any, ...]], int]:
    """Return the rows of a part of the log, 500 at most, and the position up to which that was read.

    Nobody is notified of what was imported.
    """
    rows = connection.execute(
        f"{SELECT_MESSAGES} WHERE l.message_id > ? AND l.message_id <= ? AND {SAID_HERE}"
        " ORDER BY l.message_id LIMIT ?",
        (after, until, _SLICE),
    ).fetchall()
    return rows, (rows[-1][0] if len(rows) == _SLICE else until)


class Rulebook:
    """The rules of one server."""

    def __init__(self, server: Server, options: Options) -> None:
        registry = server.message_types
        self._server = server
        self._types: Mapping[str, MessageType] = registry.types
        self._counted = frozenset(registry.counted())
        self._rules = options.all_rules
        self._sender = options.sender
        self._named = frozenset(name for rule in self._rules for name in rule.types or ())

    @property
    def stores(self) -> bool:
        """Whether a rule stores notifications."""
        return any("store" in rule.actions for rule in self._rules)

    def concerns(self, type_name: str) -> bool:
        """Tell whether messages of a type may notify: by a rule, or as a user wants to know of everything."""
        return type_name in self._named or type_name in self._counted

    def message(self, row: tuple[Any, ...]) -> Message | None:
        """Return the message of a row of `SELECT_MESSAGES`; None if no rule is for its type, or it was deleted."""
        type_name, payload = row[3], row[5]
        if payload is None or not self.concerns(type_name):
            return None
        type_ = self._types.get(type_name)
        if type_ is None:
            return None
        try:
            decoded = type_.load(payload)
        except msgspec.DecodeError:  # stored by an older version of the type
            return None
        return Message._make((*row[:5], decoded, *row[6:]))

    def as_shown(self, connection: sqlite3.Connection, user_id: str, messages: Sequence[Message]) -> list[Message]:
        """Return messages as a user gets them, where plugins change that; without a payload what is withheld."""
        differ = [one.message_id for one in messages if self._server.differs(one.type)]
        if not differ:
            return list(messages)
        records = list(read_records(connection, differ).values())
        shown = {one.meta.message_id: one for one in self._server.envelopes(user_id, records)}
        return [self._replaced(one, shown.get(one.message_id)) for one in messages]

    def _replaced(self, message: Message, shown: SentEnvelope | None) -> Message:
        if shown is None:
            return message
        payload = None if shown.meta.withheld else self._types[message.type].load(bytes(shown.payload).decode())
        return message._replace(payload=payload)

    def called_by_edit(self, connection: sqlite3.Connection, row: tuple[Any, ...]) -> Message | None:
        """Return the edited message, by the row of an edit that mentions somebody; None for other edits."""
        if row[5] is None:
            return None
        edit = msgspec.json.decode(row[5])
        if not edit.get("mentions"):
            return None
        edited = connection.execute(
            f"{SELECT_MESSAGES} WHERE l.message_id = ? AND l.channel_id = ?",
            (edit["message_id"], row[1]),
        ).fetchone()
        return self.message(edited) if edited else None

    def candidates(self, message: Message) -> list[Rule]:
        """Return the rules that fit a message, whoever would be notified, in their order."""
        return [rule for rule in self._rules if self._fits(rule, message)]

    def pushes(
        self, message: Message, user_id: str, among: Sequence[Rule] | None = None, *, everything: bool = False
    ) -> Rule | None:
        """Return the rule by which a message is pushed to a user.

        Args:
            among: its candidates, for callers that ask for many users.
            everything: whether the user wants to know of all that is said there, where no rule decides.
        """
        rule = self._match(message, user_id, self.candidates(message) if among is None else among)
        if rule is None and everything and self._wanted(message, user_id):
            return _EVERYTHING
        if rule is None or "push" not in rule.actions:
            return None
        about = getattr(message.payload, "data", None)
        if message.sender_id == self._sender and isinstance(about, dict) and about.get("pushed"):
            return None  # the message that it repeats is pushed itself
        return rule

    def _wanted(self, message: Message, user_id: str) -> bool:
        """Tell whether a message counts for a user who wants to know of everything."""
        others = message.type in self._counted and message.sender_id != user_id
        return others and not self._server.users.blocks(user_id, message.sender_id)

    def stored_for(self, message: Message, user_id: str, among: Sequence[Rule]) -> Rule | None:
        """Return the rule by which a notification is stored for a user; None for what a rule stored."""
        if message.sender_id == self._sender:
            return None
        rule = self._match(message, user_id, among)
        return rule if rule is not None and "store" in rule.actions else None

    def _match(self, message: Message, user_id: str, among: Sequence[Rule]) -> Rule | None:
        """Return the rule that decides for a user; None without one, for the sender, and for who blocks them."""
        if message.sender_id == user_id or self._server.users.blocks(user_id, message.sender_id):
            return None
        for rule in among:
            if (rule.users is None or user_id in rule.users) and (
                rule.mention is None or message.calls(user_id) is rule.mention
            ):
                return rule
        return None

    def _fits(self, rule: Rule, message: Message) -> bool:
        if message.type not in (rule.types if rule.types is not None else self._counted):
            return False
        if rule.kinds is not None and message.kind not in rule.kinds:
            return False
        if rule.groups is not None and message.group not in rule.groups:
            return False
        if rule.senders is not None and message.sender_id not in rule.senders:
            return False
        if rule.mention and not message.mentions:
            return False
        return rule.words is None or _any_of(tuple(rule.words)).search(message.words) is not None


@lru_cache(maxsize=256)
def _any_of(words: tuple[str, ...]) -> re.Pattern[str]:
    """Return a pattern that finds one of the words, as a whole word and in any case."""
    listed = "|".join(re.escape(word) for word in words)
    return re.compile(rf"(?<!\w)(?:{listed})(?!\w)", re.IGNORECASE)
