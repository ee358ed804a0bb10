"""The answers of JetStream's API, as far as relay reads them.

https://docs.nats.io/reference/reference-protocols/nats_api_reference
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

STREAM_NOT_FOUND: Final = 10059
NO_MESSAGE: Final = 10037
WRONG_LAST_SEQUENCE: Final = 10071
DUPLICATE_IN_FLIGHT: Final = 10158
UNAVAILABLE: Final = 503
"""The status of an error that passes: no leader yet, or not enough servers."""


class Error(msgspec.Struct, frozen=True):
    """A refusal.

    Attributes:
        code: as in HTTP.
        err_code: which error it is.
    """

    code: int = 0
    err_code: int = 0
    description: str = ""


class Stored(msgspec.Struct, frozen=True):
    """An entry of a stream; its data is in base64."""

    seq: int
    data: str = ""


class State(msgspec.Struct, frozen=True):
    """The places that a stream has; `first_seq` is one more than `last_seq` where all entries are gone."""

    first_seq: int = 0
    last_seq: int = 0


class Answer(msgspec.Struct, frozen=True):
    """Any answer: `error`, or those of the others that belong to the request.

    Attributes:
        seq: the place of a message that was published.
        created: when a stream was made.
        name: of a consumer.
        message: what a stream has at a place.
    """

    error: Error | None = None
    seq: int = 0
    created: str = ""
    name: str = ""
    state: State = State()
    config: dict[str, Any] = {}
    message: Stored | None = None


decode: Final = msgspec.json.Decoder(Answer).decode
encode: Final = msgspec.json.Encoder().encode
