"""The program that `make binary` makes, where there is no Python; `make test-binary` runs this."""

from __future__ import annotations

import contextlib
import fcntl
import importlib.util
import json
import os
import pty
import re
import shutil
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from relay.engine.discovery import bundled_directory, in_directory
from relay.settings.model import BUNDLED_PLUGINS
from release.binary import ARCHIVE, FOLDER, ONE_FILE
from release.contents import WITHOUT, packages
from tests.e2e.bare_root import lacking, make_root
from tests.e2e.server import LISTENING, PROGRAM, ROOT, UNLIMITED, Server, Tables, free_port, merged, to_toml
from tests.e2e.wire import PATIENCE
from tests.e2e.world import World
from tests.engine.test_loader import NEEDED

IS_NAMED = PROGRAM is not None and Path(PROGRAM).resolve() == FOLDER / "relay"
pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(not IS_NAMED, reason="RELAY_BIN does not name the program in dist: make test-binary"),
]

LARGEST = 40_000_000
"""Bytes of one file, and of the folder when it is packed."""

DROPPED_IN = '''\
"""A note, and proof that everything may be imported."""

import importlib
import sys
from typing import Annotated

import msgspec
from msgspec import Meta

from relay.plugin import Kind, MessageType, hookimpl

absent = []
for name in {names!r}:
    try:
        importlib.import_module(name)
    except ImportError as error:
        absent.append(f"{{name}}: {{error}}")
if absent:
    raise ImportError("; ".join(absent))


class Note(msgspec.Struct):
    text: Annotated[str, Meta(max_length=100)]


@hookimpl
def relay_message_types() -> list[MessageType]:
    return [MessageType(name="note", payload=Note, kind=Kind.STREAM)]
'''


def everything() -> list[str]:
    """Return the modules that a dropped-in plugin may import: all that Python and the packages have here."""
    tops = {Path(file).parts[0] for package in packages() for file in package.files or [] if file.suffix == ".py"}
    names = {Path(name).stem for name in tops} | (sys.stdlib_module_names - WITHOUT)
    # Some of Python's are for other systems, and not here either.
    return sorted(name for name in names if name.isidentifier() and importlib.util.find_spec(name) is not None)


