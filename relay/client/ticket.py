"""The sender's side of one message on its way."""

from __future__ import annotations

import trio

from relay.client.errors import RelayClosed
from relay.client.events import Ack


class Ticket:
    """A message handed over with `send_nowait`, to be waited for or forgotten."""

    def __init__(self, id: str) -> None:
        self.id = id
        self._answered = trio.Event()
        self._saved = trio.Event()
        self._answer: Ack | Exception = RelayClosed(1000, "nothing is known of this message yet")

    @property
    def done(self) -> bool:
        """Tell whether the server's answer is here, or none can come any more."""
        return self._answered.is_set()

    async def wait(self) -> Ack:
        """Wait for the ack; waiting again gives the same answer.

        Raises:
            RelayError: The server refused the message.
            RelayOffline: It is one that is not kept, and the connection broke before the answer.
            RelayClosed: The client was closed; with a state file the message goes out at the next start.
        """
        await self._answered.wait()
        if isinstance(self._answer, Exception):
            raise self._answer
        return self._answer

    async def wait_saved(self) -> None:
        """Wait until the message is in the state file and survives this process; at once without one."""
        await self._saved.wait()

    def mark_saved(self) -> None:
        """Let those go on who wait for the message to be safe."""
        self._saved.set()

    def resolve(self, ack: Ack) -> None:
        """Give the ack to all who wait; only the first answer counts."""
        if not self._answered.is_set():
            self._answer = ack
            self._answered.set()
            self._saved.set()

    def fail(self, error: Exception) -> None:
        """Give the error to all who wait; only the first answer counts."""
        if not self._answered.is_set():
            self._answer = error
            self._answered.set()
            self._saved.set()
