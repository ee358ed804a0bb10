"""The commands `relay webhook …`."""

from collections.abc import Awaitable, Callable
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from relay.plugin import Command, Server

from . import incoming, service
from .filter import Choice
from .options import Options
from .service import Created
from .tables import AttemptView, DeadView

Named = list[str] | None
Hours = Annotated[float, Meta(ge=0, le=8760, description="For how many hours the old secret stays valid.")]


async def add(
    server: Server,
    url: str,
    *,
    type: Annotated[Named, Meta(description="A message type; may be repeated.")] = None,
    group: Annotated[Named, Meta(description="What is said in a group; may be repeated.")] = None,
    user: Annotated[Named, Meta(description="What is said to or by a user; may be repeated.")] = None,
    conversation: Annotated[Named, Meta(description="What two users say, as alice:bob; may be repeated.")] = None,
    sender: Annotated[Named, Meta(description="What a user says, anywhere; may be repeated.")] = None,
    reply_as: Annotated[str | None, Meta(description="Post the receiver's answers as this user.")] = None,
    secret: Annotated[str | None, Meta(description="The secret, whsec_…; a new one without it.")] = None,
) -> Created:
    """Post messages to URL from now on: all, or those that the options name. Print its id and secret."""
    choice = Choice(
        types=type or [],
        groups=group or [],
        users=user or [],
        conversations=conversation or [],
        senders=sender or [],
    )
    return await service.add(server, url, choice, reply_as, secret)


async def list_all(server: Server) -> list[dict[str, Any]]:
    """List all outgoing webhooks and their state."""
    return [
        {
            "hook_id": view.hook_id,
            "state": view.state,
            "waiting": view.waiting,
            "dead": view.dead,
            "url": view.url,
            "messages": str(view.messages),
        }
        for view in await service.list_hooks(server)
    ]


async def show(server: Server, hook_id: str) -> dict[str, Any]:
    """Show a webhook and its state."""
    view = await service.show(server, hook_id)
    return {**msgspec.structs.asdict(view), "messages": str(view.messages)}


async def remove(server: Server, hook_id: str) -> str:
    """Remove a webhook; it never gets what it has not got yet."""
    await service.remove(server, hook_id)
    return f"{hook_id}: removed"


async def pause(server: Server, hook_id: str) -> str:
    """Pause a webhook: it delivers nothing until it is resumed, and then goes on from where it stood."""
    await service.pause(server, hook_id)
    return f"{hook_id}: paused"


async def resume(server: Server, hook_id: str) -> str:
    """Resume a webhook: everything that it has not got is delivered, beginning at once."""
    await service.resume(server, hook_id)
    return f"{hook_id}: active"


async def rotate(server: Server, hook_id: str, *, hours: Hours = 24.0) -> Created:
    """Give a webhook a new secret, and print it; deliveries are signed with both for a while."""
    return await service.rotate(server, hook_id, hours)


async def deliveries(server: Server, hook_id: str) -> list[AttemptView]:
    """List the newest attempts of a webhook, newest first."""
    return await service.deliveries(server, hook_id)


async def dead(
    server: Server,
    hook_id: str,
    *,
    after: Annotated[int, Meta(ge=0, description="Begin after this message_id.")] = 0,
    limit: Annotated[int, Meta(ge=1, le=1000, description="How many at most.")] = 200,
) -> list[DeadView]:
    """List a webhook's dead letters: messages that its receiver never took, oldest first."""
    return await service.dead(server, hook_id, after, limit)


async def replay(
    server: Server,
    hook_id: str,
    *,
    message: Annotated[int | None, Meta(description="Only one, by its message_id.")] = None,
) -> str:
    """Deliver a webhook's dead letters once more, under the ids that they had."""
    count = (await service.replay(server, hook_id, message)).replayed
    return f"{count:,} {'is' if count == 1 else 'are'} delivered once more"


async def list_or_create_incoming(
    server: Server,
    name: str = "",
    *,
    as_: Annotated[str | None, Meta(description="Who posts; created where there is none.")] = None,
    to: Annotated[str | None, Meta(description="The user or group that it posts to.")] = None,
) -> Any:
    """Create an incoming webhook, and print the path of its URL; without a NAME list all."""
    if not name:
        return await server.read(incoming.list_all)
    if as_ is None or to is None:
        raise incoming.incomplete()
    return await incoming.create(server, name, as_, to)


async def revoke(server: Server, name: str) -> str:
    """Revoke an incoming webhook: its URL is answered 404 from now on."""
    await incoming.revoke(server, name)
    return f"{name}: revoked"


def make_commands(options: Options) -> list[Command]:
    """Return the plugin's commands."""

    async def send_test(server: Server, hook_id: str) -> AttemptView:
        """Post a test to a webhook's receiver once, and show what became of it."""
        return await service.send_test(server, options, hook_id)

    named: dict[str, Callable[..., Awaitable[Any]]] = {
        "add": add,
        "list": list_all,
        "show": show,
        "remove": remove,
        "pause": pause,
        "resume": resume,
        "rotate": rotate,
        "test": send_test,
        "deliveries": deliveries,
        "dead": dead,
        "replay": replay,
        "incoming": list_or_create_incoming,
        "revoke": revoke,
    }
    return [Command(name=f"webhook {name}", run=run) for name, run in named.items()]
