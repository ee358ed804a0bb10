"""The whole of the settings, `Settings`, and the sections that grow with what is installed.

[plugins], [plugins.NAME] and [types.NAME] stand here; the fixed sections are in `sections` and `limits`.
"""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from relay.settings.backup import BackupSettings
from relay.settings.cluster import ClusterSettings
from relay.settings.kinds import Names, Paths
from relay.settings.limits import AttachmentsSettings, LimitsSettings
from relay.settings.mail import MailSettings
from relay.settings.sections import (
    AccountsSettings,
    AuditSettings,
    HeartbeatSettings,
    LogSettings,
    MetricsSettings,
    PresenceSettings,
    ReplaySettings,
    ServerSettings,
    StorageSettings,
    TimeoutsSettings,
    WebSettings,
)

BUNDLED_PLUGINS = (
    "chat_message",
    "group_message",
    "group_event",
    "audit_event",
    "notification",
    "message_edit",
    "message_delete",
    "reaction",
    "threads",
    "pin",
    "read_receipt",
    "status_update",
    "typing_indicator",
    "message_stream",
    "follow",
    "connection_event",
    "answers",
    "actions",
    "search",
    "marks",
    "report",
)


class PluginsSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The plugins that run, the folders they are found in, and their own options."""

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
    required: Annotated[
        Names,
        Meta(
            description="Plugins that must check messages, such as a word filter; they are loaded as those of "
            "`also` are. While one of them does not work, what it checks is refused as `overloaded`, to be sent "
            "again. While one could not be loaded, that is every message, and whatever plugins are asked about.",
            examples=["word_filter"],
        ),
    ] = msgspec.field(default_factory=list)
    directories: Annotated[
        Paths,
        Meta(
            description="Folders searched for plugins besides the bundled ones; each `NAME.py` in them is "
            "a plugin. Their code runs inside the server: only its administrator should be able to "
            "write there.",
            examples=["plugins.d"],
        ),
    ] = msgspec.field(default_factory=lambda: ["plugins.d"])
    quarantine_failures: Annotated[
        int,
        Meta(
            ge=0,
            le=1_000_000,
            description="A plugin that fails this many times within `quarantine_seconds` is quarantined: set "
            "aside until the next start, or until `relay plugins resume NAME`. 0 never quarantines "
            "one.",
        ),
    ] = 10
    quarantine_seconds: Annotated[
        float,
        Meta(
            ge=1,
            le=86_400,
            description="How long one failure of a plugin counts towards its quarantine.",
        ),
    ] = 600.0
    blocking_seconds: Annotated[
        float,
        Meta(
            ge=0,
            le=3600,
            description="How long a plugin may block the server's event loop at one time before it is "
            "interrupted; 0 never interrupts it.",
        ),
    ] = 1.0
    messages_per_second: Annotated[
        float,
        Meta(
            ge=0,
            le=1_000_000,
            description="Messages a plugin may send by itself per second, on average; 0 means no limit.",
        ),
    ] = 200.0
    scheduled_jobs: Annotated[
        int,
        Meta(
            ge=0,
            le=10_000_000,
            description="Jobs at set times, such as reminders, that may wait for one plugin; 0 means no limit.",
        ),
    ] = 100_000
    admin_changes: Annotated[
        bool,
        Meta(
            description="Whether admins may reload plugins, set them aside and change their options by REST. "
            "false: they only see them. Options decide much, such as whose tokens `jwt_auth` believes."
        ),
    ] = True
    options: dict[str, dict[str, object]] = msgspec.field(default_factory=dict)
    places: dict[str, str] = msgspec.field(default_factory=dict)
    file: str | None = None


class TypeSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Changes of the administrator to one message type; None leaves it as its plugin declares it."""

    priority: (
        Annotated[
            int,
            Meta(
                ge=0,
                le=1000,
                description="Place in the replay after a reconnect: lower comes first.",
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
                description="Size of the largest payload; a larger one is answered `too_large`.",
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
                description="A field of the payload. A newer message with the same value in it, from the same "
                "sender in the same conversation, replaces the older one, which keeps its place "
                "without its payload.",
                examples=["sensor"],
            ),
        ]
        | None
    ) = None


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything an administrator can set; `Settings()` has every default."""

    server: Annotated[
        ServerSettings,
        Meta(description="The address the server listens on, and the proxies and web pages it trusts."),
    ] = msgspec.field(default_factory=ServerSettings)
    storage: Annotated[
        StorageSettings,
        Meta(description="The one database file, and what an ack promises about it."),
    ] = StorageSettings()
    heartbeat: Annotated[
        HeartbeatSettings,
        Meta(
            description="A peer that loses its network says nothing, and TCP alone may need hours to "
            "notice. A shorter interval finds it sooner and costs batteries more."
        ),
    ] = HeartbeatSettings()
    presence: Annotated[
        PresenceSettings,
        Meta(description="When a user counts as offline, without flicker when a connection is lost for a moment."),
    ] = PresenceSettings()
    replay: Annotated[
        ReplaySettings,
        Meta(
            description="How many missed messages a client that comes back gets at once; it fetches the others "
            "when needed."
        ),
    ] = ReplaySettings()
    timeouts: Annotated[
        TimeoutsSettings,
        Meta(
            description="Every wait for a peer or a plugin ends. The defaults suit slow mobile networks; longer "
            "ones let idle peers hold on to memory."
        ),
    ] = TimeoutsSettings()
    limits: Annotated[
        LimitsSettings,
        Meta(
            description="One careless or hostile peer must not take the server from the others. 0 means no "
            "limit, for each key of this section."
        ),
    ] = LimitsSettings()
    accounts: Annotated[
        AccountsSettings,
        Meta(description="Who may join this server, and which users they find there."),
    ] = msgspec.field(default_factory=AccountsSettings)
    mail: Annotated[
        MailSettings,
        Meta(
            description="The mails that relay sends: links to verify an address, for a forgotten password, and to "
            "make an account. `relay mail test ADDRESS` tries it out."
        ),
    ] = MailSettings()
    audit: Annotated[
        AuditSettings,
        Meta(description="What is recorded of the acts of admins, moderators and the operator, and for how long."),
    ] = AuditSettings()
    backup: Annotated[
        BackupSettings,
        Meta(
            description="Backups that the server makes by itself while it runs. Whatever this says, the command "
            "`relay backup` and admins can have one made: docs/operate/backup.md."
        ),
    ] = msgspec.field(default_factory=BackupSettings)
    cluster: Annotated[
        ClusterSettings,
        Meta(
            description="Several nodes that are one server, each with the whole database, beside a NATS cluster "
            "with JetStream. Without a name this is off, and costs nothing."
        ),
    ] = msgspec.field(default_factory=ClusterSettings)
    attachments: Annotated[
        AttachmentsSettings,
        Meta(description="Files in messages: how large, how many, and how long an unused one is kept."),
    ] = AttachmentsSettings()
    web: Annotated[
        WebSettings,
        Meta(description="The web page and the JavaScript SDK that the server brings along."),
    ] = WebSettings()
    metrics: Annotated[
        MetricsSettings,
        Meta(description="What the server remembers of how it was doing, beside `/metrics`."),
    ] = MetricsSettings()
    log: Annotated[
        LogSettings,
        Meta(description="The log lines that the server writes to standard error."),
    ] = LogSettings()
    plugins: Annotated[
        PluginsSettings,
        Meta(
            description="Every message type is a plugin, the bundled ones included. A plugin's own options "
            "stand in a table of its name, [plugins.NAME]; its documentation lists them."
        ),
    ] = msgspec.field(default_factory=PluginsSettings)
    types: Annotated[
        dict[str, TypeSettings],
        Meta(
            description="Overrides of what a message type's plugin declares: one table for each type, by its "
            "name, with the keys you change."
        ),
    ] = msgspec.field(default_factory=dict)
