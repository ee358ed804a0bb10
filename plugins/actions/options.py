"""The settings of `[plugins.actions]`."""

from typing import Annotated

import msgspec
from msgspec import Meta


class Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The table `[plugins.actions]`.

    Attributes:
        answers: the most answers of one user to one message, where they may answer as often as they like.
        state_seconds: the shortest time between two states of one message.
    """

    answers: Annotated[int, Meta(ge=1, le=10_000)] = 100
    state_seconds: Annotated[float, Meta(ge=0.05, le=60)] = 0.25
