"""Answers: what a receiver says to a delivery may be posted into the conversation, as the webhook's own user."""

import msgspec
import trio

from relay.plugin import ErrorCode, RelayError, Server, answer_depth

from .attempting import Attempt
from .composing import Found, target_for

_TRIES = 5
_LATER = (ErrorCode.RATE_LIMITED, ErrorCode.OVERLOADED)


class Said(msgspec.Struct):
    """The body of an answer; `text` is what other services call it."""

    content: str = ""
    text: str = ""


async def post_answer(server: Server, user_id: str, found: Found, attempt: Attempt, delivery_id: str) -> None:
    """Post what a receiver answered, once however often it was delivered to; what went wrong is in the attempt."""
    content = _content(attempt)
    if not content:
        return
    target = target_for(found.address, user_id)
    if target is None:
        attempt.error = f"its answer was not posted: {user_id} is not in this conversation"
        return
    type_name, target_id = target
    for _ in range(_TRIES):
        try:
            depth = answer_depth(found.record.depth)
            await server.send(user_id, type_name, {"content": content}, target_id, own_id=delivery_id, depth=depth)
        except RelayError as refused:
            attempt.error = f"its answer was not posted: {refused.message}"
            if refused.code not in _LATER:
                return
            await trio.sleep(refused.retry_after or 1.0)
        else:
            attempt.error = None
            return


def _content(attempt: Attempt) -> str:
    answer = attempt.answer
    if answer is None or answer.status != 200 or answer.media_type != "application/json":
        return ""
    try:
        said = msgspec.json.decode(answer.body, type=Said)
    except (msgspec.DecodeError, UnicodeError):
        return ""  # an acknowledgement of the receiver's own kind
    return said.content or said.text