def all_plugins(folder: Path) -> Tables:
    """Return settings with every bundled plugin switched on, and a folder for others."""
    also = sorted(set(in_directory(bundled_directory(), "bundled")) - set(BUNDLED_PLUGINS))
    providers = NEEDED["oidc"]["providers"]
    assert isinstance(providers, dict)
    return {
        "plugins": {"also": also, "directories": [str(folder)]},
        "plugins.jwt_auth": {**NEEDED["jwt_auth"], "jwks_url": "http://127.0.0.1:9/keys"},
        "plugins.proxy_auth": NEEDED["proxy_auth"],
        **{f"plugins.oidc.providers.{name}": values for name, values in providers.items()},
    }


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A root without Python, with the program in both forms."""
    if missing := lacking():
        pytest.skip(missing)
    root = make_root(tmp_path_factory.mktemp("bare") / "root", FOLDER / "relay")
    shutil.copytree(FOLDER, root / "opt/relay", symlinks=True)
    shutil.copy(ONE_FILE, root / "usr/bin/relay")
    return root


@pytest.mark.parametrize("program", ["/opt/relay/relay", "/usr/bin/relay"], ids=["folder", "one-file"])
def test_it_does_everything_where_there_is_no_python(root: Path, program: str) -> None:
    folder = root / "srv" / program.replace("/", "-")
    (folder / "plugins.d").mkdir(parents=True)
    (folder / "plugins.d" / "note.py").write_text(DROPPED_IN.format(names=everything()))
    world = World(
        folder, ("alice", "bob"), all_plugins(folder / "plugins.d"), command=["chroot", str(root), program]
    )
    try:
        listed = [json.loads(line) for line in world.server.relay("plugins", "list", "--json").splitlines()]
        assert {row["name"]: row["state"] for row in listed} == dict.fromkeys(
            [*in_directory(bundled_directory(), "bundled"), "note"], "running"
        )
        for path in ("/", "/app/main.js", "/sdk/index.js", "/plugins/index.json", "/openapi.json", "/readyz"):
            assert httpx.get(world.server.url + path, trust_env=False).status_code == 200, path
        alice, bob = world.device("alice"), world.device("bob")
        alice.say("bob", "by the socket")
        bob.wait_content("by the socket")
        note = {"type": "note", "payload": {"text": "by REST"}, "meta": {"target_id": "bob"}}
        assert world.rest("alice").post("/api/messages", json=note).status_code == 201
        assert [row["type"] for row in world.history("bob", peer="alice")] == ["chat_message", "note"]
        assert world.server.stop() == 0
    finally:
        world.end()


def test_it_prints_what_is_inside_and_the_samples(tmp_path: Path) -> None:
    server = Server(tmp_path, command=[str(FOLDER / "relay")])
    told = server.relay("version", "--verbose")
    assert "\nform: program in a folder\n" in told
    assert "\nSQLite: 3." in told
    assert "\n  trio " in told
    assert "[server]" in server.relay("config", "sample", "relay.toml")
    assert "proxy_pass" in server.relay("config", "sample", "nginx.conf")


def test_it_is_no_larger_than_it_should_be() -> None:
    assert ONE_FILE.stat().st_size < LARGEST
    assert ARCHIVE.stat().st_size < LARGEST


def test_a_new_plugin_is_written_checked_and_loaded(tmp_path: Path) -> None:
    done = subprocess.run(
        [FOLDER / "relay", "plugins", "new", "zap"], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert "try it: relay plugins check zap;" in done.stderr
    checked = subprocess.run(
        [FOLDER / "relay", "plugins", "check", "zap"], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert checked.stdout.startswith("zap: ")


@pytest.mark.parametrize("program", [FOLDER / "relay", ONE_FILE], ids=["folder", "one-file"])
def test_what_it_says_names_the_program_and_no_folder_of_the_moment(tmp_path: Path, program: Path) -> None:
    settings: Tables = {"plugins": {"also": ["proxy_auth"]}}
    server = Server(tmp_path, settings, command=[str(program)])
    server.start()
    while "user add bob" not in server.diagnosis():
        assert server.alive
        time.sleep(0.01)
    server.stop()
    said = server.diagnosis()
    assert f"\n    {program} user add alice --config {server.config}\n" in said
    assert "plugin 'proxy_auth' (bundled) is left out: " in said
    assert "_MEI" not in said


def test_without_message_types_it_refuses_to_start(tmp_path: Path) -> None:
    server = Server(tmp_path, {"plugins": {"enabled": []}}, command=[str(FOLDER / "relay")])
    server.spawn()
    assert server.process is not None
    assert server.process.wait(PATIENCE) == 1
    assert "name at least chat_message" in server.diagnosis()


# The Debian package.

PACKAGES = sorted((ROOT / "dist").glob("relay-server_*.deb"))
COMMANDS = ("sh", "getent", "useradd", "userdel", "install", "chown", "chmod", "rmdir")
INSTALLED_THERE = """\
Package: {name}
Status: install ok installed
Maintainer: nobody
Architecture: amd64
Version: {version}
Description: as here

