"""Back-off: how long to wait between attempts to reach another server."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

LONGEST_RETRY_AFTER: Final = 86_400.0


class Backoff(NamedTuple):
    """Pauses between attempts, in seconds.

    Attributes:
        pauses: after the first failure, the second, and so on; the last one repeats.
        jitter: by which part a pause may be longer, so that those who failed together do not come back together.
    """

    pauses: Sequence[float]
    jitter: float = 0.0

    def pause(self, failures: int, *, chance: float = 0.0, retry_after: float | None = None) -> float:
        """Return how long to wait after so many failures in a row.

        Args:
            failures: 1 or more.
            chance: a random number from 0 to 1, for the jitter.
            retry_after: the seconds that the other side asked for; at most a day counts.
        """
        pause = self.pauses[min(failures, len(self.pauses)) - 1] if self.pauses else 0.0
        return max(pause * (1 + self.jitter * chance), min(retry_after or 0.0, LONGEST_RETRY_AFTER))
