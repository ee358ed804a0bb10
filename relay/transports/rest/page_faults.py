"""Faults of plugins' page modules, told by the page: for the log, the figures and `relay plugins list`.

They are no failures of the plugin's code in the server, and set nothing aside: a browser tells them, and may lie.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal

import trio
from msgspec import Meta, Struct
from quart import Blueprint, current_app

from relay.engine.engine import Engine
from relay.http.endpoint import endpoint
from relay.http.views import Caller
from relay.protocol.envelope import Name
from relay.protocol.errors import ErrorCode, not_found
from relay.services.limits import TokenBuckets

blueprint = Blueprint("page_faults", __name__)

_BUCKETS: Final = "relay.page_faults"
_PER_SECOND: Final = 0.1
_BURST: Final = 20
"""A page tells twenty faults at most; a user with several pages has to wait."""


class PageFault(Struct, forbid_unknown_fields=True):
    """A fault of a plugin's page module, as a page met it."""

    plugin: Annotated[Name, Meta(description="the plugin whose module it is")]
    kind: Annotated[
        Literal["load", "shape", "draw", "text", "press", "later", "hang"],
        Meta(description="in which of its functions, or whether it could not be loaded, or never came to an end"),
    ]
    text: Annotated[str, Meta(min_length=1, max_length=2000, description="for the plugin's author")]


@blueprint.post("/api/page/faults")
@endpoint(body=PageFault, answers={204: None}, refusals=[ErrorCode.NOT_FOUND, ErrorCode.RATE_LIMITED])
async def page_faults(engine: Engine, caller: Caller, body: PageFault) -> None:
    """Take a fault of a plugin's page module, for the plugin's author."""
    if not any(loaded.name == body.plugin and loaded.page for loaded in engine.registry.loaded):
        raise not_found(f"plugin {body.plugin!r} with a page module")
    _buckets().take(caller.user_id)
    server = engine.server_of(body.plugin)
    server.count("page_fault", body.kind)
    shown = "".join(one if one.isprintable() else " " for one in body.text)  # no line that looks like another's
    text = "its page module failed (%s), as the browser of %s tells: %s"
    server.log.warning(text, body.kind, caller.user_id, shown)


def _buckets() -> TokenBuckets:
    made: TokenBuckets = current_app.extensions.setdefault(
        _BUCKETS, TokenBuckets(_PER_SECOND, _BURST, "faults of page modules", trio.current_time)
    )
    return made
