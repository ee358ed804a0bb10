"""The plugin's background task: one deliverer while the server runs, known to commands and views."""

from relay.plugin import Server

from .delivering import Deliverer
from .options import Options
from .posting import Poster

_RUNNING = "deliverer"


def make_poster(options: Options, longest: float = float("inf")) -> Poster:
    """Return what posts as `[plugins.webhooks]` says, with a deadline of `longest` seconds at most."""
    return Poster(
        at_once=options.at_once,
        seconds=min(options.timeout_seconds, longest),
        answer_bytes=options.answer_bytes,
        allow_private=options.allow_private,
    )


async def deliver(server: Server, options: Options) -> None:
    """Deliver to all webhooks until cancelled."""
    async with make_poster(options) as poster:
        deliverer = server.memory[_RUNNING] = Deliverer(server, options, poster)
        try:
            await deliverer.run()
        finally:
            del server.memory[_RUNNING]


def running(server: Server) -> Deliverer | None:
    """Return the deliverer, where one runs."""
    found: Deliverer | None = server.memory.get(_RUNNING)
    return found
