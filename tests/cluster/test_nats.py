"""A cluster's stream and bus on real NATS servers, which die, stand still, forget and come back."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from threading import Timer
from typing import Any

import msgspec
import nats
import pytest
import trio

from relay.cluster.nats import connect
from relay.cluster.nats_client import MissingExtra
from relay.cluster.records import START, Assembler, Kind, Record, parts
from relay.cluster.stream import Bus, Entry, Missing, NoStream, Refused, Stream, Unreachable
from relay.settings.cluster import ClusterSettings
from tests.cluster.credentials import make_credentials
from tests.cluster.servers import NatsCluster, NatsServer
from tests.e2e.receivers import make_certificate
from tests.e2e.wire import PATIENCE

pytestmark = pytest.mark.real_time


def settings(*servers: str, **more: Any) -> ClusterSettings:
    given: dict[str, Any] = {"name": "team", "node": "one", "address": "127.0.0.1:1", "replicas": 1}
    return ClusterSettings(servers=list(servers), **given | more)


@asynccontextmanager
async def connected(
    *servers: str, append_seconds: float = PATIENCE, **more: Any
) -> AsyncIterator[tuple[Stream, Bus]]:
    """Connect; an append has as long as a busy machine may need, unless a test says otherwise."""
    with trio.fail_after(5 * PATIENCE):
        async with connect(settings(*servers, **more), append_seconds=append_seconds) as made:
            yield made


async def append(stream: Stream, expected: int, *data: bytes) -> int:
    return await trio.to_thread.run_sync(stream.append, data, expected)


async def read(stream: Stream, after: int, count: int) -> list[Entry]:
    found: list[Entry] = []
    async with stream.entries(after) as entries:
        async for entry in entries:
            found.append(entry)
            if len(found) == count:
                break
    return found


async def until(condition: Callable[[], Any]) -> None:
    with trio.fail_after(PATIENCE):
        while not await condition():
            await trio.sleep(0.02)


async def answers(stream: Stream) -> bool:
    try:
        await stream.last()
    except Unreachable:
        return False
    return True


async def ends_at(stream: Stream, place: int) -> bool:
    return await answers(stream) and await stream.last() == place


def ask(server: NatsServer, call: str, body: dict[str, Any]) -> dict[str, Any]:
    """Ask JetStream's API for something as its administrator does."""

    async def run() -> dict[str, Any]:
        client = await nats.connect(server.url)
        try:
            answer = await client.request(f"$JS.API.{call}", msgspec.json.encode(body), timeout=PATIENCE)
        finally:
            await client.close()
        found: dict[str, Any] = msgspec.json.decode(answer.data)
        assert "error" not in found, found
        return found

    return asyncio.run(run())


# Appending and reading


async def test_entries_come_in_the_order_in_which_they_were_appended(nats_server: NatsServer) -> None:
    async with connected(nats_server.url) as (stream, _):
        await stream.create()
        assert await stream.last() == 0
        assert await append(stream, 0, b"one") == 1
        assert await append(stream, 1, b"two", b"three") == 3
        assert await stream.last() == 3
        assert await read(stream, 0, 3) == [Entry(1, b"one"), Entry(2, b"two"), Entry(3, b"three")]
        assert await read(stream, 2, 1) == [Entry(3, b"three")]


async def test_what_is_appended_behind_something_else_is_refused(nats_server: NatsServer) -> None:
    async with connected(nats_server.url) as (mine, _), connected(nats_server.url) as (theirs, _):
        await mine.create()
        await append(mine, 0, b"one")
        await append(theirs, 1, b"two")
        for expected in (0, 1, 7):
            with pytest.raises(Refused):
                await append(mine, expected, b"three")
        assert await append(mine, 1, b"two") == 2  # this very one is there
        assert await mine.last() == 2


async def test_of_two_that_write_at_once_one_is_refused(nats_server: NatsServer) -> None:
    async with connected(nats_server.url) as (mine, _), connected(nats_server.url) as (theirs, _):
        await mine.create()
        for place in range(20):
            won: list[bytes] = []

            async def write(stream: Stream, data: bytes, place: int = place, won: list[bytes] = won) -> None:
                try:
                    await append(stream, place, data)
                except Refused:
                    return
                won.append(data)

            async with trio.open_nursery() as nursery:
                nursery.start_soon(write, mine, b"mine %d" % place)
                nursery.start_soon(write, theirs, b"theirs %d" % place)
            assert await read(mine, place, 1) == [Entry(place + 1, won[0])]
            assert len(won) == 1


