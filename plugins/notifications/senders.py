"""Senders: one for each kind of target. They show a notification there, and take it back.

All notifications of a user's conversation have the same key. So a newer one replaces the older, and one that is
sent twice does no harm. Whether it can be taken back depends on the kind.
"""

from collections.abc import Callable, Mapping
from typing import Protocol, TypeVar
from urllib.parse import quote

import msgspec
from cryptography.hazmat.primitives.asymmetric import ec

from relay.http import CallFailed, HttpAnswer, HttpClient, read_url

from .addresses import Gotify, InvalidAddress, Ntfy, WebPush, check_url, policy_of
from .content import Notification
from .mail import MailSender
from .options import Options
from .targets import Failed, Gone, Target
from .vapid import authorization, decode, encrypt

_READ_BYTES = 65_536
_AT_ONCE = 256
_AT_ONCE_PER_HOST = 8
_PERMANENT = (400, 413, 422)
"""Statuses that the same notification would meet again."""

T = TypeVar("T")
JSON = {"Content-Type": "application/json"}


class Sender(Protocol):
    """Sends to the targets of one kind."""

    async def show(self, target: Target, notification: Notification, remote_id: str | None) -> str | None:
        """Show a notification, in place of the one with this `remote_id`; return the id that it has there.

        Raises:
            Gone: the target exists no longer.
            Failed: it did not take it.
        """

    async def withdraw(self, target: Target, key: str, remote_id: str | None) -> None:
        """Take a notification back, where the target can do that; see `show`."""


class Calls:
    """HTTP calls to targets, with their outcome as `Gone` or `Failed`.

    Args:
        now: returns Unix seconds.
    """

    def __init__(self, options: Options, client: HttpClient, now: Callable[[], float]) -> None:
        self._options = options
        self._client = client
        self._now = now

    async def call(
        self, method: str, url: str, *, headers: Mapping[str, str], content: bytes = b"", read: bool = False
    ) -> HttpAnswer:
        """Make a call and return its answer, of status 2xx.

        Args:
            read: whether the answer's body is wanted.

        Raises:
            Gone: it answered 404 or 410.
            Failed: it could not be reached, took too long, or answered something else.
        """
        try:
            called = check_url(self._options, url)
            answer = await self._client.call(method, called, headers=headers, content=content, read=read)
        except (InvalidAddress, CallFailed) as failed:
            raise Failed(str(failed)) from None
        if 200 <= answer.status < 300:
            return answer
        text = f"{called.display_host!r} answered {answer.status}"
        if answer.status in (404, 410):
            raise Gone(text)
        raise Failed(text, answer.retry_after(self._now()), final=answer.status in _PERMANENT)


class NtfySender:
    """Sends to ntfy, 2.16 or newer: a message replaces one of the same `sequence_id`, and can be deleted by it."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    async def show(self, target: Target, notification: Notification, remote_id: str | None) -> str | None:
        """Publish as JSON to the server's root: there, text of any language needs no encoding in headers."""
        address = _is(target.address, Ntfy)
        root, _, topic = address.url.rstrip("/").rpartition("/")
        said = {
            "topic": topic,
            "title": notification.title,
            "message": notification.body or notification.title,
            "priority": 1 if notification.quiet else 4 if notification.urgent else 3,
            "sequence_id": notification.key,
        } | ({"click": notification.url} if notification.url else {})
        await self._call("POST", f"{root}/", address, msgspec.json.encode(said))
        return notification.key

    async def withdraw(self, target: Target, key: str, remote_id: str | None) -> None:
        """Delete it."""
        address = _is(target.address, Ntfy)
        try:
            await self._call("DELETE", f"{address.url.rstrip('/')}/{quote(remote_id or key)}", address)
        except Gone:
            return  # an older ntfy, which cannot

    async def _call(self, method: str, url: str, address: Ntfy, content: bytes = b"") -> None:
        token = {"Authorization": f"Bearer {address.token}"} if address.token else {}
        headers = {**(JSON if content else {}), **token}
        await self._calls.call(method, url, headers=headers, content=content)


