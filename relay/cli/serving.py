"""`relay serve`: runs the server."""

from __future__ import annotations

import logging
import os
import shlex
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from relay.app.control_client import ControlError
from relay.cli.base import Document, Failure, config_file, load_settings
from relay.settings.environment import overlooked

if TYPE_CHECKING:
    from relay.settings import Settings

_FIRST_STEPS: Final = """\
From here to the first message, in a second terminal in this folder:
    {relay} user add alice{config}
    {relay} user add bob{config}
    RELAY_TOKEN=$({relay} token create alice{config}) {relay} send bob hello{config}
    RELAY_TOKEN=$({relay} token create bob{config}) {relay} tail{config}"""

_SWITCH_SECONDS: Final = 0.0005
"""How long a thread keeps Python's lock where another one wants it; Python's own 5 ms are long beside an ack.

The writer takes the lock dozens of times for a message, and a search or an export of somebody else may compute
meanwhile. What a message costs under full load stays the same, as few wait then for so long.
"""


@click.command(cls=Document)
@click.option("--safe-mode", is_flag=True, help="Load the bundled plugins only, should another one do harm.")
def serve(safe_mode: bool) -> None:
    """Run the server until it is told to stop.

    Prints one line with its address once it accepts connections. The first SIGTERM or SIGINT (Ctrl-C) closes
    all connections in good order, the second ends the server at once.
    """
    settings = load_settings()
    if safe_mode:
        from relay.engine.loader import bundled_only

        settings = bundled_only(settings)
    run_server(settings, first_steps=_first_steps())


def run_server(
    settings: Settings, *, tell: Callable[[str], None] = print, background: bool = True, first_steps: str = ""
) -> None:
    """Run a server until it is told to stop; see `relay.app.server.serve`.

    Raises:
        Failure: it cannot run, for a reason that an administrator can mend.
    """
    import trio

    from relay.app import server
    from relay.app.logs import configure_logging
    from relay.app.server import NothingToServe
    from relay.storage.errors import StorageBroken, StorageError
    from relay.transports.listening import CannotListen
    from relay.transports.tls import TlsProblem

    configure_logging(settings.log)
    for name, meant in overlooked(os.environ):
        logging.getLogger("relay").warning("%s is not read; did you mean %s?", name, meant)
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(line_buffering=True)  # a program that waits for the line may read it from a pipe
    as_json = settings.log.format == "json"
    run = server.serve
    mendable = StorageError | ControlError | CannotListen | NothingToServe | TlsProblem | OSError
    if settings.cluster.name:
        from relay.app.cluster_node import serve_node as run
        from relay.cluster.nats_client import MissingExtra

        mendable |= MissingExtra
    sys.setswitchinterval(_SWITCH_SECONDS)
    try:
        trio.run(partial(run, settings, tell, background=background, first_steps=first_steps))
    except KeyboardInterrupt:
        raise click.exceptions.Exit(1) if as_json else click.Abort from None
    except BaseException as fault:
        faults = list(_leaves(fault))
        # Only errors that an administrator can correct are put into a sentence; relay's own keep their traceback.
        # When the database is gone, much else fails, which says nothing more.
        said = next((one for one in faults if isinstance(one, StorageBroken)), faults[0])
        if isinstance(said, StorageBroken) or (len(faults) == 1 and isinstance(said, mendable)):
            if as_json:  # every line on standard error is JSON then
                logging.getLogger("relay").critical("%s", said)
                raise click.exceptions.Exit(Failure.exit_code) from None
            raise Failure(str(said)) from None
        raise


def _first_steps() -> str:
    """Return the commands to begin with, spelled the way this command was called."""
    as_module = Path(sys.argv[0]).name == "__main__.py"
    relay = f"{shlex.quote(sys.executable)} -m relay" if as_module else shlex.quote(sys.argv[0])
    chosen = config_file()
    return _FIRST_STEPS.format(relay=relay, config=f" --config {shlex.quote(str(chosen))}" if chosen else "")


def _leaves(fault: BaseException) -> Iterator[BaseException]:
    if isinstance(fault, BaseExceptionGroup):
        for one in fault.exceptions:
            yield from _leaves(one)
    else:
        yield fault
