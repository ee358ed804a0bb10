"""`relay config`: a check of the settings, the values in force, one key explained, and files to begin with."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import click

from relay.cli.base import (
    DEFAULT_CONFIG,
    Document,
    Failure,
    Group,
    config_file,
    json_option,
    load_settings,
    note,
    print_fields,
    printable,
)
from relay.protocol.errors import said
from relay.settings import Settings, SettingsError, explain, load, render_toml
from relay.settings.environment import variable_name
from relay.settings.fields import FIELDS, Field, field_at
from relay.settings.problems import did_you_mean
from relay.settings.schema import SCHEMA_FILE, render_schema

_WIDTH: Final = 60


@click.group(cls=Group)
def config() -> None:
    """Check the settings, show what is in force, explain each key, and print samples."""


@config.command()
@json_option
def check(as_json: bool) -> None:
    """Check the settings, the address, the TLS files and the plugins; print every problem, or that all is well.

    Plugins are loaded for it, so their code runs. Warnings are printed too, and do not change the exit status:
    0, or 1 when there are problems. `relay doctor` makes the same checks, and looks at the machine and the way in.
    """
    path = config_file()
    label = "built-in defaults" if path is None else str(path)
    problems: list[str] = []
    remarks: list[str] = []
    try:
        settings = load(path, os.environ)
    except SettingsError as error:
        problems += map(str, error.problems)
    else:
        _check(settings, path, label, problems, remarks)
    if as_json:
        click.echo(json.dumps({"file": label, "problems": problems, "warnings": remarks}, ensure_ascii=False))
    else:
        for line in (*problems, *(f"{label}: warning: {remark}" for remark in remarks)):
            click.echo(printable(line))
        if not problems:
            click.echo(f"{label}: ok")
    if problems:
        raise click.exceptions.Exit(1)


def _check(settings: Settings, path: Path | None, label: str, problems: list[str], remarks: list[str]) -> None:
    """Add what is wrong with settings that can be read, each problem with its place."""
    from relay.app import checks
    from relay.app.plugin_admin import load_for

    registry = load_for(settings)
    places = {key: origin for key, _value, origin in explain(settings, path, os.environ)}
    for key, problem in checks.problems(settings, registry):
        section = problem.partition("]")[0].removeprefix("[")
        place = places.get(f"{section}.{key}", label)
        problems.append(f"{label if place == 'default' else place}: {problem}")
    remarks += checks.warnings(settings, registry)


@config.command()
@json_option
def show(as_json: bool) -> None:
    """Show the value of every setting and where it comes from; secrets are left out."""
    settings, path = load_settings(), config_file()
    _print_values(list(explain(settings, path, os.environ)), as_json=as_json)


@config.command()
@json_option
def diff(as_json: bool) -> None:
    """Show the settings that are not their defaults, and where each comes from; secrets are left out."""
    settings, path = load_settings(), config_file()
    defaults = {key: value for key, value, _origin in explain(load(None, {}), None, {})}
    rows = [row for row in explain(settings, path, os.environ) if row[2] != "default"]
    changed = [(key, value, origin) for key, value, origin in rows if defaults.get(key, rows) != value]
    _print_values(changed, as_json=as_json, defaults=defaults)


@config.command(cls=Document)
@click.argument("name", required=False)
def sample(name: str | None) -> None:
    """Print the sample NAME, to write into a file: settings, a service, a proxy. Without NAME, list them."""
    from relay.app import samples

    if name is None:
        width = max(map(len, samples.SAMPLES))
        for known, what in samples.SAMPLES.items():
            click.echo(f"{known:<{width}}  {what}")
        return
    try:
        click.echo(samples.sample(name), nl=False)
    except samples.NoSample as error:
        raise Failure(str(error)) from None


def _print_values(
    rows: list[tuple[str, object, str]], *, as_json: bool, defaults: Mapping[str, object] | None = None
) -> None:
    if as_json:
        for key, value, origin in rows:
            row = {"key": key, "value": value, "origin": origin}
            if defaults is not None and key in defaults:
                row["default"] = defaults[key]
            click.echo(json.dumps(row, ensure_ascii=False, default=str))
        return
    texts = [f"{key} = {json.dumps(value, ensure_ascii=False, default=str)}" for key, value, _origin in rows]
    width = min(max(map(len, texts), default=0), _WIDTH)
    for text, (key, _value, origin) in zip(texts, rows, strict=True):
        was = f"; default {json.dumps(defaults[key])}" if defaults is not None and key in defaults else ""
        click.echo(f"{text:<{width}}  # {origin}{was}")


@config.command("explain")
@click.argument("key")
@json_option
def explain_key(key: str, as_json: bool) -> None:
    """Explain one KEY: what it does, its values, its default, its variable, and what is in force.

    KEY is written server.port, or port where one section alone has it, or as the variable RELAY_SERVER__PORT.
    """
    field, name = _found(key)
    settings, path = load_settings(), config_file()
    rows = [row for row in explain(settings, path, os.environ) if row[0] == name or row[0].startswith(f"{name}.")]
    told = _told(field) if field else {"meaning": "an option of a plugin, whose documentation explains it"}
    told = {"key": name, **told}
    if len(rows) == 1 and rows[0][0] == name:
        told |= {"value": rows[0][1], "origin": rows[0][2]}
    elif rows:
        told |= {"values": {row[0]: row[1] for row in rows}}
    if as_json:
        click.echo(json.dumps(told, ensure_ascii=False, default=str))
    else:
        as_text = {key: value if isinstance(value, str) else json.dumps(value) for key, value in told.items()}
        print_fields(as_text)


def _told(field: Field) -> dict[str, Any]:
    told: dict[str, Any] = {"meaning": field.description, "type": field.type_text}
    if field.bounds_text:
        told["bounds"] = field.bounds_text
    told["default"] = "as the plugin says" if field.default is None else field.default
    if field.example is not None:
        told["example"] = field.example
    return told | {"variable": variable_name(field.section, field.key)}


def _found(given: str) -> tuple[Field | None, str]:
    """Return the field of a key and its dotted name; None for an option of a plugin.

    Raises:
        Failure: there is none; the text names the nearest.
    """
    text = given.strip().replace("[", "").replace("] ", ".").replace("]", ".")
    if text.startswith("RELAY_"):
        text = text.removeprefix("RELAY_").removesuffix("_FILE").lower().replace("__", ".")
    parts = tuple(text.split("."))
    if (field := field_at(parts)) is not None:
        return field, text
    if len(parts) > 2 and parts[0] == "plugins":
        return None, text
    every = [field for fields in FIELDS.values() for field in fields.values()]
    named = {f"{field.section}.{field.key}": field for field in every}
    alone = [name for name, field in named.items() if field.key == text]
    if len(alone) == 1:
        return named[alone[0]], alone[0]
    if alone:
        raise Failure(f"several sections have the key {text}: {', '.join(alone)}")
    if text in named:
        return named[text], text
    hint = did_you_mean(text, named) or did_you_mean(parts[-1], {field.key for field in every})
    raise Failure(f"there is no key {given}; {hint or 'see docs/configuration.md, or relay config show'}")


@config.command("schema", cls=Document)
def print_schema() -> None:
    """Print the JSON Schema of the settings file, by which editors complete keys and mark mistakes.

    It has the options of the plugins that are there; they are loaded for it, so their code runs.
    """
    click.echo(_schema(), nl=False)


def _schema() -> str:
    import msgspec

    from relay.app.plugin_admin import load_for
    from relay.engine.discovery import bundled_directory, in_directory
    from relay.engine.plugin_states import option_schema

    settings = load_settings()
    plugins = settings.plugins
    every = dict.fromkeys([*plugins.also, *in_directory(bundled_directory(), "bundled")])
    wider = msgspec.structs.replace(settings, plugins=msgspec.structs.replace(plugins, also=list(every)))
    found = {loaded.name: option_schema(loaded) for loaded in load_for(wider).loaded}
    return render_schema({name: schema for name, schema in found.items() if schema is not None})


@config.command()
@click.argument("file", type=click.Path(path_type=Path), default=DEFAULT_CONFIG)
@click.option("--force", is_flag=True, help="Write over files that are there.")
@json_option
def init(file: Path, force: bool, as_json: bool) -> None:
    """Write FILE, relay.toml by default: every key with its default, explained; and its schema beside it.

    Editors find the schema by the file's first line. A file that is there is left as it is.
    """
    schema = file.with_name(SCHEMA_FILE)
    texts = {file: render_toml(), schema: _schema()}
    if not force and file.exists():
        raise Failure(f"{file} is there already; --force writes over it, and its settings are lost")
    for path, text in texts.items():
        try:
            path.write_text(text, encoding="utf-8")
        except OSError as error:
            raise Failure(f"{path} cannot be written: {error.strerror or said(error)}") from None
    if as_json:
        click.echo(json.dumps({"files": [str(path) for path in texts]}))
        return
    click.echo(f"{file}: every key with its default; change what is yours, then: relay config check")
    note(f"{schema} is for editors; relay config schema > {schema} makes it anew")
