"""The settings of `[plugins.webhooks]`."""

from typing import Annotated

import msgspec
from msgspec import Meta

Pause = Annotated[float, Meta(ge=0.1, le=2_592_000)]


class Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The table `[plugins.webhooks]`.

    Attributes:
        retry_seconds: pauses after failed attempts. When the attempt after the last pause fails too, the message
            becomes a dead letter.
        timeout_seconds: the deadline of one attempt.
        pause_after_days: a webhook that delivered nothing for so many days is paused; 0 never does that.
        conversations_at_once: the most conversations of one webhook that are delivered at the same time.
        at_once: the most attempts at the same time, of all webhooks.
        attempts_per_second: the most attempts of one webhook per second; 0 means no limit.
        allow_private: whether a receiver may be in a private network, or on this machine.
        answer_bytes: how much of a receiver's answer is read.
        incoming_per_minute: calls of one incoming webhook, on average and at once; 0 means no limit.
        incoming_bytes: the largest body of a call.
    """

    retry_seconds: Annotated[list[Pause], Meta(max_length=50)] = msgspec.field(
        default_factory=lambda: [5, 30, 120, 600, 1800, 3600, 10_800, 21_600, 43_200, 86_400]
    )
    timeout_seconds: Annotated[float, Meta(ge=0.1, le=25)] = 10.0
    pause_after_days: Annotated[float, Meta(ge=0, le=365)] = 5.0
    conversations_at_once: Annotated[int, Meta(ge=1, le=100)] = 4
    at_once: Annotated[int, Meta(ge=1, le=1000)] = 32
    attempts_per_second: Annotated[float, Meta(ge=0, le=10_000)] = 50.0
    allow_private: bool = True
    answer_bytes: Annotated[int, Meta(ge=0, le=1_048_576)] = 16_384
    incoming_per_minute: Annotated[float, Meta(ge=0, le=1_000_000)] = 60.0
    incoming_bytes: Annotated[int, Meta(ge=1, le=1_048_576)] = 65_536
