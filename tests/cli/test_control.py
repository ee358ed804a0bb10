"""The control socket: who may use it, and what broken clients cannot do."""

from __future__ import annotations

import inspect
import logging
import os
import socket
import stat
import struct
import subprocess
import sys
import tempfile
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest
import trio
import trio.testing
from trio.testing import MockClock

from relay.app import admin
from relay.app.control import REQUEST_SECONDS, TOLD, serve_control
from relay.app.control_client import MAX_REQUEST, ControlError, NoServer, call, control_path
from relay.engine.engine import Engine
from relay.engine.opening import open_engine
from relay.protocol.errors import CloseCode, ErrorCode, RelayError
from relay.protocol.outbox import Outbox
from relay.services.connections import Connection
from relay.settings import load

pytestmark = pytest.mark.real_time


class Ended:
    """A socket that notes how it was closed."""

    def __init__(self) -> None:
        self.code: CloseCode | None = None
        self.open = True
        self.outbox = Outbox(0, 0)

    def flush(self) -> None:
        """Nothing waits here."""

    def end(self, code: CloseCode, reason: str | None = None) -> None:
        self.code = code


@asynccontextmanager
async def serving(database: Path) -> AsyncIterator[tuple[Engine, Path]]:
    settings = load(None, {"RELAY_STORAGE__PATH": str(database)})
    path = control_path(database)
    async with open_engine(settings, inline=True) as engine, trio.open_nursery() as nursery:
        await nursery.start(partial(serve_control, engine, path))
        try:
            yield engine, path
        finally:
            nursery.cancel_scope.cancel()


async def ask(path: Path, op: str, **arguments: Any) -> Any:
    return await trio.to_thread.run_sync(call, path, op, arguments)


async def ask_raw(path: Path, request: bytes) -> dict[str, Any]:
    """Send bytes, end the stream, and return the answer."""
    async with await trio.open_unix_socket(str(path)) as stream:
        await stream.send_all(request)
        await stream.send_eof()
        answer = b"".join([chunk async for chunk in stream])
    decoded: dict[str, Any] = msgspec.json.decode(answer)
    return decoded


async def ask_too_much(path: Path) -> bytes:
    """Send until the server has enough, and return what it answered."""
    received = b""
    async with await trio.open_unix_socket(str(path)) as stream:
        with suppress(trio.BrokenResourceError):
            while True:
                await stream.send_all(b"x" * 65_536)
        with suppress(trio.BrokenResourceError):
            while chunk := await stream.receive_some():
                received += chunk
    return received


async def connect(engine: Engine, token: str) -> Ended:
    identity = await engine.accounts.identify(token)
    socket = Ended()
    engine.connections.register(Connection(engine.connections, identity, "phone", socket, "127.0.0.1"))
    return socket


async def test_an_operation_is_done_by_the_servers_engine(tmp_path: Path) -> None:
    async with serving(tmp_path / "relay.db") as (engine, path):
        assert await ask(path, "user.add", user_id="bob") == {"role": "member"}
        assert [user["user_id"] for user in await admin.perform(engine, "user.list", {})] == ["bob"]
        token = await ask(path, "token.create", user_id="bob")
        assert (await engine.accounts.identify(token)).user_id == "bob"


async def test_a_refusal_arrives_with_its_code_and_message(tmp_path: Path) -> None:
    async with serving(tmp_path / "relay.db") as (_engine, path):
        with pytest.raises(RelayError, match="there is no user 'nobody'") as refused:
            await ask(path, "user.disable", user_id="nobody")
    assert refused.value.code is ErrorCode.NOT_FOUND


async def test_disabling_and_revoking_end_live_connections(tmp_path: Path) -> None:
    async with serving(tmp_path / "relay.db") as (engine, path):
        await ask(path, "user.import", user_ids=["ann", "ben", "carl"])
        sockets = {
            name: await connect(engine, await ask(path, "token.create", user_id=name)) for name in ("ann", "ben")
        }
        (token,) = await ask(path, "token.list", user_id="ben")
        await ask(path, "user.disable", user_id="ann")
        await ask(path, "token.revoke", token_id=token["token_id"])
        assert sockets["ann"].code is CloseCode.ACCOUNT_DISABLED
        assert sockets["ben"].code is CloseCode.SESSION_REVOKED


async def test_a_new_password_ends_the_connections_of_logins(tmp_path: Path) -> None:
    async with serving(tmp_path / "relay.db") as (engine, path):
        await ask(path, "user.add", user_id="ann", password="the old password")
        login, *_ = await engine.logins.login("ann", "the old password", None)
        socket = await connect(engine, login)
        await ask(path, "user.passwd", user_id="ann", password="the new password")
        assert socket.code is CloseCode.SESSION_REVOKED
        with pytest.raises(RelayError, match="wrong"):
            await engine.logins.login("ann", "the old password", None)
        await engine.logins.login("ann", "the new password", None)