class GotifySender:
    """Sends to Gotify. It replaces nothing, so the older message is deleted first, with a client's token."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    async def show(self, target: Target, notification: Notification, remote_id: str | None) -> str | None:
        """Delete the older message, then post."""
        address = _is(target.address, Gotify)
        await self.withdraw(target, notification.key, remote_id)
        click = {"client::notification": {"click": {"url": notification.url}}}
        said = {
            "title": notification.title,
            "message": notification.body or notification.title,
            "priority": 0 if notification.quiet else 8 if notification.urgent else 5,
        } | ({"extras": click} if notification.url else {})
        answer = await self._calls.call(
            "POST",
            f"{address.url.rstrip('/')}/message",
            headers={**JSON, "X-Gotify-Key": address.app_token},
            content=msgspec.json.encode(said),
            read=True,
        )
        if answer.cut is not None:
            raise Failed(f"{target.host!r}: {answer.cut}")
        try:
            return str(int(msgspec.json.decode(answer.body)["id"]))
        except (msgspec.DecodeError, KeyError, TypeError, ValueError):
            raise Failed(f"{target.host!r} did not answer as a Gotify server does") from None

    async def withdraw(self, target: Target, key: str, remote_id: str | None) -> None:
        """Delete it, unless it is gone already."""
        address = _is(target.address, Gotify)
        if remote_id is None or address.client_token is None:
            return
        try:
            await self._calls.call(
                "DELETE",
                f"{address.url.rstrip('/')}/message/{quote(remote_id)}",
                headers={"X-Gotify-Key": address.client_token},
            )
        except Gone:
            return


class WebPushSender:
    """Sends by Web Push: the topic replaces what was not delivered yet, the tag what is on the screen."""

    def __init__(
        self, calls: Calls, now: Callable[[], float], key: ec.EllipticCurvePrivateKey, options: Options
    ) -> None:
        self._calls = calls
        self._now = now
        self._key = key
        self._contact = options.contact
        self._lives = str(int(options.max_age_hours * 3600))

    async def show(self, target: Target, notification: Notification, remote_id: str | None) -> str | None:
        """Send what the service worker is to show."""
        said = {
            "event": "notification",
            "tag": notification.key,
            "title": notification.title,
            "body": notification.body,
            "renotify": not notification.quiet,
            "count": notification.unread,
            "timestamp": notification.timestamp,
        }
        if notification.target_id is not None:
            said |= {"kind": notification.kind, "target_id": notification.target_id, "url": notification.url}
            said |= {"message_id": notification.newest_id, "seq": notification.seq}
        urgency = "high" if notification.urgent and not notification.quiet else "normal"
        await self._push(target, said, notification.key, urgency)
        return notification.key

    async def withdraw(self, target: Target, key: str, remote_id: str | None) -> None:
        """Tell the service worker to close it; a notification that was not delivered yet is replaced by this."""
        await self._push(target, {"event": "withdrawn", "tag": key}, key, "normal")

    async def _push(self, target: Target, said: object, key: str, urgency: str) -> None:
        address = _is(target.address, WebPush)
        origin = read_url(address.endpoint).origin
        await self._calls.call(
            "POST",
            address.endpoint,
            headers={
                "Authorization": authorization(self._key, origin, self._now(), self._contact),
                "Content-Encoding": "aes128gcm",
                "Content-Type": "application/octet-stream",
                "TTL": self._lives,
                "Topic": key,
                "Urgency": urgency,
            },
            content=encrypt(msgspec.json.encode(said), decode(address.p256dh), decode(address.auth)),
        )


def make_client(options: Options) -> HttpClient:
    """Return the client that calls targets."""
    return HttpClient(
        seconds=options.timeout_seconds,
        answer_bytes=_READ_BYTES,
        policy=policy_of(options),
        at_once=_AT_ONCE,
        at_once_per_host=_AT_ONCE_PER_HOST,
    )


def senders(
    options: Options, client: HttpClient, now: Callable[[], float], key: ec.EllipticCurvePrivateKey
) -> dict[str, Sender]:
    """Return the sender of each kind of target."""
    calls = Calls(options, client, now)
    return {
        "ntfy": NtfySender(calls),
        "gotify": GotifySender(calls),
        "webpush": WebPushSender(calls, now, key, options),
        "email": MailSender(options, now),
    }


def _is(address: object, kind: type[T]) -> T:
    assert isinstance(address, kind)  # noqa: S101 - a sender gets targets of its own kind
    return address
