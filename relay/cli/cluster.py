"""`relay cluster`: its nodes, another leader, the beginning of one, a node that joins or leaves."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

import click

from relay.cli.base import Failure, Group, json_option, load_settings, print_rows, tell
from relay.cli.database import ask_server, kept_for_owner

_WITHOUT: Final = "a node knows its cluster while it runs"
_COLUMNS: Final = ("node", "role", "term", "number", "behind", "version", "connections", "address", "heard")


@click.group("cluster", cls=Group)
def cluster() -> None:
    """Several nodes that are one server: who leads, how far each is, and how a node comes and goes."""


@cluster.command("status")
@json_option
def status(as_json: bool) -> None:
    """Show the nodes of the cluster: which one leads, and how far behind it the others are.

    Exit status 1 while no node leads.
    """
    found = ask_server("cluster.status", without=_WITHOUT)
    if as_json:
        click.echo(json.dumps(found, ensure_ascii=False))
    else:
        print_rows([_row(one) for one in found["nodes"]], _COLUMNS, as_json=False)
    if found["leader"] is None:
        raise Failure(f"no node of the cluster {found['name']} leads at the moment")


def _row(node: dict[str, Any]) -> dict[str, Any]:
    seconds = node["silent_seconds"]
    return {**node, "heard": f"{seconds:.1f} s ago" if seconds else "itself"}


@cluster.command("move-leader")
@click.argument("node")
def move_leader(node: str) -> None:
    """Have NODE lead, as before an upgrade of the node that leads; clients notice a reconnect."""
    ask_server("cluster.move", without=_WITHOUT, node=node)
    tell(f"{node} leads from now on", node=node)


@cluster.command("leave")
@click.option("--yes", is_flag=True, help="Really do it: the node comes back by a new copy alone.")
def leave(yes: bool) -> None:
    """Make this node's database one of its own, which is in no cluster; its server is stopped.

    The other nodes go on without it. Its clients go on with it where they are. A database that is to be used
    beside the cluster comes from a backup instead, by relay restore.
    """
    from relay.cluster.beginning import leave as make_own
    from relay.storage.errors import StorageError

    path = Path(load_settings().storage.path)
    if not yes:
        raise click.UsageError("the node gets nothing more of what the others store; say --yes if you mean it")
    with kept_for_owner(path):
        try:
            name = make_own(path)
        except StorageError as error:
            raise Failure(str(error)) from None
    text = f"{path} is in the cluster {name} no more; take [cluster] out of relay.toml"
    tell(text, database=str(path), cluster=name)
