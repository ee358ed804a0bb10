"""All settings in one value, and why each section is there."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from relay.settings.extensions import PluginsSettings, TypeSettings
from relay.settings.limits import LimitsSettings
from relay.settings.sections import (
    AccountsSettings,
    AttachmentsSettings,
    HeartbeatSettings,
    LogSettings,
    PresenceSettings,
    ReplaySettings,
    ServerSettings,
    StorageSettings,
    TimeoutsSettings,
    WebSettings,
)


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything an administrator can set; `Settings()` is the server as it comes."""

    server: Annotated[
        ServerSettings,
        Meta(description="Where the server listens, and which proxies and web pages it believes."),
    ] = msgspec.field(default_factory=ServerSettings)
    storage: Annotated[
        StorageSettings,
        Meta(description="The one database file, and what an ack promises about it."),
    ] = StorageSettings()
    heartbeat: Annotated[
        HeartbeatSettings,
        Meta(
            description="A peer that loses its network says nothing, and TCP alone may need hours to "
            "notice. Shorter finds it sooner and costs batteries more."
        ),
    ] = HeartbeatSettings()
    presence: Annotated[
        PresenceSettings,
        Meta(description="Who is online, without flicker when a connection is lost for a moment."),
    ] = PresenceSettings()
    replay: Annotated[
        ReplaySettings,
        Meta(description="What a client that comes back is sent at once, and what it fetches when needed."),
    ] = ReplaySettings()
    timeouts: Annotated[
        TimeoutsSettings,
        Meta(
            description="Every wait for somebody else ends. The defaults suit slow mobile networks; longer "
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
        Meta(description="Who may join this server, and whom they find there."),
    ] = AccountsSettings()
    attachments: Annotated[
        AttachmentsSettings,
        Meta(description="Files in messages: how large, how many, and how long one waits for its message."),
    ] = AttachmentsSettings()
    web: Annotated[
        WebSettings,
        Meta(description="The page and the JavaScript SDK that the server brings along."),
    ] = WebSettings()
    log: Annotated[
        LogSettings,
        Meta(description="What the server writes about its work, to standard error."),
    ] = LogSettings()
    plugins: Annotated[
        PluginsSettings,
        Meta(
            description="Every message type is a plugin, the bundled ones included. A plugin's own options "
            "stand in a table of its name, [plugins.NAME]; its documentation says which it "
            "knows."
        ),
    ] = msgspec.field(default_factory=PluginsSettings)
    types: Annotated[
        dict[str, TypeSettings],
        Meta(
            description="What you want otherwise than a message type's plugin declares it: one table for "
            "each type, by its name, with the keys you change."
        ),
    ] = msgspec.field(default_factory=dict)
