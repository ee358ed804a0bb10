"""The whole examination: the settings and this machine, then the way in through the public address."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from relay.app import checks
from relay.app.control_client import ControlError, NoServer, call, control_path, server_pid
from relay.app.doctor import machine
from relay.app.doctor.findings import Finding, bad, good, unknown, warning
from relay.app.doctor.way_in import Server, WayIn
from relay.app.doctor.wire import Address
from relay.app.plugin_admin import load_for
from relay.protocol.errors import RelayError
from relay.settings import Settings
from relay.transports.rest.probe import most_body_bytes
from relay.transports.urls import reachable


def examine(settings: Settings, address: Address | None, idle_seconds: float) -> Iterator[Finding]:
    """Yield what is found, one check after the other.

    Args:
        address: the public address; None where there is none to look at.
        idle_seconds: how long an idle WebSocket through it is watched; 0 leaves that out.
    """
    database = Path(settings.storage.path)
    control = control_path(database)
    pid = server_pid(control)
    yield from _settings(settings)
    yield machine.port(settings, pid)
    yield from machine.files(database)
    yield from machine.disk(database)
    yield machine.sqlite()
    yield from machine.clock(database)
    yield machine.descriptors(settings, pid)
    yield from _condition(control)
    if address is None:
        yield unknown(
            "reach",
            "the way in from outside was not looked at: name its address, by --url or in [server] public_url",
        )
        return
    yield from WayIn(address, _server(settings, control, idle_seconds)).findings()


def _settings(settings: Settings) -> Iterator[Finding]:
    """Yield what `relay config check` says."""
    registry = load_for(settings)
    clean = True
    for _key, text in checks.problems(settings, registry):
        clean = False
        yield bad("settings", text)
    for text in checks.warnings(settings, registry):
        clean = False
        yield warning("settings", text)
    if clean:
        yield good("settings", f"the settings are right, and {len(registry.loaded)} plugins can be loaded")


def _condition(control: Path) -> Iterator[Finding]:
    """Yield what the running server says of itself."""
    found = _asked(control, "status")
    if found is None:
        return
    if isinstance(found, str):
        yield unknown("server", found)
        return
    states: Mapping[str, Any] = {"good": good, "bad": bad}
    told = "; ".join(found["remarks"]) or "it says that it does well"
    yield states.get(found["state"], warning)("server", f"the server is asked: {told}")
    for plugin in found["plugins"]:
        if plugin["state"] != "running":
            why = f": {plugin['last_failure']}" if plugin["last_failure"] else ""
            yield bad("plugins", f"the plugin {plugin['name']} is {plugin['state']}{why}")


def _server(settings: Settings, control: Path, idle_seconds: float) -> Server:
    begun = _asked(control, "probe.begin")
    beat = settings.heartbeat.interval_seconds
    return Server(
        upstream=f"{reachable(settings.server.host)}:{settings.server.port}",
        probe_id=begun["probe_id"] if isinstance(begun, dict) else None,
        heartbeat_seconds=beat,
        head_bytes=settings.limits.head_bytes,
        body_bytes=most_body_bytes(settings),
        idle_seconds=idle_seconds,
    )


def _asked(control: Path, op: str) -> Any:
    """Ask the running server; return None where none runs, and a sentence where it cannot be asked."""
    try:
        return call(control, op, {})
    except NoServer:
        return None
    except (RelayError, ControlError) as error:
        return f"the server cannot be asked: {error}"
