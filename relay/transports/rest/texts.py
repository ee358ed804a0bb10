"""What people write of themselves: passwords and display names, bounded before anything is made of them."""

from __future__ import annotations

import unicodedata
from typing import Annotated

from msgspec import Meta

from relay.plugin.reading import invalid
from relay.services.accounts import MAX_PASSWORD

DisplayName = Annotated[str, Meta(min_length=1, max_length=128)]
"""What people call a person or a group."""

Password = Annotated[str, Meta(max_length=MAX_PASSWORD)]
"""A password; how short it may be depends on the settings, and on its being new."""


def check_display_name(text: str, field: str) -> str:
    """Return a display name without the space around it.

    Raises:
        RelayError: `invalid_payload` for one that shows nothing, or that breaks lines.
    """
    trimmed = text.strip()
    if not trimmed or any(unicodedata.category(character) in ("Cc", "Zl", "Zp") for character in trimmed):
        raise invalid(f"{field} is a text of one line that shows something", field=field)
    return trimmed