async def test_a_record_of_two_megabytes_goes_in_parts(nats_server: NatsServer) -> None:
    record = Record(Kind.CHANGE, 1, 1, START, os.urandom(2 << 20))
    async with connected(nats_server.url) as (stream, _):
        await stream.create()
        made = parts(record, stream.most_bytes)
        assert len(made) == 3
        assert await append(stream, 0, *made) == 3
        assembler = Assembler()
        found = [one for entry in await read(stream, 0, 3) for one in assembler.add(entry.data)]
    assert found == [record]


async def test_who_does_not_take_what_comes_is_waited_for_and_misses_nothing(nats_server: NatsServer) -> None:
    data = os.urandom(300_000)
    async with connected(nats_server.url) as (stream, _):
        await stream.create()
        async with stream.entries(0) as entries:
            await append(stream, 0, *[data] * 60)
            await until(lambda: is_pulled(nats_server))
            for place in range(1, 61):
                assert await anext(entries) == Entry(place, data)


async def is_pulled(server: NatsServer) -> bool:
    """Tell whether a consumer has had something; not all of 18 MB, as 6 MiB at most wait for one who takes nothing."""
    listed = await trio.to_thread.run_sync(ask, server, "CONSUMER.LIST.relay-team", {"offset": 0})
    pending = [consumer["num_pending"] for consumer in listed["consumers"]]
    assert 0 not in pending
    return any(count < 60 for count in pending)


# Servers that die and stand still


async def test_a_publish_whose_answer_is_late_counts_once(nats_server: NatsServer) -> None:
    async with connected(nats_server.url) as (stream, _):
        await stream.create()
        nats_server.stop()
        timer = Timer(1.2, nats_server.resume)  # it is sent again meanwhile
        timer.start()
        try:
            assert await append(stream, 0, b"one") == 1
        finally:
            timer.join()
        assert await append(stream, 1, b"two") == 2
        assert await read(stream, 0, 2) == [Entry(1, b"one"), Entry(2, b"two")]


async def test_what_has_no_answer_may_come_to_stand_there_and_never_behind_anything_else(
    nats_server: NatsServer,
) -> None:
    async with connected(nats_server.url, append_seconds=0.7) as (stream, _):
        await stream.create()
        nats_server.stop()
        try:
            with pytest.raises(Unreachable, match=r"did not take it within 0\.7 s"):
                await append(stream, 0, b"one")
        finally:
            nats_server.resume()
    async with connected(nats_server.url) as (stream, _):
        await until(lambda: ends_at(stream, 1))
        with pytest.raises(Refused):
            await append(stream, 0, b"two")
        assert await append(stream, 0, b"one") == 1
        assert await stream.last() == 1


async def test_a_server_that_is_killed_is_unreachable_at_once_and_comes_back(
    nats_server: NatsServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "relay.cluster")
    async with connected(nats_server.url) as (stream, bus):
        await stream.create()
        await append(stream, 0, b"one")
        async with stream.entries(0) as entries, bus.subscribe("leader") as beats:
            assert await anext(entries) == Entry(1, b"one")
            nats_server.kill()
            await until(lambda: is_away(stream))
            with pytest.raises(Unreachable, match=f"no NATS server answers: {nats_server.url} "):
                await append(stream, 1, b"two")
            await bus.publish("leader", b"lost")
            nats_server.start()
            await until(lambda: answers(stream))
            assert await append(stream, 1, b"two", b"three") == 3
            assert [await anext(entries), await anext(entries)] == [Entry(2, b"two"), Entry(3, b"three")]
            await bus.publish("leader", b"beat")
            assert await beats.receive() == b"beat"
    told = [record.getMessage() for record in caplog.records if "NATS" in record.getMessage()]
    assert [line.partition(":")[0] for line in told] == [
        "NATS is connected",
        "the connection to NATS is lost",
        "NATS is there again",
    ]


async def is_away(stream: Stream) -> bool:
    return not await answers(stream)


async def test_entries_go_on_where_a_server_comes_back_again_and_again(nats_server: NatsServer) -> None:
    async with connected(nats_server.url) as (stream, _), connected(nats_server.url) as (writer, _):
        await stream.create()
        async with stream.entries(0) as entries:
            place = 0
            for _ in range(4):
                place = await append(writer, place, *(b"%d" % number for number in range(place, place + 25)))
                for number in range(place - 25, place - 10):
                    assert await anext(entries) == Entry(number + 1, b"%d" % number)
                nats_server.restart()
                for number in range(place - 10, place):
                    assert await anext(entries) == Entry(number + 1, b"%d" % number)
                await until(lambda: answers(writer))


