"""Real HTTP receivers on loopback, which remember what they were sent and behave as a test tells them."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from standardwebhooks import Webhook

from tests.e2e.server import free_port
from tests.e2e.wire import PATIENCE

Behave = Callable[[int], int]
"""What a receiver answers its n-th request: a status."""


class Receiver:
    """One receiver, on a port of its own that it keeps while it is down.

    Attributes:
        taken: the bodies that it answered with a success, with their delivery ids, in the order they came.
        bad: why a delivery could not be verified.
        behave: what it answers.
        seconds: how long it takes for each.
    """

    def __init__(self) -> None:
        self.port = free_port()
        self.secret = ""
        self.taken: list[tuple[str, Any]] = []
        self.bad: list[str] = []
        self.requests = 0
        self.behave: Behave = lambda _number: 204
        self.seconds = 0.0
        self._lock = threading.Lock()
        self._server: ThreadingHTTPServer | None = None
        self._hanging = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/in"

    def up(self) -> None:
        self._server = _Quiet(("127.0.0.1", self.port), self._handler())
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def down(self) -> None:
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            timeout = 5

            def do_POST(self) -> None:
                size = int(self.headers["content-length"])
                body = self.rfile.read(size)
                if len(body) < size:  # the server was killed in the middle of it
                    self.close_connection = True
                    return
                status = receiver.take(dict(self.headers.items()), body)
                self.send_response(status)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_arguments: Any) -> None:
                pass

        return Handler

    def take(self, headers: dict[str, str], body: bytes) -> int:
        """Verify a delivery as any receiver of Standard Webhooks does, and return the status to answer."""
        with self._lock:
            self.requests += 1
            number = self.requests
        time.sleep(self.seconds)
        try:
            said = Webhook(self.secret).verify(body, headers)
        except Exception as error:
            self.bad.append(repr(error))
            return 400
        with self._lock:
            status = self.behave(number)
            if 200 <= status < 300:
                self.taken.append((headers["webhook-id"], said))
        return status

    def contents(self, target: str | None = None) -> list[str]:
        """Return what was taken, of one target or of all, each delivery once where it came first."""
        firsts = dict(self.taken[::-1])
        order = list(dict.fromkeys(delivery_id for delivery_id, _ in self.taken))
        said = [firsts[delivery_id] for delivery_id in order]
        return [one["payload"]["content"] for one in said if target in (None, one["meta"]["target_id"])]

    def wait_for(self, count: int, timeout: float = PATIENCE) -> None:
        """Wait until so many different deliveries were taken."""
        deadline = time.monotonic() + timeout
        while len({delivery_id for delivery_id, _ in list(self.taken)}) < count:
            assert time.monotonic() < deadline, f"{len(self.taken)} taken, {self.bad[:3]}"
            time.sleep(0.02)


class _Quiet(ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 128

    def handle_error(self, *_arguments: Any) -> None:
        """A client that left, as one that was killed does, is nobody's fault."""


@contextlib.contextmanager
def receivers(*names: str) -> Iterator[dict[str, Receiver]]:
    made = {name: Receiver() for name in names}
    try:
        for receiver in made.values():
            receiver.up()
        yield made
    finally:
        for receiver in made.values():
            receiver.down()


def add_webhook(relay: Callable[..., str], receiver: Receiver, *options: str) -> str:
    """Add a webhook by the command line, and return its id."""
    made = json.loads(relay("webhook", "add", receiver.url, *options, "--json"))
    receiver.secret = made["secret"]
    return str(made["hook_id"])
