"""The Debian package of the program: installed, upgraded, removed and purged in a root without Python."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
from pathlib import Path
from typing import Final

import pytest

import relay
from release.binary import FOLDER
from tests.e2e.bare_root import lacking, make_root
from tests.e2e.server import ROOT, free_port
from tests.e2e.test_program import of_the_program
from tests.e2e.wire import PATIENCE

PACKAGES = sorted((ROOT / "dist").glob("relay-server_*.deb"))
pytestmark = [
    pytest.mark.e2e,
    of_the_program,
    pytest.mark.skipif(not PACKAGES, reason="no package was made: make deb"),
]

COMMANDS: Final = ("sh", "getent", "useradd", "userdel", "install", "chown", "chmod", "rmdir")
INSTALLED_THERE: Final = """\
Package: {name}
Status: install ok installed
Maintainer: nobody
Architecture: amd64
Version: {version}
Description: as here

"""
TARGETS: Final = ("basic", "multi-user", "network-online", "shutdown", "sockets", "sysinit")
SYSTEMD: Final = ("systemctl", "deb-systemd-helper", "deb-systemd-invoke")
STAND_IN: Final = """\
#!/bin/sh
echo "{name} $*" >>/srv/asked
"""
EARLIER: Final = "0.0.9"
GONE: Final = "usr/lib/relay/lib/of_the_earlier_version"


class Machine:
    """A root with dpkg's folders and stand-ins for systemd's commands, which write down what they are asked."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._asked = root / "srv/asked"
        self.settings = root / "etc/relay/relay.toml"
        self.data = root / "var/lib/relay"
        for folder in ("var/lib/dpkg/info", "var/lib/dpkg/updates", "var/lib/dpkg/triggers", "run/systemd/system"):
            (root / folder).mkdir(parents=True)
        rows = []
        for name in ("libc6", "zlib1g", "passwd"):
            asked = ["dpkg-query", "--showformat=${Version}", "--show", name]
            version = subprocess.run(asked, capture_output=True, text=True, check=True).stdout
            rows.append(INSTALLED_THERE.format(name=name, version=version))
        (root / "var/lib/dpkg/status").write_text("".join(rows))
        (root / "etc/nsswitch.conf").write_text("passwd: files\ngroup: files\n")
        (root / "etc/shadow").touch(0o600)
        (root / "etc/login.defs").write_text(
            "SYS_UID_MIN 100\nSYS_UID_MAX 999\nSYS_GID_MIN 100\nSYS_GID_MAX 999\n"
        )
        for name in SYSTEMD:
            (root / "usr/bin" / name).write_text(STAND_IN.format(name=name))
            (root / "usr/bin" / name).chmod(0o755)

    def dpkg(self, *arguments: str) -> list[str]:
        """Run dpkg on this root; return what the package's scripts asked of systemd."""
        self._asked.write_text("")
        done = subprocess.run(
            ["dpkg", f"--root={self.root}", f"--log={self.root}/dpkg.log", *arguments],
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "LC_ALL": "C"},
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return self._asked.read_text().splitlines()

    def uid(self) -> int:
        (found,) = re.findall(r"^relay:x:(\d+):", (self.root / "etc/passwd").read_text(), re.MULTILINE)
        return int(found)

    def run(self, *command: str) -> str:
        """Run a command there as the service's user."""
        done = subprocess.run([*self.as_relay(), *command], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def as_relay(self) -> list[str]:
        return ["chroot", f"--userspec={self.uid()}:{self.settings.stat().st_gid}", str(self.root)]

    def unit(self, key: str) -> list[str]:
        """Return the command of a key of the service."""
        unit = (self.root / "usr/lib/systemd/system/relay.service").read_text()
        (found,) = re.findall(rf"^{key}=(.*)$", unit, re.MULTILINE)
        return str(found).split()


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    if missing := lacking("dpkg", *COMMANDS):
        pytest.skip(missing)
    return Machine(make_root(tmp_path / "root", FOLDER / "relay", COMMANDS))


def earlier(package: Path, folder: Path) -> Path:
    """Make the same package as of an earlier version, with a file that this one does not have."""
    tree = folder / "earlier"
    subprocess.run(["dpkg-deb", "--raw-extract", package, tree], check=True)
    control = tree / "DEBIAN/control"
    control.write_text(control.read_text().replace(f"Version: {relay.__version__}\n", f"Version: {EARLIER}\n"))
    (tree / GONE).write_text("an earlier library\n")
    made = folder / f"relay-server_{EARLIER}.deb"
    subprocess.run(["dpkg-deb", "-Znone", "--build", tree, made], check=True, capture_output=True)
    shutil.rmtree(tree)
    return made


def test_it_is_installed_upgraded_removed_and_purged_and_keeps_settings_and_messages(
    machine: Machine, tmp_path: Path
) -> None:
    (package,) = PACKAGES
    settings, data = machine.settings, machine.data
    asked = machine.dpkg("--install", str(earlier(package, tmp_path)))
    assert "deb-systemd-invoke start relay.service" in asked
    assert (machine.root / GONE).exists()
    assert machine.run("relay", "version").startswith("relay ")
    assert (settings.stat().st_mode & 0o777, data.stat().st_mode & 0o777) == (0o640, 0o700)
    uid = machine.uid()
    assert data.stat().st_uid == uid != 0
    settings.write_text(settings.read_text().replace("port = 8484", f"port = {free_port()}"))
    settings.chmod(0o600)
    shutil.chown(settings, uid)
    check_that_it_serves(machine)
    machine.run("relay", "user", "add", "ann", "--config", "/etc/relay/relay.toml")

    asked = machine.dpkg("--install", str(package))
    assert "deb-systemd-invoke restart relay.service" in asked
    assert not (machine.root / GONE).exists()
    assert machine.uid() == uid
    assert "port = 8484" not in settings.read_text()
    assert settings.stat().st_mode & 0o777 == 0o600  # as whoever runs the server has set it
    check_that_it_serves(machine)
    assert "ann" in machine.run("relay", "user", "list", "--config", "/etc/relay/relay.toml")

    asked = machine.dpkg("--remove", "relay-server")
    assert "deb-systemd-invoke stop relay.socket relay.service" in asked
    assert not (machine.root / "usr/lib/relay").exists()
    assert not (machine.root / "usr/lib/systemd/system/relay.service").exists()
    assert settings.exists()

    asked = machine.dpkg("--purge", "relay-server")
    assert "deb-systemd-helper purge relay.service relay.socket" in asked
    assert not (machine.root / "etc/relay").exists()
    assert (data / "relay.db").exists()


def check_that_it_serves(machine: Machine) -> None:
    """Do what systemd does at a start and at a stop: the check, the server, SIGTERM."""
    machine.run(*machine.unit("ExecStartPre"))
    assert (machine.root / "usr/lib/systemd/system/relay.socket").read_text().startswith("[Unit]\n")
    serve = [*machine.as_relay(), *machine.unit("ExecStart")]
    with subprocess.Popen(serve, cwd=machine.root, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as server:
        assert server.stdout is not None
        assert b"listens on" in server.stdout.readline()
        server.send_signal(signal.SIGTERM)
        assert server.wait(PATIENCE) == 0


def test_one_that_was_never_used_leaves_nothing_when_it_is_purged(machine: Machine) -> None:
    machine.dpkg("--install", str(PACKAGES[0]))
    machine.dpkg("--purge", "relay-server")
    for left in (machine.data, machine.settings.parent, machine.root / "usr/lib/relay"):
        assert not left.exists()


def test_systemd_finds_no_fault_in_its_units(machine: Machine) -> None:
    if missing := lacking("systemd-analyze"):
        pytest.skip(missing)
    machine.dpkg("--install", str(PACKAGES[0]))
    for name in TARGETS:
        (machine.root / f"usr/lib/systemd/system/{name}.target").write_text("[Unit]\nDescription=as here\n")
    command = ["systemd-analyze", "verify", f"--root={machine.root}", "relay.service", "relay.socket"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=PATIENCE)
    assert (done.returncode, done.stderr) == (0, "")
