"""Reading `[plugins.NAME]` into a plugin's own struct, with the key, its line and what would be right."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from relay.settings.problems import did_you_mean


class BadOptions(Exception):
    """A plugin's table in the configuration that does not fit; its text names the key and the line."""


def read_options(
    plugin: str, struct: type[msgspec.Struct], given: Mapping[str, Any], places: Mapping[str, str]
) -> Any:
    """Return the struct filled from a plugin's table.

    Args:
        places: where each key stands, "relay.toml:12", by its dotted name.

    Raises:
        BadOptions: a key that is none, or a value that does not fit.
    """
    names = msgspec.structs.fields(struct)
    known = {field.encode_name for field in names}
    for key in given:
        if key not in known:
            hint = did_you_mean(key, known)
            listed = ", ".join(sorted(known)) or "none"
            raise BadOptions(f"{_where(plugin, key, places)}: no such option; {hint or f'there are: {listed}'}")
    for field in names:
        if field.encode_name not in given:
            if field.required:
                raise BadOptions(f"[plugins.{plugin}] needs {field.encode_name}")
            continue
        try:
            msgspec.convert(given[field.encode_name], field.type)
        except (msgspec.ValidationError, TypeError) as error:
            problem = str(error).replace("`$", f"`{field.encode_name}")
            raise BadOptions(f"{_where(plugin, field.encode_name, places)}: {problem}") from None
    try:
        return msgspec.convert(dict(given), struct)
    except (msgspec.ValidationError, ValueError) as error:
        raise BadOptions(f"[plugins.{plugin}]: {error}") from None


def _where(plugin: str, key: str, places: Mapping[str, str]) -> str:
    dotted = f"plugins.{plugin}.{key}"
    inside = dotted + "."
    place = next((where for name, where in places.items() if name == dotted or name.startswith(inside)), None)
    return f"{place}: {dotted}" if place else dotted
