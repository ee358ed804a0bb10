"""Token buckets: so many a second, with a burst, per key; refusals say when to try again."""

from __future__ import annotations

from collections.abc import Callable

from relay.protocol.errors import ErrorCode, RelayError


class TokenBuckets:
    """One bucket per key, refilled by time.

    Args:
        rate: tokens a second; 0 means no limit.
        burst: the most tokens a bucket holds, which a key seen for the first time has.
        what: named in the refusal, in the plural.
        clock: monotonic seconds.
    """

    def __init__(self, rate: float, burst: float, what: str, clock: Callable[[], float]) -> None:
        self._rate = rate
        self._burst = max(burst, 1.0)
        self._what = what
        self._clock = clock
        self._buckets: dict[str, tuple[float, float]] = {}

    def wait_for(self, key: str) -> float:
        """Take a token of `key`; return 0, or the seconds until there is one."""
        if not self._rate:
            return 0.0
        now = self._clock()
        tokens, then = self._buckets.get(key, (self._burst, now))
        tokens = min(self._burst, tokens + (now - then) * self._rate)
        if tokens < 1.0:
            self._buckets[key] = (tokens, now)
            return (1.0 - tokens) / self._rate
        self._buckets[key] = (tokens - 1.0, now)
        if len(self._buckets) > 10_000:
            self._forget_full(now)
        return 0.0

    def take(self, key: str) -> None:
        """Take a token of `key`.

        Raises:
            RelayError: `rate_limited`, with the seconds to wait.
        """
        if wait := self.wait_for(key):
            raise RelayError(
                ErrorCode.RATE_LIMITED, f"too many {self._what}; try again in {wait:.1f} s", retry_after=wait
            )

    def _forget_full(self, now: float) -> None:
        self._buckets = {
            key: (tokens, then)
            for key, (tokens, then) in self._buckets.items()
            if tokens + (now - then) * self._rate < self._burst
        }
