"""`python -m release.debian`: make the Debian package of the program's folder, with a service, user and settings.

dpkg-deb alone packs it. What is inside is a tree in `build`; the scripts that dpkg runs are in `release/debian`.
"""

from __future__ import annotations

import gzip
import hashlib
import shutil
import subprocess
from pathlib import Path
from typing import Final

import relay
from release.binary import DIST, FOLDER, files_in, needed_glibc
from release.contents import ROOT

TREE: Final = ROOT / "build" / "deb"
SCRIPTS: Final = ROOT / "release" / "debian"
UNIT: Final = "usr/lib/systemd/system/relay.service"
SOCKET: Final = "usr/lib/systemd/system/relay.socket"
SETTINGS: Final = "etc/relay/relay.toml"
_DOC: Final = "usr/share/doc/relay-server"
_CONTROL: Final = """\
Package: relay-server
Version: {version}
Architecture: {architecture}
Maintainer: the relay project
Section: net
Priority: optional
Depends: libc6 (>= {glibc}), zlib1g, passwd
Recommends: ca-certificates
Installed-Size: {size}
Description: self-hosted server for real-time messages
 Direct and group conversations over WebSocket, with history, accounts and groups over REST, and a web page.
 One process, one port, one SQLite file, plugins in Python; Python is inside.
"""


def main() -> None:
    """Make the package, and say where it is."""
    if not FOLDER.is_dir():
        raise SystemExit(f"there is no {FOLDER.relative_to(ROOT)}: make binary")
    if shutil.which("dpkg-deb") is None:
        raise SystemExit("there is no dpkg-deb, which makes the package")
    architecture = _output("dpkg", "--print-architecture")
    lay_out(TREE, architecture)
    package = DIST / f"relay-server_{relay.__version__}_{architecture}.deb"
    # Root owns all files, whoever makes it. Higher levels of xz save little and take half a minute.
    _output("dpkg-deb", "--root-owner-group", "-Zxz", "-z1", "--build", str(TREE), str(package))
    print(f"{package.stat().st_size / 1e6:6.1f} MB  {package.relative_to(ROOT)}")


def lay_out(tree: Path, architecture: str) -> None:
    """Write everything that is in the package into a folder."""
    shutil.rmtree(tree, ignore_errors=True)
    shutil.copytree(FOLDER, tree / "usr/lib/relay", ignore=shutil.ignore_patterns("LICENSE"))
    (tree / "usr/bin").mkdir()
    (tree / "usr/bin/relay").symlink_to("../lib/relay/relay")
    _write(tree / UNIT, unit((ROOT / "config/relay.service").read_text(encoding="utf-8")))
    socket = (ROOT / "config/relay.socket").read_text(encoding="utf-8")
    _write(tree / SOCKET, socket[socket.index("[Unit]") :])
    _write(tree / SETTINGS, (ROOT / "config/production.toml").read_text(encoding="utf-8"))
    (tree / "etc/relay/plugins.d").mkdir()
    _write(tree / _DOC / "copyright", (ROOT / "LICENSE").read_text(encoding="utf-8"))
    changes = gzip.compress((ROOT / "CHANGELOG.md").read_bytes(), mtime=0)
    (tree / _DOC / "changelog.gz").write_bytes(changes)
    for path in tree.rglob("*"):
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() or path == tree / "usr/lib/relay/relay" else 0o644)
    _describe(tree, architecture)


def unit(sample: str) -> str:
    """Return the service of the package, made of the sample: its program, and its lasting user."""
    body = sample[sample.index("[Unit]") :]
    return body.replace("/usr/local/bin/relay", "/usr/bin/relay").replace(
        "DynamicUser=yes\n", "User=relay\nGroup=relay\n"
    )


def _describe(tree: Path, architecture: str) -> None:
    """Write what dpkg reads: the description, the digests of files, which of them people edit, the scripts."""
    files = sorted(path for path in files_in(tree) if not path.is_symlink())
    size = sum(path.stat().st_size for path in files) // 1024
    sums = [f"{hashlib.md5(path.read_bytes()).hexdigest()}  {path.relative_to(tree)}\n" for path in files]  # noqa: S324
    control = _CONTROL.format(
        version=relay.__version__, architecture=architecture, glibc=needed_glibc(FOLDER), size=size
    )
    _write(tree / "DEBIAN/control", control)
    _write(tree / "DEBIAN/md5sums", "".join(sums))
    _write(tree / "DEBIAN/conffiles", f"/{SETTINGS}\n")
    for script in sorted(SCRIPTS.iterdir()):
        shutil.copy(script, tree / "DEBIAN")
        (tree / "DEBIAN" / script.name).chmod(0o755)


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def _output(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


if __name__ == "__main__":
    main()
