"""Which messages notify whom: the rules, asked in order; the first that fits a message and a user decides."""

import re
from collections.abc import Callable, Collection
from functools import lru_cache
from typing import Any, NamedTuple

import msgspec

from relay.plugin.server import Server
from relay.storage.history import other_party

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
        """What it says, in words; empty where it says nothing."""
        for field in ("content", "body"):
            said = getattr(self.payload, field, None)
            if isinstance(said, str):
                return said
        return ""

    @property
    def title(self) -> str | None:
        """The title that it has of its own, as a notification does."""
        title = getattr(self.payload, "title", None)
        return title if isinstance(title, str) else None

    def calls(self, user_id: str) -> bool:
        """Tell whether it mentions a user, by name or with everybody."""
        mentioned = getattr(self.payload, "mentions", None)
        return isinstance(mentioned, list) and (user_id in mentioned or EVERYBODY in mentioned)

    def target_for(self, user_id: str) -> str:
        """Return what a user calls its conversation."""
        return other_party(self.address, user_id)


COLUMNS = (
    "l.message_id, l.channel_id, l.seq, l.type, l.sender_id, l.payload, l.timestamp, l.edited_at, l.expires_at,"
    " c.address, c.kind"
)
"""Of `log l JOIN channels c`; what `Rulebook.message` takes."""


class Rulebook:
    """The rules of one server.

    Args:
        counted: returns the types that make a conversation unread.
    """

    def __init__(self, server: Server, options: Options, counted: Callable[[], Collection[str]]) -> None:
        self._server = server
        self._rules = options.all_rules
        self._counted = counted
        self._sender = options.sender
        named = [rule.types for rule in self._rules]
        self._named = frozenset(name for types in named if types is not None for name in types)
        self._any = any(types is None for types in named)

    @property
    def stores(self) -> bool:
        """Whether a rule stores notifications."""
        return any("store" in rule.actions for rule in self._rules)

    def concerns(self, type_name: str) -> bool:
        """Tell whether any rule is for messages of a type."""
        return type_name in self._named or (self._any and type_name in self._counted())

    def message(self, row: tuple[Any, ...]) -> Message | None:
        """Return the message of a row of `COLUMNS`; None where no rule is for its type, or it is gone."""
        type_name, payload = row[3], row[5]
        if payload is None or not self.concerns(type_name):
            return None
        type_ = self._server.services.registry.types.get(type_name)
        if type_ is None:
            return None
        try:
            decoded = type_.load(payload)
        except msgspec.DecodeError:  # stored by an older version of the type
            return None
        return Message._make((*row[:5], decoded, *row[6:]))

    def match(self, message: Message, user_id: str) -> Rule | None:
        """Return the rule that decides for a user, whatever it says; None for none, and for the sender."""
        if message.sender_id == user_id:
            return None
        return next((rule for rule in self._rules if self._fits(rule, message, user_id)), None)

    def pushes(self, message: Message, user_id: str) -> Rule | None:
        """Return the rule by which a message is pushed to a user."""
        rule = self.match(message, user_id)
        if rule is None or "push" not in rule.actions:
            return None
        about = getattr(message.payload, "data", None)
        if message.sender_id == self._sender and isinstance(about, dict) and about.get("pushed"):
            return None  # what it was stored for is pushed itself
        return rule

    def stored_for(self, message: Message, user_id: str) -> Rule | None:
        """Return the rule by which a notification is stored for a user; never for one that a rule stored."""
        if message.sender_id == self._sender:
            return None
        rule = self.match(message, user_id)
        return rule if rule is not None and "store" in rule.actions else None

    def _fits(self, rule: Rule, message: Message, user_id: str) -> bool:
        if message.type not in (rule.types if rule.types is not None else self._counted()):
            return False
        if rule.kinds is not None and message.kind not in rule.kinds:
            return False
        if rule.groups is not None and not (
            message.kind == "group" and message.target_for(user_id) in rule.groups
        ):
            return False
        if rule.senders is not None and message.sender_id not in rule.senders:
            return False
        if rule.users is not None and user_id not in rule.users:
            return False
        if rule.mention is not None and message.calls(user_id) is not rule.mention:
            return False
        return (
            rule.words is None
            or _any_of(tuple(rule.words)).search(f"{message.title or ''}\n{message.text}") is not None
        )


@lru_cache(maxsize=256)
def _any_of(words: tuple[str, ...]) -> re.Pattern[str]:
    """Return a pattern that finds one of the words, whole and in whatever case."""
    listed = "|".join(re.escape(word) for word in words)
    return re.compile(rf"(?<!\w)(?:{listed})(?!\w)", re.IGNORECASE)
