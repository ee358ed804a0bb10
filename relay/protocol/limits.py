"""Limits of the wire contract that no setting changes: clients check them before they ask."""

from __future__ import annotations

from typing import Final

MAX_NAME: Final = 64
"""The longest id of a user, a group or a device, and of a message that its sender names, in characters."""

MAX_PAGE: Final = 200
"""The most rows of one page of a REST answer."""
