"""A user's own reminders by REST: list them, and delete one."""

from functools import partial

import msgspec

from relay.http import Answer, Blueprint, Caller, endpoint
from relay.plugin import MAX_INTEGER, ErrorCode, Server, not_found, other_party

from . import table

blueprint = Blueprint("remind", __name__)


class ReminderAnswer(msgspec.Struct):
    """A reminder that waits; `target_id` is the user or group that it comes to, null for the caller alone."""

    message_id: int
    text: str
    at: float
    target_id: str | None


class RemindersAnswer(Answer, frozen=True):
    """The caller's reminders, the next ones first."""

    reminders: list[ReminderAnswer]


@blueprint.get("/api/reminders")
@endpoint(answers={200: RemindersAnswer})
async def reminders(server: Server, caller: Caller) -> RemindersAnswer:
    """Answer with the caller's reminders that wait."""
    found = await server.read(partial(table.of_user, user_id=caller.user_id))
    return RemindersAnswer(
        [
            ReminderAnswer(
                one.message_id, text, one.at, None if one.only_me else other_party(one.address, caller.user_id)
            )
            for one, text in found
        ]
    )


@blueprint.delete(f"/api/reminders/<int(max={MAX_INTEGER}):message_id>")
@endpoint(answers={204: None}, refusals=[ErrorCode.NOT_FOUND, ErrorCode.FORBIDDEN])
async def delete(server: Server, caller: Caller, message_id: int) -> None:
    """Delete one of the caller's reminders, as a `message_delete` of its message does."""
    found = await server.read(partial(table.find, message_id=message_id))
    if found is None or found[0].user_id != caller.user_id:
        raise not_found(f"reminder {message_id}")
    address, only_me = found[0].address, found[0].only_me
    payload = {"message_id": message_id} | ({"kind": "self"} if only_me else {})
    target_id = caller.user_id if only_me else other_party(address, caller.user_id)
    await server.send(caller.user_id, "message_delete", payload, target_id)
