"""The questions to plugins when an operator looks for a fault. Services are given whom to ask, and know none."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple, Protocol

import msgspec

from relay.services.envelopes import ForUser
from relay.storage.tracing import TracedMessage


class TraceNote(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that a plugin did with a message.

    Attributes:
        what: one word for programs, such as `pushed`.
        text: the same in plain words, one sentence.
        user_id: whom it concerns; None for the message as a whole.
        at: when, Unix seconds; None where that is not kept.
    """

    what: str
    text: str
    user_id: str | None = None
    at: float | None = None


class ToldNote(TraceNote, frozen=True, kw_only=True):
    """A note, and the plugin that told it."""

    plugin: str


class QueueState(msgspec.Struct, frozen=True, kw_only=True):
    """The state of one queue of a plugin.

    Attributes:
        name: the queue's, unique within the plugin.
        waiting: how many things wait.
        oldest_at: since when the oldest one waits, Unix seconds; None for none, or where that is not kept.
        failing: how many of its receivers fail.
        text: why they fail, or "".
    """

    name: str
    waiting: int
    oldest_at: float | None = None
    failing: int = 0
    text: str = ""


class ToldQueue(QueueState, frozen=True, kw_only=True):
    """A queue, and the plugin that it is in."""

    plugin: str


class Freed(msgspec.Struct, frozen=True, kw_only=True):
    """The messages that a rule will erase.

    Attributes:
        rule: its name.
        bytes: of the messages, and of the files that no other message may hold.
        whole: False where the count was broken off: it is more than that.
    """

    rule: str
    messages: int
    bytes: int
    whole: bool = True


class Verdict(NamedTuple):
    """The outcome of a plugin's `for_recipient` for one user, if the message were sent now.

    Attributes:
        what: `changed`; `withheld`, as the hook is required and failed; or `failed`: the message goes as it is.
    """

    plugin: str
    what: Literal["changed", "withheld", "failed"]


class Diagnosis(Protocol):
    """The one whom the services ask."""

    def verdicts(self, one: ForUser) -> list[Verdict]:
        """Return what plugins make of a message for one user."""

    async def notes(self, message: TracedMessage, user_ids: Sequence[str]) -> list[ToldNote]:
        """Return what plugins say of a message."""

    async def queues(self) -> list[ToldQueue]:
        """Return what waits in plugins."""

    async def frees(self, days: float, seconds: float) -> list[Freed]:
        """Return what plugins will erase within some days; each has so many seconds to find out."""
