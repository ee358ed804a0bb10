"""An idle WebSocket through the public address: whether a proxy leaves it alone until the next heartbeat."""

from __future__ import annotations

import threading
import time

from relay.app.doctor.findings import Finding, bad, good, unknown
from relay.app.doctor.recipes import IDLE, mend
from relay.app.doctor.wire import ANSWER_SECONDS, Address, Connection, Unreachable, upgrade_headers

CHECK = "idle"
_LEAST_SECONDS = 120


class IdleSocket:
    """An idle WebSocket in a thread of its own, as the other checks go on meanwhile.

    Args:
        interval: seconds between the server's heartbeats.
        watched: how long it is watched, in seconds; a little longer than the interval shows enough.
    """

    def __init__(
        self, address: Address, probe_id: str, interval: float, watched: float, upstream: str, *, check: bool
    ) -> None:
        self._address, self._path, self._check = address, f"/ws?probe={probe_id}", check
        self._interval, self._watched, self._upstream = interval, watched, upstream
        self._finding: Finding = unknown(CHECK, "not looked at")
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def finding(self) -> Finding:
        """Wait for the end, and return what was found."""
        self._thread.join(self._watched + 2 * ANSWER_SECONDS)
        return self._finding

    def _watch(self) -> None:
        try:
            with Connection(self._address, check=self._check) as connection:
                connection.send_head("GET", self._path, upgrade_headers(self._address.origin))
                reply = connection.reply()
                if reply.status != 101:
                    self._finding = unknown(CHECK, "no WebSocket came about that could be idle")
                    return
                self._finding = self._idle(connection, reply.software, beats=int(bool(reply.body)))
        except Unreachable as error:
            self._finding = unknown(CHECK, f"no WebSocket came about that could be idle: {error}")

    def _idle(self, connection: Connection, software: str, beats: int) -> Finding:
        begun = time.monotonic()
        while (left := begun + self._watched - time.monotonic()) > 0:
            try:
                received = connection.receive(left)
            except TimeoutError:
                break
            if not received:
                return self._cut(time.monotonic() - begun, software)
            beats += 1
        if not beats and self._watched > self._interval:
            return bad(
                CHECK,
                f"in {self._watched:g} s no heartbeat came through, though one is sent every"
                f" {self._interval:g} s ([heartbeat] interval_seconds): a proxy on the way holds messages back",
            )
        return good(
            CHECK,
            f"an idle WebSocket lived for {self._watched:g} s, with a heartbeat every {self._interval:g} s",
        )

    def _cut(self, after: float, software: str) -> Finding:
        seconds = max(_LEAST_SECONDS, int(3 * self._interval))
        return bad(
            CHECK,
            f"a proxy cut an idle WebSocket after {after:.1f} s; relay sends a heartbeat every"
            f" {self._interval:g} s ([heartbeat] interval_seconds): a proxy must wait for longer, best a multiple",
            mend(IDLE, software, seconds=seconds, upstream=self._upstream),
        )
