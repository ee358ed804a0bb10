"""Addresses of targets as their owners give them, and the checks that an address must pass."""

import fnmatch
import ipaddress
import re
from typing import Annotated

from msgspec import Meta

from relay.http import AddressPolicy, Body, Url, read_url
from relay.plugin import Name

from .options import Options
from .vapid import decode, load_point
from .words import Language

_TOPIC = re.compile(r"[-_A-Za-z0-9]{1,64}")
_UNPRINTED = r"\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff"
"""Control characters and invisible ones: no address has them, and a mail server or a log may trip over them."""

_PART = rf"[^\s@<>,;:\"()\[\]\\{_UNPRINTED}]"
_Url = Annotated[str, Meta(min_length=8, max_length=1000, pattern=rf"^[^{_UNPRINTED}]+$(?!\n)")]
_Token = Annotated[str, Meta(min_length=1, max_length=500, pattern=r"^[\x21-\x7e]+$(?!\n)")]
_Key = Annotated[str, Meta(max_length=200, pattern=r"^[A-Za-z0-9_-]+=*$(?!\n)")]


class InvalidAddress(Exception):
    """An address that this server does not call; its text is for the user who gave it."""


class Address(Body, frozen=True, kw_only=True, tag_field="kind"):
    """A target as its owner gives it.

    Attributes:
        label: what its owner calls it.
        withdraw: whether notifications are taken back there once they are read elsewhere.
        language: that of the words which the server adds to what was said.
        client_id: the device that it is on; the target is removed when that device is logged out. Without it, the
            device that the caller's token is for, if it is for one.
    """

    label: Annotated[str, Meta(max_length=100)] = ""
    withdraw: bool = True
    language: Language = "en"
    client_id: Name | None = None


class WebPush(Address, frozen=True, kw_only=True, tag="webpush"):
    """A browser's subscription, as `PushSubscription.toJSON()` has it."""

    endpoint: _Url
    p256dh: _Key
    auth: _Key


class Ntfy(Address, frozen=True, kw_only=True, tag="ntfy"):
    """A topic of an ntfy server, by its whole URL."""

    url: _Url
    token: _Token | None = None


class Gotify(Address, frozen=True, kw_only=True, tag="gotify"):
    """An application of a Gotify server. Only a client's token may delete what an application's has sent."""

    url: _Url
    app_token: _Token
    client_token: _Token | None = None


class Mail(Address, frozen=True, kw_only=True, tag="email"):
    """A mail address."""

    address: Annotated[
        str, Meta(pattern=rf"^{_PART}+@{_PART}+\.[^\s@.<>,;:\"()\[\]\\{_UNPRINTED}]+$(?!\n)", max_length=254)
    ]


AnyAddress = WebPush | Ntfy | Gotify | Mail


def place_of(address: AnyAddress) -> str:
    """Return what identifies a target among those of its kind: its URL, or its mail address."""
    if isinstance(address, WebPush):
        return address.endpoint
    return address.address if isinstance(address, Mail) else address.url


def policy_of(options: Options) -> AddressPolicy:
    """Return the network addresses that `allow_networks` lets this server call."""
    return AddressPolicy(tuple(map(ipaddress.ip_network, options.allow_networks)), http_anywhere=False)


def check_address(options: Options, address: AnyAddress) -> None:
    """Refuse an address that could never be called.

    Raises:
        InvalidAddress: saying what would be right.
    """
    if isinstance(address, Mail):
        return
    if isinstance(address, WebPush):
        _check_keys(address)
    path, _, query = check_url(options, place_of(address)).target.partition("?")
    if isinstance(address, WebPush):
        return
    if query:
        raise InvalidAddress("the URL has no query; a token has a field of its own")
    if isinstance(address, Ntfy) and not _TOPIC.fullmatch(path.rstrip("/").rpartition("/")[2]):
        raise InvalidAddress("the URL of an ntfy topic ends with the topic, as https://ntfy.sh/my-topic")


def check_url(options: Options, url: str) -> Url:
    """Return a URL that this server may call, as far as that shows without resolving its host.

    Raises:
        InvalidAddress: saying what would be right.
    """
    try:
        read = read_url(url)
    except ValueError as error:
        raise InvalidAddress(f"{url[:80]!r} is no URL: {error}") from None
    if read.scheme == "http" and not options.allow_networks:
        raise InvalidAddress(
            "the URL begins with https://, and with http:// only in networks of this server's own"
        )
    if read.credentials is not None or read.fragment:
        raise InvalidAddress("the URL has no user, password or fragment; a token has a field of its own")
    hosts = {read.host, read.display_host}
    if not any(fnmatch.fnmatchcase(host, one.lower()) for host in hosts for one in options.allow_hosts):
        raise InvalidAddress(
            f"this server does not call {read.display_host!r}; its administrator says which hosts it may"
        )
    if read.literal is not None:
        refusal = policy_of(options).refusal(read.scheme, read.display_host, read.literal)
        if refusal is not None:
            raise InvalidAddress(refusal)
    return read


def _check_keys(address: WebPush) -> None:
    try:
        load_point(decode(address.p256dh))
        if len(decode(address.auth)) == 16:
            return
    except ValueError:
        pass
    raise InvalidAddress(
        "p256dh is a point of P-256 and auth are 16 bytes, both in base64url, as a browser gives them"
    )
