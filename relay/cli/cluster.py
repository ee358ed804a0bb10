"""`relay cluster`: its nodes, another leader, the beginning of one, a node that joins or leaves."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from relay.cli.backup import work_on
from relay.cli.base import Failure, Group, json_option, load_settings, print_rows, tell
from relay.cli.database import ask_server, kept_for_owner

if TYPE_CHECKING:
    from relay.settings import Settings
    from relay.storage.cluster import Position
    from relay.storage.copying import Progress

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


@cluster.command("begin")
@click.option(
    "--again",
    is_flag=True,
    help="Begin anew: NATS has lost the stream, or this database was restored from a backup.",
)
def begin(again: bool) -> None:
    """Have this node's database be the one that all nodes take; its server is stopped.

    It is done once in the life of a cluster, on one node: the others fetch a copy. With --again every other node
    takes a new copy, and clients ask for everything anew; take the node with the highest record.
    """
    import trio

    from relay.cluster.beginning import begin as make_first

    settings = _settings()
    name, path = settings.cluster.name, Path(settings.storage.path)

    async def work() -> None:
        from relay.cluster.faults import ungrouped
        from relay.cluster.nats import connect

        with ungrouped():
            async with connect(settings.cluster) as (stream, _):
                await make_first(path, name, stream, again=again)

    with kept_for_owner(path), _told():
        trio.run(work)
    tell(f"the cluster {name} begins with {path}; start the server", cluster=name, database=str(path))


@cluster.command("join")
def join() -> None:
    """Fetch this node's first copy of the cluster's database from the leader; its server is stopped.

    A node that is started without a database does the same by itself.
    """
    import trio

    from relay.cluster.first_copy import take_first_copy

    settings = _settings()
    name, path = settings.cluster.name, Path(settings.storage.path)

    def work(progress: Progress) -> Position:
        return trio.run(take_first_copy, settings.cluster, path, progress)

    with kept_for_owner(path), _told():
        position = work_on(path, work)
    text = (
        f"{path} is a copy of the database of the cluster {name}, at record {position.number:,}; start the server"
    )
    tell(text, cluster=name, database=str(path), number=position.number)


def _settings() -> Settings:
    """Return the settings of a node.

    Raises:
        Failure: this server is none.
    """
    settings = load_settings()
    if not settings.cluster.name:
        raise Failure("this server is in no cluster; [cluster] in relay.toml makes it a node of one")
    return settings


@contextmanager
def _told() -> Iterator[None]:
    """Tell what a cluster refuses.

    Raises:
        Failure: it did.
    """
    from relay.cluster.nats_client import MissingExtra
    from relay.cluster.stream import Unreachable
    from relay.storage.errors import StorageError
    from relay.transports.tls import TlsProblem

    try:
        yield
    except (StorageError, MissingExtra, TlsProblem) as error:
        raise Failure(str(error)) from None
    except Unreachable as error:
        raise Failure(f"NATS does not answer: {error}") from None


@cluster.command("leave")
@click.option("--yes", is_flag=True, help="Really do it: the node comes back by a new copy alone.")
def leave(yes: bool) -> None:
    """Make this node's database one of its own, which is in no cluster; its server is stopped.

    The other nodes go on without it. Its clients go on with it where they are. A database that is to be used
    beside the cluster comes from a backup instead, by relay restore.
    """
    from relay.cluster.beginning import leave as make_own

    path = Path(load_settings().storage.path)
    if not yes:
        raise click.UsageError("the node gets nothing more of what the others store; say --yes if you mean it")
    with kept_for_owner(path), _told():
        name = make_own(path)
    text = f"{path} is in the cluster {name} no more; take [cluster] out of relay.toml"
    tell(text, database=str(path), cluster=name)
