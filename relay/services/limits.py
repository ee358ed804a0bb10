"""Rate limits: token buckets by user, connection and address, and limits on bytes and on requests at once."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from functools import lru_cache
from typing import Final, Protocol

import trio

from relay.protocol.errors import ErrorCode, RelayError
from relay.settings.limits import LimitsSettings

_BURST_BYTES: Final = 1_048_576
_BURST_SECONDS: Final = 10
"""The burst of a rate that has none of its own: what it allows in this many seconds."""


@lru_cache(maxsize=1024)
def network_of(address: str) -> str:
    """Return the network that counts as one peer: an IPv4 address, or the /64 network of an IPv6 address."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(found, ipaddress.IPv4Address):
        return address
    if found.ipv4_mapped is not None:
        return str(found.ipv4_mapped)
    return str(ipaddress.ip_network((int(found), 64), strict=False))


class TokenBuckets:
    """Token buckets, one for each key.

    Args:
        rate: tokens per second; 0 means no limit.
        burst: the most tokens in a bucket, and those of a new key; at least one.
        what: names what is limited in a refusal, in the plural.
        clock: monotonic seconds.
    """

    def __init__(self, rate: float, burst: float, what: str, clock: Callable[[], float]) -> None:
        self._what = what
        self._clock = clock
        self._buckets: dict[str, tuple[float, float]] = {}
        self.change(rate, burst)

    def change(self, rate: float, burst: float) -> None:
        """Take another rate and burst from now on; what was taken stays taken."""
        self._rate = rate
        self._burst = max(burst, 1.0)

    def wait_for(self, key: str, cost: float = 1.0) -> float:
        """Take `cost` tokens, at most a bucketful; return 0, or the seconds to wait if there are too few."""
        if not self._rate:
            return 0.0
        cost, now = min(cost, self._burst), self._clock()
        tokens, then = self._buckets.get(key, (self._burst, now))
        tokens = min(self._burst, tokens + (now - then) * self._rate)
        if tokens < cost:
            self._buckets[key] = (tokens, now)
            return (cost - tokens) / self._rate
        self._buckets[key] = (tokens - cost, now)
        if len(self._buckets) > 10_000:
            self._forget_full(now)
        return 0.0

    def borrow(self, key: str) -> float:
        """Take a token, on credit if there is none; return the seconds until the credit is paid back."""
        if not self._rate:
            return 0.0
        now = self._clock()
        tokens, then = self._buckets.get(key, (self._burst, now))
        tokens = min(self._burst, tokens + (now - then) * self._rate) - 1.0
        self._buckets[key] = (tokens, now)
        if len(self._buckets) > 10_000:
            self._forget_full(now)
        return max(0.0, -tokens / self._rate)

    def take(self, key: str, cost: float = 1.0) -> None:
        """Take `cost` tokens.

        Raises:
            RelayError: `rate_limited`, with the seconds to wait.
        """
        if wait := self.wait_for(key, cost):
            raise RelayError(
                ErrorCode.RATE_LIMITED, f"too many {self._what}; try again in {wait:.1f} s", retry_after=wait
            )

    def give_back(self, key: str) -> None:
        """Give back a token that was not used."""
        if self._rate and key in self._buckets:
            tokens, then = self._buckets[key]
            self._buckets[key] = (min(self._burst, tokens + 1.0), then)

    def _forget_full(self, now: float) -> None:
        self._buckets = {
            key: (tokens, then)
            for key, (tokens, then) in self._buckets.items()
            if tokens + (now - then) * self._rate < self._burst
        }


class Pace:
    """A rate of bytes for each key. None are refused; a key with too much debt waits until time has paid it off.

    Args:
        rate: bytes per second; 0 means no limit.
        burst: the bytes of debt that need no wait.
        clock: monotonic seconds.
    """

    def __init__(self, rate: float, burst: float, clock: Callable[[], float]) -> None:
        self._rate = rate
        self._burst = burst
        self._clock = clock
        self._debts: dict[str, tuple[float, float]] = {}

    def change(self, rate: float) -> None:
        """Take another rate from now on."""
        self._rate = rate

    def wait_for(self, key: str, size: int) -> float:
        """Add `size` bytes to the debt of a key; return the seconds to wait before more are read."""
        if not self._rate:
            return 0.0
        now = self._clock()
        debt, then = self._debts.get(key, (0.0, now))
        debt = max(0.0, debt - (now - then) * self._rate) + size
        self._debts[key] = (debt, now)
        if len(self._debts) > 10_000:
            self._debts = {
                one: (owed, at) for one, (owed, at) in self._debts.items() if owed > (now - at) * self._rate
            }
        return max(0.0, debt - self._burst) / self._rate


