"""Discovery of plugins: bundled ones, files and packages in folders, and installed packages by their entry point.

A name is looked up in `[plugins] directories` first, then among installed packages (entry points of the group
`relay.plugins`), then among the bundled ones. Plugins in a directory need no enabling.
"""

from __future__ import annotations

import importlib.abc
import importlib.metadata
import importlib.util
import linecache
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from pathlib import Path
from types import CodeType, ModuleType
from typing import Final

from relay.settings.problems import did_you_mean

_PACKAGE: Final = Path(__file__).resolve().parent.parent
ENTRY_POINTS: Final = "relay.plugins"


@dataclass(frozen=True)
class Found:
    """A plugin that exists, loaded or not.

    Attributes:
        source: "bundled", "directory" or "installed".
    """

    name: str
    source: str
    path: Path | None = None
    entry: importlib.metadata.EntryPoint | None = None

    def load(self) -> ModuleType:
        """Import the plugin's module; what the module raises passes through."""
        if self.entry is not None:
            loaded = self.entry.load()
            if not isinstance(loaded, ModuleType):
                raise TypeError(f"entry point {self.entry.value!r} is not a module")
            return loaded
        assert self.path is not None  # noqa: S101 - it has one of the two
        return _import(self.module, self.path)

    def file_of_entry(self) -> Path | None:
        """Return the file of an installed plugin's module, without importing it; None where that is not known."""
        if self.entry is None:
            return None
        try:
            spec = importlib.util.find_spec(self.entry.module)
        except (ImportError, ValueError):
            return None
        return Path(spec.origin) if spec is not None and spec.origin is not None else None

    @property
    def module(self) -> str:
        """The name of its module among those that are imported."""
        return self.entry.module if self.entry is not None else f"relay_plugin_{self.name}"


@cache
def bundled_directory() -> Path:
    """Return the folder of the bundled plugins: inside an installed package, or at the top of a checkout."""
    installed = _PACKAGE / "bundled_plugins"
    return installed if installed.is_dir() else _PACKAGE.parent / "plugins"


def in_directory(directory: Path, source: str) -> dict[str, Found]:
    """Return the plugins of a folder: `NAME.py`, and `NAME/__init__.py`."""
    files = [*directory.glob("[!_.]*.py"), *directory.glob("[!_.]*/__init__.py")]
    named = {(path.parent.name if path.name == "__init__.py" else path.stem): path for path in sorted(files)}
    return {
        name: Found(name, source, path) for name, path in sorted(named.items()) if not name.startswith("test_")
    }


def installed() -> dict[str, Found]:
    """Return the plugins of installed packages."""
    entries = importlib.metadata.entry_points(group=ENTRY_POINTS)
    return {entry.name: Found(entry.name, "installed", entry=entry) for entry in entries}


def find(enabled: Iterable[str], directories: Iterable[Path]) -> tuple[list[Found], dict[str, str]]:
    """Return the plugins to load, in order, and for each enabled name that does not exist the reason."""
    placed: dict[str, Found] = {}
    for directory in directories:
        for name, found in in_directory(Path(directory), "directory").items():
            placed.setdefault(name, found)
    bundled = in_directory(bundled_directory(), "bundled")
    wanted = list(dict.fromkeys([*enabled, *placed]))
    elsewhere = {} if all(name in placed or name in bundled for name in wanted) else installed()
    known = {**bundled, **elsewhere, **placed}
    missing = {
        name: f"there is no plugin of that name; {did_you_mean(name, known) or 'known are: ' + ', '.join(known)}"
        for name in wanted
        if name not in known
    }
    return [known[name] for name in wanted if name in known], missing


def _import(module_name: str, path: Path) -> ModuleType:
    folders = [str(path.parent)] if path.name == "__init__.py" else None
    # Bytecode is known by its source's second and size: two edits within a second would be taken for one.
    changes = path.suffix == ".py" and not path.is_relative_to(bundled_directory())
    loader = _SourceLoader(module_name, str(path)) if changes else None
    before = sys.modules.get(module_name)
    if before is not None and before.__file__ == str(path) and not changes:
        return before  # relay's own, which an earlier engine of this process has imported
    spec = importlib.util.spec_from_file_location(
        module_name, path, loader=loader, submodule_search_locations=folders
    )
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    if before is not None and before.__file__ != str(path):
        take_out(module_name)  # another plugin of the same name, in another folder: its modules are not this one's
    sys.modules[module_name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[module_name]
        raise
    return module


class Reimport:
    """The modules of one plugin, taken out of those that are imported so that its files are read again.

    Other modules that it imports stay as they are: they may be shared with other plugins, or with relay.
    """

    def __init__(self, found: Found) -> None:
        self._name = found.module
        self._before = take_out(self._name)
        self._finder = _SourceFinder(self._name)
        sys.meta_path.insert(0, self._finder)
        importlib.invalidate_caches()
        linecache.checkcache()

    def finish(self) -> None:
        """Import modules as usual again."""
        if self._finder in sys.meta_path:
            sys.meta_path.remove(self._finder)

    def undo(self) -> None:
        """Put the modules of before back."""
        self.finish()
        take_out(self._name)
        sys.modules.update(self._before)


def take_out(module: str) -> dict[str, ModuleType]:
    """Take a module, and those below it, out of those that are imported; return them."""
    names = [name for name in sys.modules if name == module or name.startswith(module + ".")]
    return {name: sys.modules.pop(name) for name in names}


class _SourceFinder(importlib.abc.MetaPathFinder):
    """Finds the modules of one plugin, and has them compiled from their source."""

    def __init__(self, name: str) -> None:
        self._name = name

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname != self._name and not fullname.startswith(self._name + "."):
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is not None and spec.origin is not None and type(spec.loader) is SourceFileLoader:
            spec.loader = _SourceLoader(fullname, spec.origin)
        return spec


class _SourceLoader(SourceFileLoader):
    """Loads a module from its source, never from its bytecode."""

    def get_code(self, fullname: str) -> CodeType:
        path = self.get_filename(fullname)
        return self.source_to_code(self.get_data(path), path)
