"""The settings of `[plugins.bots]`."""

from typing import Annotated

import msgspec
from msgspec import Meta


class Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The table `[plugins.bots]`.

    Attributes:
        from_text: whether a message of text that begins with a command invokes it.
        bots_invoke: whether messages of bots invoke commands, too.
        answer_seconds: how long an invocation may be answered; then it becomes a tombstone.
        patience_seconds: after so long without an answer the invoker is told so.
        answers: the most answers to one invocation.
        commands: the most commands of one bot.
        invocations_per_minute: of one user, on average, and at once; 0 means no limit.
    """

    from_text: bool = True
    bots_invoke: bool = False
    answer_seconds: Annotated[float, Meta(ge=60, le=604_800)] = 900.0
    patience_seconds: Annotated[float, Meta(ge=1, le=3600)] = 10.0
    answers: Annotated[int, Meta(ge=1, le=1000)] = 20
    commands: Annotated[int, Meta(ge=1, le=1000)] = 50
    invocations_per_minute: Annotated[int, Meta(ge=0, le=100_000)] = 30
