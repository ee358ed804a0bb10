"""Contents of notifications: what one says about the unread messages of a conversation."""

import re
import sqlite3
from collections.abc import Sequence
from hashlib import blake2b
from typing import NamedTuple
from urllib.parse import quote

from .options import Content, Options, Rule, narrower
from .preferences import preferences_of
from .rules import Message, Rulebook
from .vapid import encode, read_key
from .words import WORDS, Language, Words

TITLE_CHARACTERS = 120
BODY_CHARACTERS = 500
"""Four bytes each and the rest of the payload fit into one Web Push message."""

MOST_MESSAGES = 200
"""The most of a conversation's newest messages that are read; a notification counts no further."""

LINES, LINE_CHARACTERS = 20, 2000
"""Bounds on what a mail lists."""

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")


class Line(NamedTuple):
    """One message, as a mail lists it."""

    timestamp: float
    sender: str
    text: str


class Notification(NamedTuple):
    """A notification as it is sent to a target.

    Attributes:
        key: the same for all notifications of this user and conversation: 22 letters, digits, - and _.
        kind, target_id: the conversation as the user names it; None where that is not to be said.
        unread: how many messages it stands for.
        newest_id, seq: the message whose text it shows, and its number in the conversation.
        quiet: it only changes what is shown, and should not alert again.
        urgent: a sleeping device is to be woken for it.
        lines: what the newest messages say, for a mail; empty where that is not to be said.
    """

    key: str
    title: str
    body: str
    kind: str | None
    target_id: str | None
    url: str
    unread: int
    newest_id: int
    seq: int
    timestamp: float
    quiet: bool
    urgent: bool
    lines: tuple[Line, ...] = ()


def key_of(connection: sqlite3.Connection, user_id: str, channel_id: int) -> str:
    """Return the key of a user's notifications of a conversation; it does not give away which they are."""
    secret = read_key(connection, "secret")
    return encode(blake2b(f"{channel_id}:{user_id}".encode(), key=secret, digest_size=16).digest())


def compose(
    rules: Rulebook,
    options: Options,
    connection: sqlite3.Connection,
    user_id: str,
    messages: Sequence[Message],
    *,
    quiet: bool,
    language: Language = "en",
) -> Notification:
    """Return the notification of a conversation's unread messages: one at least, oldest first."""
    newest = messages[-1]
    rule = rules.pushes(newest, user_id) or Rule()
    level = narrower(options.content, rule.content, preferences_of(connection, user_id).content)
    names = {one.sender_id: _name(connection, one.sender_id) for one in messages[-LINES:]}
    words = WORDS[language]
    title, body = title_and_body(
        connection, options, rule, newest, user_id, level, names[newest.sender_id], len(messages), words
    )
    target_id = newest.target_for(user_id)
    says_where = level != "none"
    urgent = rule.urgent if rule.urgent is not None else newest.kind == "user" or newest.calls(user_id)
    lines = tuple(
        Line(
            one.timestamp,
            names[one.sender_id],
            _clean(one.text or one.title or _wordless(one, words), LINE_CHARACTERS),
        )
        for one in messages[-LINES:]
    )
    return Notification(
        key_of(connection, user_id, newest.channel_id),
        title,
        body,
        newest.kind if says_where else None,
        target_id if says_where else None,
        options.link.format(kind=newest.kind, target_id=quote(target_id, safe="")) if says_where else "",
        len(messages),
        newest.message_id,
        newest.seq,
        newest.timestamp,
        quiet,
        urgent,
        lines if level == "full" else (),
    )


def title_and_body(
    connection: sqlite3.Connection,
    options: Options,
    rule: Rule,
    message: Message,
    user_id: str,
    level: Content,
    sender: str,
    count: int,
    words: Words = WORDS["en"],
) -> tuple[str, str]:
    """Return the title and the body for a message; they say as much as the level lets them."""
    plus = "+" if count >= MOST_MESSAGES else ""
    counted = words.new_message if count == 1 else words.new_messages.format(count=f"{count}{plus}")
    if level == "none":
        return options.name, counted
    group = _group_name(connection, message) if message.kind == "group" else None
    plain = words.in_group.format(sender=sender, group=group) if group else sender
    if level == "sender":
        return _line(plain), counted
    text = message.text or _wordless(message, words)
    fields = {
        "title": message.title or plain,
        "text": text,
        "sender": sender,
        "sender_id": message.sender_id,
        "conversation": group or message.target_for(user_id),
        "type": message.type,
        "count": f"{count}{plus}",
    }
    title = (rule.title or "{title}").format_map(fields)
    body = (rule.body or "{text}").format_map(fields)
    if count > 1 and "{count}" not in f"{rule.title}{rule.body}":
        more = words.more.format(count=f"{count - 1}{plus}")
        body = f"{_clean(body, BODY_CHARACTERS - len(more) - 1)}\n{more}".strip()
    return _line(title), _clean(body, BODY_CHARACTERS)


def payload_of(
    options: Options, connection: sqlite3.Connection, rule: Rule, message: Message, user_id: str
) -> dict[str, object]:
    """Return the payload of the `notification` that a rule stores for a user."""
    level = narrower(options.content, rule.content)
    name = _name(connection, message.sender_id)
    title, body = title_and_body(connection, options, rule, message, user_id, level, name, 1)
    about = {"message_id": message.message_id, "kind": message.kind, "target_id": message.target_for(user_id)}
    payload: dict[str, object] = {"title": title or options.name, "data": about}
    if body:
        payload["body"] = body
    if "push" in rule.actions:
        about["pushed"] = True
    return payload


def _wordless(message: Message, words: Words) -> str:
    files = len(getattr(message.payload, "attachments", None) or ())
    if files:
        return words.file if files == 1 else words.files.format(count=files)
    return "" if message.title else message.type.replace("_", " ")


def _line(text: str) -> str:
    """Return a title, in one line."""
    return _clean(" ".join(text.split()), TITLE_CHARACTERS)


def _clean(text: str, most: int) -> str:
    """Return text without control characters, cut where it is too long."""
    clean = _CONTROL.sub("", text).strip()
    return clean if len(clean) <= most else clean[: most - 1].rstrip() + "…"


def _name(connection: sqlite3.Connection, user_id: str) -> str:
    row = connection.execute("SELECT display_name FROM users WHERE user_id = ?", (user_id,)).fetchone()
    return str(row[0]) if row else user_id


def _group_name(connection: sqlite3.Connection, message: Message) -> str:
    row = connection.execute("SELECT name FROM groups WHERE channel_id = ?", (message.channel_id,)).fetchone()
    return str(row[0]) if row else ""
