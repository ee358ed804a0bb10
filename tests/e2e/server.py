"""The real server as a child process, with its own folder, relay.toml and database."""

from __future__ import annotations

import contextlib
import json
import os
import re
import resource
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property, partial
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any, TypeVar, cast

import httpx

from relay.testing.checking import Answers, Described
from tests.e2e.forking import Forked, forks
from tests.e2e.wire import PATIENCE, Address

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = os.environ.get("RELAY_BIN")
"""The program that `make binary` made, as the thing under test; without it, relay as it is in the tree."""
RELAY = [str(Path(PROGRAM).resolve())] if PROGRAM else [sys.executable, "-m", "relay"]
"""The command; where a test does not ask for one, relay of the tree is a fork of what has imported it."""

LISTENING = re.compile(r"127\.0\.0\.1:(\d+)")

Tables = Mapping[str, Mapping[str, Any]]
Made = TypeVar("Made")

NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""For clients of a server without TLS: the context that httpx makes otherwise has read all certificates, each time."""

_MADE: dict[tuple[str, ...], Any] = {}
"""What was made of the documents of servers, by what these servers began with."""

UNLIMITED: Tables = {
    "presence": {"grace_seconds": 1},
    "limits": {
        "messages_per_second": 0,
        "messages_burst": 0,
        "hellos_per_minute": 0,
        "logins_per_minute": 0,
        "connections_per_user": 0,
        "connections_per_address": 0,
        "strangers_per_address": 0,
    },
}


def free_port() -> int:
    """Find a free port below the ephemeral range: no client of ours takes it while the server is down.

    Nor does another of pytest's workers: each has ports of its own.
    """
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    start = 20_000 + worker % 12 * 1_000 + (os.getpid() * 37 + time.monotonic_ns() // 1000) % 500
    for port in range(start, start + 500):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise AssertionError("no free port")


def merged(*layers: Tables) -> dict[str, dict[str, Any]]:
    tables: dict[str, dict[str, Any]] = {}
    for layer in layers:
        for section, values in layer.items():
            tables.setdefault(section, {}).update(values)
    return tables


def to_toml(tables: Tables) -> str:
    """Render flat tables; strings, numbers, booleans and lists are written alike in JSON and TOML."""
    lines: list[str] = []
    for section, values in tables.items():
        lines.append(f"[{section}]")
        lines += [f"{key} = {json.dumps(value)}" for key, value in values.items()]
    return "\n".join(lines) + "\n"


class Server:
    """One server: a folder that lasts, and a process that may be started and ended many times."""

    def __init__(
        self,
        folder: Path,
        settings: Tables | None = None,
        root: Path = ROOT,
        command: Sequence[str] | None = RELAY if PROGRAM else None,
    ) -> None:
        self.folder = folder
        self.command = command
        self.root = root
        self.config = folder / "relay.toml"
        self.database = folder / "relay.db"
        self.log = folder / "server.log"
        self.port = free_port()
        place: Tables = {"server": {"host": "127.0.0.1", "port": self.port}}
        files: Tables = {"storage": {"path": str(self.database)}}
        self.config.write_text(to_toml(merged(UNLIMITED, place, files, settings or {})))
        self.process: subprocess.Popen[bytes] | Forked | None = None
        self.files: int | None = None
        self.handed: tuple[int, ...] = ()
        self._began_with: tuple[str, ...] = ()
        self.environ: dict[str, str] = {}  # what is added for the server, and not for commands

    @property
    def address(self) -> Address:
        return ("127.0.0.1", self.port)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @cached_property
    def described(self) -> Described:
        """What this server says of its socket; the settings of one server never change."""
        return self._made_of("/asyncapi.json", Described)

    @cached_property
    def answers(self) -> Answers:
        """What this server says of its REST calls."""
        return self._made_of("/openapi.json", Answers)

    def _made_of(self, path: str, make: Callable[[Any], Made]) -> Made:
        """Return what is made of a document: servers that began with the same say the same, and it takes each half a second."""
        key = (path, *self._began_with)
        made = _MADE.get(key)
        if made is None:
            response = httpx.get(self.url + path, timeout=PATIENCE, trust_env=False, verify=NO_TLS)
            assert response.status_code == 200, response.text
            made = make(response.json())
            if not (self.folder / "plugins.d").exists():  # such plugins are in no setting
                _MADE[key] = made
        return cast(Made, made)

    def _all_it_begins_with(self) -> tuple[str, ...]:
        """Return its program and its settings, but for its place."""
        own = {str(self.database): "relay.db", str(self.port): "port"}
        settings = self.config.read_text() + json.dumps(self.environ)
        for text, neutral in own.items():
            settings = settings.replace(text, neutral)
        return settings, str(self.root), *(self.command or ())

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    @property
    def alive(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def spawn(self) -> None:
        """Start the process and return at once."""
        assert not self.alive
        self._began_with = self._all_it_begins_with()
        with self.log.open("ab") as log, self._stdout.open("wb") as out:
            self.process = self._run("serve", environ=self.environ, stdin=None, stdout=out, stderr=log)
        if self.files is not None:
            resource.prlimit(self.pid, resource.RLIMIT_NOFILE, (self.files, self.files))

    @property
    def _stdout(self) -> Path:
        return self.folder / "stdout.txt"

    def wait_ready(self) -> None:
        """Wait for the one line that says that connections are accepted."""
        deadline = time.monotonic() + PATIENCE
        while not LISTENING.search(self._stdout.read_text()):
            assert self.alive, f"the server ended while starting:\n{self.diagnosis()}"
            assert time.monotonic() < deadline, f"no line with the address:\n{self.diagnosis()}"
            time.sleep(0.005)

    def start(self) -> None:
        self.spawn()
        try:
            self.wait_ready()
        except BaseException:
            self.kill()
            raise

    def stop(self, number: int = signal.SIGTERM, timeout: float = PATIENCE) -> int:
        """Send a signal and return the exit code; a server that stays longer than `timeout` is an error."""
        assert self.process is not None
        if self.process.poll() is None:
            self.process.send_signal(number)
        try:
            return self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            late = f"still there {timeout} s after signal {number}"
            raise AssertionError(f"{late}:\n{self.diagnosis()}") from None

    def kill(self) -> None:
        self.stop(signal.SIGKILL)

    def restart(self) -> None:
        code = self.stop()
        assert code == 0, f"exit code {code}:\n{self.diagnosis()}"
        self.start()

    def diagnosis(self) -> str:
        return self._stdout.read_text()[-2000:] + self.log.read_text(errors="replace")[-6000:]

    def rss_bytes(self) -> int:
        """Read the resident memory of the process now, without what is a file's or another process's as well."""
        _, resident, shared, *_ = map(int, Path(f"/proc/{self.pid}/statm").read_text().split())
        return (resident - shared) * os.sysconf("SC_PAGE_SIZE")

    def relay(self, *arguments: str, stdin: str = "") -> str:
        """Run a relay command against this server's config and return what it printed."""
        with TemporaryFile() as given, TemporaryFile() as printed, TemporaryFile() as complained:
            given.write(stdin.encode())
            given.seek(0)
            process = self._run(*arguments, stdin=given, stdout=printed, stderr=complained)
            try:
                code = process.wait(4 * PATIENCE)  # an import of many lines takes its time
            finally:
                process.kill()
            said, errors = (file.seek(0) or file.read().decode() for file in (printed, complained))
        assert code == 0, f"relay {' '.join(arguments)}: {said}{errors}"
        return said

    def _run(
        self, *arguments: str, environ: Mapping[str, str] = {}, **streams: IO[bytes] | None
    ) -> subprocess.Popen[bytes] | Forked:
        whole = [*arguments, "--config", str(self.config)]
        env = environment() | dict(environ)
        # A program takes its limits, and what its loader reads, at its start: a fork has begun before.
        command = RELAY if self.command is None and (environ or self.files is not None) else self.command
        if command is None:
            return forks().start(whole, cwd=self.root, env=env, **streams)
        return subprocess.Popen([*command, *whole], cwd=self.root, env=env, pass_fds=self.handed, **streams)

    def import_users(self, names: Iterable[str]) -> dict[str, str]:
        """Create users and return their tokens by name."""
        wanted = list(names)
        file = self.folder / "users.txt"
        file.write_text("".join(f"{name}\n" for name in wanted))
        printed = self.relay("user", "import", str(file), "--tokens")
        tokens = dict(line.split("\t", 1) for line in printed.splitlines() if "\t" in line)
        assert sorted(tokens) == sorted(wanted), printed
        return tokens

    def rest(self, token: str | None, **options: Any) -> httpx.Client:
        """Open a REST client for the owner of a token, whose answers are held to `answers`; the caller closes it."""
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        options |= {"event_hooks": {"response": [partial(_check, self.answers)]}, "verify": NO_TLS}
        return httpx.Client(base_url=self.url, headers=headers, timeout=PATIENCE, trust_env=False, **options)


def _check(answers: Answers, response: httpx.Response) -> None:
    asked, headers = response.request, {name.lower(): value for name, value in response.headers.items()}
    body = response.read() if "json" in headers.get("content-type", "") else b""
    answers.check(asked.method, asked.url.raw_path.decode(), response.status_code, headers, body)


def environment() -> dict[str, str]:
    """Return this process's environment without settings of relay's, and with Python's as people have them."""
    others = ("RELAY_", "PYTHONUNBUFFERED", "PYTHONDONTWRITEBYTECODE")
    return {name: value for name, value in os.environ.items() if not name.startswith(others)}
