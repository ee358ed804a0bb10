"""Checks that an answer fits its action: the chosen option of a select, the values of a form."""

import math
from typing import Any, NoReturn

from msgspec import UNSET

from relay.plugin import (
    Action,
    Actions,
    Button,
    CheckboxField,
    DateField,
    ErrorCode,
    Form,
    FormField,
    NumberField,
    RelayError,
    Select,
    SelectField,
    TextField,
    is_date,
)

from .payloads import ActionPayload


def check_answer(actions: Actions, said: ActionPayload) -> None:
    """Refuse an answer that does not fit the actions.

    Raises:
        RelayError: `invalid_payload`, naming what is wrong and what is right.
    """
    action = next((one for one in actions.elements if one.id == said.action), None)
    if action is None:
        known = ", ".join(one.id for one in actions.elements)
        _refuse(f"message {said.message_id} has no action {said.action!r}; it has {known}")
    _check_parts(action, said)
    if isinstance(action, Select) and said.value not in [option.value for option in action.options]:
        _refuse(f"value is one of {', '.join(option.value for option in action.options)}")
    if isinstance(action, Form):
        _check_form(action, said.values or {})


def _check_parts(action: Action, said: ActionPayload) -> None:
    """Refuse an answer with a part that its action has not, or without the one that it has."""
    what = {Button: "a button, answered without value and values", Select: "a select, answered by value"}
    text = f"{action.id} is {what.get(type(action), 'a form, answered by values')}"
    if isinstance(action, Select) != (said.value is not None) or isinstance(action, Form) != (
        said.values is not None
    ):
        _refuse(text)


def _check_form(form: Form, values: dict[str, Any]) -> None:
    fields = {field.name: field for field in form.fields}
    for name in values:
        if name not in fields:
            _refuse(f"{form.id} has no field {name!r}; it has {', '.join(fields)}")
    for name, field in fields.items():
        value = values.get(name)
        if value is None or value == "" or (value is False and isinstance(field, CheckboxField)):
            if field.required:
                _refuse(f"{name} is required")
            continue
        problem = _problem(field, value)
        if problem is not None:
            _refuse(f"{name} is {problem}")


def _problem(field: FormField, value: Any) -> str | None:
    """Return what the value of a field has to be, where it is not that."""
    if isinstance(field, CheckboxField):
        return None if isinstance(value, bool) else "true or false"
    if isinstance(field, NumberField):
        fits = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
        return None if fits and _within(field, value) else f"a number{_bounds(field)}"
    if not isinstance(value, str):
        return "a text"
    if isinstance(field, TextField):
        fits = field.min <= len(value) <= field.max
        return None if fits else f"a text of {field.min} to {field.max} characters"
    if isinstance(field, SelectField):
        options = [option.value for option in field.options]
        return None if value in options else f"one of {', '.join(options)}"
    fits = len(value) == len("2026-12-24") and is_date(value) and _within(field, value)
    return None if fits else f"a date, YYYY-MM-DD{_bounds(field)}"


def _within(field: NumberField | DateField, value: Any) -> bool:
    least, most = _ends(field)
    return (least is None or value >= least) and (most is None or value <= most)


def _ends(field: NumberField | DateField) -> tuple[Any, Any]:
    """Return the bounds of a field; None for one that it has not."""
    least, most = field.min, field.max
    return None if least is UNSET else least, None if most is UNSET else most


def _bounds(field: NumberField | DateField) -> str:
    least, most = _ends(field)
    return (f" from {least}" if least is not None else "") + (f" up to {most}" if most is not None else "")


def _refuse(text: str) -> NoReturn:
    raise RelayError(ErrorCode.INVALID_PAYLOAD, text)