async def test_the_socket_is_for_its_owner_alone_and_goes_with_the_server(tmp_path: Path) -> None:
    async with serving(tmp_path / "relay.db") as (_engine, path):
        assert path == tmp_path / "relay.db.sock"
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert not path.exists()


async def test_the_socket_of_a_dead_server_is_nobodys_and_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "relay.db.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    with pytest.raises(NoServer):
        call(path, "user.list", {})
    async with serving(tmp_path / "relay.db"):
        assert await ask(path, "user.list") == []


@pytest.mark.parametrize("kind", ["file", "folder", "link"])
async def test_what_is_no_socket_is_not_removed(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "relay.db.sock"
    if kind == "file":
        path.write_text("precious")
    elif kind == "folder":
        path.mkdir()
    else:
        path.symlink_to(tmp_path / "elsewhere")
    with pytest.RaisesGroup(pytest.RaisesExc(ControlError, match="in the way"), flatten_subgroups=True):
        async with serving(tmp_path / "relay.db"):
            pass
    assert path.is_symlink() or path.exists()


async def test_a_database_deep_in_folders_has_its_socket(tmp_path: Path) -> None:
    deep = tmp_path.joinpath(*["a-folder-with-a-long-name"] * 8)
    deep.mkdir(parents=True)
    with pytest.raises(NoServer):
        call(deep / "relay.db.sock", "user.list", {})
    async with serving(deep / "relay.db") as (_engine, path):
        assert len(str(path)) > 200
        assert path.is_socket()
        assert await ask(path, "user.list") == []
    assert not path.exists()


async def test_a_name_too_long_for_any_socket_is_said_so(tmp_path: Path) -> None:
    with pytest.RaisesGroup(pytest.RaisesExc(ControlError, match="shorter"), flatten_subgroups=True):
        async with serving(tmp_path / ("x" * 120)):
            pass


@pytest.mark.parametrize(
    ("request_", "code"),
    [
        (b"", "bad_json"),
        (b"\n", "bad_json"),
        (b"nonsense\n", "bad_json"),
        (b"\xff\xfe\n", "bad_json"),
        (b"[" * 100_000 + b"\n", "bad_json"),
        (b'{"op": 7}\n', "bad_json"),
        (b'{"op": "user.list", "who": 1}\n', "bad_json"),
        (b'{"op": "user.fly"}\n', "unknown_type"),
        (b'{"op": "user.add"}\n', "invalid_payload"),
        (b'{"op": "user.add", "arguments": {"user_id": 7}}\n', "invalid_payload"),
        (b'{"op": "user.add", "arguments": {"user_id": "bob", "engine": 1}}\n', "invalid_payload"),
        (b'{"op": "user.list", "arguments": {"limit": 1001}}\n', "invalid_payload"),
    ],
)
async def test_a_broken_request_is_answered_and_harms_nobody(tmp_path: Path, request_: bytes, code: str) -> None:
    async with serving(tmp_path / "relay.db") as (_engine, path):
        assert (await ask_raw(path, request_))["error"]["code"] == code
        assert await ask(path, "user.list") == []


async def test_a_request_without_its_line_end_is_done(tmp_path: Path) -> None:
    async with serving(tmp_path / "relay.db") as (_engine, path):
        assert await ask_raw(path, b'{"op": "user.list"}') == {"ok": []}


async def test_a_request_over_the_limit_is_refused_on_both_sides(tmp_path: Path) -> None:
    async with serving(tmp_path / "relay.db") as (_engine, path):
        with pytest.raises(RelayError) as refused:
            await ask(path, "user.import", user_ids=["x" * MAX_REQUEST])
        assert refused.value.code is ErrorCode.TOO_LARGE
        received = await ask_too_much(path)
        assert b"too_large" in received
        assert await ask(path, "user.list") == []


async def test_clients_that_vanish_or_say_nothing_leave_the_server_as_it_was(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    async with serving(tmp_path / "relay.db") as (_engine, path):
        for sent in (b"", b'{"op": "us', b'{"op": "user.list"}\n'):
            gone = await trio.open_unix_socket(str(path))
            if sent:
                await gone.send_all(sent)
            await gone.aclose()
        started = trio.current_time()
        async with await trio.open_unix_socket(str(path)) as silent:
            answer = b"".join([chunk async for chunk in silent])
        assert trio.current_time() - started == REQUEST_SECONDS
        assert msgspec.json.decode(answer)["error"]["code"] == "internal"
        assert await ask_raw(path, b'{"op": "user.list"}\n') == {"ok": []}


async def test_a_fault_of_our_own_is_logged_and_tells_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def fail(_engine: Engine) -> None:
        raise ZeroDivisionError("inner secrets")

    monkeypatch.setitem(admin.OPERATIONS, "test.fail", fail)
    async with serving(tmp_path / "relay.db") as (_engine, path):
        answer = await ask_raw(path, b'{"op": "test.fail"}\n')
        assert answer["error"]["code"] == "internal"
        assert "secrets" not in answer["error"]["message"]
        assert await ask(path, "user.list") == []
    assert "inner secrets" in caplog.text


async def test_what_is_asked_is_logged_and_its_arguments_are_not(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "relay.control")
    async with serving(tmp_path / "relay.db") as (_engine, path):
        await ask(path, "user.add", user_id="bob", password="correct horse")
    assert "user.add" in caplog.text
    assert "correct horse" not in caplog.text


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
async def test_another_user_is_not_heard() -> None:
    with tempfile.TemporaryDirectory() as name:
        os.chmod(name, 0o755)
        async with serving(Path(name, "relay.db")) as (_engine, path):
            path.chmod(0o666)
            assert msgspec.json.decode((await ask_as_nobody(path)).stdout or b"")["error"]["code"] == "forbidden"
            path.chmod(0o600)
            assert b"PermissionError" in ((await ask_as_nobody(path)).stderr or b"")


async def ask_as_nobody(path: Path) -> subprocess.CompletedProcess[bytes]:
    """Connect as another user and wait for an answer: it comes before any request is read."""
    program = (
        "import os, socket, sys; os.setgroups([]); os.setgid(65534); os.setuid(65534);"
        "s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]); print(s.recv(1000).decode())"
    )
    command = [sys.executable, "-c", program, str(path)]
    return await trio.run_process(command, capture_stdout=True, capture_stderr=True, check=False)


@pytest.mark.parametrize(
    "answer", [b"", b'{"ok": 1', b"nonsense\n", b'{"error": {"code": "new", "message": ""}}\n']
)
def test_a_server_that_gives_no_answer_is_told_of(tmp_path: Path, answer: bytes) -> None:
    path = tmp_path / "relay.db.sock"
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
        listening.listen()

        def serve() -> None:
            connection, _address = listening.accept()
            with connection:
                connection.recv(65_536)
                connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        with pytest.raises(ControlError):
            call(path, "user.list", {})
        thread.join()


def test_the_peer_is_asked_of_the_kernel_and_not_of_itself() -> None:
    one, other = socket.socketpair(socket.AF_UNIX)
    with one, other:
        credentials = one.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    assert struct.unpack("3i", credentials) == (os.getpid(), os.geteuid(), os.getegid())


def test_every_command_of_the_command_line_asks_for_an_operation_that_exists() -> None:
    relay = Path(admin.__file__).parents[1]
    sources = [*relay.joinpath("cli").glob("*.py"), *relay.joinpath("app", "doctor").glob("*.py")]
    text = "".join(source.read_text() for source in sources)
    asked = {op for op in admin.OPERATIONS if f'"{op}"' in text}
    assert asked == set(admin.OPERATIONS)


def test_a_command_on_a_running_server_needs_neither_trio_nor_the_engine() -> None:
    program = (
        "import sys, relay.cli, relay.app.control_client; print('trio' in sys.modules, 'sqlite3' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "False False\n"


async def test_the_log_says_whom_an_operation_was_about_and_no_secret(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "relay.control")
    async with serving(tmp_path / "relay.db") as (_engine, path):
        await ask(path, "user.add", user_id="ann", password="a secret one")
        await ask(path, "user.passwd", user_id="ann", password="a secret two")
        await ask(path, "user.disable", user_id="ann")
        with pytest.raises(RelayError):
            await ask(path, "group.show", group_id="no\nsuch")
    lines = [record.getMessage() for record in caplog.records if record.name == "relay.control"]
    uid = os.getuid()
    assert lines == [
        f"control: user.add user_id='ann', asked by uid {uid}",
        f"control: user.passwd user_id='ann', asked by uid {uid}",
        f"control: user.disable user_id='ann', asked by uid {uid}",
        f"control: group.show group_id='no\\nsuch', asked by uid {uid}",
    ]
    assert "secret" not in caplog.text


async def test_each_operation_that_changes_something_says_in_the_log_what_it_was_about() -> None:
    untold = {
        name: set(inspect.signature(operation).parameters) - {"engine", "actor"}
        for name, operation in admin.OPERATIONS.items()
        if "actor" in inspect.signature(operation).parameters
    }
    silent = [name for name, arguments in untold.items() if arguments and not arguments & TOLD]
    assert not silent, "add what they are about to TOLD of relay/app/control.py"
    assert not TOLD & {"password", "payload", "note", "reason", "arguments", "display_name"}


async def test_the_log_has_an_invites_id_and_never_its_code(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    async with serving(tmp_path / "relay.db") as (_engine, path):
        code = await ask(path, "user.invite", uses=3, label="team")
        await ask(path, "invite.revoke", invite=code)
    made, revoked = [r.getMessage() for r in caplog.records if r.name == "relay.control"]
    assert made.startswith("control: user.invite uses=3 label='team', asked by uid ")
    assert revoked.startswith("control: invite.revoke invite='inv_")
    assert code not in caplog.text
