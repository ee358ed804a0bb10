"""`/remind`: a reminder as a slash command, for who typed it or for everybody there."""

from datetime import datetime
from functools import partial

from relay.plugin import ErrorCode, RelayError, Server, SlashInvocation

from .options import Options
from .table import of_user
from .times import RIGHT, read_time, read_zone, split_time


async def remind_by_command(server: Server, invocation: SlashInvocation, options: Options) -> str:
    """Add the reminder that the text names, or list those that wait."""
    zone = read_zone(options.zone)

    def shown(at: float) -> str:
        return f"{datetime.fromtimestamp(at, zone):%Y-%m-%d %H:%M} ({zone.key})"

    whom, _, rest = invocation.text.partition(" ")
    if whom.lower() not in ("me", "here"):
        whom, rest = "me", invocation.text
    if rest in ("", "list"):
        waiting = await server.read(partial(of_user, user_id=invocation.user_id))
        lines = [f"{shown(one.at)}: {text.splitlines()[0][:80]}" for one, text in waiting[:20]]
        return "\n".join(lines) or f"no reminder waits; try /remind in 10 minutes to stretch, {RIGHT}"
    when, text = split_time(rest.strip())
    text = text.removeprefix("to ").strip()
    if not when or not text:
        raise RelayError(
            ErrorCode.INVALID_PAYLOAD, f"say when, and then of what; {RIGHT}, each with a text behind it"
        )
    at = read_time(when, invocation.at, zone)
    payload = {"text": text, "at": at, "only_me": whom.lower() == "me"}
    own_id = f"remind-{invocation.id}"
    await server.send(invocation.user_id, "remind", payload, invocation.target_id, own_id=own_id)
    return f"reminder for {'you' if whom.lower() == 'me' else 'everybody here'} at {shown(at)}: {text}"
