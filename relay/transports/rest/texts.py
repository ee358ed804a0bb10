"""What people write of themselves: passwords and display names, bounded before anything is made of them."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from relay.services.accounts import MAX_PASSWORD

DisplayName = Annotated[str, Meta(min_length=1, max_length=128)]
"""What people call a person or a group."""

Password = Annotated[str, Meta(max_length=MAX_PASSWORD)]
"""A password; how short it may be depends on the settings, and on its being new."""
