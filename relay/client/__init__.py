"""The Python client of relay, on trio.

Example:
    ```python
    async with relay.client.connect("http://localhost:8484", token) as client:
        ack = await client.send("chat_message", {"content": "hi"}, target_id="bob")
        async for event in client:
            print(event.sender_id, event.payload)
    ```
"""

from relay.client.actions import ActionAnswer
from relay.client.backoff import Backoff
from relay.client.bot import Bot, Invocation
from relay.client.client import Client
from relay.client.errors import OutboxFull, RelayClosed, RelayError, RelayOffline, StateError
from relay.client.events import Ack, Event, Gap, Page
from relay.client.factory import connect
from relay.client.mirror import Mirror
from relay.client.pending import PendingSend
from relay.client.rest import RestClient
from relay.client.streaming import MessageStream

Ticket = PendingSend
"""The earlier name of `PendingSend`, which applications import."""

__all__ = [
    "Ack",
    "ActionAnswer",
    "Backoff",
    "Bot",
    "Client",
    "Event",
    "Gap",
    "Invocation",
    "MessageStream",
    "Mirror",
    "OutboxFull",
    "Page",
    "PendingSend",
    "RelayClosed",
    "RelayError",
    "RelayOffline",
    "RestClient",
    "StateError",
    "Ticket",
    "connect",
]
