"""Files in and out of the database, and the collection of what nobody holds."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncGenerator
from contextlib import suppress
from operator import methodcaller
from pathlib import Path
from typing import Any

import pytest
import trio

from relay.protocol.errors import ErrorCode, RelayError
from relay.protocol.kinds import Role
from relay.services.attachments import Attachments
from relay.storage.attachments import CHUNK_BYTES, Attachment
from relay.testing import Device, World
from relay.testing import world as open_world
from tests.pictures import PICTURES

HOUR = 3600.0


async def parts(*data: bytes) -> AsyncGenerator[bytes, None]:
    for part in data:
        yield part


async def receive(server: World, user: str, *data: bytes, name: str = "file") -> Attachment:
    return await server.engine.attachments.receive(user, name, parts(*data))


async def whole(server: World, attachment: Attachment) -> bytes:
    return b"".join([part async for part in server.engine.attachments.read(attachment, 0, attachment.size)])


async def count(server: World, table: str) -> int:
    def read(connection: Any) -> int:
        return int(connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0])

    return await server.engine.runner.read(read)


async def attach(device: Device, target: str, *ids: str, type: str = "chat_message") -> dict[str, Any]:
    payload = {"content": "see", "attachments": list(ids)}
    await device.send({"type": type, "payload": payload, "meta": {"target_id": target}})
    return await device.next("ack", "error")


def service(server: World, **more: Any) -> Attachments:
    limits = {"max_bytes": 0, "quota_bytes": 0, "keep_seconds": HOUR, "collect_seconds": 60} | more
    return Attachments(server.engine.runner, server.engine.now, **limits)


@pytest.mark.parametrize("size", [0, 1, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, 3 * CHUNK_BYTES + 7])
async def test_what_comes_in_goes_out_whole_and_in_any_part(tmp_path: Path, size: int) -> None:
    data = bytes(number * 7 % 251 for number in range(size))
    async with open_world(tmp_path, "alice") as world:
        kept = await receive(world, "alice", data[: size // 3], data[size // 3 :])
        assert (kept.size, kept.sha256) == (size, hashlib.sha256(data).digest())
        assert await whole(world, kept) == data
        for start, stop in ((0, size // 2), (size // 2, size), (max(size - 1, 0), size)):
            got = [part async for part in world.engine.attachments.read(kept, start, stop)]
            assert b"".join(got) == data[start:stop]


async def slow(released: trio.Event, *before: bytes) -> AsyncGenerator[bytes, None]:
    for part in before:
        yield part
    await released.wait()
    yield b"end"


async def test_unfinished_uploads_count_towards_the_quota_from_their_beginning(world: World) -> None:
    files, released = service(world, quota_bytes=10 * CHUNK_BYTES), trio.Event()
    told: list[str] = []

    async def upload(user: str) -> None:
        try:
            await files.receive(user, "file", slow(released, *[b"x" * CHUNK_BYTES] * 4))
        except RelayError as refusal:
            told.append(refusal.code)

    async with trio.open_nursery() as nursery:
        for _ in range(60):
            nursery.start_soon(upload, "alice")
            await trio.sleep(1)
            assert await count(world, "chunks") <= 10
        # What others may have is theirs, whatever alice has begun.
        nursery.start_soon(upload, "bob")
        await trio.sleep(1)
        assert set(told) == {ErrorCode.TOO_LARGE}
        released.set()
    assert len(told) == 58
    assert await count(world, "attachments") == 3
    again = await files.receive("alice", "file", parts(b"y" * CHUNK_BYTES))
    assert again.size == CHUNK_BYTES, "what was refused is not counted any more"


async def test_an_announced_size_is_counted_before_it_comes(tmp_path: Path) -> None:
    async with open_world(tmp_path, "alice") as world, trio.open_nursery() as nursery:
        files, released = service(world, quota_bytes=1000), trio.Event()
        nursery.start_soon(files.receive, "alice", "file", slow(released), 600)
        await trio.sleep(1)
        with pytest.raises(RelayError) as refused:
            await files.receive("alice", "file", parts(b"x" * 500), 500)
        assert refused.value.details == {"reason": "quota", "quota_bytes": 1000, "used_bytes": 600}
        released.set()
        await trio.sleep(1)
        await files.receive("alice", "file", parts(b"x" * 500), 500)


async def test_so_many_uploads_at_once_and_no_more(tmp_path: Path) -> None:
    async with open_world(tmp_path, "alice", "bob") as world, trio.open_nursery() as nursery:
        files, released = service(world, at_once=2), trio.Event()
        for _ in range(2):
            nursery.start_soon(files.receive, "alice", "file", slow(released))
        await trio.sleep(1)
        with pytest.raises(RelayError, match="2 unfinished") as refused:
            await files.receive("alice", "file", parts(b"x"))
        assert refused.value.code is ErrorCode.RATE_LIMITED
        await files.receive("bob", "file", parts(b"x"))
        released.set()
        await trio.sleep(1)
        await files.receive("alice", "file", parts(b"x"))


@pytest.mark.world("alice")
async def test_an_upload_that_takes_too_long_is_refused_and_leaves_nothing(world: World) -> None:
    files = service(world, upload_seconds=600)
    begun = trio.current_time()
    with pytest.raises(RelayError, match="10 minutes") as refused:
        await files.receive("alice", "file", slow(trio.Event(), b"x" * CHUNK_BYTES))
    assert refused.value.code is ErrorCode.TOO_LARGE
    assert trio.current_time() - begun == pytest.approx(600)
    assert (await count(world, "blobs"), await count(world, "chunks")) == (0, 0)


async def test_the_same_bytes_are_stored_once(tmp_path: Path) -> None:
    data = b"x" * (CHUNK_BYTES + 5)
    async with open_world(tmp_path, "alice", "bob") as world:
        found: list[Attachment] = []

        async def upload(user: str) -> None:
            found.append(await receive(world, user, data))

        async with trio.open_nursery() as nursery:
            for user in ("alice", "bob", "alice"):
                nursery.start_soon(upload, user)
        assert len({kept.attachment_id for kept in found}) == 3
        assert len({kept.blob_id for kept in found}) == 1
        assert (await count(world, "blobs"), await count(world, "chunks")) == (1, 2)
        for kept in found:
            assert await whole(world, kept) == data


async def test_what_breaks_off_leaves_nothing(tmp_path: Path) -> None:
    async def broken() -> AsyncGenerator[bytes, None]:
        yield b"x" * CHUNK_BYTES * 2
        raise OSError("the peer is gone")

    async with open_world(tmp_path, "alice") as world:
        with pytest.raises(OSError, match="gone"):
            await world.engine.attachments.receive("alice", "file", broken())
        for table in ("blobs", "chunks", "attachments"):
            assert await count(world, table) == 0


async def test_what_a_dead_server_left_is_dropped_at_the_start(tmp_path: Path) -> None:
    async with open_world(tmp_path, "alice") as world:
        kept = await receive(world, "alice", b"kept")
        for statement in (
            "INSERT INTO blobs (blob_id, created_at) VALUES (99, 0)",
            f"INSERT INTO chunks VALUES ({99 << 20}, x'00'), ({99 << 20 | 1}, x'00')",
        ):
            await world.engine.runner.write(methodcaller("execute", statement))
    async with open_world(tmp_path) as world:
        await trio.sleep(0.1)
        assert (await count(world, "blobs"), await count(world, "chunks")) == (1, 1)
        assert await whole(world, kept) == b"kept"


async def test_too_large_and_over_the_quota_are_refused_as_they_come(world: World) -> None:
    small = service(world, max_bytes=10, quota_bytes=15)
    with pytest.raises(RelayError) as refused:
        await small.receive("alice", "f", parts(b"12345", b"678901"))
    assert (refused.value.code, refused.value.details) == (
        ErrorCode.TOO_LARGE,
        {"reason": "file_too_large", "max_bytes": 10},
    )
    await small.receive("alice", "f", parts(b"1234567890"))
    with pytest.raises(RelayError) as refused:
        await small.receive("alice", "f", parts(b"123456"))
    assert refused.value.details == {"reason": "quota", "quota_bytes": 15, "used_bytes": 10}
    await small.receive("bob", "f", parts(b"123456"))

    async def untouched() -> AsyncGenerator[bytes, None]:
        raise AssertionError("it was announced to be too large")
        yield b""

    with pytest.raises(RelayError):
        await small.receive("bob", "f", untouched(), 11)
    assert await count(world, "blobs") == 2


@pytest.mark.world("alice")
async def test_two_uploads_at_once_do_not_pass_the_quota_together(world: World) -> None:
    small = service(world, quota_bytes=10)
    outcomes: list[str] = []

    async def upload(data: bytes) -> None:
        try:
            await small.receive("alice", "f", parts(data))
            outcomes.append("kept")
        except RelayError as refused:
            outcomes.append(refused.code)

    async with trio.open_nursery() as nursery:
        for data in (b"123456", b"abcdef"):
            nursery.start_soon(upload, data)
    assert sorted(outcomes) == ["kept", "too_large"]


@pytest.mark.world("alice", "bob", "carol", "dave")
async def test_who_may_see_a_message_may_have_what_it_holds(world: World) -> None:
    groups = world.engine.groups
    await groups.create("alice", "Team", ["bob"], "team")
    alice = await world.connect("alice")
    kept = await receive(world, "alice", b"plans")

    async def may(user: str) -> bool:
        with suppress(RelayError):
            await world.engine.attachments.open(user, kept.attachment_id)
            return True
        return False

    users = ("alice", "bob", "carol", "dave")
    assert [await may(user) for user in users] == [True, False, False, False]
    answer = await attach(alice, "team", kept.attachment_id, type="group_message")
    assert [await may(user) for user in users] == [True, True, False, False]
    await groups.put_member("alice", "team", "carol", "member")  # type: ignore[arg-type]
    assert not await may("carol")  # what was said before she joined
    await groups.remove_member("alice", "team", "bob")
    assert not await may("bob")
    payload = {"message_id": answer["payload"]["message_id"]}
    await attach(alice, "carol", kept.attachment_id)
    assert await may("carol")
    await alice.send({"type": "message_delete", "payload": payload, "meta": {"target_id": "team"}})
    await alice.next("ack")
    assert [await may(user) for user in users] == [True, False, True, False]


@pytest.mark.world("alice", "bob", "carol")
async def test_one_attaches_only_what_one_may_see(world: World) -> None:
    alice, bob = await world.connect("alice"), await world.connect("bob")
    kept = await receive(world, "alice", b"plans")
    for attachment_id in (kept.attachment_id, "a_nothing"):
        answer = await attach(bob, "carol", attachment_id)
        assert answer["payload"]["code"] == "not_found"
    assert (await attach(alice, "bob", kept.attachment_id))["type"] == "ack"
    assert (await attach(bob, "carol", kept.attachment_id))["type"] == "ack"
    assert (await world.history("carol", "user", "bob"))[0]["payload"]["attachments"] == [kept.attachment_id]


async def test_what_nobody_holds_any_more_is_collected(world: World) -> None:
    alice = await world.connect("alice")
    once, shared = await receive(world, "alice", b"once"), await receive(world, "alice", b"shared")
    await receive(world, "bob", b"shared")
    for kept in (once, shared):
        message = (await attach(alice, "bob", kept.attachment_id))["payload"]["message_id"]
        await alice.send(
            {"type": "message_delete", "payload": {"message_id": message}, "meta": {"target_id": "bob"}}
        )
        await alice.next("ack")
    assert await count(world, "blobs") == 2
    assert await world.engine.attachments.collect() == 1
    assert (await count(world, "blobs"), await count(world, "attachments")) == (1, 1)
    with pytest.raises(RelayError):
        await world.engine.attachments.open("alice", once.attachment_id)
    with pytest.raises(RelayError):
        await whole(world, once)


@pytest.mark.world("alice")
async def test_an_upload_waits_for_its_message_for_so_long(world: World) -> None:
    await receive(world, "alice", b"forgotten")
    await trio.sleep(23.9 * HOUR)
    assert await count(world, "blobs") == 1
    await trio.sleep(0.3 * HOUR)
    assert await count(world, "blobs") == 0


@pytest.mark.world("alice", RELAY_ATTACHMENTS__COLLECT_MINUTES="600")
async def test_a_collection_that_the_disk_does_not_take_is_tried_again_soon(world: World) -> None:
    await receive(world, "alice", b"forgotten")
    await trio.sleep(19 * HOUR)
    await world.engine.runner.write(
        lambda c: c.execute(
            "CREATE TEMP TRIGGER full BEFORE DELETE ON attachments BEGIN SELECT RAISE(ROLLBACK, 'full'); END"
        )
    )
    await trio.sleep(11 * HOUR)
    assert await count(world, "blobs") == 1
    await world.engine.runner.write(lambda c: c.execute("DROP TRIGGER full"))
    await trio.sleep(30)
    assert await count(world, "blobs") == 0


async def test_one_removes_ones_own_while_nothing_holds_it(world: World) -> None:
    alice = await world.connect("alice")
    remove = world.engine.attachments.remove
    held, free = await receive(world, "alice", b"held"), await receive(world, "alice", b"free")
    await attach(alice, "bob", held.attachment_id)
    for user, kept, code in (
        ("bob", held, "not_found"),
        ("bob", free, "not_found"),
        ("alice", held, "conflict"),
    ):
        with pytest.raises(RelayError) as refused:
            await remove(user, kept.attachment_id)
        assert refused.value.code == code
    await remove("alice", free.attachment_id)
    assert await world.engine.attachments.collect() == 1


async def test_a_message_describes_its_files_wherever_it_is_shown(world: World) -> None:
    alice, phone, bob = (
        await world.connect("alice"),
        await world.connect("alice", "phone"),
        await world.connect("bob"),
    )
    picture = await receive(world, "alice", PICTURES["jpeg turned"], name="red.jpg")
    text = await receive(world, "alice", b"words", name="words.txt")
    files = [
        {"attachment_id": picture.attachment_id, "name": "red.jpg", "type": "image/jpeg", "size": picture.size}
        | {"width": 2, "height": 3},
        {"attachment_id": text.attachment_id, "name": "words.txt", "type": "text/plain", "size": 5},
    ]
    said = {"content": "see", "attachments": [picture.attachment_id, text.attachment_id]}
    message = {"type": "chat_message", "payload": said, "meta": {"id": "a-1", "target_id": "bob"}}
    await alice.send(message)
    ack = await alice.next("ack")
    shown = said | {"files": files}
    assert (await bob.next("chat_message"))["payload"] == (await phone.next("chat_message"))["payload"] == shown

    await alice.send(message)
    retried = await alice.next("ack")
    assert retried["payload"] == ack["payload"] | {"duplicate": True}

    (row,) = (await world.rest("GET", "/api/conversations", "bob")).body["conversations"]
    assert row["last_message"]["payload"] == shown

    edit = {"message_id": ack["payload"]["message_id"], "content": "look"}
    await alice.send({"type": "message_edit", "payload": edit, "meta": {"target_id": "bob"}})
    await alice.next("ack")
    shown["content"] = "look"
    await bob.cut()
    again = await world.connect("bob", cursor=0, epoch=bob.ready["epoch"])
    (replayed,) = [one for one in again.replayed if one["type"] == "chat_message"]
    assert replayed["payload"] == shown
    assert (await world.history("bob", "user", "alice"))[0]["payload"] == shown
    (found,) = (await world.rest("GET", "/api/search?q=look", "bob")).body["results"]
    assert found["message"]["payload"] == shown

    await alice.send(
        {"type": "message_delete", "payload": {"message_id": edit["message_id"]}, "meta": {"target_id": "bob"}}
    )
    await alice.next("ack")
    assert (await world.history("bob", "user", "alice"))[0]["payload"] == {}
    assert await count(world, "log WHERE payload LIKE '%red.jpg%'") == 0


async def test_nobody_else_describes_files(world: World) -> None:
    alice = await world.connect("alice")
    mine = await receive(world, "alice", b"one", name="one.txt")
    claimed = {"attachment_id": mine.attachment_id, "name": "other.png", "type": "image/png", "size": 1}
    for attachments in ([mine.attachment_id], []):
        payload = {"content": "see", "attachments": attachments, "files": [claimed]}
        await alice.send({"type": "chat_message", "payload": payload, "meta": {"target_id": "bob"}})
        refused = (await alice.next("error"))["payload"]
        assert refused["code"] == "invalid_payload"
        assert "files is the server's to say" in refused["message"]


async def test_an_erased_account_leaves_no_name_of_a_file_in_others_messages(world: World) -> None:
    alice, bob = await world.connect("alice"), await world.connect("bob")
    await world.engine.groups.create("bob", "Team", ["alice"], "team")
    theirs = await receive(world, "alice", b"one", name="alices-secret.txt")
    own = await receive(world, "bob", b"two", name="bobs.txt")
    await attach(alice, "bob", theirs.attachment_id)
    said = (await attach(bob, "team", theirs.attachment_id, own.attachment_id, type="group_message"))["payload"]
    edit = {"message_id": said["message_id"], "content": "look"}
    await bob.send({"type": "message_edit", "payload": edit, "meta": {"target_id": "team"}})
    await bob.next("ack")
    await world.engine.leaving.erase("alice")
    for table in ("log", "versions"):
        assert await count(world, f"{table} WHERE payload LIKE '%alices-secret%'") == 0
    (message,) = [one for one in await world.history("bob", "group", "team") if one["type"] == "group_message"]
    assert [file["name"] for file in message["payload"]["files"]] == ["bobs.txt"]


async def test_pictures_of_an_older_version_are_measured_at_the_start(world: World) -> None:
    service_ = world.engine.attachments
    one = await receive(world, "alice", PICTURES["png"], name="one.png")
    spoilt = await receive(world, "alice", b"\x89PNG\r\n\x1a\n", name="spoilt.png")
    await world.engine.runner.write(
        lambda connection: connection.execute("UPDATE attachments SET width = NULL, height = NULL").rowcount
    )
    await service_.measure_older()
    assert (await service_.open("alice", one.attachment_id))[-2:] == (3, 2)
    assert (await service_.open("alice", spoilt.attachment_id))[-2:] == (None, None)
    assert await count(world, "attachments WHERE width IS NULL") == 0


async def files_of(world: World, user: str, target: str, **query: Any) -> dict[str, Any]:
    asked = "&".join(f"{name}={value}" for name, value in ({"target_id": target} | query).items())
    answer = await world.rest("GET", f"/api/attachments?{asked}", user)
    return answer.body | {"status": answer.status}


async def test_the_files_of_a_conversation_are_those_of_messages_that_one_may_see(world: World) -> None:
    await world.user("carol", "dave")
    await world.engine.groups.create("alice", "Team", ["bob"], "team")
    alice = await world.connect("alice")
    picture = await receive(world, "alice", PICTURES["png"], name="one.png")
    sound = await receive(world, "alice", b"OggS", name="two.ogg")
    text = await receive(world, "alice", b"three", name="three.txt")
    drawing = await receive(world, "alice", b"<svg/>", name="four.svg")
    said = []
    for ids in ([picture, text], [sound], [drawing], [text]):
        held = [one.attachment_id for one in ids]
        said.append((await attach(alice, "team", *held, type="group_message"))["payload"])
    await attach(alice, "bob", sound.attachment_id)

    def names(page: dict[str, Any]) -> list[str]:
        return [file["name"] for file in page["files"]]

    whole = await files_of(world, "bob", "team")
    assert names(whole) == ["three.txt", "four.svg", "two.ogg", "one.png", "three.txt"]
    assert whole["files"][3] == {
        "attachment_id": picture.attachment_id,
        "name": "one.png",
        "type": "image/png",
        "size": picture.size,
        "width": 3,
        "height": 2,
        "message_id": said[0]["message_id"],
        "seq": said[0]["seq"],
        "sender_id": "alice",
        "timestamp": said[0]["timestamp"],
    }
    assert names(await files_of(world, "bob", "team", kind="pictures")) == ["one.png"]
    assert names(await files_of(world, "bob", "team", kind="media")) == ["two.ogg"]
    assert names(await files_of(world, "bob", "team", kind="files")) == ["three.txt", "four.svg", "three.txt"]
    assert (await files_of(world, "bob", "team", kind="songs"))["status"] == 400
    first = await files_of(world, "bob", "team", limit=2)
    assert (names(first), first["has_more"]) == (["three.txt", "four.svg"], True)
    rest = await files_of(world, "bob", "team", limit=2, before=first["next_before"])
    assert (names(rest), rest["has_more"], rest["next_before"]) == (
        ["two.ogg", "one.png", "three.txt"],
        False,
        None,
    )

    assert names(await files_of(world, "bob", "alice")) == ["two.ogg"]
    assert names(await files_of(world, "bob", "carol")) == []
    assert (await files_of(world, "carol", "team"))["status"] == 404
    assert (await files_of(world, "bob", "nobody"))["status"] == 404

    await alice.send(
        {"type": "message_delete", "payload": {"message_id": said[1]["message_id"]}, "meta": {"target_id": "team"}}
    )
    await alice.next("ack")
    await world.engine.groups.put_member("alice", "team", "carol", Role.MEMBER)
    await attach(alice, "team", drawing.attachment_id, type="group_message")
    assert names(await files_of(world, "bob", "team")) == [
        "four.svg",
        "three.txt",
        "four.svg",
        "one.png",
        "three.txt",
    ]
    assert names(await files_of(world, "carol", "team")) == ["four.svg"], "from when she came"
    await world.engine.groups.remove_member("alice", "team", "bob")
    assert (await files_of(world, "bob", "team"))["status"] == 404
