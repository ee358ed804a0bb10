"""`relay doctor`: looks at the settings, this machine and the way in, and names what is wrong with its remedy."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

import click
import msgspec

from relay.cli.base import Command, json_option, load_settings, printable

if TYPE_CHECKING:
    from relay.app.doctor.findings import Finding

_MARKS: Final = {"good": "ok", "unknown": "?", "warning": "warning", "bad": "BAD"}
_COLOURS: Final = {"good": "green", "unknown": "cyan", "warning": "yellow", "bad": "red"}
_MORE_SECONDS: Final = 5.0


@click.command("doctor", cls=Command)
@click.option("--url", metavar="URL", help="The public address.  [default: [server] public_url]")
@click.option(
    "--idle",
    type=click.FloatRange(0, 280),
    metavar="SECONDS",
    help="How long an idle WebSocket is watched; 0 leaves it out.  [default: a heartbeat's interval and 5 s more]",
)
@json_option
def doctor(url: str | None, idle: float | None, as_json: bool) -> None:
    """Look at the settings, this machine and the way in, and name what is wrong, with the lines that mend it.

    Through the public address: the certificate, WebSockets, pages' origins, the sizes of headers and bodies,
    clients' addresses, and whether an idle WebSocket outlives a proxy's patience. For the whole of it run it on
    the server's machine, as its user or root, while it runs. Exit status: 0, or 1 when something is bad.
    """
    settings = load_settings()
    from relay.app.doctor.examination import examine
    from relay.app.doctor.wire import read_address

    given = url or settings.server.public_url
    try:
        address = read_address(given) if given else None
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    seconds = settings.heartbeat.interval_seconds + _MORE_SECONDS if idle is None else idle
    counts = dict.fromkeys(_MARKS, 0)
    for finding in examine(settings, address, seconds):
        counts[finding.state] += 1
        if as_json:
            click.echo(msgspec.json.encode(finding).decode())
        else:
            for line in _lines(finding):
                click.echo(line)
            sys.stdout.flush()  # the last checks take a while
    if not as_json:
        click.echo(f"{counts['bad']} bad, {counts['warning']} warnings, {counts['unknown']} not known")
    if counts["bad"]:
        click.get_current_context().exit(1)


def _lines(finding: Finding) -> Iterator[str]:
    mark = click.style(f"{_MARKS[finding.state]:<8}", fg=_COLOURS[finding.state])
    yield f"{mark}{finding.check:<12} {printable(finding.text)}"
    for where, text in finding.mend.items():
        yield f"{'':<21}{where}:"
        yield from (f"{'':<25}{line}" for line in text.splitlines())
