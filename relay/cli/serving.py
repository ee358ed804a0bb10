"""`relay serve`."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import click

from relay.app.control_client import ControlError
from relay.cli.base import Command, Failure, load_settings


@click.command(cls=Command)
def serve() -> None:
    """Run the server until it is told to stop.

    Prints one line with its address once it accepts connections. The first SIGTERM or SIGINT (Ctrl-C) lets
    clients go in good order, the second ends it at once.
    """
    settings = load_settings()
    import trio

    from relay.app.logs import configure_logging
    from relay.app.server import serve as run_server
    from relay.storage.database import StorageError

    configure_logging(settings.log)
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(line_buffering=True)  # whoever waits for the line may read it from a pipe
    try:
        trio.run(run_server, settings)
    except KeyboardInterrupt:
        raise click.Abort from None
    except (StorageError, OSError, ControlError) as error:
        raise Failure(_reason(error, settings.server.host, settings.server.port)) from None
    except BaseExceptionGroup as group:
        faults = list(_leaves(group))
        # Only what an administrator can mend is put into a sentence; our own faults keep their traceback.
        if len(faults) == 1 and isinstance(faults[0], StorageError | OSError | ControlError):
            raise Failure(_reason(faults[0], settings.server.host, settings.server.port)) from None
        raise


def _leaves(group: BaseExceptionGroup[BaseException]) -> Iterator[BaseException]:
    for one in group.exceptions:
        if isinstance(one, BaseExceptionGroup):
            yield from _leaves(one)
        else:
            yield one


def _reason(error: BaseException, host: str, port: int) -> str:
    if isinstance(error, OSError) and error.filename is None:
        return f"cannot listen on {host}:{port}: {error.strerror or error}"
    return str(error)
