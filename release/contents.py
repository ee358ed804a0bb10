"""The contents of the program: which modules, files and package descriptions go into it.

Plugins are data to PyInstaller, as relay reads them from files. What they import is therefore named here: the
whole standard library, everything of relay, and relay's dependencies with theirs, optional ones too.
"""

from __future__ import annotations

import importlib.metadata
import py_compile
import sys
import sysconfig
from collections.abc import Iterator
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path
from typing import Final

from packaging.requirements import Requirement

ROOT: Final = Path(__file__).resolve().parent.parent
Pairs = list[tuple[str, str]]
"""Files, each with its folder in the program."""

WITHOUT: Final = frozenset(
    {
        *("antigravity", "pydoc_data", "test", "this"),
        *("_tkinter", "idlelib", "tkinter", "turtle", "turtledemo"),  # windows on a screen
        *("_crypt", "crypt", "distutils", "lib2to3", "nis"),  # newer versions have dropped them
        *("readline", "rlcompleter"),  # GNU readline would bring its licence along, the GPL
        "ensurepip",  # the program has no pip
    }
)
"""Parts of the standard library that are left out."""

_NO_PACKAGES: Final = frozenset({"relay-server", "pip"})
"""Packages that are not taken by their lists of files: relay itself, and pip, which sqlite-utils asks for."""

_NO_FOLDERS: Final = frozenset({"test", "tests", "_tests", "idle_test", "__pycache__"})
"""Packages' own tests, which nobody imports."""


def packages() -> list[importlib.metadata.Distribution]:
    """Return what relay depends on, itself included, and what that depends on, by their names.

    Raises:
        PackageNotFoundError: one of them is not installed.
    """
    found: dict[str, importlib.metadata.Distribution] = {}
    waiting = [Requirement("relay-server[mcp,cluster]")]
    seen: set[tuple[str, frozenset[str]]] = set()
    while waiting:
        wanted = waiting.pop()
        key = (wanted.name.lower().replace("_", "-"), frozenset(wanted.extras))
        if key in seen:
            continue
        seen.add(key)
        found[key[0]] = importlib.metadata.distribution(wanted.name)
        for line in found[key[0]].requires or []:
            needed = Requirement(line)
            extras = ("", *wanted.extras)
            if needed.marker is None or any(needed.marker.evaluate({"extra": extra}) for extra in extras):
                waiting.append(needed)
    return [found[name] for name in sorted(found) if name != "pip"]


def others() -> list[str]:
    """Return the top modules of what is installed here and is not for the program: tools that packages know of."""
    inside = packages()
    kept = {path.parts[0] for package in inside for path in _files(package)} | {"relay"}
    names = {package.metadata["Name"] for package in inside}
    found = {
        name.partition(".")[0]
        for package in importlib.metadata.distributions()
        if package.metadata["Name"] not in names
        for path in _files(package)
        if (name := _module(path))
    }
    return sorted({*found, *WITHOUT, "pip"} - {Path(name).stem for name in kept})


def modules() -> list[str]:
    """Return the names of all modules of the program, less those of plugins."""
    names = {*_standard_library(), *_of_folder(ROOT / "relay", "relay")}
    for package in packages():
        for path in _files(package):
            if name := _module(path):
                names.add(name)
    return sorted(names - {"relay.testing.pytest_plugin"})  # it is for pytest, which is not in the program


def files(compiled: Path) -> Pairs:
    """Return the files of the program that are no modules.

    Args:
        compiled: a folder for the bytecode of the bundled plugins, so that no start has to compile them.
    """
    pairs = [*_tree(ROOT / "relay" / "web", "relay/web"), *_tree(ROOT / "config", "relay/samples")]
    pairs += _tree(ROOT / "plugins", "relay/bundled_plugins")
    pairs.append((str(ROOT / "relay/app/converting/emoji.txt"), "relay/app/converting"))
    for path in sorted((ROOT / "plugins").rglob("*.py")):
        folder = Path("relay/bundled_plugins") / path.relative_to(ROOT / "plugins").parent / "__pycache__"
        name = f"{path.stem}.{sys.implementation.cache_tag}.pyc"
        py_compile.compile(
            str(path),
            str(compiled / folder / name),
            dfile=str(folder.parent / path.name),
            doraise=True,
            invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH,
        )
        pairs.append((str(compiled / folder / name), str(folder)))
    for package in packages():
        for path in _files(package):
            if path.suffix not in {".py", ".pyi", ".pyc", ".so", ".pth"} and path.name != "py.typed":
                pairs.append((str(package.locate_file(path)), str(path.parent)))
    return pairs


def _standard_library() -> Iterator[str]:
    folders = {sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib")}
    for folder in sorted(folders):
        for place in (Path(folder), Path(folder) / "lib-dynload"):
            for name in _of_folder(place, ""):
                top = name.partition(".")[0]
                if top in sys.stdlib_module_names and top not in WITHOUT:
                    yield name


def _of_folder(folder: Path, prefix: str) -> Iterator[str]:
    for path in sorted(folder.rglob("*")):
        relative = path.relative_to(folder)
        if "site-packages" not in relative.parts and (name := _module(Path(prefix) / relative)):
            yield name


def _files(package: importlib.metadata.Distribution) -> Iterator[Path]:
    """Yield the files of an installed package that are inside packages of Python's."""
    if package.metadata["Name"].lower() in _NO_PACKAGES:
        return
    for file in package.files or []:
        path = Path(file)
        inside = ".." not in path.parts and not path.parts[0].endswith((".dist-info", ".data", ".libs"))
        of_tests = _NO_FOLDERS.intersection(path.parts[:-1])
        if inside and not of_tests and Path(str(package.locate_file(file))).is_file():
            yield path


def _module(path: Path) -> str | None:
    """Return the name of the module in a file; None where it is none."""
    suffix = next((one for one in (".py", *EXTENSION_SUFFIXES) if path.name.endswith(one)), None)
    parts = list(path.parts)
    if suffix is None or _NO_FOLDERS.intersection(parts[:-1]):
        return None
    parts[-1] = parts[-1].removesuffix(suffix)
    if parts[-1] == "__init__":
        parts.pop()
    if not parts or parts[-1] == "__main__" or not all(part.isidentifier() for part in parts):
        return None
    return ".".join(parts)


def _tree(folder: Path, place: str) -> Pairs:
    """Return the files of a folder of the source, each with its folder in the program."""
    return [
        (str(path), str(Path(place) / path.relative_to(folder).parent))
        for path in sorted(folder.rglob("*"))
        if path.is_file() and "__pycache__" not in path.parts
    ]
