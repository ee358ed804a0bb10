"""Changes of a plugin's options: checked by its struct, written to the settings file, then in force."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from relay.engine.engine import Engine
from relay.engine.options import BadOptions, read_options
from relay.engine.plugin_states import why_not_writable
from relay.engine.registry import LoadedPlugin
from relay.protocol.errors import ErrorCode, RelayError, not_found
from relay.settings import SettingsError
from relay.settings.loading import REDACTED
from relay.settings.toml_writer import NotWritten, SettingsFile, variable_of


async def change_options(engine: Engine, name: str, changes: Mapping[str, Any]) -> None:
    """Change options of a plugin as a JSON merge patch does (RFC 7396): null takes one back to its default.

    Raises:
        RelayError: `not_found`; `invalid_payload` for what the plugin's struct does not take; `conflict` where the
            file cannot be written, the environment sets the option, or the plugin cannot be loaded with it.
    """
    loaded = next((one for one in engine.registry.loaded if one.name == name), None)
    if loaded is None:
        raise not_found(f"plugin {name!r} at work")
    if loaded.struct is None:
        raise _conflict(f"plugin {name!r} declares no options")
    if (reason := why_not_writable(engine)) is not None:
        raise _conflict(reason)
    assert engine.settings.plugins.file is not None  # noqa: S101 - then it would not be writable
    _refuse_masks(changes)
    file = Path(engine.settings.plugins.file)
    await engine.reloader.reload_after(name, partial(_edit, file, loaded, loaded.struct, changes))


def _edit(
    path: Path, loaded: LoadedPlugin, struct: type[msgspec.Struct], changes: Mapping[str, Any]
) -> Callable[[], None]:
    """Write the options into the file, and return what writes the old ones again."""
    table = ("plugins", loaded.name)
    for key in changes:
        if (variable := variable_of((*table, key), path, os.environ)) is not None:
            raise _conflict(f"{key} comes from the environment: change {variable}, and start the server again")
    try:
        file, before = SettingsFile(path), SettingsFile(path)
        merged = _merged(file.get(table) or {}, changes)
        # Options of the environment count as well: some may be required. What they say, they said at the start.
        given = {key: value for key, value in _given(loaded).items() if key not in merged and key not in changes}
        read_options(loaded.name, struct, {**given, **merged}, {})
        for key in changes:
            if key in merged:
                file.put((*table, key), merged[key])
            else:
                file.drop((*table, key))
        file.save(os.environ)
    except BadOptions as wrong:
        raise RelayError(ErrorCode.INVALID_PAYLOAD, str(wrong)) from None
    except (NotWritten, SettingsError) as error:
        raise _conflict(str(error)) from None
    return partial(before.save, os.environ)


def _given(loaded: LoadedPlugin) -> dict[str, Any]:
    """Return the options that variables of the environment set, as they are in force."""
    names = {key.partition(".")[0] for key, where in loaded.origins.items() if where.startswith("environment")}
    return {name: value for name, value in msgspec.to_builtins(loaded.options).items() if name in names}


def _merged(old: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return a table after a merge patch."""
    merged = dict(old)
    for key, value in changes.items():
        if value is None:
            merged.pop(key, None)
        elif isinstance(value, Mapping):
            inner = merged.get(key)
            merged[key] = _merged(inner if isinstance(inner, Mapping) else {}, value)
        else:
            merged[key] = value
    return merged


def _refuse_masks(value: Any) -> None:
    """Refuse the text that stands for a secret: it was read here, and is not the secret itself."""
    if value == REDACTED:
        text = f"{REDACTED} stands for a secret that is not shown; leave that option out to keep it"
        raise RelayError(ErrorCode.INVALID_PAYLOAD, text)
    inside = value.values() if isinstance(value, Mapping) else value if isinstance(value, list) else ()
    for one in inside:
        _refuse_masks(one)


def _conflict(text: str) -> RelayError:
    return RelayError(ErrorCode.CONFLICT, text)
