"""Schemas of types: named once, without null where nothing is ever null."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import msgspec
import pytest

from relay.http.requests import Limit, Moment, Query, Word
from relay.transports.schemas.components import Schemas, parameters


class Inner(msgspec.Struct, omit_defaults=True):
    """What is inside.

    And more.
    """

    text: Annotated[str | None, msgspec.Meta(description="words")] = None
    both: int | str | None = None


class Outer(msgspec.Struct):
    inner: Inner
    maybe: Inner | None


class Odd: ...


class Strange(msgspec.Struct):
    odd: Odd


class Act(StrEnum):
    """What somebody does."""

    READ = "read"
    WRITE = "write"


class Chosen(Query, frozen=True, kw_only=True):
    act: Act
    other: Annotated[Act | None, msgspec.Meta(description="another")] = None


class Asked(Query, frozen=True, kw_only=True):
    limit: Limit = 50
    since: Annotated[Moment | None, msgspec.Meta(description="a time")] = None
    needed: Word


def test_a_struct_is_named_once_and_referred_to() -> None:
    schemas = Schemas([Outer, Inner], "#/x/")
    assert schemas.of(Inner) == {"$ref": "#/x/Inner"}
    assert schemas.components["Outer"]["properties"]["inner"] == {"$ref": "#/x/Inner"}
    assert schemas.components["Inner"]["description"] == "What is inside.\n\nAnd more."


def test_what_is_only_sent_and_left_out_without_a_value_is_never_null() -> None:
    assert Schemas([Inner], "#/").components["Inner"]["properties"]["text"]["default"] is None
    sent = Schemas([Outer], "#/", sent=[Inner]).components
    assert sent["Inner"]["properties"] == {
        "text": {"type": "string", "description": "words"},
        "both": {"anyOf": [{"type": "integer"}, {"type": "string"}]},
    }
    assert {"type": "null"} in sent["Outer"]["properties"]["maybe"]["anyOf"]


def test_a_type_that_no_schema_can_be_made_of_takes_no_other_with_it() -> None:
    schemas = Schemas([Outer, Strange], "#/", sent=[Strange])
    assert schemas.of(Strange) == {}
    assert schemas.of(Outer) == {"$ref": "#/Outer"}


def test_parameters_have_their_bounds_and_what_is_right() -> None:
    told = {name: (schema, required) for name, schema, required in parameters(Asked)}
    assert told["limit"][0] == {
        "type": "integer", "minimum": 1, "maximum": 200, "default": 50, "description": "a whole number from 1 to 200",
    }  # fmt: skip
    assert told["since"][0]["type"] == "string"
    assert [name for name, (_, required) in told.items() if required] == ["needed"]


def test_a_parameter_refers_to_nothing_as_a_query_has_no_components() -> None:
    assert parameters(Chosen) == [
        ("act", {"enum": ["read", "write"], "description": "What somebody does."}, True),
        ("other", {"enum": ["read", "write"], "description": "another"}, False),
    ]


def test_a_query_is_a_struct() -> None:
    with pytest.raises(TypeError, match="a query is a struct, not <class 'int'>"):
        parameters(int)  # type: ignore[arg-type]
