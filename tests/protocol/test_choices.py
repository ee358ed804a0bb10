"""A value that is none of a few is told which those are, wherever it stands."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any, Literal

import msgspec
import pytest
from msgspec import Meta

from relay.protocol.choices import with_choices


class Colour(StrEnum):
    RED = "red"
    BLUE = "blue"


class Inner(msgspec.Struct):
    size: Annotated[Literal["s", "m"] | None, Meta(description="how large")] = None


class Outer(msgspec.Struct, rename={"kind": "type"}):
    kind: Literal["a", "b"] = "a"
    colours: list[Colour] = []
    parts: dict[str, Inner] = {}
    name: str = ""


def told(document: str) -> str:
    with pytest.raises(msgspec.ValidationError) as caught:
        msgspec.json.decode(document, type=Outer)
    return with_choices(caught.value, Outer)


@pytest.mark.parametrize(
    ("document", "choices"),
    [
        ('{"type": "c"}', "; right is one of a, b"),
        ('{"colours": ["red", "green"]}', "; right is one of red, blue"),
        ('{"parts": {"x": {"size": "l"}}}', "; right is one of m, s"),
        ('{"name": 1}', "Expected `str`, got `int` - at `$.name`"),
    ],
)
def test_what_is_none_of_a_few_is_told_which_are_right(document: str, choices: str) -> None:
    assert told(document).endswith(choices)


def test_a_value_that_stands_alone_is_told_as_well() -> None:
    kind: Any = Literal["x", "y"]
    with pytest.raises(msgspec.ValidationError) as caught:
        msgspec.json.decode('"z"', type=kind)
    assert with_choices(caught.value, kind) == "Invalid enum value 'z'; right is one of x, y"
