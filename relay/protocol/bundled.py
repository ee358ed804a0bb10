"""Facts of the bundled plugins that clients know in advance.

The plugins declare them, and `tests/protocol/test_bundled.py` holds this copy to what they declare: nothing here
may import a plugin.
"""

from __future__ import annotations

from typing import Final

UNREAD_TYPES: Final = frozenset(
    {"chat_message", "group_message", "notification", "poll", "reminder", "report", "slash_response", "task"}
)
"""The message types that make a conversation unread."""

NAMES_ITS_MESSAGE: Final = frozenset({"reaction"})
"""Latest types whose payload says what it is about, and what replaces what: `meta` does not repeat it."""

MAX_FOLLOW: Final = 200
"""The most users of one `follow`."""
