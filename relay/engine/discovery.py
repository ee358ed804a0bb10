"""Finding plugins: bundled ones, files and packages in folders, and installed packages by their entry point.

A name is looked for in `[plugins] directories` first, then among installed packages (entry points of the group
`relay.plugins`), then among the bundled ones. What lies in a directory needs no enabling: it was put there.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Final

from relay.settings.problems import did_you_mean

_PACKAGE: Final = Path(__file__).resolve().parent.parent
ENTRY_POINTS: Final = "relay.plugins"


@dataclass(frozen=True)
class Found:
    """A plugin that is there, loaded or not.

    Attributes:
        source: "bundled", "directory" or "installed".
    """

    name: str
    source: str
    path: Path | None = None
    entry: importlib.metadata.EntryPoint | None = None

    def load(self) -> ModuleType:
        """Import the plugin's module; raises what the module raises."""
        if self.entry is not None:
            loaded = self.entry.load()
            if not isinstance(loaded, ModuleType):
                raise TypeError(f"entry point {self.entry.value!r} is no module")
            return loaded
        assert self.path is not None  # noqa: S101 - one of the two is there
        return _import(self.name, self.path)


def bundled_directory() -> Path:
    """Return where the bundled plugins are: inside an installed package, or at the top of a checkout."""
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
    """Return what is to be loaded, in order, and why a name that is enabled is not among it."""
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


def _import(name: str, path: Path) -> ModuleType:
    module_name = f"relay_plugin_{name}"
    folders = [str(path.parent)] if path.name == "__init__.py" else None
    spec = importlib.util.spec_from_file_location(module_name, path, submodule_search_locations=folders)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} is no Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[module_name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[module_name]
        raise
    return module
