"""The command `relay` itself, with its subcommands; the module of each is imported when it is asked for."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, MutableMapping
from importlib import import_module
from typing import Any, Final

import click

from relay import __version__
from relay.app.output import discard, end
from relay.cli.base import Group, choose_ahead
from relay.protocol.errors import said

_PLACES: Final = {
    "serve": "serving:serve",
    "user": "users:user",
    "invite": "invites:invite",
    "mail": "mailing:mail",
    "token": "tokens:token",
    "group": "groups:group",
    "may": "inspecting:may",
    "audit": "auditing:audit",
    "config": "configuration:config",
    "doctor": "doctoring:doctor",
    "send": "sending:send",
    "notify": "notifying:notify",
    "tail": "tailing:tail",
    "export": "whole_exporting:export",
    "import": "importing:import_messages",
    "trace": "tracing:trace",
    "reload": "operating:reload",
    "status": "operating:status",
    "storage": "operating:storage",
    "connections": "connections:connections",
    "cluster": "cluster:cluster",
    "sample": "sample:sample",
    "backup": "backup:backup",
    "verify": "backup:verify",
    "restore": "backup:restore",
    "sandbox": "sandbox:sandbox",
    "plugins": "plugins:plugins",
    "schema": "schema:schema",
    "version": "versions:version",
    "ban": "moderation:ban",
    "unban": "moderation:unban",
    "timeout": "moderation:timeout",
    "restrictions": "moderation:restrictions",
    "report": "moderation:report",
    "completion": "completing:completion",
}
"""Each command with its module in `relay.cli` and its name there.

A command that asks a running server takes about as long as Python needs to start, and all modules together as long
as that once more.
"""


class _Commands(MutableMapping[str, click.Command]):
    """The commands by their names, imported one by one."""

    def __init__(self) -> None:
        self._made: dict[str, click.Command] = {}

    def __getitem__(self, name: str) -> click.Command:
        if name not in self._made:
            module, _, attribute = _PLACES[name].partition(":")
            self._made[name] = getattr(import_module(f"relay.cli.{module}"), attribute)
        return self._made[name]

    def __iter__(self) -> Iterator[str]:
        return iter(_PLACES | self._made)

    def __len__(self) -> int:
        return len(_PLACES | self._made)

    def __setitem__(self, name: str, command: click.Command) -> None:
        self._made[name] = command

    def __delitem__(self, name: str) -> None:
        del self._made[name]


class Root(Group):
    """The command `relay`, with the commands of the enabled plugins after its own."""

    def main(self, *args: Any, **extra: Any) -> Any:
        """Run a command; if its output cannot be written, say so and fail."""
        try:
            try:
                return super().main(*args, **extra)
            finally:
                if sys.stdout is not None:  # it is None where the shell has closed it
                    sys.stdout.flush()
        except OSError as error:
            if error.filename is not None:
                raise
            if not end(sys.stderr):  # nobody can be told
                sys.exit(1)
            discard(sys.stdout)
            click.echo(f"relay: standard output cannot be written to: {error.strerror or said(error)}", err=True)
            sys.exit(1)
        finally:
            end(sys.stderr)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find a command; a settings file named after it decides which plugins add commands."""
        if args and super().get_command(ctx, args[0]) is None:
            choose_ahead(ctx, args)
        return super().resolve_command(ctx, args)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return one of relay's own commands, or a plugin's."""
        return super().get_command(ctx, cmd_name) or _of_plugins(ctx).get(cmd_name)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of all commands, for the help; for a shell that completes words relay's own."""
        own = super().list_commands(ctx)
        return [*own, *(name for name in _of_plugins(ctx) if name not in own)]


def _of_plugins(context: click.Context) -> Mapping[str, click.Command]:
    """Return plugins' commands; none while a shell completes words, as that would load plugins at each key."""
    if context.resilient_parsing:
        return {}
    from relay.cli.plugin_commands import plugin_commands

    return plugin_commands()


@click.group(
    cls=Root,
    commands=_Commands(),
    config_variable="RELAY_CONFIG",
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(__version__, prog_name="relay", message="%(prog)s %(version)s")
def main() -> None:
    """Self-hosted real-time messaging: one process, one port, one SQLite file, one relay.toml.

    Commands that work on the database do so whether or not a server runs on it. All take --config FILE, before
    the command or after its own arguments. Exit status: 0 done, 1 not possible, 2 wrong usage or settings.
    """
