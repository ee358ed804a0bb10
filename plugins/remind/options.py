"""The options of reminders."""

from typing import Annotated

import msgspec
from msgspec import Meta

from .times import read_zone


class Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[plugins.remind]`.

    Attributes:
        zone: the time zone of times that are given without one.
        per_user: how many reminders of one user may wait.
        longest_days: how far ahead a reminder may be.
        sender: the user who sends reminders that are for their author alone; created if there is none.
    """

    zone: str = "UTC"
    per_user: Annotated[int, Meta(ge=1, le=1000)] = 100
    longest_days: Annotated[int, Meta(ge=1, le=36_500)] = 1830
    sender: Annotated[str, Meta(min_length=1, max_length=64)] = "reminders"

    def __post_init__(self) -> None:
        read_zone(self.zone)
