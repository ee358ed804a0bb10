"""What one user spends of the server's processor by calls that are all allowed, as fast as it answers them.

Each kind has a bound, and meets it here: most are refused above a rate, exports while another one is made, and
searches have a share of the readers, and take as long as they take.
"""

from __future__ import annotations

import contextlib
import json
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import httpx

from relay.storage.copying import be_modest
from tests.attack.bystanders import Bystanders, Fallen, check_log
from tests.e2e.server import Tables
from tests.e2e.world import World, message, unique

AT_ONCE: Final = 6
"""The calls of the user that are on their way at one time."""

LETTERS: Final = "abcdefghijklmnopqrstuvwxyz012345"
LONG, SHORT = 40, 60
"""Messages that are there: long ones of 32 words, each of them 300 times, and short ones to be reported."""

SETTINGS: Tables = {
    "plugins": {"also": ["bots", "remind", "webhooks"]},
    "plugins.remind": {"per_user": 1000},
    "limits": {"messages_per_second": 25, "messages_burst": 100, "logins_per_minute": 20},
    "timeouts": {"handler_seconds": 60},
}
"""The limits that bound these calls; lower than without a configuration, to be met sooner."""

MOST_SECONDS: Final = 60.0
"""How long a bound is waited for at most."""

SHARED: Final = frozenset({"searches"})
"""Kinds that are refused to nobody: whoever asks for many waits for a share of the readers."""


class Spending:
    """A server, and a user who spends.

    Attributes:
        answers: by kind, how often which status came back.
    """

    def __init__(self, folder: Path) -> None:
        self.world = World(folder, ("alice", "bob", "mallory", "nora", "victim", "mona"), SETTINGS)
        self.bystanders = Bystanders(self.world)
        self.answers: dict[str, Counter[int]] = {kind: Counter() for kind in KINDS}
        self.world.server.relay("user", "role", "mona", "moderator")
        made = self.world.server.relay("webhook", "incoming", "builds", "--as", "ci", "--to", "mallory", "--json")
        self.hook = json.loads(made)["path"]
        self.reported = self._say()
        self._turn = 0

    def _say(self) -> list[int]:
        """Have the long and the short messages said; return the ids of the short ones."""
        texts = [" ".join(LETTERS) * 300] * LONG + [f"number {number}" for number in range(SHORT)]
        device, ids = self.world.device("victim"), []
        for content in texts:
            ref = unique("said")
            device.send_all([message("mallory", content, id=ref)])
            ids.append(int(device.acked(ref)["message_id"]))
        return ids[LONG:]

    def turn(self) -> int:
        """Return the number of a call, each once or nearly so."""
        self._turn += 1
        return self._turn

    def spend(self, seconds: float, quiet: int = 400) -> None:
        """Have the user make calls of each kind for so long, and until some are refused, while two people talk.

        Args:
            quiet: how many acks they get before it begins.

        Raises:
            Fallen: the server ended, answered with a 500, or logged a traceback.
        """
        with self.bystanders.talking(quiet):
            for kind in KINDS:
                self.bystanders.enter(kind)
                self._spend(kind, time.monotonic() + seconds)
                check_log(self.world)

    def _spend(self, kind: str, until: float) -> None:
        user, ask = KINDS[kind]
        statuses: list[int] = []
        last = time.monotonic() + MOST_SECONDS

        def met() -> bool:
            return bool(statuses) and (kind in SHARED or 429 in statuses) and bool(self.bystanders.waits[kind])

        def call() -> None:
            be_modest()  # a user's machine is another one: its work must not take the processors of the server
            with self.world.server.rest(self.world.tokens[user]) as rest:
                while (now := time.monotonic()) < until or (now < last and not met()):
                    statuses.append(ask(self, rest).status_code)

        threads = [threading.Thread(target=call) for _ in range(AT_ONCE)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        answers = self.answers[kind]
        answers.update(statuses)
        if not answers or any(status >= 500 and status != 503 for status in answers):
            raise Fallen(f"{kind} were answered with {dict(answers)}")


def _search(_: Spending, rest: httpx.Client) -> httpx.Response:
    return rest.get("/api/search", params={"q": " ".join(LETTERS), "limit": 50})


def _export(_: Spending, rest: httpx.Client) -> httpx.Response:
    return rest.get("/api/users/me/export")


def _report(made: Spending, rest: httpx.Client) -> httpx.Response:
    number = made.reported[made.turn() % len(made.reported)]
    return rest.post(f"/api/messages/{number}/report", json={"reason": "spam", "text": "x" * 2000})


def _invoke(made: Spending, rest: httpx.Client) -> httpx.Response:
    said = {"command": "remind", "text": f"in 10d number {made.turn()}"}
    meta = {"target_id": "victim", "id": unique("invocation")}
    return rest.post("/api/messages", json={"type": "slash_command", "payload": said, "meta": meta})


def _post(made: Spending, rest: httpx.Client) -> httpx.Response:
    return rest.post(made.hook, content="x" * 10_000)


def _register(made: Spending, rest: httpx.Client) -> httpx.Response:
    body: dict[str, Any] = {"user_id": f"new{made.turn()}", "password": "correct horse", "invite": "guessed-code"}
    return rest.post("/api/register", json=body)


KINDS: Final[dict[str, tuple[str, Callable[[Spending, httpx.Client], httpx.Response]]]] = {
    "searches": ("mallory", _search),
    "exports": ("mallory", _export),
    "reports": ("mallory", _report),
    "calls of bots": ("nora", _invoke),
    "calls of a webhook": ("nora", _post),
    "guesses at invites": ("nora", _register),
}
"""Who makes the calls, and one of them; by reports Mallory uses up what messages she may send."""


@contextlib.contextmanager
def spending() -> Iterator[Spending]:
    """Give a server, and a user who spends."""
    with tempfile.TemporaryDirectory(prefix="relay-spending-") as folder:
        made = Spending(Path(folder))
        try:
            yield made
        finally:
            made.world.end()
