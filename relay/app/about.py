"""The parts of this relay: the Python and SQLite that it runs on, and the packages and plugins inside."""

from __future__ import annotations

import importlib.metadata
import platform
import re
import sqlite3
import ssl
import sys
from pathlib import Path
from typing import Final

import relay
from relay.engine.discovery import bundled_directory, in_directory

_OPTIONAL: Final = frozenset({"mcp", "nats-py"})
"""Packages that the server uses where they are there."""


def about() -> dict[str, str]:
    """Return what is told of this relay, by the words for it."""
    return {
        "form": form(),
        "path": sys.executable if is_program() else str(Path(relay.__file__).parent),
        "Python": platform.python_version(),
        "SQLite": sqlite3.sqlite_version,
        "OpenSSL": ssl.OPENSSL_VERSION.removeprefix("OpenSSL "),
        "system": f"{platform.system()} {platform.machine()}, {' '.join(platform.libc_ver()) or 'no glibc'}",
        "bundled plugins": ", ".join(in_directory(bundled_directory(), "bundled")) or "none",
    }


def is_program() -> bool:
    """Tell whether this is the program that brings its own Python."""
    return bool(getattr(sys, "frozen", False))


def form() -> str:
    """Return in which form relay was installed, in words."""
    if not is_program():
        return "Python package"
    unpacked = Path(getattr(sys, "_MEIPASS", sys.prefix))
    inside = Path(sys.executable).parent in unpacked.parents
    return "program in a folder" if inside else "program in one file"


def packages() -> dict[str, str]:
    """Return the packages that relay depends on, and those that these depend on, with their versions."""
    found: dict[str, str] = {}
    waiting = ["relay-server"]
    while waiting:
        name = waiting.pop()
        try:
            package = importlib.metadata.distribution(name)
        except importlib.metadata.PackageNotFoundError:
            continue  # it is for another system, or another Python
        title = package.metadata["Name"]
        if title in found:
            continue
        found[title] = package.version
        waiting += [needed for line in package.requires or [] if (needed := _needed(line))]
    found.pop("relay-server", None)
    return dict(sorted(found.items(), key=lambda one: one[0].lower()))


def _needed(line: str) -> str | None:
    """Return the name of a package that is asked for, but for those that only an extra asks for."""
    name = re.split(r"[^A-Za-z0-9._-]", line, maxsplit=1)[0]
    return name if "extra ==" not in line or name in _OPTIONAL else None
