"""The checks of settings with this machine and the plugins, for `relay config check` and `relay doctor`."""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from relay.app.control_client import control_path
from relay.cluster.nats_client import MissingExtra, check_extra
from relay.cluster.port import Address
from relay.cluster.ports import node_contexts
from relay.engine.discovery import bundled_directory, in_directory
from relay.engine.loader import no_types
from relay.engine.registry import Registry
from relay.protocol.errors import said
from relay.settings import Settings
from relay.settings.environment import overlooked
from relay.settings.problems import did_you_mean
from relay.storage.changesets import NotSupported, check_supported
from relay.storage.database import path_problem
from relay.transports.listening import listening_problem
from relay.transports.tls import TlsProblem, tls_context, tls_warning

_PROXIES_SECONDS: Final = 55
_KEPT_ALIVE_SECONDS: Final = 60
_SUPERVISORS_SECONDS: Final = 10


def problems(settings: Settings, registry: Registry) -> Iterator[tuple[str, str]]:
    """Yield each problem that would keep the server from running, with its key."""
    try:
        tls_context(settings)
    except TlsProblem as fault:
        yield "tls_key" if str(fault).startswith("[server] tls_key") else "tls_certificate", str(fault)
    if problem := listening_problem(settings.server.host, settings.server.port, may_be_taken=True):
        yield "host", f"[server] {problem}"
    if problem := path_problem(Path(settings.storage.path)):
        yield "path", f"[storage] path: {problem}"
    for broken in registry.broken:
        yield "", f"[plugins] {broken}"
    if not registry.types:
        yield "enabled", no_types()
    if settings.cluster.name:
        yield from _cluster_problems(settings)


def _cluster_problems(settings: Settings) -> Iterator[tuple[str, str]]:
    """Yield what would keep a node of a cluster from running."""
    try:
        check_supported()
        check_extra()
    except (NotSupported, MissingExtra) as fault:
        yield "name", f"[cluster] name: {said(fault)}"
    try:
        node_contexts(settings.cluster)
    except TlsProblem as fault:
        yield "node_tls_certificate", said(fault)
    key = "listen" if settings.cluster.listen else "address"
    address = Address.parse(settings.cluster.listen or settings.cluster.address)
    if problem := listening_problem(address.host, address.port, may_be_taken=True):
        reason = problem.partition(";")[0]
        yield (
            key,
            (
                f"[cluster] {key}: {reason}; [cluster] listen says where this node listens for the others, as"
                f" 0.0.0.0:{address.port}"
            ),
        )


def warnings(settings: Settings, registry: Registry) -> Iterator[str]:
    """Yield what works and is perhaps not meant."""
    server = settings.server
    if not (_is_loopback(server.host) or server.tls_certificate or server.trusted_proxies):
        yield (
            f"[server] host = {server.host} can be reached from other machines, without TLS: passwords and"
            " messages can be read on the way; set tls_certificate, or trusted_proxies for a proxy that does TLS"
        )
    if warning := tls_warning(settings):
        yield warning
    # A port in use is no fault of the settings: it may be this server, which runs already.
    taken = listening_problem(server.host, server.port)
    free = listening_problem(server.host, server.port, may_be_taken=True) is None
    if taken and free and not control_path(Path(settings.storage.path)).exists():
        yield f"[server] {taken}"
    for name, meant in overlooked(os.environ):
        yield f"{name} is not read; did you mean {meant}?"
    yield from _at_odds(settings)
    if settings.accounts.registration == "open":
        yield '[accounts] registration = "open": anybody who reaches the server can make accounts'
    ways = [owned.part.title for owned in registry.parts["relay_sign_in_ways"]]
    if ways and not server.public_url:
        yield (
            f"[server] public_url is empty, and {', '.join(ways)} must send people back to it: they cannot sign in"
            " there; set it to the address at which people open the page"
        )
    if not (settings.accounts.password_login or ways):
        yield "[accounts] password_login = false, and no plugin brings another way: nobody can sign in on the page"
    default_folders = Settings().plugins.directories
    for folder in settings.plugins.directories:
        if not Path(folder).is_dir() and Path(folder).name not in default_folders:
            yield f"[plugins] directories: there is no folder {folder}"
    yield from _unused(settings, registry)
    yield from registry.remarks


def _at_odds(settings: Settings) -> Iterator[str]:
    """Yield values that do not go well with each other, or with what stands around a server."""
    timeouts, limits = settings.timeouts, settings.limits
    if settings.heartbeat.interval_seconds > _PROXIES_SECONDS:
        yield (
            f"[heartbeat] interval_seconds = {settings.heartbeat.interval_seconds:g}: many proxies end a"
            f" connection after 60 s of silence; {_PROXIES_SECONDS} or less keeps it"
        )
    if timeouts.drain_seconds >= _SUPERVISORS_SECONDS:
        yield (
            f"[timeouts] drain_seconds = {timeouts.drain_seconds:g}: Docker kills a server"
            f" {_SUPERVISORS_SECONDS} s after it was told to stop, and systemd after"
            " TimeoutStopSec (20 s in config/relay.service): theirs must be longer"
        )
    if settings.server.trusted_proxies and timeouts.keep_alive_seconds < _KEPT_ALIVE_SECONDS:
        yield (
            f"[timeouts] keep_alive_seconds = {timeouts.keep_alive_seconds:g}: proxies keep idle connections to"
            f" the server for {_KEPT_ALIVE_SECONDS} s, and now and then use one that is just being closed; keep it"
            " longer than theirs"
        )
    if 0 < timeouts.handler_seconds < settings.storage.read_seconds:
        yield (
            f"[storage] read_seconds = {settings.storage.read_seconds:g} is over [timeouts] handler_seconds ="
            f" {timeouts.handler_seconds:g}: plugins are blamed for a slow database; keep it below"
        )
    if 0 < limits.frame_bytes < limits.content_characters:
        yield (
            f"[limits] frame_bytes = {limits.frame_bytes} is under content_characters ="
            f" {limits.content_characters}: so long a text fits into no frame, and ends the connection it comes on"
        )
    if 0 < limits.messages_burst < limits.messages_per_second:
        yield (
            f"[limits] messages_burst = {limits.messages_burst} is under messages_per_second ="
            f" {limits.messages_per_second}: nobody can send so many in one second"
        )


def _unused(settings: Settings, registry: Registry) -> Iterator[str]:
    """Yield a warning for each table of options that no plugin reads; its name may be a typing error."""
    loaded = {plugin.name for plugin in registry.loaded}
    broken = {plugin.name for plugin in registry.broken}
    for name in settings.plugins.options:
        if name not in loaded | broken:
            yield f"[plugins.{name}]: there are options for it, but no such plugin is loaded; {_mend(name)}"


def _mend(name: str) -> str:
    bundled = in_directory(bundled_directory(), "bundled")
    if name in bundled:
        return f'switch it on: [plugins] also = ["{name}"]'
    return did_you_mean(name, bundled) or "see relay plugins list"


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
