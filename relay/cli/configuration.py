"""`relay config`: what is wrong with the settings, and what is in force."""

from __future__ import annotations

import ipaddress
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from relay.cli.base import Group, config_file, load_settings, printable
from relay.settings import Settings, SettingsError, explain, load

if TYPE_CHECKING:
    from relay.plugin.registry import Registry


@click.group(cls=Group)
def config() -> None:
    """Check the settings, and show what is in force."""


@config.command()
def check() -> None:
    """Check the settings, the TLS files and the plugins; print every problem, or that all is well.

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
    problems = [*_tls_problems(settings), *(f"[plugins] {broken}" for broken in registry.broken)]
    for problem in problems:
        click.echo(f"{label}: {printable(problem)}")
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


def _tls_problems(settings: Settings) -> Iterator[str]:
    server = settings.server
    if not server.tls_certificate:
        return
    import ssl

    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(server.tls_certificate, server.tls_key)
    except (OSError, ssl.SSLError) as error:
        yield f"[server] tls_certificate, tls_key: {server.tls_certificate} cannot be used: {error}"


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
    if settings.accounts.registration == "open":
        yield '[accounts] registration = "open": anybody who reaches the server can make accounts'
    default_folders = Settings().plugins.directories
    for folder in settings.plugins.directories:
        if not Path(folder).is_dir() and Path(folder).name not in default_folders:
            yield f"[plugins] directories: there is no folder {folder}"
    yield from _unused(settings, registry)
    yield from registry.remarks


def _unused(settings: Settings, registry: Registry) -> Iterator[str]:
    """Find what is set for plugins and types that are not there, perhaps for a slip of the pen."""
    for name in settings.types:
        if name not in registry.types:
            yield f"[types.{name}]: no plugin declares this message type; there are: {', '.join(registry.types)}"
    loaded = {plugin.name for plugin in registry.loaded}
    for name in settings.plugins.options:
        if name not in loaded:
            yield f"[plugins.{name}]: there are options for it, but no such plugin is loaded"


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
