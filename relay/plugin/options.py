"""Reading `[plugins.NAME]` into a plugin's own struct, with the key, its line and what would be right."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from relay.settings.problems import did_you_mean

_INSIDE: Final = re.compile(r"at `\$([^`]+)`$")
_INDEX: Final = re.compile(r"\[(\d+)\]")


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
            name = field.encode_name
            problem = str(error).replace("`$", f"`{name}")
            found = _INSIDE.search(str(error))
            inside = name + found[1] if found else name
            raise BadOptions(f"{_where(plugin, name, places, inside)}: {problem}") from None
    try:
        return msgspec.convert(dict(given), struct)
    except (msgspec.ValidationError, ValueError) as error:
        raise BadOptions(f"[plugins.{plugin}]: {error}") from None


def _where(plugin: str, key: str, places: Mapping[str, str], inside: str = "") -> str:
    """Name a key and its line, or the line of what is wrong inside it where that has one of its own."""
    dotted = f"plugins.{plugin}.{key}"
    wrong = f"plugins.{plugin}." + _INDEX.sub(r".\1", inside or key)
    while wrong not in places and len(wrong) > len(dotted):
        wrong = wrong.rpartition(".")[0]
    begins = dotted + "."
    place = places.get(wrong) or next((where for name, where in places.items() if name.startswith(begins)), None)
    return f"{place}: {dotted}" if place else dotted
