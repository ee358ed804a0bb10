"""The payloads of the four message types: an answer, its copy for who gave it, the state of actions, a closing."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from relay.plugin import Actions, Integer, Name, Payload

MOST_BYTES = 131_072
"""The most bytes of an answer's payload."""

Values = Annotated[
    dict[
        Annotated[str, Meta(max_length=32)],
        Annotated[str, Meta(max_length=4000)]
        | bool
        | Annotated[int, Meta(ge=-(2**53), le=2**53)]
        | Annotated[float, Meta(ge=-(2**53), le=2**53)],
    ],
    Meta(max_length=20, description="the values of a form, by the names of its fields"),
]
Outcome = Annotated[str, Meta(min_length=1, max_length=300, description="what came of it, in words")]


class Place(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """The conversation of the answered message, as the user who answered names it."""

    kind: Literal["user", "group", "self", "broadcast"]
    target_id: str = ""
    name: str = ""


class ActionPayload(Payload):
    """An answer to an action of a message: a button alone, a select with `value`, a form with `values`.

    The server sets `type`, the type of that message, and `place`.
    """

    message_id: Annotated[Integer, Meta(description="the message whose action it is")]
    action: Annotated[str, Meta(min_length=1, max_length=64, description="the id of the action")]
    value: Annotated[
        Annotated[str, Meta(max_length=100)] | None, Meta(description="the chosen option of a select")
    ] = None
    values: Values | None = None
    type: str | None = None
    place: Place | None = None


class ActionAnswered(Payload):
    """The newest answer of a user to a message's actions, for their own devices."""

    message_id: Integer
    action: str
    value: str | None = None
    values: Values | None = None
    round: Integer = 0


class ActionState(Payload):
    """The state of a message's actions: how many answered, whether they are closed, and what came of it.

    `actions` are there if they replace those in the message. Each time the message gets other actions the `round`
    rises, and answers of earlier rounds count no more.
    """

    message_id: Integer
    answers: Integer
    round: Integer = 0
    closed_at: float | None = None
    closed_by: Name | None = None
    outcome: Outcome | None = None
    actions: Actions | None = None


class ActionClose(Payload):
    """The message whose actions nobody can answer any more; `outcome` says what came of it."""

    message_id: Annotated[Integer, Meta(description="the message")]
    outcome: Outcome | None = None
