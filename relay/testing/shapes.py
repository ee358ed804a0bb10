"""The check of values against the JSON Schemas of a document; the only module that uses jsonschema."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from jsonschema import Draft202012Validator
from referencing import Registry as Resources
from referencing.jsonschema import DRAFT202012

Document = Mapping[str, Any]
_HERE: Final = "urn:relay"


class Undescribed(AssertionError):
    """The server sent something that its description does not contain."""


class Shapes:
    """The JSON Schemas of one document."""

    def __init__(self, document: Document) -> None:
        resource = DRAFT202012.create_resource(document)
        self._resources = Resources().with_resource(_HERE, resource)
        self._made: dict[str, Draft202012Validator] = {}

    def check(self, schema: Any, value: Any, what: str) -> None:
        """Check a value against a schema, which may refer to others of the document.

        Raises:
            Undescribed: it does not match; `what` is in the text.
        """
        key = json.dumps(schema)
        if key not in self._made:
            absolute = json.loads(key.replace('"#/', f'"{_HERE}#/'))
            self._made[key] = Draft202012Validator(absolute, registry=self._resources)
        problem = next(self._made[key].iter_errors(value), None)
        if problem is not None:
            raise Undescribed(f"{what}: {problem.json_path}: {problem.message}")


def closed(schema: Any, *, part: bool = False) -> Any:
    """Return a document whose objects allow the described fields only; a part of an `allOf` is left open."""
    if isinstance(schema, list):
        return [closed(one, part=part) for one in schema]
    if not isinstance(schema, dict):
        return schema
    made = {name: closed(one, part=name == "allOf") for name, one in schema.items()}
    if isinstance(made.get("properties"), dict) and not part:
        made.setdefault("additionalProperties", False)
    return made
