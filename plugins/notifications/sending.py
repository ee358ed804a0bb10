"""Telling a target: an ntfy topic, a Gotify application, a browser's push service, a mail address.

Each shows a notification under a key that stays the same for a user's conversation, so that a newer one takes the
place of the older, and a double is harmless; and takes it back where the other side lets it.
"""

from collections.abc import Callable
from typing import Protocol, TypeVar
from urllib.parse import quote

import httpx
import msgspec
from cryptography.hazmat.primitives.asymmetric import ec

from . import mail
from .addresses import Gotify, Mail, Ntfy, WebPush
from .notices import Notice
from .options import Options
from .outward import Failed, Gone, Outward
from .targets import Target
from .vapid import authorization, decode, encrypt

T = TypeVar("T")
JSON = {"Content-Type": "application/json"}


class Sender(Protocol):
    """How targets of one kind are told."""

    async def show(self, target: Target, notice: Notice, remote_id: str | None) -> str | None:
        """Show a notification, in place of the one known there as `remote_id`; return what it is known as.

        Raises:
            Gone: the target is no more.
            Failed: it did not take it.
        """

    async def withdraw(self, target: Target, key: str, remote_id: str | None) -> None:
        """Take a notification back, where that can be done; see `show`."""


class NtfySender:
    """ntfy: a message with the sequence id of an older one replaces it, and can be deleted (from ntfy 2.16 on)."""

    def __init__(self, outward: Outward) -> None:
        self._outward = outward

    async def show(self, target: Target, notice: Notice, remote_id: str | None) -> str | None:
        """Publish as JSON, to the server's root: there text of any language needs no encoding in headers."""
        address = _is(target.address, Ntfy)
        root, _, topic = address.url.rstrip("/").rpartition("/")
        said = {
            "topic": topic,
            "title": notice.title,
            "message": notice.body or notice.title,
            "priority": 1 if notice.quiet else 4 if notice.urgent else 3,
            "sequence_id": notice.key,
        } | ({"click": notice.url} if notice.url else {})
        await self._call("POST", f"{root}/", address, msgspec.json.encode(said))
        return notice.key

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
        await self._outward.call(method, url, headers=headers, content=content)


class GotifySender:
    """Gotify: it replaces nothing, so the older message is deleted first; only a client's token may do that."""

    def __init__(self, outward: Outward) -> None:
        self._outward = outward

    async def show(self, target: Target, notice: Notice, remote_id: str | None) -> str | None:
        """Delete what was shown, then post."""
        address = _is(target.address, Gotify)
        await self.withdraw(target, notice.key, remote_id)
        said = {
            "title": notice.title,
            "message": notice.body or notice.title,
            "priority": 0 if notice.quiet else 8 if notice.urgent else 5,
        } | ({"extras": {"client::notification": {"click": {"url": notice.url}}}} if notice.url else {})
        answer = await self._outward.call(
            "POST",
            f"{address.url.rstrip('/')}/message",
            headers={**JSON, "X-Gotify-Key": address.app_token},
            content=msgspec.json.encode(said),
            read=True,
        )
        try:
            return str(int(msgspec.json.decode(answer.body)["id"]))
        except (msgspec.DecodeError, KeyError, TypeError, ValueError):
            raise Failed(f"{target.host!r} did not answer as a Gotify server does") from None

    async def withdraw(self, target: Target, key: str, remote_id: str | None) -> None:
        """Delete it; one that is not there any more is as good."""
        address = _is(target.address, Gotify)
        if remote_id is None or address.client_token is None:
            return
        try:
            await self._outward.call(
                "DELETE",
                f"{address.url.rstrip('/')}/message/{quote(remote_id)}",
                headers={"X-Gotify-Key": address.client_token},
            )
        except Gone:
            return


class WebPushSender:
    """Web Push: the topic replaces what was not delivered yet, the tag what is on the screen."""

    def __init__(
        self, outward: Outward, now: Callable[[], float], key: ec.EllipticCurvePrivateKey, options: Options
    ) -> None:
        self._outward = outward
        self._now = now
        self._key = key
        self._contact = options.contact
        self._lives = str(int(options.max_age_hours * 3600))

    async def show(self, target: Target, notice: Notice, remote_id: str | None) -> str | None:
        """Send what the service worker shows."""
        said = {
            "event": "notification",
            "tag": notice.key,
            "title": notice.title,
            "body": notice.body,
            "renotify": not notice.quiet,
            "count": notice.unread,
            "timestamp": notice.timestamp,
        }
        if notice.target_id is not None:
            said |= {"kind": notice.kind, "target_id": notice.target_id, "url": notice.url}
            said |= {"message_id": notice.newest_id}
        await self._push(target, said, notice.key, "high" if notice.urgent and not notice.quiet else "normal")
        return notice.key

    async def withdraw(self, target: Target, key: str, remote_id: str | None) -> None:
        """Send what tells the service worker to close it; where the other waits still, this takes its place."""
        await self._push(target, {"event": "withdrawn", "tag": key}, key, "normal")

    async def _push(self, target: Target, said: object, key: str, urgency: str) -> None:
        address = _is(target.address, WebPush)
        url = httpx.URL(address.endpoint)
        origin = f"{url.scheme}://{url.netloc.decode()}"
        await self._outward.call(
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


class MailSender:
    """Mail: it cannot be taken back, so it is sent seldom, and lists what is unread."""

    def __init__(self, options: Options, now: Callable[[], float]) -> None:
        self._options = options
        self._now = now

    async def show(self, target: Target, notice: Notice, remote_id: str | None) -> str | None:
        """Send one mail about a conversation."""
        if self._options.email is None:
            raise Failed("this server sends no mail; its administrator sets [plugins.notifications.email]")
        to = _is(target.address, Mail).address
        await mail.send(
            self._options.email, mail.digest(self._options, self._options.email, to, notice, self._now())
        )
        return None

    async def withdraw(self, target: Target, key: str, remote_id: str | None) -> None:
        """Do nothing: what is in a mailbox stays there."""


def senders(
    options: Options, outward: Outward, now: Callable[[], float], key: ec.EllipticCurvePrivateKey
) -> dict[str, Sender]:
    """Return how each kind of target is told."""
    return {
        "ntfy": NtfySender(outward),
        "gotify": GotifySender(outward),
        "webpush": WebPushSender(outward, now, key, options),
        "email": MailSender(options, now),
    }


def _is(address: object, kind: type[T]) -> T:
    assert isinstance(address, kind)  # noqa: S101 - targets are told by the sender of their kind
    return address
