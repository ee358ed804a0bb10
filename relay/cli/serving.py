"""`relay serve`."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Final

import click

from relay.app.control_client import ControlError
from relay.cli.base import Command, Failure, config_file, load_settings

_FIRST_STEPS: Final = """\
From here to the first message, in a second terminal in this folder:
    {relay} user add alice{config}
    {relay} user add bob{config}
    RELAY_TOKEN=$({relay} token create alice{config}) {relay} send bob hello{config}
    RELAY_TOKEN=$({relay} token create bob{config}) {relay} tail{config}"""


@click.command(cls=Command)
@click.option("--safe-mode", is_flag=True, help="Load the bundled plugins only, should another one do harm.")
def serve(safe_mode: bool) -> None:
    """Run the server until it is told to stop.

    Prints one line with its address once it accepts connections. The first SIGTERM or SIGINT (Ctrl-C) lets
    clients go in good order, the second ends it at once.
    """
    settings = load_settings()
    import trio

    from relay.app.logs import configure_logging
    from relay.app.server import CannotListen, NothingToServe
    from relay.app.server import serve as run_server
    from relay.engine.assembling import safe
    from relay.storage.errors import StorageBroken, StorageError
    from relay.transports.tls import TlsProblem

    configure_logging(settings.log)
    if safe_mode:
        settings = safe(settings)
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(line_buffering=True)  # whoever waits for the line may read it from a pipe
    try:
        trio.run(partial(run_server, settings, first_steps=_first_steps()))
    except KeyboardInterrupt:
        raise click.Abort from None
    except BaseException as fault:
        faults = list(_leaves(fault))
        # Only what an administrator can mend is put into a sentence; our own faults keep their traceback. With a
        # database that is gone, much else fails, and that says nothing more.
        said = next((one for one in faults if isinstance(one, StorageBroken)), faults[0])
        mendable = StorageError | ControlError | CannotListen | NothingToServe | TlsProblem | OSError
        if isinstance(said, StorageBroken) or (len(faults) == 1 and isinstance(said, mendable)):
            raise Failure(str(said)) from None
        raise


def _first_steps() -> str:
    """Return the commands to begin with, spelled as this one was."""
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
