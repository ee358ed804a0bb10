"""The roof: the command line, `relay`.

Commands only read their arguments and print answers. Their operations on a database are in `relay.app.admin`;
`database.perform` finds out whether a running server has to perform them. Modules that are slow to import (trio,
the engine, the server, the client) are imported by the commands that need them, when they run.
"""

from relay.cli.root import main

__all__ = ["main"]
