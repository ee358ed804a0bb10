"""Notices to invokers: why a command was refused, or that it has no answer yet."""

from typing import Any

import trio

from relay.plugin import RelayError, Server, TokenBuckets

NOTICES = 20
"""Notices that a user may get at once; after them one a second."""


async def send_notice(server: Server, user_id: str, sender_id: str, notice: dict[str, Any]) -> None:
    """Send a `slash_notice` to a user's connected devices. A user with very many does not get all of them."""
    limits = server.memory.setdefault("notices", TokenBuckets(1.0, NOTICES, "notices", trio.current_time))
    if limits.wait_for(user_id):
        return
    own = server.conversations.own_devices(user_id)
    try:
        await server.post(sender_id, "slash_notice", notice, own)
    except RelayError as refused:  # too many at once; later nobody needs it any more
        server.log.warning("%s is not told that %s: %s", user_id, notice["message"], refused)
