"""The hooks, one sentence each."""

from __future__ import annotations

from typing import Any, Final

import pluggy

from relay.plugin.types import MessageType

PROJECT: Final = "relay"
hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


@hookspec
def relay_message_types(options: dict[str, Any]) -> list[MessageType]:  # type: ignore[empty-body]
    """Return the message types that this plugin adds; `options` is its `[plugins.NAME]` table."""
