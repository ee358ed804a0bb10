"""The server under test: a process of its own, started fresh for each benchmark and ended by a signal."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx
import msgspec

from benchmarks.frames import MismatchError
from benchmarks.load import Client
from benchmarks.loop import Loop
from benchmarks.machine import memory_kib

START_SECONDS, STOP_SECONDS = 60, 20
FAILURES = (
    *(MismatchError, OSError, subprocess.SubprocessError, httpx.HTTPError, msgspec.MsgspecError),
    *(LookupError, ArithmeticError, AssertionError),
)
"""How a workload ends that a server did wrong; the next one runs all the same."""

# Limits guard a server from strangers; here they would only cut the load short. All else is the default, but
# the replay limit, so that a thousand missed messages are whole whatever else the replay brings.
CONFIG = """\
[server]
host = "127.0.0.1"
port = 0
[storage]
path = "relay.db"
durability = "full"
[replay]
limit = {replay}
[limits]
messages_per_second = 0
message_bytes_per_second = 0
hellos_per_minute = 0
connections = 0
connections_per_user = 0
connections_per_address = 0
strangers_per_address = 0
group_members = 0
"""


@dataclass(frozen=True)
class Server:
    """A running server and the accounts on it."""

    pid: int
    port: int
    tokens: Mapping[str, str]
    folder: Path

    def client(self, loop: Loop, user: str, device: str = "bench") -> Client:
        """Make a client of one user; its `client_id` is `device`, made unique by the user's name."""
        return Client(loop, user, self.tokens[user], f"{device}-{user}")

    def memory(self) -> int:
        """Return the memory of the server in KiB."""
        return memory_kib(self.pid)

    def rest(self, user: str, method: str, path: str, body: object = None) -> dict[str, object]:
        """Make one REST call as `user` and return its JSON answer.

        Raises:
            MismatchError: the answer is not a success.
        """
        url = f"http://127.0.0.1:{self.port}{path}"
        headers = {"Authorization": f"Bearer {self.tokens[user]}"}
        answer = httpx.request(method, url, json=body, headers=headers, timeout=30, trust_env=False)
        if not answer.is_success:
            raise MismatchError(f"{method} {path}: {answer.status_code} {answer.text[:300]}")
        return msgspec.json.decode(answer.content, type=dict[str, object])

    def command(self, *arguments: str) -> None:
        """Run a command of relay's beside the server.

        Raises:
            MismatchError: it fails.
        """
        command = [sys.executable, "-m", "relay", *arguments, "--config", str(self.folder / "relay.toml")]
        done = subprocess.run(command, capture_output=True, text=True, timeout=1800, env=own_environ())
        if done.returncode != 0:
            told = f"relay {' '.join(arguments)} exited with {done.returncode}"
            raise MismatchError(f"{told}:\n{done.stderr[-2000:]}")


def end_cleanly() -> None:
    """Have SIGTERM end this process as Ctrl-C does, so that its servers and folders go with it."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended by SIGTERM"))


@contextmanager
def scratch() -> Iterator[Path]:
    """Make a folder beside the current one's files, on their disk; it is removed at the end."""
    with TemporaryDirectory(prefix=".bench-", dir=Path.cwd()) as name:
        folder = Path(name)
        (folder / ".gitignore").write_text("*\n")  # a run that is killed leaves the folder behind
        yield folder


@contextmanager
def running(
    users: Sequence[str], profile: Path | None = None, config: str = "", replay: int = 2000
) -> Iterator[Server]:
    """Start a server on an empty database with these users, and end it by SIGTERM.

    `config` is appended to its configuration, `replay` is its limit of a replay. With `profile`, it runs under
    cProfile and leaves its statistics there: the figures are then no measure.

    Raises:
        MismatchError: the server does not start, or does not end by itself and with exit code 0.
    """
    with prepared(users, config, replay) as (folder, tokens), serving(folder, tokens, profile) as server:
        yield server


@contextmanager
def prepared(users: Sequence[str], config: str = "", replay: int = 2000) -> Iterator[tuple[Path, dict[str, str]]]:
    """Make a folder with a configuration, and a database with these users; yield it and their tokens."""
    with scratch() as folder:
        (folder / "relay.toml").write_text(CONFIG.format(replay=replay) + config)
        yield folder, import_users(users, folder / "relay.toml", own_environ())


@contextmanager
def serving(folder: Path, tokens: Mapping[str, str], profile: Path | None = None) -> Iterator[Server]:
    """Start a server in a folder that was prepared, and end it by SIGTERM.

    Raises:
        MismatchError: the server does not start, or does not end by itself and with exit code 0.
    """
    file, log = folder / "relay.toml", folder / "log"
    profiler = ["-m", "cProfile", "-o", str(profile.resolve())] if profile else []
    command = [sys.executable, *profiler, "-m", "relay", "serve", "--config", str(file)]
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, env=own_environ())
    try:
        yield Server(process.pid, await_port(process, log), tokens, folder)
        process.terminate()
        code = process.wait(STOP_SECONDS)
    except BaseException as error:
        process.kill()
        process.wait()
        error.add_note(f"the end of the server's log:\n{log.read_text()[-2000:]}")
        raise
    if code != 0:
        raise MismatchError(f"the server exited with {code}:\n{log.read_text()[-2000:]}")


def own_environ() -> dict[str, str]:
    """Return the environment without settings: none of the caller's may reach the measured server."""
    return {name: value for name, value in os.environ.items() if not name.startswith("RELAY_")}


def import_users(users: Sequence[str], config: Path, environ: Mapping[str, str]) -> dict[str, str]:
    """Create accounts by the command line and return the token of each.

    Raises:
        MismatchError: the command fails, or one user has no token.
    """
    names = config.with_name("users")
    names.write_text("".join(f"{user}\n" for user in users))
    arguments = ["user", "import", str(names), "--tokens", "--config", str(config)]
    command = [sys.executable, "-m", "relay", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, env=environ, timeout=120)
    if done.returncode != 0:
        raise MismatchError(f"relay user import exited with {done.returncode}:\n{done.stderr[-2000:]}")
    tokens = dict(line.split("\t") for line in done.stdout.splitlines() if "\t" in line)
    if missing := set(users) - tokens.keys():
        raise MismatchError(f"relay user import gave {len(missing)} users no token")
    return tokens


def await_port(process: subprocess.Popen[bytes], log: Path) -> int:
    """Wait for the line that says where the server accepts connections, and return the port.

    Raises:
        MismatchError: it does not come in time, or the server ended.
    """
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        if found := re.search(r"127\.0\.0\.1:(\d+)", log.read_text()):
            return int(found[1])
        time.sleep(0.02)
    raise MismatchError("the server does not accept connections")
