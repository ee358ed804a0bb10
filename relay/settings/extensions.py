"""The sections that grow with what is installed: [plugins], [plugins.NAME] and [types.NAME]."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from relay.settings.kinds import Names, Paths

BUNDLED_PLUGINS = (
    "chat_message",
    "group_message",
    "group_event",
    "notification",
    "message_edit",
    "message_delete",
    "reaction",
    "read_receipt",
    "status_update",
    "typing_indicator",
    "follow",
    "connection_event",
    "answers",
    "search",
)


class PluginsSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which plugins run, where they are found and what they are told."""

    enabled: Annotated[
        Names,
        Meta(
            description="Plugins to load, by name. This list replaces the default one: keep the bundled "
            "names you still want when you add your own.",
            examples=["chat_message"],
        ),
    ] = msgspec.field(default_factory=lambda: list(BUNDLED_PLUGINS))
    also: Annotated[
        Names,
        Meta(
            description="Plugins to load besides those of `enabled`: bundled ones that are off by default, such "
            "as `webhooks`, and installed packages.",
            examples=["webhooks"],
        ),
    ] = msgspec.field(default_factory=list)
    directories: Annotated[
        Paths,
        Meta(
            description="Folders searched for plugins besides the bundled ones; each `NAME.py` in them is "
            "one. Their code runs inside the server: only its administrator should be able to "
            "write there.",
            examples=["plugins.d"],
        ),
    ] = msgspec.field(default_factory=lambda: ["plugins.d"])
    quarantine_failures: Annotated[
        int,
        Meta(
            ge=0,
            le=1_000_000,
            description="A plugin that fails so often within `quarantine_seconds` is set aside until the next "
            "start, or `relay plugins resume NAME`; 0 never does that.",
        ),
    ] = 10
    quarantine_seconds: Annotated[
        float,
        Meta(
            ge=1,
            le=86_400,
            description="How long a plugin's failure counts towards setting it aside.",
        ),
    ] = 600.0
    blocking_seconds: Annotated[
        float,
        Meta(
            ge=0,
            le=3600,
            description="How long a plugin may hold the server's thread at one time before it is interrupted; "
            "0 lets it.",
        ),
    ] = 1.0
    messages_per_second: Annotated[
        float,
        Meta(
            ge=0,
            le=1_000_000,
            description="Messages a plugin may send by itself, on average; 0 means no limit.",
        ),
    ] = 200.0
    options: dict[str, dict[str, object]] = msgspec.field(default_factory=dict)
    places: dict[str, str] = msgspec.field(default_factory=dict)


class TypeSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the administrator changes about one message type; None leaves it as its plugin declares it."""

    priority: (
        Annotated[
            int,
            Meta(
                ge=0,
                le=1000,
                description="Place in the replay after a reconnect, lower first.",
                examples=[20],
            ),
        ]
        | None
    ) = None
    max_bytes: (
        Annotated[
            int,
            Meta(
                ge=1,
                le=1_073_741_824,
                description="Largest payload; a larger one is answered `too_large`.",
                examples=[16_384],
            ),
        ]
        | None
    ) = None
    ttl_seconds: (
        Annotated[
            float,
            Meta(
                ge=1,
                le=3_153_600_000,
                description="How long a stored message of the type lives; then it keeps its place without its "
                "payload, in history and replays alike.",
                examples=[604_800.0],
            ),
        ]
        | None
    ) = None
    collapse_key: (
        Annotated[
            str,
            Meta(
                min_length=1,
                description="A field of the payload: a newer message with the same value there, of the same "
                "sender in the same conversation, takes the payload from the older one.",
                examples=["sensor"],
            ),
        ]
        | None
    ) = None
