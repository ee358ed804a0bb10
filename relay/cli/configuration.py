"""`relay config`: what is wrong with the settings, and what is in force."""

from __future__ import annotations

import ipaddress
import json
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from relay.cli.base import Group, config_file, load_settings, printable
from relay.settings import Settings, SettingsError, explain, load
from relay.settings.environment import overlooked
from relay.settings.problems import did_you_mean

if TYPE_CHECKING:
    from relay.engine.registry import Registry

_PROXIES_SECONDS: Final = 55


@click.group(cls=Group)
def config() -> None:
    """Check the settings, and show what is in force."""


@config.command()
def check() -> None:
    """Check the settings, the address, the TLS files and the plugins; print every problem, or that all is well.

    Plugins are loaded for it, so their code runs. Warnings are printed too, and do not change the exit status:
    0, or 1 when there are problems.
    """
    path = config_file()
    label = "built-in defaults" if path is None else str(path)
    try:
        settings = load(path, os.environ)
    except SettingsError as error:
        click.echo(str(error))
        raise click.exceptions.Exit(1) from None
    registry = _load_plugins(settings)
    places = {key: origin for key, _value, origin in explain(settings, path, os.environ)}
    problems = list(_problems(settings, registry))
    for key, problem in problems:
        section = problem.partition("]")[0].removeprefix("[")
        place = places.get(f"{section}.{key}", label)
        click.echo(f"{label if place == 'default' else place}: {printable(problem)}")
    for warning in _warnings(settings, registry):
        click.echo(f"{label}: warning: {printable(warning)}")
    if problems:
        raise click.exceptions.Exit(1)
    click.echo(f"{label}: ok")


@config.command()
def show() -> None:
    """Show the value of every setting and where it comes from; secrets are left out."""
    settings, path = load_settings(), config_file()
    rows = [
        (f"{key} = {json.dumps(value, ensure_ascii=False, default=str)}", origin)
        for key, value, origin in explain(settings, path, os.environ)
    ]
    width = min(max(len(setting) for setting, _origin in rows), 60)
    for setting, origin in rows:
        click.echo(f"{setting:<{width}}  # {origin}")


def _problems(settings: Settings, registry: Registry) -> Iterator[tuple[str, str]]:
    """Yield what would keep the server from its work, with the key that it hangs on."""
    from relay.engine.assembling import NO_TYPES
    from relay.transports.tls import TlsProblem, tls_context

    try:
        tls_context(settings)
    except TlsProblem as fault:
        yield "tls_key" if str(fault).startswith("[server] tls_key") else "tls_certificate", str(fault)
    if problem := listening_problem(settings.server.host, settings.server.port):
        yield "host", f"[server] host = {settings.server.host}: {problem}"
    if Path(settings.storage.path).is_dir():
        yield (
            "path",
            f"[storage] path: {settings.storage.path} is a folder; a file is named, such as relay.db in it",
        )
    for broken in registry.broken:
        yield "", f"[plugins] {broken}"
    if not registry.types:
        yield "enabled", f"[plugins] enabled: {NO_TYPES}"


def listening_problem(host: str, port: int) -> str | None:
    """Return why an address is none of this machine's; None where it is, also where its port is taken."""
    try:
        found = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError as error:
        return f"{error.strerror or error}; name an address of this machine, such as 127.0.0.1 or 0.0.0.0"
    for family, kind, protocol, _name, address in found:
        with socket.socket(family, kind, protocol) as probe:
            try:
                probe.bind((address[0], 0, *address[2:]))
            except OSError as error:
                return f"{error.strerror or error}; name an address of this machine, such as 127.0.0.1 or 0.0.0.0"
    return None


def _load_plugins(settings: Settings) -> Registry:
    from relay.app.plugin_admin import load_for

    return load_for(settings)


def _warnings(settings: Settings, registry: Registry) -> Iterator[str]:
    server = settings.server
    if not (_is_loopback(server.host) or server.tls_certificate or server.trusted_proxies):
        yield (
            f"[server] host = {server.host} can be reached from other machines, without TLS: passwords and"
            " messages can be read on the way; set tls_certificate, or trusted_proxies for a proxy that does TLS"
        )
    from relay.transports.tls import tls_warning

    if warning := tls_warning(settings):
        yield warning
    yield from _path_warnings(Path(settings.storage.path))
    for name, meant in overlooked(os.environ):
        yield f"{name} is not read; did you mean {meant}?"
    if settings.heartbeat.interval_seconds > _PROXIES_SECONDS:
        yield (
            f"[heartbeat] interval_seconds = {settings.heartbeat.interval_seconds:g}: many proxies end a"
            f" connection after 60 s of silence; {_PROXIES_SECONDS} or less keeps it"
        )
    if settings.accounts.registration == "open":
        yield '[accounts] registration = "open": anybody who reaches the server can make accounts'
    default_folders = Settings().plugins.directories
    for folder in settings.plugins.directories:
        if not Path(folder).is_dir() and Path(folder).name not in default_folders:
            yield f"[plugins] directories: there is no folder {folder}"
    yield from _unused(settings, registry)
    yield from registry.remarks


def _path_warnings(database: Path) -> Iterator[str]:
    folder = database.parent
    if not folder.exists():
        yield f"[storage] path: there is no folder {folder}; `relay serve` makes it, with a new, empty database"
    elif not database.exists() and not os.access(folder, os.W_OK):
        yield f"[storage] path: {folder} cannot be written to by this user"


def _unused(settings: Settings, registry: Registry) -> Iterator[str]:
    """Find what is set for plugins and types that are not there, perhaps for a slip of the pen."""
    for name in settings.types:
        if name not in registry.types:
            yield f"[types.{name}]: no plugin declares this message type; there are: {', '.join(registry.types)}"
    loaded = {plugin.name for plugin in registry.loaded}
    broken = {plugin.name for plugin in registry.broken}
    for name in settings.plugins.options:
        if name not in loaded | broken:
            yield f"[plugins.{name}]: there are options for it, but no such plugin is loaded; {_mend(name)}"


def _mend(name: str) -> str:
    from relay.engine.discovery import bundled_directory, in_directory

    bundled = in_directory(bundled_directory(), "bundled")
    if name in bundled:
        return f'switch it on: [plugins] also = ["{name}"]'
    return did_you_mean(name, bundled) or "see relay plugins list"


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
