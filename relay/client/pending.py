"""A message on its way, as its sender sees it."""

from __future__ import annotations

import trio

from relay.client.errors import RelayClosed
from relay.client.events import Ack
from relay.protocol.errors import CloseCode


class PendingSend:
    """A message that `send_nowait` put in the outbox: wait for its answer, or forget it."""

    def __init__(self, id: str) -> None:
        self.id = id
        self._answered = trio.Event()
        self._saved = trio.Event()
        self._answer: Ack | Exception = RelayClosed(CloseCode.NORMAL, "there is no answer yet")

    @property
    def done(self) -> bool:
        """Whether the server's answer is here, or none can come any more."""
        return self._answered.is_set()

    async def wait(self) -> Ack:
        """Wait for the ack and return it; a second wait returns the same answer.

        Raises:
            RelayError: The server refused the message.
            RelayOffline: The message was sent with `keep=False`, and the connection broke before the answer.
            RelayClosed: The client was closed; with a state file the message goes out at the next start.
        """
        await self._answered.wait()
        if isinstance(self._answer, Exception):
            raise self._answer
        return self._answer

    async def wait_saved(self) -> None:
        """Wait until the message is in the state file and survives this process; without one, return at once."""
        await self._saved.wait()

    def mark_saved(self) -> None:
        """Wake those who wait in `wait_saved`."""
        self._saved.set()

    def resolve(self, ack: Ack) -> None:
        """Answer all who wait with the ack; only the first answer counts."""
        self._settle(ack)

    def fail(self, error: Exception) -> None:
        """Answer all who wait with the error; only the first answer counts."""
        self._settle(error)

    def _settle(self, answer: Ack | Exception) -> None:
        if not self._answered.is_set():
            self._answer = answer
            self._answered.set()
            self._saved.set()
