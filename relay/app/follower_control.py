"""The control socket of a node that follows: what it knows of the cluster, and nothing else.

All other operations are the leader's, which writes; the answer names it.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any, Protocol

import msgspec
import trio

from relay.app.control import serve_operations
from relay.engine.cluster_office import ClusterStatus
from relay.protocol.envelope import Name
from relay.protocol.errors import ErrorCode, RelayError
from relay.services.audit import Actor


class FollowerOffice(Protocol):
    """The cluster, as a node sees it that follows."""

    def status(self) -> ClusterStatus:
        """Return the nodes, and how far each is."""

    async def move(self, node: str) -> None:
        """Have the leader hand over to another node.

        Raises:
            RelayError: it cannot, or there is none.
        """


class _Move(msgspec.Struct, forbid_unknown_fields=True):
    node: Name


async def serve_follower_control(
    office: FollowerOffice, path: Path, *, task_status: trio.TaskStatus[object] = trio.TASK_STATUS_IGNORED
) -> None:
    """Answer the command line on a socket at `path` until cancelled; see `serve_operations`.

    Raises:
        ControlError: the socket cannot be made; the message says why.
    """
    await serve_operations(partial(_perform, office), path, task_status=task_status)


async def _perform(office: FollowerOffice, op: str, arguments: dict[str, Any], _actor: Actor) -> Any:
    """Run one operation and return its answer, made of JSON types.

    Raises:
        RelayError: `conflict` for all that a leader does, `invalid_payload` for arguments that do not fit, or the
            operation's own refusal.
    """
    if op == "cluster.status":
        return msgspec.to_builtins(office.status())
    if op == "cluster.move":
        try:
            asked = msgspec.convert(arguments, _Move)
        except msgspec.ValidationError as error:
            raise RelayError(ErrorCode.INVALID_PAYLOAD, f"{op}: {error}") from None
        return await office.move(asked.node)
    leader = office.status().leader
    where = "no node leads now; try again in a moment" if leader is None else f"{leader} leads: run it there"
    raise RelayError(ErrorCode.CONFLICT, f"this node is a follower; {where}")
