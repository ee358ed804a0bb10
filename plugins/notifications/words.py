"""The words of a stored notification."""

from __future__ import annotations

import sqlite3

from relay.plugin import get_user

from .notices import words
from .options import Options, Rule, narrower
from .rules import Message


def payload_of(
    options: Options, connection: sqlite3.Connection, rule: Rule, message: Message, user_id: str
) -> dict[str, object]:
    """Return the notification that a rule stores for a user."""
    sender = get_user(connection, message.sender_id)
    level = narrower(options.content, rule.content)
    name = sender.display_name if sender else message.sender_id
    title, body = words(connection, options, rule, message, user_id, level, name, 1)
    about = {"message_id": message.message_id, "kind": message.kind, "target_id": message.target_for(user_id)}
    payload: dict[str, object] = {"title": title or options.name, "data": about}
    if body:
        payload["body"] = body
    if "push" in rule.actions:
        about["pushed"] = True
    return payload
