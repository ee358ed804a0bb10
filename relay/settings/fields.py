"""The keys as data, read once from the structs, for the checks of values and for the generated pages."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Annotated, Any, Literal, NamedTuple, get_args, get_origin, get_type_hints

import msgspec

from relay.settings.model import Settings, TypeSettings

Kind = Literal["integer", "number", "boolean", "text", "list", "choice"]
KeyPath = tuple[str, ...]

TYPES_SECTION = "types.NAME"
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_KINDS: dict[object, Kind] = {int: "integer", float: "number", bool: "boolean", str: "text"}
_KIND_TEXTS: dict[Kind, str] = {
    "integer": "whole number",
    "number": "number",
    "boolean": "true or false",
    "text": "text",
    "list": "list of texts",
}


class Field(msgspec.Struct, frozen=True, kw_only=True):
    """One key as its annotation describes it."""

    section: str
    key: str
    annotation: Any
    kind: Kind
    default: object
    description: str
    choices: tuple[str, ...] = ()
    low: float | None = None
    high: float | None = None
    least: int | None = None
    min_length: int | None = None
    max_length: int | None = None
    example: object = None
    is_path: bool = False
    check_entry: Callable[[str], None] | None = None

    @property
    def unit(self) -> str:
        """The unit, which is the last word of the key by convention; empty for plain counts and texts."""
        return unit_of(self.key)

    @property
    def type_text(self) -> str:
        """The type in words, as the tables show it."""
        if self.kind == "choice":
            return " or ".join(f'"{choice}"' for choice in self.choices)
        return _KIND_TEXTS[self.kind]

    @property
    def bounds_text(self) -> str:
        """The smallest and the largest value with their unit; empty where any value will do."""
        if self.low is None or self.high is None:
            return ""
        high = f"{self.high:,.15g}" if self.high >= 1_000_000 else f"{self.high:.15g}"
        if self.section == "limits":
            text = f"0 (no limit) or {self.least or 1} to {high}"
        else:
            text = f"{self.low:.15g} to {high}"
        return f"{text} {self.unit}".rstrip()


class Setting(NamedTuple):
    """One row of the table that `relay config show`, relay.toml and the documentation are made from."""

    section: str
    key: str
    type: str
    default: object
    bounds: str
    description: str


def unit_of(key: str) -> str:
    """Return the unit that a key's last word names; empty where it names none."""
    last = key.rpartition("_")[2]
    return last if last in ("seconds", "minutes", "hours", "days", "bytes", "characters") else ""


def read_fields(section: str, struct: type[msgspec.Struct]) -> tuple[Field, ...]:
    """Return the keys of one section in the order of its struct: its attributes that have a description."""
    return tuple(
        _field(section, info)
        for info in msgspec.structs.fields(struct)
        if _unwrap(info.type)[1].get("description")
    )


def _field(section: str, info: msgspec.structs.FieldInfo) -> Field:
    base, meta = _unwrap(info.type)
    is_choice = get_origin(base) is Literal
    default = info.default_factory() if info.default_factory is not msgspec.NODEFAULT else info.default
    return Field(
        section=section,
        key=info.name,
        annotation=info.type,
        kind="choice" if is_choice else _KINDS.get(base, "list"),
        default=default,
        description=meta["description"],
        choices=get_args(base) if is_choice else (),
        low=meta.get("ge"),
        high=meta.get("le"),
        least=meta.get("least"),
        min_length=meta.get("min_length"),
        max_length=meta.get("max_length"),
        example=meta.get("examples", [None])[0],
        is_path=meta.get("path", False),
        check_entry=meta.get("each"),
    )


def _unwrap(annotation: Any) -> tuple[Any, dict[str, Any]]:
    """Split `Annotated[base, Meta, …] | None` into its base and one dict of everything in its Metas."""
    if type(None) in get_args(annotation):
        annotation = next(part for part in get_args(annotation) if part is not type(None))
    if get_origin(annotation) is not Annotated:
        return annotation, {}
    base, *metas = get_args(annotation)
    merged: dict[str, Any] = {}
    for meta in metas:
        merged |= dict(_set_attributes(meta)) | (meta.extra or {})
    return base, merged


def _set_attributes(meta: msgspec.Meta) -> Iterable[tuple[str, Any]]:
    names = ("ge", "le", "min_length", "max_length", "description", "examples")
    return ((name, value) for name in names if (value := getattr(meta, name)) is not None)


_hints = get_type_hints(Settings, include_extras=True)
SECTION_TYPES: dict[str, type[msgspec.Struct]] = {
    name: base for name, hint in _hints.items() if isinstance(base := _unwrap(hint)[0], type) and name != "types"
}
SECTION_INTROS: dict[str, str] = {name: _unwrap(hint)[1]["description"] for name, hint in _hints.items()}
FIELDS: dict[str, dict[str, Field]] = {
    name: {field.key: field for field in read_fields(name, struct)} for name, struct in SECTION_TYPES.items()
}
FIELDS[TYPES_SECTION] = {field.key: field for field in read_fields(TYPES_SECTION, TypeSettings)}

SETTINGS: tuple[Setting, ...] = tuple(
    Setting(field.section, field.key, field.type_text, field.default, field.bounds_text, field.description)
    for fields in FIELDS.values()
    for field in fields.values()
)


def field_at(path: KeyPath) -> Field | None:
    """Return the key at a path such as ("server", "port") or ("types", "chat_message", "priority")."""
    if len(path) == 3 and path[0] == "types":
        return FIELDS[TYPES_SECTION].get(path[2])
    return FIELDS.get(path[0], {}).get(path[1]) if len(path) == 2 else None


def is_plugin_option(path: KeyPath) -> bool:
    """Return whether a path leads into a [plugins.NAME] table, whose keys only that plugin knows."""
    return path[0] == "plugins" and len(path) > 1 and path[1] not in FIELDS["plugins"]


def dotted(path: KeyPath) -> str:
    """Return a path as TOML writes it, with quotes around the parts that need them."""
    return ".".join(part if _BARE_KEY.fullmatch(part) else msgspec.json.encode(part).decode() for part in path)
