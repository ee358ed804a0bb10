"""The services that a plugin reaches by its server: `server.services.groups`."""

from __future__ import annotations

from typing import Protocol

from relay.services.accounts import Accounts
from relay.services.attachments import Attachments
from relay.services.channels import ChannelManager
from relay.services.connections import WebSocketManager
from relay.services.groups import Groups
from relay.services.history import HistorySaver
from relay.services.presence import PresenceService
from relay.services.registration import Registration
from relay.services.router import MessageRouter
from relay.settings import Settings


class Services(Protocol):
    """The services by name; see each class. Their methods may change with relay's versions."""

    settings: Settings
    accounts: Accounts
    attachments: Attachments
    channels: ChannelManager
    connections: WebSocketManager
    groups: Groups
    history: HistorySaver
    presence: PresenceService
    registration: Registration
    router: MessageRouter
    epoch: str
