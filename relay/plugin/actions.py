"""Actions of a message: buttons, selects and forms in its payload, one user's answer, and their outcome.

A payload struct has them by a field `actions: Actions | None = None`. They are checked when they are decoded.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from datetime import date
from typing import Annotated, Any, Final, Literal, NamedTuple

import msgspec
from msgspec import UNSET, Meta, UnsetType

from relay.protocol.envelope import Name, encode_json

MOST_BYTES: Final = 32_768
"""The most bytes of a message's actions as JSON."""

LONGEST_TEXT: Final = 4000
"""The most characters of a text in a form."""

_LARGEST: Final = 2**53

Label = Annotated[str, Meta(min_length=1, max_length=80, description="what people read on it")]
ActionId = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_.:-]{1,64}$(?!\n)", description="its id, in the answer")]
FieldName = Annotated[str, Meta(pattern=r"^[a-z][a-z0-9_]{0,31}$(?!\n)", description="its name, in the answer")]
Length = Annotated[int, Meta(ge=0, le=LONGEST_TEXT)]
Number = Annotated[int, Meta(ge=-_LARGEST, le=_LARGEST)] | Annotated[float, Meta(ge=-_LARGEST, le=_LARGEST)]
Day = Annotated[str, Meta(pattern=r"^\d{4}-\d\d-\d\d$(?!\n)", description="a date, YYYY-MM-DD")]
Value = str | bool | float | int
"""The value of one field of an answered form."""


class Choice(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """One option of a select: its value in the answer, and its label, which is the value unless given."""

    value: Annotated[str, Meta(min_length=1, max_length=100)]
    label: Label | UnsetType = UNSET


Choices = Annotated[list[Choice], Meta(min_length=1, max_length=50)]


class _Field(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """The base of a form's fields: name, label, and whether it has to be filled in."""

    name: FieldName
    label: Label
    required: bool = False


class TextField(_Field, tag_field="type", tag="text"):
    """A text, with the least and the most characters."""

    min: Length = 0
    max: Annotated[int, Meta(ge=1, le=LONGEST_TEXT)] = LONGEST_TEXT
    multiline: bool = False

    def __post_init__(self) -> None:
        _check_order(self.name, self.min, self.max)


class NumberField(_Field, tag_field="type", tag="number"):
    """A number, with its least and its greatest value."""

    min: Number | UnsetType = UNSET
    max: Number | UnsetType = UNSET

    def __post_init__(self) -> None:
        _check_order(self.name, self.min, self.max)


class SelectField(_Field, tag_field="type", tag="select"):
    """One of some options."""

    options: Choices

    def __post_init__(self) -> None:
        _check_distinct("option", (option.value for option in self.options))


class CheckboxField(_Field, tag_field="type", tag="checkbox"):
    """Yes or no; one that is required must be yes."""


class DateField(_Field, tag_field="type", tag="date"):
    """A day, with the first and the last one."""

    min: Day | UnsetType = UNSET
    max: Day | UnsetType = UNSET

    def __post_init__(self) -> None:
        for day in (self.min, self.max):
            if day is not UNSET and not is_date(day):
                raise ValueError(f"{day} is not a day of the calendar")
        _check_order(self.name, self.min, self.max)


FormField = TextField | NumberField | SelectField | CheckboxField | DateField


class _Action(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """The base of actions: id, label, style, and a question before it is sent."""

    id: ActionId
    label: Label
    style: Annotated[
        Literal["primary", "danger"] | UnsetType, Meta(description="the one to take, or one with consequences")
    ] = UNSET
    confirm: Annotated[
        Annotated[str, Meta(min_length=1, max_length=300)] | UnsetType,
        Meta(description="a question to ask before it is sent"),
    ] = UNSET


class Button(_Action, tag_field="type", tag="button"):
    """A button."""


class Select(_Action, tag_field="type", tag="select"):
    """A choice of one of some options."""

    options: Choices

    def __post_init__(self) -> None:
        _check_distinct("option", (option.value for option in self.options))


class Form(_Action, tag_field="type", tag="form"):
    """A button that opens a form."""

    fields: Annotated[list[FormField], Meta(min_length=1, max_length=20)]

    def __post_init__(self) -> None:
        _check_distinct("field", (field.name for field in self.fields))


Action = Button | Select | Form


class Actions(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """The actions of a message, who may answer them, and how often."""

    elements: Annotated[list[Action], Meta(max_length=25, description="buttons, selects and forms, in order")]
    once: Annotated[
        Literal["user", "message", "never"],
        Meta(description="one answer of each user; one in all; or as many as they like"),
    ] = "user"
    for_: Annotated[
        Literal["everyone", "admins"] | Annotated[list[Name], Meta(min_length=1, max_length=100)],
        Meta(description="who may answer: all who see the message, the group's admins, or these users"),
    ] = msgspec.field(default="everyone", name="for")

    def __post_init__(self) -> None:
        _check_distinct("action", (element.id for element in self.elements))
        if len(encode_json(self)) > MOST_BYTES:
            raise ValueError(f"the actions of a message have at most {MOST_BYTES} bytes as JSON")


class ActionAnswer(NamedTuple):
    """One user's answer to the actions of a message, as `MessageType.acted` gets it.

    Attributes:
        message_id, type, author_id: of the message that was answered.
        payload: its payload, decoded.
        channel_id: its conversation, in the database.
        user_id: who answers.
        action: the id of the action.
        value: the value of the chosen option of a select.
        values: the values of a form, by the names of its fields.
        at: when, Unix seconds.
    """

    message_id: int
    type: str
    author_id: str
    payload: Any
    channel_id: int
    user_id: str
    action: str
    value: str | None
    values: dict[str, Value] | None
    at: float


class ActionOutcome(NamedTuple):
    """The consequences of an answer for a message's actions.

    Attributes:
        close: whether nobody can answer any more.
        text: what came of it, for all who see the message; None leaves it as it is.
        actions: the actions from now on; None leaves them as they are.
    """

    close: bool = False
    text: str | None = None
    actions: Actions | None = None


def is_date(text: str) -> bool:
    """Tell whether a text of the form YYYY-MM-DD is a day of the calendar."""
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return True


def _check_order(name: str, least: Any, most: Any) -> None:
    if UNSET not in (least, most) and least > most:
        raise ValueError(f"min of {name} is greater than its max")


def _check_distinct(what: str, names: Iterable[str]) -> None:
    name, times = max(Counter(names).items(), key=lambda one: one[1], default=("", 0))
    if times > 1:
        raise ValueError(f"{name!r} is there twice; each {what} has its own")