"""


@pytest.mark.skipif(not PACKAGES, reason="no package was made: make deb")
def test_the_debian_package_is_installed_works_and_goes(tmp_path: Path) -> None:
    if missing := lacking("dpkg", *COMMANDS):
        pytest.skip(missing)
    root = make_root(tmp_path / "root", FOLDER / "relay", COMMANDS)
    make_dpkg_root(root)
    (package,) = PACKAGES
    dpkg(root, "--install", str(package))
    told = subprocess.run(["chroot", root, "relay", "version"], capture_output=True, text=True, check=True).stdout
    assert told.startswith("relay ")
    settings, data = root / "etc/relay/relay.toml", root / "var/lib/relay"
    assert (settings.stat().st_mode & 0o777, data.stat().st_mode & 0o777) == (0o640, 0o700)
    uid = int(re.findall(r"^relay:x:(\d+):", (root / "etc/passwd").read_text(), re.MULTILINE)[0])
    assert data.stat().st_uid == uid != 0
    settings.write_text(settings.read_text().replace("port = 8484", f"port = {free_port()}"))
    as_relay = ["chroot", f"--userspec={uid}:{settings.stat().st_gid}", str(root)]
    unit = (root / "usr/lib/systemd/system/relay.service").read_text()
    check, serve = re.findall(r"^ExecStart(?:Pre)?=(.*)$", unit, re.MULTILINE)
    subprocess.run([*as_relay, *check.split()], check=True, capture_output=True)
    with subprocess.Popen(
        [*as_relay, *serve.split()], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as server:
        assert server.stdout is not None
        assert b"listens on" in server.stdout.readline()
        server.send_signal(signal.SIGTERM)
        assert server.wait(PATIENCE) == 0
    dpkg(root, "--install", str(package))  # once more, as an upgrade
    assert "port = 8484" not in settings.read_text()
    dpkg(root, "--purge", "relay-server")
    assert not (root / "usr/lib/relay").exists()
    assert not (root / "etc/relay").exists()
    assert (data / "relay.db").exists()


def make_dpkg_root(root: Path) -> None:
    """Give a root the folders of dpkg, and say that what this package depends on is installed there."""
    database = root / "var/lib/dpkg"
    for folder in ("info", "updates", "triggers"):
        (database / folder).mkdir(parents=True)
    rows = []
    for name in ("libc6", "zlib1g", "passwd"):
        asked = ["dpkg-query", "--showformat=${Version}", "--show", name]
        version = subprocess.run(asked, capture_output=True, text=True, check=True).stdout
        rows.append(INSTALLED_THERE.format(name=name, version=version))
    (database / "status").write_text("".join(rows))
    (root / "etc/nsswitch.conf").write_text("passwd: files\ngroup: files\n")
    (root / "etc/shadow").touch(0o600)
    (root / "etc/login.defs").write_text("SYS_UID_MIN 100\nSYS_UID_MAX 999\nSYS_GID_MIN 100\nSYS_GID_MAX 999\n")


def dpkg(root: Path, *arguments: str) -> None:
    done = subprocess.run(
        ["dpkg", f"--root={root}", f"--log={root}/dpkg.log", *arguments],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "LC_ALL": "C"},
    )
    assert done.returncode == 0, done.stdout + done.stderr


# One file is two processes: the bootloader, which unpacks, and the server, its child.


class OneFile:
    """A server of the one file, at a terminal of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.temporary = folder / "tmp"
        self.temporary.mkdir(exist_ok=True)
        self.config = folder / "relay.toml"
        self.port = free_port()
        self.config.write_text(to_toml(merged(UNLIMITED, {"server": {"port": self.port}})))
        self.process: subprocess.Popen[bytes] | None = None
        self.terminal = -1
        self.said = b""

    def start(self) -> None:
        self.terminal, theirs = pty.openpty()
        self.process = subprocess.Popen(
            [ONE_FILE, "serve", "--config", self.config],
            stdin=theirs, stdout=theirs, stderr=theirs,
            env={**os.environ, "TMPDIR": str(self.temporary)},
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )  # fmt: skip
        os.close(theirs)
        while not LISTENING.search(self.said.decode(errors="replace")):
            self.said += os.read(self.terminal, 4096)

    @property
    def child(self) -> int:
        assert self.process is not None
        told = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        return int(told.split()[0])

    def rest_of_output(self) -> str:
        with contextlib.suppress(OSError):  # how a terminal without a process ends
            while more := os.read(self.terminal, 4096):
                self.said += more
        os.close(self.terminal)
        return self.said.decode()


@pytest.fixture
def one_file(tmp_path: Path) -> Iterator[OneFile]:
    made = OneFile(tmp_path)
    yield made
    if made.process is not None and made.process.poll() is None:
        made.process.kill()
        made.process.wait()


def is_alive(pid: int) -> bool:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


def test_ctrl_c_at_a_terminal_is_one_signal_and_leaves_nothing_behind(one_file: OneFile) -> None:
    one_file.start()
    os.write(one_file.terminal, b"\x03")
    said = one_file.rest_of_output()
    assert one_file.process is not None
    assert one_file.process.wait(PATIENCE) == 0, said
    assert said.count("SIGINT: draining") == 1
    assert list(one_file.temporary.iterdir()) == []


def test_kill_9_ends_the_server_and_the_next_start_removes_what_it_left(one_file: OneFile) -> None:
    one_file.start()
    assert one_file.process is not None
    child = one_file.child
    one_file.process.kill()
    one_file.process.wait()
    deadline = time.monotonic() + PATIENCE
    while is_alive(child):
        assert time.monotonic() < deadline, "the server lives on"
        time.sleep(0.02)
    one_file.rest_of_output()
    (left,) = one_file.temporary.iterdir()
    one_file.said = b""
    one_file.start()
    assert [path for path in one_file.temporary.iterdir() if path == left] == []
    one_file.process.send_signal(signal.SIGTERM)
    one_file.rest_of_output()
    assert one_file.process.wait(PATIENCE) == 0
    assert list(one_file.temporary.iterdir()) == []


def test_two_at_once_leave_each_others_folder(one_file: OneFile, tmp_path: Path) -> None:
    one_file.start()
    command = [ONE_FILE, "user", "list", "--config", one_file.config]
    environ = {**os.environ, "TMPDIR": str(one_file.temporary)}
    subprocess.run(command, env=environ, check=True, capture_output=True)
    (folder,) = one_file.temporary.iterdir()
    assert (folder / "relay/web").is_dir()