@pytest.mark.long
async def test_one_of_three_servers_may_die_and_two_may_not(nats_cluster: NatsCluster) -> None:
    first, second, _ = nats_cluster.servers
    async with connected(*nats_cluster.urls, replicas=3) as (stream, _):
        await stream.create()
        await append(stream, 0, b"one")
        async with stream.entries(0) as entries:
            assert await anext(entries) == Entry(1, b"one")
            first.kill()
            place = await append_soon(stream, 1, b"two")
            assert await anext(entries) == Entry(2, b"two")
            second.kill()
            impatient = partial(connected, *nats_cluster.urls, replicas=3, append_seconds=1.0)
            async with impatient() as (other, _):
                with pytest.raises(Unreachable):
                    await append(other, place, b"three")
            nats_cluster.start()
            await append_soon(stream, place, b"three")
            assert await anext(entries) == Entry(3, b"three")


async def append_soon(stream: Stream, expected: int, data: bytes) -> int:
    """Append as soon as there is a server again."""
    while True:
        try:
            return await append(stream, expected, data)
        except Unreachable:
            await trio.sleep(0.05)


async def test_a_node_begins_while_nats_is_away(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    server = NatsServer(tmp_path, "nats")
    try:
        async with connected(server.url) as (stream, _):
            assert [record.levelname for record in caplog.records] == ["ERROR"]
            assert f"no NATS server answers: {server.url} (" in caplog.text
            for call in (stream.last, stream.create):
                with pytest.raises(Unreachable, match="no NATS server answers"):
                    await call()
            server.start()
            await until(lambda: is_there(stream))
            await stream.create()
            assert await append(stream, 0, b"one") == 1
    finally:
        server.close()


async def is_there(stream: Stream) -> bool:
    try:
        await stream.last()
    except (Unreachable, NoStream) as error:
        return isinstance(error, NoStream)
    return True


# Streams that are not what they were


async def test_a_stream_that_was_never_made_is_none(nats_server: NatsServer) -> None:
    async with connected(nats_server.url, append_seconds=0.3) as (stream, _):
        with pytest.raises(NoStream):
            await stream.last()
        with pytest.raises(NoStream):
            await read(stream, 0, 1)
        with pytest.raises(Unreachable, match="nobody at NATS answers"):
            await append(stream, 0, b"one")


async def test_what_the_stream_has_not_kept_is_missing(nats_server: NatsServer) -> None:
    async with connected(nats_server.url) as (stream, _):
        await stream.create()
        await append(stream, 0, b"one", b"two", b"three")
        await trio.to_thread.run_sync(ask, nats_server, "STREAM.PURGE.relay-team", {"seq": 3})
        with pytest.raises(Missing):
            await read(stream, 0, 1)
        assert await read(stream, 2, 1) == [Entry(3, b"three")]
        await trio.to_thread.run_sync(ask, nats_server, "STREAM.PURGE.relay-team", {})
        with pytest.raises(Missing):
            await read(stream, 2, 1)
        async with stream.entries(3) as entries:  # nothing is missing behind the newest
            await append(stream, 3, b"four")
            assert await anext(entries) == Entry(4, b"four")


async def test_a_stream_that_is_made_anew_misses_what_was_in_the_old_one(nats_server: NatsServer) -> None:
    async with connected(nats_server.url) as (stream, _):
        await stream.create()
        await append(stream, 0, b"one", b"two")
        async with stream.entries(0) as entries:
            assert await anext(entries) == Entry(1, b"one")
            assert await anext(entries) == Entry(2, b"two")
            await trio.to_thread.run_sync(ask, nats_server, "STREAM.DELETE.relay-team", {})
            with pytest.raises(NoStream):
                await anext(entries)
        await stream.create()
        await append(stream, 0, b"one anew")
        with pytest.raises(Missing):
            await read(stream, 2, 1)


async def test_the_stream_follows_the_settings(nats_server: NatsServer, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "relay.cluster")
    for hours, size in ((24.0, 0), (24.0, 0), (2.0, 1 << 27)):
        async with connected(nats_server.url, keep_hours=hours, stream_bytes=size) as (stream, _):
            await stream.create()
    info = await trio.to_thread.run_sync(ask, nats_server, "STREAM.INFO.relay-team", {})
    assert info["config"]["max_age"] == 2 * 3600 * 10**9
    assert info["config"]["max_bytes"] == 1 << 27
    told = [record.getMessage() for record in caplog.records if "the stream" in record.getMessage()]
    assert len(told) == 2
    assert "is made, with replicas = 1" in told[0]
    assert '"max_bytes":134217728' in told[1]


async def test_more_copies_than_there_are_servers_are_refused_in_nats_words(nats_server: NatsServer) -> None:
    async with connected(nats_server.url, replicas=3) as (stream, _):
        with pytest.raises(Unreachable, match=r"NATS refuses it: .*replicas"):
            await stream.create()


# The bus


async def test_what_is_said_reaches_all_who_listen(nats_server: NatsServer) -> None:
    async with (
        connected(nats_server.url) as (_, mine),
        connected(nats_server.url) as (_, theirs),
        mine.subscribe("leader") as here,
        theirs.subscribe("leader") as there,
        theirs.subscribe("nodes") as other,
    ):
        await theirs.publish("leader", b"beat")  # behind the subscription, on the same connection
        assert await there.receive() == b"beat"
        await until(lambda: is_heard(mine, here))
        assert other.statistics().current_buffer_used == 0


async def is_heard(bus: Bus, channel: trio.MemoryReceiveChannel[bytes]) -> bool:
    await bus.publish("leader", b"again")
    return channel.statistics().current_buffer_used > 0


async def test_a_slow_listener_misses_the_oldest(nats_server: NatsServer) -> None:
    async with (
        connected(nats_server.url) as (_, bus),
        bus.subscribe("leader") as slow,
        bus.subscribe("leader") as quick,
    ):
        for number in range(300):
            await bus.publish("leader", b"%d" % number)
            assert await quick.receive() == b"%d" % number
        found: list[bytes] = []
        while found[-1:] != [b"299"]:  # it may come to the slow one a moment later
            found.append(await slow.receive())
        assert found == [b"%d" % number for number in range(300 - len(found), 300)]
        assert len(found) in (256, 257)


# Who may connect


async def test_a_login_is_by_a_password_from_a_file_and_a_wrong_one_is_told_without_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    server = NatsServer(tmp_path, "nats", config="authorization { user: relay, password: right }")
    password = tmp_path / "password"
    login: dict[str, Any] = {"user": "relay", "password_file": str(password)}
    try:
        server.start()
        async with connected(server.url, **login) as (stream, _):
            with pytest.raises(Unreachable, match=f"{password} cannot be read"):
                await stream.last()
            password.write_text("wrong\n")
            await until(lambda: is_told(stream, "Authorization Violation"))
            password.write_text("right\n")
            await until(lambda: is_there(stream))
        assert "wrong" not in caplog.text
        password.write_text("wrong\n")
        caplog.clear()
        async with connected(server.url, **login) as (stream, _):
            await until(lambda: is_told(stream, "Authorization Violation"))  # its first words may be lost
            assert "Authorization Violation" in caplog.text
            assert "wrong" not in caplog.text
    finally:
        server.close()


async def is_told(stream: Stream, text: str) -> bool:
    try:
        await stream.last()
    except Unreachable as error:
        return text in str(error)
    return False


async def test_a_login_is_by_a_file_of_credentials(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    right, other = make_credentials(), make_credentials()
    server = NatsServer(tmp_path, "nats", config=right.config, jetstream=False)
    file = tmp_path / "node.creds"
    file.write_text(right.file)
    try:
        server.start()
        async with connected(server.url, credentials=str(file)) as (_, bus), bus.subscribe("leader") as beats:
            await bus.publish("leader", b"beat")
            assert await beats.receive() == b"beat"
        for text, said in (
            (other.file, "Authorization Violation"),
            (right.config, f"{file} has no NATS USER JWT"),
        ):
            caplog.clear()
            file.write_text(text)
            async with connected(server.url, credentials=str(file)) as (stream, _):
                await until(partial(is_told, stream, said))
                assert said in caplog.text
        assert other.seed not in caplog.text
    finally:
        server.close()


async def test_tls_is_by_a_certificate_that_is_trusted_or_there_is_no_connection(tmp_path: Path) -> None:
    mine, strange = (make_certificate(tmp_path / name, "localhost") for name in ("mine.pem", "strange.pem"))
    server = NatsServer(tmp_path, "nats", config=f'tls {{ cert_file: "{mine}", key_file: "{mine}" }}')
    url = f"tls://localhost:{server.port}"
    try:
        server.start()
        async with connected(url, tls_ca=str(mine)) as (stream, _):
            await stream.create()
            assert await append(stream, 0, b"one") == 1
        for file, said in ((strange, "CERTIFICATE_VERIFY_FAILED"), (tmp_path / "none", "No such file")):
            async with connected(url, tls_ca=str(file)) as (stream, _):
                await until(partial(is_told, stream, said))
    finally:
        server.close()


async def test_a_server_that_should_have_tls_and_has_none_is_told_no_password(tmp_path: Path) -> None:
    password = tmp_path / "password"
    password.write_text("right")
    server = NatsServer(tmp_path, "nats", config="authorization { user: relay, password: right }")
    url = server.url.replace("nats://", "tls://")
    try:
        server.start()
        async with connected(url, user="relay", password_file=str(password)) as (stream, _):
            await until(lambda: is_told(stream, f"{url} speaks no TLS"))
    finally:
        server.close()


async def test_without_nats_py_the_command_that_installs_it_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "nats.aio.client", None)
    with pytest.raises(MissingExtra, match=r"needs nats-py: pip install 'relay-server\[cluster\]'"):
        async with connected("nats://127.0.0.1:1"):
            pass
