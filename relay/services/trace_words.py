"""The words of a trace: why somebody has a message, or does not, in a sentence for a person."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from relay.services.trace_devices import DeviceTrace
from relay.services.trace_times import moment, when
from relay.storage.tracing import Recipient, TracedMessage

ENDINGS: Final[Mapping[str, str]] = {
    "expired": "Its time was over {at}: it expired.",
    "deleted": "{by} deleted it {at}, by message {message_id}.",
    "replaced": "Message {message_id}, with the same collapse key, took its place {at}.",
    "account_erased": "It was erased {at} with the account of {by}.",
    "erased": "It was erased {at}: by a rule, a plugin or an operator. By which of them is not kept.",
}
_STATES: Final[Mapping[str, str]] = {
    "sender": "{user} sent it.",
    "read": "{user} has read it. When is not kept.",
    "erased": "The account of {user} was erased {erased}; which devices had it is not kept.",
    "disabled": "The account of {user} is disabled: no device of theirs can connect.",
    "no_device": "Waiting: {user} has no device. It comes with the first one, or is read from history.",
    "joined_later": "Not for {user}: they came to the conversation later, {joined}, and see nothing from before.",
    "left": "Not for {user}: they had left the conversation before it{left}.",
    "between": "Not for {user}: they had left before it, and came back after it, {joined}.",
}
_SHOWN: Final[Mapping[str, str]] = {
    "changed": " The plugin {by} changes what they get of it.",
    "withheld": " Its text is withheld from them: the plugin {by} has to check it and does not work.",
}
_UNSEEN: Final = frozenset({"joined_later", "left", "between"})
"""States of those for whom the message is not, whomever they block."""

_BY_DEVICES: Final = ("delivered", "sent", "queued", "replaying", "left_out", "waiting")
"""States that are those of devices; the text is that of the device that is nearest to having it."""


def recipient_text(
    state: str,
    message: TracedMessage,
    one: Recipient,
    devices: Sequence[DeviceTrace],
    shown: str,
    shown_by: str | None,
) -> str:
    """Return why a user has a message, or why not."""
    if state in _BY_DEVICES:
        text = _by_devices(state, one, devices)
    else:
        text = _STATES[state].format(
            user=one.user_id,
            joined=when(one.joined_at),
            left="" if one.left_at is None else f", {when(one.left_at)}",
            erased="" if one.erased_at is None else when(one.erased_at),
        )
    if message.deleted_at is not None and state in ("waiting", "no_device", "left_out"):
        text += " What comes then is its place, without its text: it is deleted."
    text += _SHOWN.get(shown, "").format(by=shown_by)
    return text + ("" if one.blocks_since is None or state in _UNSEEN else _blocked(message, one))


def _blocked(message: TracedMessage, one: Recipient) -> str:
    since = moment(one.blocks_since or 0.0)
    return f" {one.user_id} has blocked {message.sender_id} since {since}: nothing calls them to it."


def _by_devices(state: str, one: Recipient, devices: Sequence[DeviceTrace]) -> str:
    wanted = "acked" if state == "delivered" else state
    nearest = next((device for device in devices if device.state == wanted), None)
    if nearest is None:
        return f"Delivered: a device of {one.user_id} that is there no longer had it."
    word = "Delivered" if state == "delivered" else "On its way" if state in ("sent", "replaying") else "Waiting"
    return f"{word}: {one.user_id}'s {nearest.text}"
