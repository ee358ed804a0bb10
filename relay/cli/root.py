"""The command `relay` itself, with its subcommands."""

from __future__ import annotations

import click

from relay import __version__
from relay.cli.configuration import config
from relay.cli.groups import group
from relay.cli.importing import import_messages
from relay.cli.jobs import jobs, run_job
from relay.cli.notifying import notify
from relay.cli.plugin_commands import Root
from relay.cli.plugins import plugins
from relay.cli.schema import schema
from relay.cli.sending import send
from relay.cli.serving import serve
from relay.cli.tailing import tail
from relay.cli.tokens import token
from relay.cli.users import user


@click.group(cls=Root, config_variable="RELAY_CONFIG", context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="relay", message="%(prog)s %(version)s")
def main() -> None:
    """Self-hosted real-time messaging: one process, one port, one SQLite file, one relay.toml.

    Commands that work on the database do so whether or not a server runs on it. All take --config FILE, before
    the command or after its own arguments. Exit status: 0 done, 1 not possible, 2 wrong usage or settings.
    """


for command in (serve, user, token, group, config, send, notify, tail, import_messages, plugins, schema):
    main.add_command(command)
for command in (jobs, run_job):
    plugins.add_command(command)
