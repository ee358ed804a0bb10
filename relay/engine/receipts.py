"""Delivered receipts: tell a sender that a message of theirs reached a device of the other user's."""

from __future__ import annotations

from contextlib import suppress

import msgspec

from relay.protocol.errors import RelayError
from relay.protocol.kinds import ConversationKind, Kind, Role
from relay.services.channels import ChannelManager
from relay.services.offline_queue import Delivered
from relay.services.router import MessageRouter, Submission
from relay.storage.conversations import ChannelRow
from relay.storage.entry import Entry
from relay.storage.history import other_party


class DeliveredReceipts:
    """Sends the `delivered` state of a `read_receipt`, in the name of the user whose device acked."""

    def __init__(self, channels: ChannelManager, router: MessageRouter) -> None:
        self._channels = channels
        self._router = router

    def send(self, delivered: list[Delivered]) -> None:
        """Submit a receipt for each conversation; one for which the server is too busy is left to the next ack."""
        for item in delivered:
            target_id = other_party(item.address, item.user_id)
            members = dict.fromkeys((item.user_id, target_id), Role.MEMBER)
            row = ChannelRow(item.channel_id, ConversationKind.USER, item.address, "", members, "start")
            submission = Submission(_receipt(item, target_id), self._channels.hold(row))
            with suppress(RelayError):
                self._router.submit_nowait(submission)


def _receipt(item: Delivered, target_id: str) -> Entry:
    return Entry(
        channel_id=item.channel_id,
        type="read_receipt",
        kind=Kind.LATEST,
        sender_id=item.user_id,
        target_id=target_id,
        client_id=None,
        own_id=None,
        digest=None,
        payload=msgspec.json.encode({"up_to_seq": item.up_to_seq, "state": "delivered"}).decode(),
        sent_at=None,
        key="delivered",
        reads=False,
    )
