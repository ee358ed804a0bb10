"""`relay ban`, `unban`, `timeout`, `restrictions` and `report`: moderation by the operator."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Final

import click

from relay.cli.base import Command, Failure, Group, json_option, print_rows, printable, tell
from relay.cli.database import perform

_UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_DURATION: Final = re.compile(r"(\d+(?:\.\d+)?)([smhdw])")
_COLUMNS: Final = ("user_id", "kind", "until", "by", "made_at", "reason")


def _seconds(_context: click.Context, _option: click.Parameter, value: str | None) -> float | None:
    """Return the seconds of a duration such as `10m`, `36h` or `7d`."""
    if value is None:
        return None
    found = _DURATION.fullmatch(value)
    if found is None or not float(found[1]):
        raise click.BadParameter(f"{value!r} is no duration; right are 90s, 10m, 36h, 7d and 2w")
    return float(found[1]) * _UNITS[found[2]]


group_option = click.option("--group", "group_id", metavar="GROUP", help="In this group, and not on the server.")
reason_option = click.option("--reason", metavar="TEXT", default="", help="Why; they are told.")


@click.command(cls=Command)
@click.argument("user_id", metavar="USER")
@click.option("--for", "seconds", callback=_seconds, metavar="DURATION", help="For so long; else until unban.")
@group_option
@reason_option
def ban(user_id: str, seconds: float | None, group_id: str | None, reason: str) -> None:
    """Ban USER: they cannot sign in, or with --group not be in it, until that ends or is lifted."""
    made = perform(
        "moderation.restrict", user_id=user_id, kind="ban", seconds=seconds, reason=reason, group_id=group_id
    )
    tell(
        f"user {user_id}: banned{_where(group_id)}{_until(made['until'])}",
        **{"user_id": user_id, "group_id": group_id, **made},
    )


@click.command(cls=Command)
@click.argument("user_id", metavar="USER")
@group_option
def unban(user_id: str, group_id: str | None) -> None:
    """Lift the ban of USER."""
    perform("moderation.lift", user_id=user_id, kind="ban", group_id=group_id)
    tell(f"user {user_id}: no longer banned{_where(group_id)}", user_id=user_id, group_id=group_id)


@click.command(cls=Command)
@click.argument("user_id", metavar="USER")
@click.option("--for", "seconds", callback=_seconds, metavar="DURATION", help="For so long: 10m, 36h, 7d.")
@click.option("--lift", is_flag=True, help="Take the timeout back.")
@group_option
@reason_option
def timeout(user_id: str, seconds: float | None, lift: bool, group_id: str | None, reason: str) -> None:
    """Put USER into a timeout: they may read, and not write until it ends."""
    if lift == (seconds is not None):
        raise Failure("give either --for, how long the timeout lasts, or --lift")
    if lift:
        perform("moderation.lift", user_id=user_id, kind="timeout", group_id=group_id)
        tell(f"user {user_id}: may write again{_where(group_id)}", user_id=user_id, group_id=group_id)
        return
    made = perform(
        "moderation.restrict", user_id=user_id, kind="timeout", seconds=seconds, reason=reason, group_id=group_id
    )
    tell(
        f"user {user_id}: may only read{_where(group_id)}{_until(made['until'])}",
        **{"user_id": user_id, "group_id": group_id, **made},
    )


@click.command(cls=Command)
@group_option
@json_option
def restrictions(group_id: str | None, as_json: bool) -> None:
    """List the timeouts and bans that are in force on the server, or in a group."""
    found = perform("moderation.list", group_id=group_id)
    if not as_json:
        found = [{**one, "until": _moment(one["until"])} for one in found]
    print_rows(found, _COLUMNS, as_json=as_json)


@click.group(cls=Group)
def report() -> None:
    """List and close what users have reported; what was said is shown by the moderators' conversation."""


@report.command("list")
@click.option("--state", type=click.Choice(["open", "resolved", "dismissed"]), help="Those in this state only.")
@json_option
def list_reports(state: str | None, as_json: bool) -> None:
    """List reports, the newest first."""
    columns = ("report_id", "message_id", "author", "state", "reasons", "reporters", "removed", "by", "closed_at")
    print_rows(perform("report.list", state=state), columns, as_json=as_json)


@report.command()
@click.argument("report_id", metavar="REPORT", type=int)
@click.option("--note", metavar="TEXT", default="", help="A note for the moderators.")
def resolve(report_id: int, note: str) -> None:
    """Close REPORT: something was done about it."""
    _close(report_id, "resolved", note)


@report.command()
@click.argument("report_id", metavar="REPORT", type=int)
@click.option("--note", metavar="TEXT", default="", help="A note for the moderators.")
def dismiss(report_id: int, note: str) -> None:
    """Close REPORT: nothing has to be done about it."""
    _close(report_id, "dismissed", note)


@report.command()
@click.argument("report_id", metavar="REPORT", type=int)
def reopen(report_id: int) -> None:
    """Open REPORT again."""
    _close(report_id, "open", "")


@report.command()
@click.argument("report_id", metavar="REPORT", type=int)
@reason_option
def remove(report_id: int, reason: str) -> None:
    """Remove the message that REPORT is about."""
    perform("report.remove", report_id=report_id, reason=reason)
    tell(f"report {report_id}: the message is removed", report_id=report_id, removed=True)


def _close(report_id: int, state: str, note: str) -> None:
    perform("report.close", report_id=report_id, state=state, note=note)
    tell(f"report {report_id}: {state}", report_id=report_id, state=state)


def _where(group_id: str | None) -> str:
    return "" if group_id is None else f" in {printable(group_id)}"


def _until(until: float | None) -> str:
    return "" if until is None else f" until {_moment(until)}"


def _moment(until: float | None) -> str:
    return "" if until is None else datetime.fromtimestamp(until, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
