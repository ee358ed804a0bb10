"""A message on its way through the router, and who is told of it after its commit."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from relay.protocol.rights import Act
from relay.services.channels import Conversation
from relay.services.connections import Connection
from relay.services.ephemeral import Timeout
from relay.storage.entry import Entry


class Submission:
    """A message on its way through the router.

    Attributes:
        origin: the connection that sent it, which gets the ack and not the message.
        recheck: what the sender does, decided again when its batch is taken.
        changes_members: ends its batch, so that the next message is checked against the new members.
        committed: called after the commit and before the fan-out, to bring memory up to date.
        answered: called with the entry once it is stored, refused or has failed.
        with_previous: taken into the batch of the submission before it, so that one transaction has both.
        frame: sent to those who are connected, in the place of the one that is made of the entry.
        timeout: for a transient message that begins or ends an indicator; see `ephemeral.Indicators`.
    """

    __slots__ = (
        "answered", "changes_members", "committed", "conversation", "entry", "frame", "origin", "recheck",
        "timeout", "with_previous",
    )  # fmt: skip

    def __init__(
        self,
        entry: Entry,
        conversation: Conversation,
        origin: Connection | None = None,
        *,
        recheck: Act | None = None,
        changes_members: bool = False,
        committed: Callable[[Entry], None] | None = None,
        answered: Callable[[Entry], None] | None = None,
        timeout: Timeout | None = None,
        with_previous: bool = False,
    ) -> None:
        self.entry = entry
        self.conversation = conversation
        self.origin = origin
        self.recheck = recheck
        self.changes_members = changes_members
        self.committed = committed
        self.answered = answered
        self.frame: bytes | None = None
        self.timeout = timeout
        self.with_previous = with_previous


class Observer(Protocol):
    """Called with each message after its commit. It must neither block nor raise."""

    def __call__(self, submission: Submission) -> None:
        """Note one stored message."""
