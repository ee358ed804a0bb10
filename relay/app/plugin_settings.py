"""Enabling and disabling plugins in the settings file: it is only written; a start or a reload does the rest."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from relay.engine.discovery import Found, bundled_directory, in_directory, installed
from relay.settings import Settings
from relay.settings.problems import did_you_mean
from relay.settings.toml_writer import NotWritten, SettingsFile, variable_of

ENABLED, ALSO, DIRECTORIES = ("plugins", "enabled"), ("plugins", "also"), ("plugins", "directories")


class Edit(NamedTuple):
    """A change of the settings file that is not saved yet.

    Attributes:
        name: the plugin.
        did: what it does, in a sentence.
        changes: whether the file becomes another one.
    """

    name: str
    did: str
    changes: bool


def install(file: SettingsFile, given: str, settings: Settings, environ: Mapping[str, str]) -> Edit:
    """Enable a plugin: a name goes into `also`, the folder of a file into `directories`.

    Args:
        given: a plugin's name, or the path of its file or package.
        settings: those in force.

    Raises:
        NotWritten: there is no such plugin, or the key comes from the environment.
    """
    plugins = settings.plugins
    path = Path(given)
    if path.exists() or path.suffix == ".py" or len(path.parts) > 1:
        return _install_file(file, path, settings, environ)
    here = _in_directories(settings)
    bundled = in_directory(bundled_directory(), "bundled")
    if given in (*plugins.enabled, *plugins.also):
        return Edit(given, f"{given} is enabled already", changes=False)
    if given in here:
        return Edit(given, f"{given} is enabled already: {here[given].path} is in [plugins] directories", False)
    known = {**installed(), **bundled}
    if given not in known:
        hint = did_you_mean(given, {**known, **here})
        raise NotWritten(f"there is no plugin {given!r}; {hint or 'there are: ' + ', '.join(sorted(known))}")
    _require_in_file(ALSO, file, environ)
    file.add(ALSO, given)
    kind = "a bundled plugin" if given in bundled else "of an installed package"
    return Edit(given, f"{given}, {kind}, is in [plugins] also of {file.path}", changes=True)


def _install_file(file: SettingsFile, path: Path, settings: Settings, environ: Mapping[str, str]) -> Edit:
    """Put the folder of a plugin's file or package into `directories`."""
    path = path.absolute()
    if path.name == "__init__.py":
        path = path.parent
    is_package = (path / "__init__.py").is_file()
    if not is_package and not (path.is_file() and path.suffix == ".py"):
        raise NotWritten(f"{path} is not a plugin: give a .py file, or a folder with __init__.py in it")
    folder, name = path.parent, path.name if is_package else path.stem
    if name not in in_directory(folder, "directory"):
        raise NotWritten(f"{path} would not be found: a plugin's name does not begin with _, . or test_")
    if any(Path(one).absolute() == folder for one in settings.plugins.directories):
        return Edit(name, f"{name} is enabled already: {folder} is in [plugins] directories", changes=False)
    _require_in_file(DIRECTORIES, file, environ)
    base = file.path.absolute().parent
    written = str(folder.relative_to(base)) if folder.is_relative_to(base) and folder != base else str(folder)
    file.add(DIRECTORIES, written, ["plugins.d"])
    others = [other for other in in_directory(folder, "directory") if other != name]
    beside = f"; these are loaded from it as well: {', '.join(others)}" if others else ""
    return Edit(name, f"{folder} is in [plugins] directories of {file.path}{beside}", changes=True)


def remove(file: SettingsFile, name: str, settings: Settings, environ: Mapping[str, str]) -> Edit:
    """Disable a plugin; its options stay.

    Raises:
        NotWritten: it is a file in a folder, the key comes from the environment, or there is no such plugin.
    """
    plugins = settings.plugins
    placed = _in_directories(settings).get(name)
    lists = [key for key, listed in ((ENABLED, plugins.enabled), (ALSO, plugins.also)) if name in listed]
    if not lists and placed is not None:
        assert placed.path is not None  # noqa: S101 - it is in a folder
        where = placed.path.parent if placed.path.name == "__init__.py" else placed.path
        raise NotWritten(
            f"{name} is enabled because {where} is in one of [plugins] directories: move it to another folder, or"
            f" let its name begin with _"
        )
    if not lists:
        known = {**installed(), **in_directory(bundled_directory(), "bundled")}
        if name in known:
            return Edit(name, f"{name} is not enabled", changes=False)
        hint = did_you_mean(name, known)
        raise NotWritten(f"there is no plugin {name!r}" + (f"; {hint}" if hint else ""))
    for key in lists:
        _require_in_file(key, file, environ)
        file.take(key, name, plugins.enabled if key is ENABLED else ())
    lists_named = " and ".join(f"[plugins] {key[1]}" for key in lists)
    stays = f"; its options in [plugins.{name}] stay" if name in plugins.options else ""
    return Edit(name, f"{name} is not in {lists_named} of {file.path} any more{stays}", changes=True)


def _in_directories(settings: Settings) -> dict[str, Found]:
    found: dict[str, Found] = {}
    for folder in settings.plugins.directories:
        found = {**in_directory(Path(folder), "directory"), **found}
    return found


def _require_in_file(key: tuple[str, str], file: SettingsFile, environ: Mapping[str, str]) -> None:
    """Refuse a key that the environment sets: what the file says of it is void."""
    variable = variable_of(key, file.path, environ)
    if variable is not None:
        raise NotWritten(f"[{key[0]}] {key[1]} comes from the environment: change {variable}")
