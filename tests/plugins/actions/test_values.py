"""The values of answers, held to the options of selects and the fields of forms."""

from typing import Any

import msgspec
import pytest

from plugins.actions.payloads import ActionPayload
from plugins.actions.values import check_answer
from relay.plugin import Actions, RelayError, Text

FORM = {
    "type": "form", "id": "order", "label": "Order",
    "fields": [
        {"type": "text", "name": "what", "label": "What", "required": True, "min": 2, "max": 5},
        {"type": "number", "name": "pieces", "label": "Pieces", "min": 1, "max": 9.5},
        {"type": "select", "name": "size", "label": "Size", "options": [{"value": "s"}, {"value": "l", "label": "Large"}]},
        {"type": "checkbox", "name": "sure", "label": "Sure", "required": True},
        {"type": "date", "name": "day", "label": "Day", "min": "2026-01-01", "max": "2026-12-31"},
    ],
}  # fmt: skip
SELECT = {"type": "select", "id": "level", "label": "Level", "options": [{"value": "low"}, {"value": "high"}]}
ALL = {"elements": [FORM, SELECT, {"type": "button", "id": "stop", "label": "Stop"}]}
RIGHT = {"what": "cake", "sure": True}


def problem(answer: dict[str, Any]) -> str | None:
    """Return why an answer is refused, or None."""
    actions = msgspec.convert(ALL, Actions)
    try:
        check_answer(actions, msgspec.convert({"message_id": 7, **answer}, ActionPayload))
    except RelayError as refused:
        return str(refused)
    return None


@pytest.mark.parametrize(
    "answer",
    [
        {"action": "stop"},
        {"action": "level", "value": "high"},
        {"action": "order", "values": RIGHT},
        {"action": "order", "values": RIGHT | {"pieces": 9.5, "size": "l", "day": "2026-12-24"}},
        {"action": "order", "values": RIGHT | {"pieces": 1, "day": ""}},
    ],
)
def test_an_answer_that_fits_is_taken(answer: dict[str, Any]) -> None:
    assert problem(answer) is None


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        ({"action": "go"}, "message 7 has no action 'go'; it has order, level, stop"),
        ({"action": "stop", "value": "x"}, "stop is a button, answered without value and values"),
        ({"action": "level"}, "level is a select, answered by value"),
        ({"action": "level", "value": "mid"}, "value is one of low, high"),
        ({"action": "order", "value": "x"}, "order is a form, answered by values"),
        (
            {"action": "order", "values": RIGHT | {"colour": "red"}},
            "order has no field 'colour'; it has what, pieces",
        ),
        ({"action": "order", "values": {"what": "cake"}}, "sure is required"),
        ({"action": "order", "values": {"what": "cake", "sure": False}}, "sure is required"),
        ({"action": "order", "values": {"what": "", "sure": True}}, "what is required"),
        ({"action": "order", "values": RIGHT | {"what": "c"}}, "what is a text of 2 to 5 characters"),
        ({"action": "order", "values": RIGHT | {"what": 5}}, "what is a text"),
        ({"action": "order", "values": RIGHT | {"pieces": 10}}, "pieces is a number from 1 up to 9.5"),
        ({"action": "order", "values": RIGHT | {"pieces": True}}, "pieces is a number"),
        ({"action": "order", "values": RIGHT | {"size": "m"}}, "size is one of s, l"),
        ({"action": "order", "values": RIGHT | {"sure": "yes"}}, "sure is true or false"),
        ({"action": "order", "values": RIGHT | {"day": "2026-02-30"}}, "day is a date, YYYY-MM-DD"),
        ({"action": "order", "values": RIGHT | {"day": "20260301"}}, "day is a date"),
        ({"action": "order", "values": RIGHT | {"day": "2027-01-01"}}, "from 2026-01-01 up to 2026-12-31"),
    ],
)
def test_an_answer_that_does_not_fit_is_refused_by_name(answer: dict[str, Any], says: str) -> None:
    assert says in (problem(answer) or "")


@pytest.mark.parametrize(
    ("actions", "says"),
    [
        ({"elements": [{"type": "buton", "id": "a", "label": "A"}]}, "expected one of button, select, form"),
        ({"elements": [{"type": "button", "id": "a b", "label": "A"}]}, "payload.actions.elements[0].id"),
        ({"elements": [{"type": "button", "id": "a", "label": "A"}] * 2}, "'a' is there twice"),
        ({"elements": [{"type": "button", "id": f"a{n}", "label": "A"} for n in range(26)]}, "length <= 25"),
        ({"elements": [{"type": "button", "id": "a", "label": "A", "style": "blue"}]}, "primary"),
        ({"elements": [], "for": "nobody"}, "everyone"),
        ({"elements": [FORM | {"fields": [FORM["fields"][0] | {"min": 6}]}]}, "min of what is greater than its max"),
        ({"elements": [FORM | {"id": f"f{n}", "fields": [
            {"type": "text", "name": f"n{m}", "label": "x" * 80} for m in range(20)]} for n in range(25)]}, "32768 bytes"),
    ],
)  # fmt: skip
def test_wrong_actions_are_refused_with_what_would_be_right(actions: dict[str, Any], says: str) -> None:
    from plugins.chat_message import relay_message_types

    (type_,) = relay_message_types({})
    payload = msgspec.json.encode({"content": "?", "actions": actions})
    with pytest.raises(RelayError) as refused:
        type_.read(msgspec.Raw(payload))
    assert says in str(refused.value)


def test_a_text_without_actions_stays_as_it_was() -> None:
    assert msgspec.json.encode(Text(content="hello")) == b'{"content":"hello"}'
