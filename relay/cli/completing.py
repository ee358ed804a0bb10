"""`relay completion`: makes a shell complete commands and options."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

import click

from relay.cli.base import Document, Failure, note
from relay.protocol.errors import said

_PLACES: Final = {
    "bash": ("XDG_DATA_HOME", "~/.local/share", "bash-completion/completions/relay"),
    "zsh": ("ZDOTDIR", "~", ".zfunc/_relay"),
    "fish": ("XDG_CONFIG_HOME", "~/.config", "fish/completions/relay.fish"),
}
"""For each shell the variable that names a folder, its default, and where a user's completions are in it."""


@click.command("completion", cls=Document)
@click.argument("shell", type=click.Choice(list(_PLACES)), metavar="SHELL")
@click.option("--install", is_flag=True, help="Write it to where that shell looks for it, for this user.")
def completion(shell: str, install: bool) -> None:
    """Print what makes SHELL (bash, zsh or fish) complete commands and options, or install it.

    Without installing it: eval "$(relay completion bash)". Commands of plugins are not completed, as that would
    load the plugins at each press of the key.
    """
    text = _script(shell)
    if not install:
        click.echo(text, nl=False)
        return
    variable, default, place = _PLACES[shell]
    path = Path(os.environ.get(variable) or default).expanduser() / place
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise Failure(f"{path} cannot be written: {error.strerror or said(error)}") from None
    click.echo(str(path))
    if shell == "zsh":
        note(f"zsh looks there once ~/.zshrc has, before compinit: fpath+=({path.parent}); autoload -Uz compinit")
    else:
        note("it works in new shells" + (", where the package bash-completion is installed" * (shell == "bash")))


def _script(shell: str) -> str:
    """Return click's script; made here, as click would start bash to ask for its version."""
    from click.shell_completion import get_completion_class

    main = click.get_current_context().find_root().command
    found = get_completion_class(shell)
    if found is None:
        raise Failure(f"the installed click knows no completion for {shell}")
    made = found(main, {}, "relay", "_RELAY_COMPLETE")
    return str(made.source_template % made.source_vars()).strip() + "\n"
