"""Answers to the buttons, selects and forms in a bot's messages, as its functions get them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from relay.client.client import Client
from relay.client.events import Ack, Event


@dataclass(slots=True)
class ActionAnswer:
    """A user's answer to an action of a message of the bot's.

    Attributes:
        id: the id of the answer, for the server.
        message_id: the message whose action it is; `type` is that message's.
        action: the id of the action.
        value: the value of the chosen option of a select.
        values: the values of a form, by the names of its fields.
        sender_id: the user who answered.
        place: the message's conversation as that user names it: `kind`, `target_id`, and a group's `name`.
    """

    client: Client
    id: int
    message_id: int
    type: str
    action: str
    value: str | None
    values: dict[str, Any]
    sender_id: str
    place: dict[str, Any]

    async def close(self, outcome: str | None = None) -> Ack:
        """Close the actions of the message for everybody; return once that is stored.

        Args:
            outcome: what came of them, for all who see the message.

        Raises:
            RelayError: The server refused it: `not_found` when the message is gone.
        """
        payload = {"message_id": self.message_id} | ({} if outcome is None else {"outcome": outcome})
        return await self.client.send("action_close", payload)


def answer_of(client: Client, event: Event) -> ActionAnswer | None:
    """Return the answer of an event; None for one that was erased with its message."""
    payload, id = event.payload, event.message_id
    if id is None or "action" not in payload:
        return None
    return ActionAnswer(
        client,
        id,
        payload["message_id"],
        payload.get("type", ""),
        payload["action"],
        payload.get("value"),
        dict(payload.get("values") or {}),
        event.sender_id or "",
        dict(payload.get("place") or {}),
    )
