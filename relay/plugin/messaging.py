"""Sending and showing messages, as plugins do it: as a user, to one person, and as each of them gets it."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from relay.plugin.actions import ActionAnswer, ActionOutcome
from relay.protocol.envelope import SentEnvelope
from relay.services.channels import Conversation
from relay.storage.entry import Entry
from relay.storage.history import Record


class Messaging(Protocol):
    """The part of `relay.plugin.Server` that sends messages and shows them."""

    async def send(
        self,
        user_id: str,
        type_name: str,
        payload: dict[str, Any],
        target_id: str | None,
        *,
        own_id: str | None = None,
        scopes: frozenset[str] = frozenset(),
        depth: int = 0,
    ) -> Entry:
        """Send a message as a user, with every check that a message of theirs meets; return it once it is stored.

        Args:
            own_id: the idempotency key: the same one again stores nothing and returns the first.
            scopes: what it may do besides what any user may.
            depth: for a program's answer: `answer_depth` of the message that it answers.

        Raises:
            RelayError: it is refused; `rate_limited` beyond `[plugins] messages_per_second`.
        """

    async def whisper(
        self,
        user_ids: Sequence[str],
        type_name: str,
        payload: dict[str, Any],
        conversation: Conversation,
        *,
        sender_id: str,
        own_id: str | None = None,
    ) -> list[Entry]:
        """Send a message of one of this plugin's own types to some members of a conversation; nobody else sees it.

        Of a transient type it goes to those who are connected now. Of a latest type it is stored, one row for each
        of them in one transaction: their other devices get it, and history has it in `latest`. A newer one
        replaces the older of the same type, sender, recipient and `key`. Its `meta.only_for` is the recipient.

        Args:
            user_ids: the recipients, 500 at most.
            sender_id: in whose name it is sent.
            own_id: the idempotency key; each recipient's row has it with the recipient's id.

        Returns:
            One entry for each recipient, in their order.

        Raises:
            ValueError: the type is another plugin's, or a stream type: its messages have a `seq`, which all
                members share.
            RelayError: `not_found` where a recipient is not in the conversation; it is refused; `rate_limited`.
        """

    def tell(
        self,
        conversation: Conversation,
        type_name: str,
        payload: dict[str, Any],
        *,
        sender_id: str,
        client_id: str | None = None,
        only: tuple[str, str] | None = None,
    ) -> None:
        """Pass a transient message of one of this plugin's own types on, now, and wait for nothing.

        It goes to the devices of the members that are connected and active, and is the first to be dropped when a
        queue fills. Nobody's permission is asked, and nothing is counted towards a rate.

        Args:
            client_id: the sender's device, which is left out.
            only: the one device to tell, by its user and client id; None for all of them.

        Raises:
            ValueError: the type is another plugin's, or is stored.
        """

    def when_stored(self, user_id: str, own_id: str, call: Callable[[Entry], None] | None) -> None:
        """Have plain code called once, as soon as a message of a user with this id of theirs is stored.

        It costs other messages nothing. Forget it with None once it is not needed any more.

        Args:
            call: it must not wait; the message is delivered right after it.
        """

    def call_acted(self, connection: sqlite3.Connection, answer: ActionAnswer) -> ActionOutcome | None:
        """Call the `acted` of the type of an answered message, in the transaction that stores the answer.

        Raises:
            RelayError: its refusal, or `plugin_failed`.
        """

    def differs(self, type_name: str) -> bool:
        """Tell whether a `for_recipient` hook may change what single users get of a type's messages."""

    def envelopes(self, user_id: str, records: Sequence[Record]) -> list[SentEnvelope]:
        """Return stored messages as one user gets them now, after every `for_recipient` hook; on any thread.

        Whatever shows a message to somebody takes it from here, and not from the row itself.
        """
