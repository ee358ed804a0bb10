"""Where a notification can go, as its owner says it: a browser, an ntfy topic, a Gotify application, a mailbox."""

import re
from typing import Annotated

import httpx
from msgspec import Meta

from relay.http import Body
from relay.plugin import Name

from .places import Refused
from .vapid import decode, load_point

_TOPIC = re.compile(r"[-_A-Za-z0-9]{1,64}")
_UNPRINTED = r"\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff"
"""Control characters, and what nobody can see: no address has them, and a mail server or a log may trip."""

_PART = rf"[^\s@<>,;:\"()\[\]\\{_UNPRINTED}]"
Url = Annotated[str, Meta(min_length=8, max_length=1000, pattern=rf"^[^{_UNPRINTED}]+$(?!\n)")]
Token = Annotated[str, Meta(min_length=1, max_length=500, pattern=r"^[\x21-\x7e]+$(?!\n)")]
Key = Annotated[str, Meta(max_length=200, pattern=r"^[A-Za-z0-9_-]+=*$(?!\n)")]
Label = Annotated[str, Meta(max_length=100)]


class Address(Body, frozen=True, kw_only=True, tag_field="kind"):
    """A target as its owner names it.

    Attributes:
        label: what its owner calls it.
        withdraw: whether what was read elsewhere is taken back there.
        client_id: the device that it is on: when that is logged out, the target goes with it. Without it the
            device that the token is for, if it is for one.
    """

    label: Label = ""
    withdraw: bool = True
    client_id: Name | None = None


class WebPush(Address, frozen=True, kw_only=True, tag="webpush"):
    """A browser's subscription, as `PushSubscription.toJSON()` has it."""

    endpoint: Url
    p256dh: Key
    auth: Key


class Ntfy(Address, frozen=True, kw_only=True, tag="ntfy"):
    """A topic of an ntfy server, by its whole URL."""

    url: Url
    token: Token | None = None


class Gotify(Address, frozen=True, kw_only=True, tag="gotify"):
    """An application of a Gotify server. Only a client's token may delete what an application's has sent."""

    url: Url
    app_token: Token
    client_token: Token | None = None


class Mail(Address, frozen=True, kw_only=True, tag="email"):
    """A mail address."""

    address: Annotated[
        str, Meta(pattern=rf"^{_PART}+@{_PART}+\.[^\s@.<>,;:\"()\[\]\\{_UNPRINTED}]+$(?!\n)", max_length=254)
    ]


AnyAddress = WebPush | Ntfy | Gotify | Mail


def check_keys(address: WebPush) -> None:
    """Refuse keys that no browser has made.

    Raises:
        Refused: saying what would be right.
    """
    try:
        load_point(decode(address.p256dh))
        if len(decode(address.auth)) == 16:
            return
    except ValueError:
        pass
    raise Refused("p256dh is a point of P-256 and auth are 16 bytes, both in base64url, as a browser gives them")


def check_path(address: WebPush | Ntfy | Gotify, url: httpx.URL) -> None:
    """Refuse a URL that does not lead to what its kind calls.

    Raises:
        Refused: saying what would be right.
    """
    if isinstance(address, WebPush):
        return
    if url.query:
        raise Refused("the URL has no query; a token has a field of its own")
    if isinstance(address, Ntfy) and not _TOPIC.fullmatch(url.path.rstrip("/").rpartition("/")[2]):
        raise Refused("the URL of an ntfy topic ends with the topic, as https://ntfy.sh/my-topic")


def place_of(address: AnyAddress) -> str:
    """Return what makes a target the same one again: its URL, or its address."""
    if isinstance(address, WebPush):
        return address.endpoint
    return address.address if isinstance(address, Mail) else address.url
