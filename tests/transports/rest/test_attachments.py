"""Attachments over HTTP: uploads raw and by form, ranges, and nothing that a browser would run."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest

from tests.transports.rest.world import Answer, World

PATH = "/api/attachments"
DATA = bytes(range(256)) * 10


async def upload(world: World, who: str = "alice", data: bytes = DATA, **more: Any) -> dict[str, Any]:
    headers = {"Content-Type": "application/octet-stream"} | more.pop("headers", {})
    answer = await world.call(who, "POST", PATH, data, headers=headers, **more)
    return answer.ok(201)


async def fetch(world: World, who: str | None, attachment_id: str, **headers: str) -> Answer:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return await world.call(who, "GET", f"{PATH}/{attachment_id}", headers=named)


def form(*parts: tuple[str, str | None, bytes], end: bool = True) -> bytes:
    body = b""
    for name, filename, data in parts:
        disposition = f'form-data; name="{name}"' + (f'; filename="{filename}"' if filename else "")
        body += f"--edge\r\nContent-Disposition: {disposition}\r\n\r\n".encode() + data + b"\r\n"
    return body + (b"--edge--\r\n" if end else b"")


FORM = {"Content-Type": "multipart/form-data; boundary=edge"}


async def test_an_upload_says_what_it_is_and_comes_back_as_it_was(world: World) -> None:
    kept = await upload(world, name="a b.bin")
    assert kept == {
        "attachment_id": kept["attachment_id"],
        "name": "a b.bin",
        "type": "application/octet-stream",
        "size": len(DATA),
        "sha256": hashlib.sha256(DATA).hexdigest(),
    }
    got = await fetch(world, "alice", kept["attachment_id"])
    assert (got.status, got.raw) == (200, DATA)
    assert got.headers["Content-Length"] == str(len(DATA))
    assert got.headers["Content-Disposition"] == "attachment; filename=\"a b.bin\"; filename*=UTF-8''a%20b.bin"
    assert got.headers["X-Content-Type-Options"] == "nosniff"
    assert got.headers["Content-Security-Policy"].startswith("sandbox; default-src 'none'")
    assert got.headers["Cache-Control"] == "private, no-cache"


@pytest.mark.parametrize(
    ("data", "claimed", "type_", "kind"),
    [
        (b"\x89PNG\r\n\x1a\n", "text/html", "image/png", "inline"),
        (b"<script>x</script>", "image/png", "text/html; charset=utf-8", "attachment"),
        (b"<svg onload=x>", "image/svg+xml", "image/svg+xml", "attachment"),
        (b"words", "application/x-whatever", "text/plain; charset=utf-8", "inline"),
    ],
)
async def test_the_type_is_what_it_is_and_not_what_it_claims(
    world: World, data: bytes, claimed: str, type_: str, kind: str
) -> None:
    kept = await upload(world, data=data, headers={"Content-Type": claimed})
    got = await fetch(world, "alice", kept["attachment_id"])
    assert got.headers["Content-Type"] == type_
    assert got.headers["Content-Disposition"].startswith(kind + ";")


@pytest.mark.parametrize(
    ("wanted", "start", "stop"),
    [("bytes=0-9", 0, 10), ("bytes=100-", 100, 2560), ("bytes=-5", 2555, 2560), ("bytes=2550-9999", 2550, 2560)],
)
async def test_a_range_brings_its_part(world: World, wanted: str, start: int, stop: int) -> None:
    kept = await upload(world)
    got = await fetch(world, "alice", kept["attachment_id"], Range=wanted)
    assert (got.status, got.raw) == (206, DATA[start:stop])
    assert got.headers["Content-Range"] == f"bytes {start}-{stop - 1}/2560"
    assert got.headers["Content-Length"] == str(stop - start)


@pytest.mark.parametrize("wanted", ["bytes=0-1,5-6", "lines=1-2", "nonsense", "bytes=9-3"])
async def test_what_is_no_single_range_brings_the_whole(world: World, wanted: str) -> None:
    kept = await upload(world)
    got = await fetch(world, "alice", kept["attachment_id"], Range=wanted)
    assert (got.status, got.raw) == (200, DATA)


async def test_a_range_beyond_the_end_cannot_be_satisfied(world: World) -> None:
    kept = await upload(world)
    got = await fetch(world, "alice", kept["attachment_id"], Range="bytes=2560-")
    assert got.headers["Content-Range"] == "bytes */2560"
    assert "2560 bytes" in got.refused(416, "invalid_payload")["detail"]


async def test_conditions_go_by_the_content(world: World) -> None:
    kept = await upload(world)
    tag = (await fetch(world, "alice", kept["attachment_id"])).headers["ETag"]
    same = await fetch(world, "alice", kept["attachment_id"], If_None_Match=f'"x", {tag}')
    assert (same.status, same.raw) == (304, b"")
    for condition, status in ((tag, 206), ('"other"', 200)):
        got = await fetch(world, "alice", kept["attachment_id"], Range="bytes=0-1", If_Range=condition)
        assert got.status == status


async def test_a_form_brings_its_first_file(world: World) -> None:
    body = form(("note", None, b"hello"), ("file", "dir/pic.png", DATA), ("other", "b", b"no"))
    kept = (await world.call("alice", "POST", PATH, body, headers=FORM)).ok(201)
    assert (kept["name"], kept["size"]) == ("pic.png", len(DATA))
    assert (await fetch(world, "alice", kept["attachment_id"])).raw == DATA


@pytest.mark.parametrize(
    ("body", "type_"),
    [
        (form(("note", None, b"hello")), FORM["Content-Type"]),
        (form(("file", "a", DATA), end=False)[:-2], FORM["Content-Type"]),
        (b"nonsense", FORM["Content-Type"]),
        (b"", FORM["Content-Type"]),
        (form(("file", "a", DATA)), "multipart/form-data"),
    ],
)
async def test_a_form_that_is_none_is_refused_and_leaves_nothing(world: World, body: bytes, type_: str) -> None:
    answer = await world.call("alice", "POST", PATH, body, headers={"Content-Type": type_})
    answer.refused(422 if answer.status == 422 else 400, "invalid_payload")
    assert await world.engine.attachments.collect() == 0


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("../../etc/passwd", "passwd"),
        ("a\x00b\nc", "abc"),
        ("...", "file"),
        ("übung 世界.txt", "übung 世界.txt"),
        ('q"uote.txt', 'q"uote.txt'),
    ],
)
async def test_names_are_names_and_nothing_else(world: World, given: str, kept: str) -> None:
    found = await upload(world, name=given)
    assert found["name"] == kept
    disposition = (await fetch(world, "alice", found["attachment_id"])).headers["Content-Disposition"]
    assert "\n" not in disposition
    assert disposition.count('"') == 2


async def test_the_limit_of_a_file_is_its_own(world: World) -> None:
    assert (await upload(world, data=b"x" * 2_000_000))["size"] == 2_000_000
    answer = await world.post("alice", "/api/messages", b'{"x":"' + b"x" * 2_000_000 + b'"}')
    answer.refused(413, "too_large")


async def test_whoever_may_not_have_it_finds_nothing(world: World) -> None:
    kept = await upload(world)
    missing = (await fetch(world, "bob", "a_missing")).refused(404, "not_found")
    for who in ("bob", "rly_unknown"):
        found = (await fetch(world, who, kept["attachment_id"])).refused(404, "not_found")
        assert found["detail"] == missing["detail"].replace("a_missing", kept["attachment_id"])
    (await fetch(world, None, kept["attachment_id"])).refused(401, "forbidden")
    (await world.call(None, "POST", PATH, b"x")).refused(401, "forbidden")
    (await world.call("bob", "DELETE", f"{PATH}/{kept['attachment_id']}")).refused(404, "not_found")
    (await world.call("alice", "DELETE", f"{PATH}/{kept['attachment_id']}")).done()
    (await fetch(world, "alice", kept["attachment_id"])).refused(404, "not_found")


async def test_uploads_are_limited_in_rate(world: World) -> None:
    for _ in range(60):
        await upload(world, data=b"x")
    answer = await world.call("alice", "POST", PATH, b"x", headers={"Content-Type": "text/plain"})
    assert answer.refused(429, "rate_limited")["retry_after"] > 0
    assert "Retry-After" in answer.headers
    await upload(world, "bob", data=b"x")


async def test_a_suffix_longer_than_the_file_is_all_of_it(world: World) -> None:
    kept = await upload(world)
    got = await fetch(world, "alice", kept["attachment_id"], Range="bytes=-99999")
    assert (got.status, got.raw) == (206, DATA)
    assert got.headers["Content-Range"] == "bytes 0-2559/2560"


async def test_what_is_known_already_says_no_more_than_which_it_is(world: World) -> None:
    kept = await upload(world)
    whole = await fetch(world, "alice", kept["attachment_id"])
    for known in (whole.headers["ETag"], f"W/{whole.headers['ETag']}", "*"):
        got = await fetch(world, "alice", kept["attachment_id"], If_None_Match=known)
        assert (got.status, got.raw) == (304, b"")
        for name in ("ETag", "Cache-Control"):
            assert got.headers[name] == whole.headers[name]
        for name in ("Content-Disposition", "Content-Range"):
            assert name not in got.headers


async def test_another_file_than_the_one_that_must_be_is_refused(world: World) -> None:
    kept = await upload(world)
    got = await fetch(world, "alice", kept["attachment_id"], If_Match='"other"')
    assert "If-Match" in got.refused(412, "invalid_payload")["detail"]


async def test_a_head_says_what_a_get_would_and_brings_no_part(world: World) -> None:
    kept = await upload(world)
    path = f"{PATH}/{kept['attachment_id']}"
    whole = await fetch(world, "alice", kept["attachment_id"])
    got = await world.call("alice", "HEAD", path, headers={"Range": "bytes=0-9"})
    assert (got.status, got.raw) == (200, b"")
    for name in ("Content-Type", "ETag", "Content-Disposition"):
        assert got.headers[name] == whole.headers[name]


@pytest.mark.parametrize("size", [66_000, 100_000, 300_000])
async def test_a_form_that_comes_in_one_piece_of_any_size_is_taken(world: World, size: int) -> None:
    body = form(("file", "big.bin", b"x" * size))
    answer = await world.post("alice", PATH, body, headers=FORM)
    assert answer.ok(201)["size"] == size
    fields = form(("note", None, b"y" * size), ("file", "small.bin", b"x"))
    answer = await world.post("alice", PATH, fields, headers=FORM)
    assert answer.ok(201)["size"] == 1