class Slots:
    """A number of slots for each key, for requests that may run at once; one more waits for a free slot.

    Args:
        each: the slots of each key; 0 means no limit.
    """

    def __init__(self, each: int) -> None:
        self._each = each or 1 << 62
        self._taken: dict[str, int] = {}
        self._waiting: dict[str, trio.lowlevel.ParkingLot] = {}

    def change(self, each: int) -> None:
        """Take another number of slots; who waits looks again."""
        self._each = each or 1 << 62
        for lot in self._waiting.values():
            lot.unpark_all()

    async def take(self, key: str) -> None:
        """Take a slot of a key; wait until there is one."""
        while self._taken.get(key, 0) >= self._each:
            await self._waiting.setdefault(key, trio.lowlevel.ParkingLot()).park()
        self._taken[key] = self._taken.get(key, 0) + 1

    def give_back(self, key: str) -> None:
        """Give a slot back."""
        self._taken[key] -= 1
        if not self._taken[key]:
            del self._taken[key]
        if (lot := self._waiting.get(key)) is not None:
            lot.unpark()
            if not lot:
                del self._waiting[key]


class Paced(Protocol):
    """A sender, as far as the limits need to know it."""

    @property
    def user_id(self) -> str:
        """The authenticated user."""

    @property
    def client_id(self) -> str | None:
        """The sending device, if there is one."""

    @property
    def address(self) -> str:
        """The peer's address."""


class Rates:
    """The rates of `[limits]`, by name.

    Args:
        clock: monotonic seconds.
    """

    def __init__(self, limits: LimitsSettings, clock: Callable[[], float]) -> None:
        def buckets(what: str) -> TokenBuckets:
            return TokenBuckets(0, 0, what, clock)

        self.messages = buckets("messages")
        self.connection_messages = buckets("messages on this connection")
        self.address_messages = buckets("messages from this address")
        self.typing = buckets("typing indicators")
        self.events = buckets("connection events and refused messages")
        self.hellos = buckets("hellos")
        self.logins = buckets("logins")
        self.wrong_passwords = buckets("wrong passwords for this account")
        self.wrong_codes = buckets("wrong codes for this account")
        self.links = TokenBuckets(5 / 3600, 5, "mails for this account", clock)
        self.uploads = buckets("uploads")
        self.bytes = Pace(0, _BURST_BYTES, clock)
        self.pages = Slots(0)
        self._narrower = False
        self.change(limits)

    def change(self, limits: LimitsSettings) -> None:
        """Take other rates from now on."""
        rate = limits.messages_per_second if limits.messages_burst else 0
        self.messages.change(rate, limits.messages_burst)
        for buckets, rate in (
            (self.connection_messages, limits.connection_messages_per_second),
            (self.address_messages, limits.address_messages_per_second),
            (self.typing, limits.typing_per_second),
            (self.events, limits.events_per_second),
        ):
            buckets.change(rate, rate * _BURST_SECONDS)
        for buckets, rate in (
            (self.hellos, limits.hellos_per_minute),
            (self.logins, limits.logins_per_minute),
            (self.uploads, limits.uploads_per_minute),
        ):
            buckets.change(rate / 60, rate)
        hourly = limits.wrong_passwords_per_hour
        self.wrong_passwords.change(hourly / 3600, hourly)
        codes = max(1, hourly // 10) if hourly else 0
        self.wrong_codes.change(codes / 3600, codes)
        self.bytes.change(limits.message_bytes_per_second)
        self.pages.change(limits.pages_at_once)
        self._narrower = bool(limits.connection_messages_per_second or limits.address_messages_per_second)

    def take_message(self, sender: Paced, *, transient: bool) -> None:
        """Count a message by user, connection and address. Transient ones count by user only, and apart.

        Raises:
            RelayError: `rate_limited`, with the seconds to wait.
        """
        if transient:
            self.typing.take(sender.user_id)
            return
        if self._narrower:
            self.connection_messages.take(f"{sender.user_id} {sender.client_id}")
            self.address_messages.take(sender.address)
        self.messages.take(sender.user_id)
