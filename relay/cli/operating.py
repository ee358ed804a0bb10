"""`relay status`, `relay storage`, `relay reload`: how the server does, its disk, its settings."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, Final

import click

from relay.cli.base import Command, json_option, printable
from relay.cli.database import ask_server, perform

_UNITS: Final = ("bytes", "KiB", "MiB", "GiB", "TiB")


@click.command("status", cls=Command)
@json_option
def status(as_json: bool) -> None:
    """Tell how the running server does: its queues, how far they lag behind, its devices and its plugins.

    Exit status 1 when its disk takes no messages.
    """
    found = ask_server("status", without="relay storage and relay trace work without one")
    click.echo(json.dumps(found, ensure_ascii=False) if as_json else "\n".join(map(printable, _status(found))))
    if found["state"] == "bad":
        click.get_current_context().exit(1)


@click.command("reload", cls=Command)
@json_option
def reload(as_json: bool) -> None:
    """Have the running server read its settings and its certificate again, as SIGHUP does.

    Nobody is disconnected. Where something does not fit, nothing changes. Tells what changed, and what waits for a
    restart. Exit status 1 when the settings are refused, or a plugin does not take its options.
    """
    found = ask_server("reload", without="the next start reads the settings")
    click.echo(json.dumps(found, ensure_ascii=False) if as_json else "\n".join(map(printable, _reloaded(found))))
    if found["kept"]:
        click.get_current_context().exit(1)


def _reloaded(found: Mapping[str, Any]) -> Iterator[str]:
    yield f"changed: {', '.join(found['applied']) or 'nothing'}"
    yield from (f"{name}: after a restart" for name in found["after_restart"])
    yield from (f"{name} stays as it was: {reason}" for name, reason in found["kept"].items())


def _status(found: Mapping[str, Any]) -> Iterator[str]:
    router, writer, devices = found["router"], found["writer"], found["devices"]
    yield f"{found['state']}; it has run for {_duration(found['up_seconds'])}"
    yield from (f"  ! {remark}" for remark in found["remarks"])
    yield f"messages: {router['stored']} stored, {router['waiting']} wait, {router['refused']} refused"
    half, most = _milliseconds(writer["p50_seconds"]), _milliseconds(writer["p99_seconds"])
    yield f"commits: half within {half}, 99 of 100 within {most}; {writer['failed']} failed"
    yield f"writer: a job waits {_milliseconds(writer['lag_seconds'])} for it"
    away = "those away are not counted"
    if devices["away"] is not None:
        away = f"{devices['away']} away, {devices['waiting']} of them miss messages"
    yield f"devices: {devices['connected']} connected, of {devices['users']} users; {away}"
    for queue in found["queues"]:
        failing = f", {queue['failing']} fail: {queue['text']}" if queue["failing"] else ""
        yield f"queue {queue['plugin']} {queue['name']}: {queue['waiting']} wait{failing}"
    for plugin in found["plugins"]:
        if plugin["state"] != "running" or plugin["failures"]:
            last = plugin["last_failure"] or "-"
            yield f"plugin {plugin['name']}: {plugin['state']}, {plugin['failures']} failures; the last: {last}"


@click.command("storage", cls=Command)
@json_option
def storage(as_json: bool) -> None:
    """Tell what takes how much of the database, how fast it grows, when the disk is full, what will be erased."""
    found = perform("storage")
    click.echo(json.dumps(found, ensure_ascii=False) if as_json else "\n".join(map(printable, _storage(found))))


def _storage(found: Mapping[str, Any]) -> Iterator[str]:
    free = "" if found["disk_free_bytes"] is None else f"; {_size(found['disk_free_bytes'])} of the disk are free"
    yield f"database: {_size(found['database_bytes'])}, write-ahead log: {_size(found['wal_bytes'])}{free}"
    for part in found["parts"]:
        about = "" if part["measured"] else "  (estimated)"
        yield f"  {_size(part['bytes']):>12}  {part['name']}{about}"
    growth = found["growth"]
    if growth["bytes_per_day"] is None:
        yield f"growth: not known: {growth['text']}"
    else:
        sign = "-" if growth["bytes_per_day"] < 0 else ""
        line = f"growth: {sign}{_size(abs(growth['bytes_per_day']))} a day, {growth['text']}"
        full = growth["full_at"]
        yield line if full is None else f"{line}; the disk is full on {datetime.fromtimestamp(full, UTC):%Y-%m-%d}"
    for ahead in found["frees"]:
        least = "" if all(rule["whole"] for rule in ahead["rules"]) else "at least "
        yield f"erased within {ahead['days']} days: {least}{_size(ahead['bytes'])}"
        for rule in ahead["rules"]:
            yield f"  {_size(rule['bytes']):>12}  {rule['rule']}: {rule['messages']} messages"


def _size(size: float) -> str:
    for unit in _UNITS:
        if size < 1024 or unit == _UNITS[-1]:
            return f"{size:.0f} {unit}" if unit == "bytes" else f"{size:.1f} {unit}"
        size /= 1024
    return ""


def _milliseconds(seconds: float | None) -> str:
    return "-" if seconds is None else f"{seconds * 1000:.1f} ms"


def _duration(seconds: float) -> str:
    minutes = int(seconds // 60)
    days, hours = minutes // 1440, minutes // 60 % 24
    return f"{days} days {hours} h" if days else f"{hours} h {minutes % 60} min"
