"""One post to a receiver: checked URLs, signatures of Standard Webhooks, and attempts with what became of them."""

import base64
import binascii
import hashlib
import hmac
import secrets
from collections.abc import Iterable
from typing import NamedTuple
from urllib.parse import urlsplit

import trio

from relay.http import (
    AddressPolicy,
    AddressRefused,
    CallFailed,
    HttpAnswer,
    HttpClient,
    TimedOut,
    UnknownHost,
    read_url,
)
from relay.plugin import ErrorCode, RelayError, Server

from .options import Options
from .tables import Hook

MAX_URL = 2000
USER_AGENT = "relay-webhooks/1"
GONE = 410
_PREFIX = "whsec_"
_KEY_BYTES = (24, 64)
_SHOWN_CHARACTERS = 500
_IDLE_SECONDS = 2.0
"""Shorter than any server keeps an idle connection, so that none is used that is just being closed."""


def make_client(options: Options, longest: float = float("inf")) -> HttpClient:
    """Return a client that calls receivers as `[plugins.webhooks]` says, within `longest` seconds at most."""
    return HttpClient(
        seconds=min(options.timeout_seconds, longest),
        answer_bytes=options.answer_bytes,
        policy=None if options.allow_private else AddressPolicy(),
        at_once=options.at_once,
        idle_seconds=_IDLE_SECONDS,
    )


# URLs and secrets.


def check_url(url: str) -> str:
    """Return a URL that can be posted to.

    Raises:
        RelayError: `invalid_payload`, saying what would be right.
    """
    problem = _problem(url)
    if problem:
        raise RelayError(ErrorCode.INVALID_PAYLOAD, f"{url[:200]!r}: {problem}")
    return url


def _problem(url: str) -> str | None:
    if len(url) > MAX_URL:
        return f"a URL has {MAX_URL} characters at most"
    if not url.isascii() or not url.isprintable() or " " in url:
        return "a URL is printable ASCII; write other characters as %-escapes, and a host's name in punycode"
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        return str(error)
    if parts.scheme not in ("http", "https") or not parts.hostname or port == 0:
        return "a URL begins with http://HOST or https://HOST"
    if parts.username is not None or parts.password is not None:
        return "put no user and password into it: deliveries are signed"
    return "leave out the part from the # on" if parts.fragment else None


def new_secret() -> str:
    """Return a new secret."""
    return _PREFIX + base64.b64encode(secrets.token_bytes(32)).decode()


def check_secret(secret: str) -> str:
    """Return a secret that an admin chose.

    Raises:
        RelayError: `invalid_payload`: it is not one of Standard Webhooks, or too short or too long.
    """
    try:
        fits = secret.startswith(_PREFIX) and _KEY_BYTES[0] <= len(_key(secret)) <= _KEY_BYTES[1]
    except (binascii.Error, ValueError):
        fits = False
    if not fits:
        text = f"a secret is {_PREFIX} and the base64 of {_KEY_BYTES[0]} to {_KEY_BYTES[1]} bytes"
        raise RelayError(ErrorCode.INVALID_PAYLOAD, text)
    return secret


def _key(secret: str) -> bytes:
    return base64.b64decode(secret.removeprefix(_PREFIX), validate=True)


# Signatures.


def signed_headers(valid: Iterable[str], delivery_id: str, timestamp: int, body: bytes) -> dict[str, str]:
    """Return the three headers of Standard Webhooks 1.0 (github.com/standard-webhooks) for a delivery.

    Args:
        valid: the secrets. There is one signature with each, so that the receiver may know either.
        timestamp: Unix seconds of this attempt.
    """
    signatures = " ".join(_sign(secret, delivery_id, timestamp, body) for secret in valid)
    return {
        "webhook-id": delivery_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": signatures,
    }


def _sign(secret: str, delivery_id: str, timestamp: int, body: bytes) -> str:
    digest = hmac.digest(_key(secret), f"{delivery_id}.{timestamp}.".encode() + body, hashlib.sha256)
    return f"v1,{base64.b64encode(digest).decode()}"


# Attempts.


class Delivery(NamedTuple):
    """The body that is posted, unchanged at each attempt.

    Attributes:
        delivery_id: the receiver recognizes a repeated delivery by it.
        message_id: the message's; 0 for a test.
    """

    delivery_id: str
    message_id: int
    body: bytes


class Attempt:
    """One try to deliver.

    Attributes:
        number: which try of this message it is, from 1.
        error: why it failed, or what else went wrong; None where nothing did.
        answer: the receiver's answer; None where there was none.
        retry_after: the seconds that the receiver asks to be left alone.
    """

    def __init__(self, message_id: int, number: int, at: float) -> None:
        self.message_id = message_id
        self.number = number
        self.at = at
        self.milliseconds = 0
        self.error: str | None = None
        self.answer: HttpAnswer | None = None
        self.retry_after: float | None = None

    @property
    def status(self) -> int | None:
        """The status of the receiver's answer; None where there was none."""
        return None if self.answer is None else self.answer.status

    @property
    def delivered(self) -> bool:
        """Whether the receiver took the delivery."""
        return self.answer is not None and 200 <= self.answer.status < 300

    @property
    def answer_text(self) -> str:
        """The beginning of the receiver's answer, as admins are shown it."""
        return "" if self.answer is None else self.answer.body.decode(errors="replace")[:_SHOWN_CHARACTERS]


async def make_attempt(server: Server, client: HttpClient, hook: Hook, delivery: Delivery, number: int) -> Attempt:
    """Post a delivery once and return what became of it. Nothing that the receiver does raises."""
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
        attempt.answer = await client.call("POST", hook.url, headers=headers, content=delivery.body)
    except CallFailed as failed:
        attempt.error = _failure(failed, hook.url)
    attempt.milliseconds = round(1000 * (trio.current_time() - began))
    if attempt.answer is not None and not attempt.delivered:
        attempt.error = _refusal(attempt.answer.status)
        attempt.retry_after = attempt.answer.retry_after(server.now())
    return attempt


def _failure(failed: CallFailed, url: str) -> str:
    """Say why there was no answer."""
    host = read_url(url).host
    if isinstance(failed, TimedOut):
        return str(failed)
    if isinstance(failed, AddressRefused):
        return f"ConnectError: {host} is in a private network, and [plugins.webhooks] allow_private is false"
    if isinstance(failed, UnknownHost):
        return f"ConnectError: {host}: {failed.words}"
    return f"{type(failed.__cause__).__name__}: {failed.words}"


def _refusal(status: int) -> str:
    if 300 <= status < 400:
        return f"the receiver answered {status}; redirects are not followed"
    return "the receiver answered 410 Gone" if status == GONE else f"the receiver answered {status}"
