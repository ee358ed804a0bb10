"""The roof: the command line, `relay`.

Commands only read their arguments and print answers. What they do to a database is in `relay.app.admin`, and
`database.perform` finds out whether a running server has to do it. What is heavy to import (trio, the engine,
the server, the client) is imported by the commands that need it, when they run: a shell waits for every import.
"""

from relay.cli.root import main

__all__ = ["main"]
