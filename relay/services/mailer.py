"""The mailer: sends what waits in the database, one mail after the other, and tries again what is not taken."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final, NamedTuple

import trio

from relay.storage import mails
from relay.storage.errors import StorageFailed
from relay.storage.jobs import Runner
from relay.wakeup import Wakeup

_log: Final = logging.getLogger("relay.mail")
_FIRST_PAUSE: Final = 5.0
_LONGEST_PAUSE: Final = 900.0
_LONGEST_WAIT: Final = 3600.0
"""The system clock may be set meanwhile; so it is read again after this time at the latest."""

_RETRY_SECONDS: Final = 5.0


class Outcome(NamedTuple):
    """The outcome of an attempt: an empty `error` if the mail was taken; `for_good` if it never will be."""

    error: str = ""
    for_good: bool = False


Deliver = Callable[[str, str, str], Awaitable[Outcome]]
"""Hands a mail to a server: recipient, subject and body."""


class Mailer:
    """Sends mails.

    Args:
        now: Unix seconds.
        deliver: hands one over; None where mails are not set up.

    Attributes:
        sent, failed: mails since the start that were taken, and that were given up.
        refused: attempts since the start that failed.
        waiting: mails that wait, as of the last look.
    """

    def __init__(self, runner: Runner, now: Callable[[], float], deliver: Deliver | None) -> None:
        self._runner = runner
        self._now = now
        self._deliver = deliver
        self._wakeup = Wakeup()
        self.sent = self.failed = self.refused = self.waiting = 0

    @property
    def is_set_up(self) -> bool:
        """Whether mails can be sent."""
        return self._deliver is not None

    def use(self, deliver: Deliver | None) -> None:
        """Hand mails over in another way from now on; None where they are not set up any more."""
        self._deliver = deliver
        self.wake()

    def wake(self) -> None:
        """Look for mails now: one was stored."""
        self._wakeup.set()

    async def try_out(self, recipient: str, subject: str, body: str) -> Outcome:
        """Hand a mail over at once, and return what the server said."""
        if self._deliver is None:
            return Outcome("[mail] smtp_host is empty: this server sends no mail", for_good=True)
        return await self._deliver(recipient, subject, body)

    async def run(self) -> None:
        """Send what is due, for ever; where mails are not set up, what waits is kept."""
        while True:
            while self._deliver is None:
                await self._wakeup.wait()
            try:
                while (mail := await self._runner.read(partial(mails.due, now=self._now()))) is not None:
                    if not self.is_set_up:
                        break  # it is kept
                    await self._send(mail)
                following = await self._runner.read(mails.next_due)
                self.waiting = await self._runner.read(mails.count)
            except StorageFailed:
                await trio.sleep(_RETRY_SECONDS)
                continue
            wait = float("inf") if following is None else min(max(following - self._now(), 0.0), _LONGEST_WAIT)
            await self._wakeup.wait(wait)

    async def _send(self, mail: mails.Mail) -> None:
        now = self._now()
        if mail.expires_at <= now:
            await self._give_up(mail, "its time is over")
            return
        outcome = await self.try_out(mail.recipient, mail.subject, mail.body)
        if not outcome.error:
            self.sent += 1
            _log.info("mail %d to %s: taken", mail.mail_id, _veiled(mail.recipient))
            await self._runner.write(partial(mails.delete, mail_id=mail.mail_id))
            return
        self.refused += 1
        pause = min(_FIRST_PAUSE * 4**mail.attempts, _LONGEST_PAUSE)
        if outcome.for_good or now + pause >= mail.expires_at:
            await self._give_up(mail, outcome.error)
            return
        _log.warning(
            "mail %d to %s: not taken, tried again in %g s: %s",
            mail.mail_id, _veiled(mail.recipient), pause, outcome.error,
        )  # fmt: skip
        again = partial(mails.postpone, mail_id=mail.mail_id, due_at=self._now() + pause, error=outcome.error)
        await self._runner.write(again)

    async def _give_up(self, mail: mails.Mail, why: str) -> None:
        self.failed += 1
        _log.error("mail %d to %s: given up: %s", mail.mail_id, _veiled(mail.recipient), why)
        await self._runner.write(partial(mails.delete, mail_id=mail.mail_id))


def _veiled(address: str) -> str:
    """Return an address as the log has it: enough to find the server that refuses, and not whose it is."""
    local, _, domain = address.rpartition("@")
    shown = "".join(one if one.isprintable() else "?" for one in domain)
    return f"{local[:1]}…@{shown}"
