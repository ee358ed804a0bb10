"""The program's start: what PyInstaller's bootloader leaves for Python to put right, then the command line.

In one file the program is two processes: the bootloader, which unpacks everything into a folder of its own and
removes that at the end, and its child, which is this code.
"""

import contextlib
import ctypes
import fcntl
import os
import shutil
import signal
import ssl
import stat
import sys
from pathlib import Path
from typing import Final

IN_USE: Final = ".in-use"
"""A file in the folder of a running program, locked for as long as that runs."""

AUTHORITIES: Final = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
)
"""Where distributions keep the certificate authorities that they trust."""

_PR_SET_PDEATHSIG: Final = 1


def end_with(parent: int) -> None:
    """Have the kernel kill this process when its parent is killed: it would serve on, and nobody would know."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    with contextlib.suppress(OSError):  # there may be no /proc
        if os.readlink(f"/proc/{parent}/exe") != os.readlink("/proc/self/exe"):
            os._exit(1)  # it was killed before this


def remove_leftovers(unpacked: Path) -> None:
    """Remove what killed programs have left beside the folder of this one, and say that this one is used.

    The file is locked before it has its name, so whoever finds it unlocked knows that its program has ended.
    Folders that others own or could write in are left alone: that file in them may be a link to anywhere.
    """
    mark = os.open(unpacked / f"{IN_USE}-new", os.O_CREAT | os.O_WRONLY, 0o600)
    fcntl.flock(mark, fcntl.LOCK_EX)  # until this process ends
    (unpacked / f"{IN_USE}-new").rename(unpacked / IN_USE)
    for other in unpacked.parent.glob("_MEI*"):
        with contextlib.suppress(OSError):  # in use, without the file, or just removed
            if other != unpacked and _is_own(other):
                with (other / IN_USE).open("rb") as held:
                    fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    shutil.rmtree(other, ignore_errors=True)


def _is_own(folder: Path) -> bool:
    """Tell whether something is a folder, no link, that nobody but this user can write in."""
    known = folder.lstat()
    return stat.S_ISDIR(known.st_mode) and known.st_uid == os.geteuid() and not known.st_mode & 0o022


def give_back_library_path() -> None:
    """Set the library path to what it was: the program's own is not for what plugins may start."""
    before = os.environ.pop("LD_LIBRARY_PATH_ORIG", "")
    os.environ.pop("LD_LIBRARY_PATH", None)
    if before:
        os.environ["LD_LIBRARY_PATH"] = before


def find_authorities() -> None:
    """Name the certificate authorities of this machine: OpenSSL looks where those of the building machine are."""
    usual = ssl.get_default_verify_paths()
    if usual.cafile or (usual.capath and any(Path(usual.capath).iterdir())):
        return
    import certifi

    found = next((path for path in AUTHORITIES if Path(path).is_file()), None)
    os.environ["SSL_CERT_FILE"] = found or certifi.where()


def main() -> None:
    """Put things right, and run the command line."""
    unpacked = Path(getattr(sys, "_MEIPASS", sys.prefix))
    if Path(sys.executable).parent not in unpacked.parents:  # it is in one file
        end_with(os.getppid())
        remove_leftovers(unpacked)
    give_back_library_path()
    find_authorities()

    from relay.cli import main as command_line

    command_line(prog_name="relay")


if __name__ == "__main__":
    main()
