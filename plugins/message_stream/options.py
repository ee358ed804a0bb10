"""The settings of `[plugins.message_stream]`."""

from typing import Annotated

import msgspec
from msgspec import Meta


class Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The table `[plugins.message_stream]`.

    Attributes:
        silence_seconds: a stream of which nothing was heard for so long is ended by the server.
        pass_on_seconds: the shortest time between two pieces of a stream to its readers.
        pieces_per_second: of one user, on average, with ten seconds' worth at once; 0 means no limit.
        streams_per_user: the most streams of one user at once.
        streams: the most streams of all users at once; each takes the memory of its text, up to
            `[limits] content_characters`.
    """

    silence_seconds: Annotated[float, Meta(ge=5, le=3600)] = 30.0
    pass_on_seconds: Annotated[float, Meta(ge=0.02, le=10)] = 0.1
    pieces_per_second: Annotated[float, Meta(ge=0, le=100_000)] = 100.0
    streams_per_user: Annotated[int, Meta(ge=1, le=10_000)] = 20
    streams: Annotated[int, Meta(ge=1, le=100_000)] = 1000
