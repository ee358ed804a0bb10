"""One attempt: a delivery signed, posted, and what became of it."""

from typing import NamedTuple

import trio

from relay.http import seconds_to_wait
from relay.plugin import Server

from .posting import Answer, Poster, PostFailed
from .signing import signed_headers
from .tables import Hook

USER_AGENT = "relay-webhooks/1"
GONE = 410
_SHOWN_CHARACTERS = 500


class Delivery(NamedTuple):
    """What is posted, as often as it takes.

    Attributes:
        delivery_id: the same at each attempt.
        message_id: the message's; 0 for a test.
    """

    delivery_id: str
    message_id: int
    body: bytes


class Attempt:
    """One try to deliver.

    Attributes:
        number: which try it is of this message, from 1.
        status: what the receiver answered; None where it did not.
        error: why it counts as failed, or what went wrong besides; None where nothing did.
        answer: what the receiver answered; None where it did not.
        retry_seconds: how long it asks to be left alone.
    """

    def __init__(self, message_id: int, number: int, at: float) -> None:
        self.message_id = message_id
        self.number = number
        self.at = at
        self.milliseconds = 0
        self.error: str | None = None
        self.answer: Answer | None = None
        self.retry_seconds = 0.0

    @property
    def status(self) -> int | None:
        """The status of the receiver's answer."""
        return None if self.answer is None else self.answer.status

    @property
    def delivered(self) -> bool:
        """Whether the receiver has taken it."""
        return self.answer is not None and 200 <= self.answer.status < 300

    @property
    def shown(self) -> str:
        """The beginning of what the receiver said."""
        return "" if self.answer is None else self.answer.body.decode(errors="replace")[:_SHOWN_CHARACTERS]


async def make_attempt(server: Server, poster: Poster, hook: Hook, delivery: Delivery, number: int) -> Attempt:
    """Post a delivery once, and return what became of it; never raises for what the receiver did."""
    now = server.now()
    attempt = Attempt(delivery.message_id, number, now)
    headers = {
        **signed_headers(hook.secrets(now), delivery.delivery_id, int(now), delivery.body),
        "content-type": "application/json",
        "accept": "application/json",
        "user-agent": USER_AGENT,
    }
    began = trio.current_time()
    try:
        attempt.answer = await poster.post(hook.url, headers, delivery.body)
    except PostFailed as failed:
        attempt.error = str(failed)
    attempt.milliseconds = round(1000 * (trio.current_time() - began))
    if attempt.answer is not None and not attempt.delivered:
        attempt.error = _refusal(attempt.answer.status)
        attempt.retry_seconds = seconds_to_wait(attempt.answer.retry_after, server.now()) or 0.0
    return attempt


def _refusal(status: int) -> str:
    if 300 <= status < 400:
        return f"the receiver answered {status}; redirects are not followed"
    return "the receiver answered 410 Gone" if status == GONE else f"the receiver answered {status}"
