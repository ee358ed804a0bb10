"""What is made once in a process and used by all of its seeds: loading plugins anew is most of a server's start."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

_MADE: dict[Any, Any] = {}


def remembered(make: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function that makes each thing once; what it is made of tells things apart, by their texts."""

    def get(*args: Any) -> Any:
        key = (make.__module__, make.__name__, *map(repr, args))
        if key not in _MADE:
            _MADE[key] = make(*args)
        return _MADE[key]

    return get
