"""The tally of what the server has done since its start: numbers, and the newest commits, in memory only.

It is written on the hot path, so it is cheap: two additions for a message, and one short row for a whole batch.
What fails, ends or asks by REST is counted by kinds of which there are few.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterator
from typing import Final, Literal, NamedTuple

from relay.protocol.errors import CloseCode, ErrorCode
from relay.storage.aggregates import Buckets, bucket_of

KEPT_COMMITS: Final = 4096
"""The newest commits that are remembered: minutes of a busy server, days of a quiet one."""


Way = Literal["socket", "rest"]
"""The way by which an error was told."""

Start = Literal["new", "resumed", "limited", "reset"]
"""The start of a connection: without a position of the client's own; from it on; from it on, with a part of the
replay left out; or from another place, as its position was of another database or beyond the end."""

_LOST: Final = 1006
"""The code of a connection that ended without a close frame (RFC 6455 section 7.1.5)."""

_CLIENTS: Final = (1000, 1001, _LOST)
"""The codes of clients that are told apart: they may send any."""


class Durations:
    """A number of durations.

    Attributes:
        buckets: how many took how long; see `relay.storage.aggregates.bucket_of`.
        seconds: their sum.
    """

    def __init__(self) -> None:
        self.buckets: Buckets = {}
        self.seconds = 0.0

    def add(self, seconds: float) -> None:
        """Add one."""
        bucket = bucket_of(seconds)
        self.buckets[bucket] = self.buckets.get(bucket, 0) + 1
        self.seconds += seconds


class Request(NamedTuple):
    """A kind of answered requests: there are not many more than routes.

    Attributes:
        method: empty where there is no route.
        route: its path with its variables, such as `/api/users/{user_id}`; empty where there is none.
        status: the first digit of the answer's status.
    """

    method: str
    route: str
    status: int


class Commit(NamedTuple):
    """One transaction of the router's.

    Attributes:
        first, last: the positions that it gave out.
        messages: how many messages were in the batch, refused ones included.
        at: the time of its messages, Unix seconds.
        done_at: when it was on the disk and its deliveries began, Unix seconds.
        seconds: how long it took, the wait for the writer included.
    """

    first: int
    last: int
    messages: int
    at: float
    done_at: float
    seconds: float


class Tally:
    """Counts since the start.

    Attributes:
        deliveries: messages that were put into the outbox of a connected device; one for each device.
        refused: messages that were answered with an error.
        commits: how long commits took, the wait for the writer included.
        lags: how late the event loop was with what was due.
        errors: errors by way and code.
        closes: ended connections by who ended them, and the code.
        starts: connections by how they began.
        answers: answers of REST by the first digit of their status.
        requests: how long they took, by their kind; of an answer that is sent in parts until its beginning.
    """

    def __init__(self) -> None:
        self.deliveries = 0
        self.refused = 0
        self.commits, self.lags = Durations(), Durations()
        self.errors: Counter[tuple[Way, ErrorCode]] = Counter()
        self.closes: Counter[tuple[str, str]] = Counter()
        self.starts: Counter[Start] = Counter()
        self.answers: Counter[int] = Counter()
        self.requests: dict[Request, Durations] = {}
        self._commits: deque[Commit] = deque(maxlen=KEPT_COMMITS)

    def committed(self, commit: Commit) -> None:
        """Note one commit."""
        self._commits.append(commit)
        self.commits.add(commit.seconds)

    def refuse(self, code: ErrorCode) -> None:
        """Count a message or an event that is refused on its connection before it reaches the router."""
        self.refused += 1
        self.errors["socket", code] += 1

    def closed(self, ending: CloseCode | None, peer_closed: int | None) -> None:
        """Count an ended connection, by the server's code, or else by the client's."""
        if ending is not None:
            self.closes["server", str(int(ending))] += 1
            return
        code = _LOST if peer_closed is None else peer_closed
        self.closes["client", str(code) if code in _CLIENTS else "other"] += 1

    def answered(self, request: Request, seconds: float) -> None:
        """Count an answered request."""
        self.answers[request.status] += 1
        self.requests.setdefault(request, Durations()).add(seconds)

    def commit_of(self, message_id: int) -> Commit | None:
        """Return the commit that stored a message; None for one of before the start, or too long ago."""
        for commit in reversed(self._commits):
            if commit.first <= message_id <= commit.last:
                return commit
            if commit.last < message_id:
                break
        return None

    def newest(self) -> Iterator[Commit]:
        """Return the newest commits, newest first."""
        return reversed(self._commits)
