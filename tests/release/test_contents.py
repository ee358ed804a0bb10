"""What goes into the program: all that a plugin may import, and nothing of the tools that make and test it."""

from __future__ import annotations

import importlib.util
import marshal
from pathlib import Path
from types import CodeType

from release.contents import ROOT, files, modules, others, packages

NAMES = {package.metadata["Name"].lower() for package in packages()}


def test_the_packages_are_those_that_relay_needs_and_what_they_need() -> None:
    assert {"trio", "outcome", "cryptography", "cffi", "mcp", "nats-py", "pydantic", "tzdata"} <= NAMES
    assert NAMES.isdisjoint({"pip", "pytest", "mypy", "pyinstaller"})


def test_the_modules_are_the_standard_library_relay_and_the_packages() -> None:
    names = set(modules())
    assert {"xml.etree.ElementTree", "statistics", "wsgiref.simple_server", "_sqlite3", "encodings.idna"} <= names
    assert {"relay", "relay.cli.serving", "relay.testing.world", "relay.http"} <= names
    assert {"cryptography.hazmat.primitives.ciphers.aead", "trio.testing", "pydantic_core._pydantic_core"} <= names
    tests = ("test.", "tkinter", "idlelib", "trio._tests", "relay.testing.pytest_plugin", "pip.")
    assert [name for name in names if name.startswith(tests)] == []


def test_nothing_that_is_inside_is_excluded() -> None:
    tops = {name.partition(".")[0] for name in modules()}
    assert tops.isdisjoint(others())
    assert {"pytest", "mypy", "PyInstaller"} <= set(others())


def test_the_files_are_the_page_the_samples_and_the_plugins_with_their_bytecode(tmp_path: Path) -> None:
    placed = {f"{folder}/{Path(path).name}": Path(path) for path, folder in files(tmp_path)}
    assert {"relay/web/app/index.html", "relay/web/sdk/index.js", "relay/samples/nginx.conf"} <= set(placed)
    assert {"tzdata/zoneinfo/Europe/Paris", "relay/app/converting/emoji.txt"} <= set(placed)
    sources = {path.relative_to(ROOT / "plugins") for path in (ROOT / "plugins").rglob("*.py")}
    for source in sources:
        assert f"relay/bundled_plugins/{source}" in placed
        compiled = importlib.util.cache_from_source(f"relay/bundled_plugins/{source}")
        code = marshal.loads(placed[compiled].read_bytes()[16:])
        assert isinstance(code, CodeType)
        assert code.co_filename == f"relay/bundled_plugins/{source}"
