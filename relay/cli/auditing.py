"""`relay audit`: who did what, to whom, and from where."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

import click

from relay.cli.base import Command, json_option, printable
from relay.cli.database import perform

_POLL_SECONDS: Final = 1.0
_SHOWN: Final = 100
_UNITS: Final = {"m": 60, "h": 3600, "d": 86_400}


def _moment(_context: click.Context, _parameter: click.Parameter, value: str | None) -> float | None:
    """Return a moment in Unix seconds: so long ago, such as `90m`, `12h` or `7d`, or ISO 8601."""
    if value is None:
        return None
    if value[-1:] in _UNITS and value[:-1].isdecimal():
        return time.time() - int(value[:-1]) * _UNITS[value[-1]]
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        raise click.BadParameter(f"{value!r} is no time; right is 90m, 12h, 7d or 2026-01-31T12:00") from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


@click.command("audit", cls=Command)
@click.option("--act", metavar="ACT", help="Entries of an act, such as user.disabled, or of an area: user.")
@click.option("--by", metavar="USER", help="Acts of USER.")
@click.option("--about", metavar="KIND:ID", help="Acts about user:bob, say, or about a kind, such as group.")
@click.option("--since", callback=_moment, metavar="TIME", help="Since 90m, 12h or 7d ago, or a time, ISO 8601.")
@click.option("--follow", is_flag=True, help="Go on with new entries, until interrupted.")
@json_option
def audit(
    act: str | None, by: str | None, about: str | None, since: float | None, follow: bool, as_json: bool
) -> None:
    """Show the audit log: the acts of admins, moderators and the operator, the oldest first.

    The newest hundred; with --since or --json all that fit.
    """
    wanted = {"act": act, "by": by, "about": about, "since": since}
    last = 0
    if not as_json and since is None:
        last = _show(perform("audit.list", **wanted, limit=_SHOWN), 0, as_json=as_json)
    else:
        last = _show_after(wanted, 0, as_json=as_json)
    while follow:
        time.sleep(_POLL_SECONDS)
        last = _show_after(wanted, last, as_json=as_json)


def _show_after(wanted: Mapping[str, Any], last: int, *, as_json: bool) -> int:
    """Print all entries after one, and return the last one."""
    while rows := perform("audit.list", **wanted, after=last):
        last = _show(rows, last, as_json=as_json)
    return last


def _show(rows: list[dict[str, Any]], last: int, *, as_json: bool) -> int:
    for row in rows:
        click.echo(json.dumps(row, ensure_ascii=False) if as_json else _line(row))
        last = row["message_id"]
    return last


def _line(row: Mapping[str, Any]) -> str:
    """Return an entry as a line for people."""
    at = datetime.fromtimestamp(row["at"], UTC).strftime("%Y-%m-%d %H:%M:%S")
    about = f" {row['about']['kind']} {row['about']['id']}" if row["about"] else ""
    details = "".join(f" {name}={json.dumps(value, ensure_ascii=False)}" for name, value in row["details"].items())
    who = row["by"] or row["client"]
    origin = f" from {row['address']}" if row["address"] else ""
    return printable(f"{at}  {who}: {row['act']}{about}{details} ({row['way']}{origin})")
