"""The settings that a running server takes over when they are read again, and those that wait for a restart."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

import msgspec

from relay.settings.fields import FIELDS, SECTION_TYPES, TYPES_SECTION
from relay.settings.model import Settings

_NEW_CONNECTIONS: Final = frozenset({
    "small_frames_per_second", "queue_bytes", "queue_messages", "in_flight", "write_seconds", "close_seconds",
})  # fmt: skip
"""Keys that a connection keeps as they were when it began."""

_AT_START: Final = frozenset({
    "frame_bytes", "head_bytes", "page_bytes", "body_bytes", "pending", "content_characters",
})  # fmt: skip
"""Keys of `[limits]` that services are made with."""

LIVE: Final[Mapping[str, frozenset[str]]] = {
    "server": frozenset({"allowed_origins", "trusted_proxies", "tls_certificate", "tls_key"}),
    "timeouts": frozenset(
        {"hello_seconds", "write_seconds", "close_seconds", "drain_seconds", "tls_handshake_seconds"}
    ),
    "limits": frozenset(FIELDS["limits"]) - _AT_START,
    "audit": frozenset(FIELDS["audit"]),
    "accounts": frozenset(FIELDS["accounts"]) - {"directory"},
    "mail": frozenset(FIELDS["mail"]),
    "backup": frozenset(FIELDS["backup"]),
    "attachments": frozenset(FIELDS["attachments"]),
    "log": frozenset({"level"}),
    "plugins": frozenset({"admin_changes"}),
    TYPES_SECTION: frozenset(FIELDS[TYPES_SECTION]),
}
"""The keys of each section that are in force after a reload; options of plugins are, too."""


class Compared(NamedTuple):
    """Settings that were read again, beside those in force.

    Attributes:
        settings: those in force, with the live keys of the new ones; options and types of plugins stay.
        live: the keys that differ and are live, as the file writes them: "[log] level".
        later: the keys that differ and wait for the next start.
    """

    settings: Settings
    live: list[str]
    later: list[str]


def compare(old: Settings, new: Settings) -> Compared:
    """Return what of the new settings can be in force at once, key by key, but for plugins' options and types."""
    live: list[str] = []
    later: list[str] = []
    sections: dict[str, msgspec.Struct] = {}
    for section in SECTION_TYPES:
        before, after = getattr(old, section), getattr(new, section)
        taken: dict[str, object] = {}
        for key in FIELDS[section]:
            if getattr(before, key) == getattr(after, key):
                continue
            if key in LIVE.get(section, ()):
                taken[key] = getattr(after, key)
                live.append(f"[{section}] {key}")
            else:
                later.append(f"[{section}] {key}")
        sections[section] = msgspec.structs.replace(before, **taken)
    return Compared(msgspec.structs.replace(old, **sections), live, later)


def in_words(section: str) -> str:
    """Return the sentence of the documentation that says which keys of a section a reload puts in force."""
    live = [key for key in FIELDS[section] if key in LIVE.get(section, ())]
    if not live:
        return "A change is in force after a restart."
    kept = [key for key in FIELDS[section] if key not in live]
    own = [key for key in live if key in _NEW_CONNECTIONS]
    if not kept:
        return "A change is in force after `relay reload`."
    if len(kept) < len(live):
        text = f"A change is in force after `relay reload`, but for {_listed(kept)}: after a restart."
    else:
        text = f"In force after `relay reload`: {_listed(live)}; the others after a restart."
    return f"{text} Connections that are open keep their {_listed(own)}." if own else text


def _listed(keys: list[str]) -> str:
    return ", ".join(f"`{key}`" for key in keys)
