"""A large file through the real server: in and out as a stream, by ranges, and never in its memory."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Iterator

import pytest

from tests.e2e.conftest import MakeWorld
from tests.e2e.server import Server

pytestmark = pytest.mark.e2e

SIZE = 100 * 1024 * 1024
ALLOWED = 8 * 1024 * 1024
BLOCK = hashlib.sha256(b"block").digest() * 2048  # 64 KiB


def content() -> Iterator[bytes]:
    for number in range(SIZE // len(BLOCK)):
        yield number.to_bytes(8, "big") + BLOCK[8:]


class Peak:
    """The highest resident memory of a server while the block runs, above that before it."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.growth = 0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def __enter__(self) -> Peak:
        self._before = self.server.rss_bytes()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._over.wait(0.01):
            self.growth = max(self.growth, self.server.rss_bytes() - self._before)


def test_a_hundred_megabytes_go_in_and_out_and_memory_stays(make_world: MakeWorld) -> None:
    world = make_world(["alice", "bob"])
    rest = world.rest("alice")
    rest.timeout = 60
    small = rest.post("/api/attachments", content=b"x" * 300_000).json()
    rest.get(f"/api/attachments/{small['attachment_id']}")  # whatever is loaded at the first time, is
    whole = hashlib.sha256()
    for block in content():
        whole.update(block)
    begun = time.monotonic()
    with Peak(world.server) as upload:
        headers = {"Content-Length": str(SIZE), "Content-Type": "application/octet-stream"}
        answer = rest.post("/api/attachments", params={"name": "large.bin"}, content=content(), headers=headers)
    assert answer.status_code == 201, answer.text
    took = time.monotonic() - begun
    kept = answer.json()
    assert (kept["size"], kept["sha256"]) == (SIZE, whole.hexdigest())
    path = f"/api/attachments/{kept['attachment_id']}"
    got = hashlib.sha256()
    with Peak(world.server) as download, rest.stream("GET", path) as response:
        for part in response.iter_raw():
            got.update(part)
    assert got.digest() == whole.digest()
    print(f"upload {took:.1f} s, +{upload.growth / 2**20:.1f} MiB; download +{download.growth / 2**20:.1f} MiB")
    assert upload.growth < ALLOWED
    assert download.growth < ALLOWED
    part = rest.get(path, headers={"Range": f"bytes={SIZE - 10}-"})
    assert (part.status_code, part.headers["Content-Range"]) == (206, f"bytes {SIZE - 10}-{SIZE - 1}/{SIZE}")
    assert part.content == BLOCK[-10:]
    middle = rest.get(path, headers={"Range": "bytes=65530-65545"})
    assert middle.content == BLOCK[-6:] + (1).to_bytes(8, "big") + BLOCK[8:10]
    head = rest.head(path)
    assert (head.status_code, head.headers["Content-Length"], head.content) == (200, str(SIZE), b"")
    assert world.rest("bob").get(path).status_code == 404


def test_messages_go_on_while_a_file_comes_in(make_world: MakeWorld) -> None:
    world = make_world(["alice", "bob"])
    rest = world.rest("alice")
    rest.timeout = 60
    device = world.device("bob")
    waits: list[float] = []

    def slowly() -> Iterator[bytes]:
        for number, block in enumerate(content()):
            if number == 320:  # 20 MB
                return
            if number % 40 == 0:
                begun = time.monotonic()
                device.say("alice", f"message {number}")
                waits.append(time.monotonic() - begun)
            yield block

    answer = rest.post("/api/attachments", content=slowly())
    assert answer.status_code == 201, answer.text
    print(f"acks while a file came in: {max(waits) * 1000:.0f} ms at most")
    assert len(waits) == 8


def test_a_slow_reader_of_a_file_costs_no_memory(make_world: MakeWorld) -> None:
    world = make_world(["alice"])
    rest = world.rest("alice")
    rest.timeout = 60
    kept = rest.post("/api/attachments", content=b"y" * 30_000_000).json()
    with Peak(world.server) as peak, rest.stream("GET", f"/api/attachments/{kept['attachment_id']}") as response:
        parts = response.iter_raw(65_536)
        next(parts)
        time.sleep(0.5)
        taken = 65_536 + sum(map(len, parts))
    assert taken == 30_000_000
    assert peak.growth < ALLOWED


def test_a_stranger_an_ex_member_and_a_removed_device_find_nothing(make_world: MakeWorld) -> None:
    world = make_world(["alice", "bob", "carol"])
    group = world.group("alice", "bob")
    rest = world.rest("alice")
    kept = rest.post("/api/attachments", content=b"plans").json()["attachment_id"]
    body = {"type": "group_message", "payload": {"content": "see", "attachments": [kept]}}
    assert rest.post("/api/messages", json=body | {"meta": {"target_id": group}}).status_code == 201
    world.server.relay("user", "passwd", "bob", "--password-stdin", stdin="correct horse\n")
    login = world.rest(None).post(
        "/api/login", json={"user_id": "bob", "password": "correct horse", "client_id": "tablet"}
    )
    tablet = {"Authorization": f"Bearer {login.json()['token']}"}
    path = f"/api/attachments/{kept}"
    anybody = world.rest(None)
    assert anybody.get(path, headers=tablet).content == b"plans"
    assert world.rest("carol").get(path).status_code == 404
    device = world.upgraded()
    device.hello(login.json()["token"], "tablet")
    assert world.rest("bob").delete("/api/devices/tablet").status_code == 204
    assert anybody.get(path, headers=tablet).status_code == 404
    assert world.rest("bob").get(path).content == b"plans"
    assert rest.delete(f"/api/groups/{group}/members/bob").status_code == 204
    assert world.rest("bob").get(path).status_code == 404


def test_a_304_says_of_a_file_no_more_than_which_it_is(make_world: MakeWorld) -> None:
    own = make_world(("alice",))
    rest = own.rest("alice")
    kept = rest.post("/api/attachments", content=b"some bytes").json()
    rest.event_hooks = {"response": []}  # the page's files are no described calls
    for path in (f"/api/attachments/{kept['attachment_id']}", "/app/main.js"):
        whole = rest.get(path)
        again = rest.get(path, headers={"If-None-Match": f'"other", W/{whole.headers["ETag"]}'})
        assert (again.status_code, again.content) == (304, b"")
        for name in ("ETag", "Cache-Control", "Date"):
            assert name in again.headers
        for name in ("Content-Type", "Content-Encoding", "Content-Disposition", "Content-Range"):
            assert name not in again.headers, path
        assert rest.head(path).headers["Content-Length"] == whole.headers["Content-Length"]
