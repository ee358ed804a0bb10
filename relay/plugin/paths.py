"""Which paths a plugin's routes claim, so that one claimed twice is refused at boot with both names."""

from __future__ import annotations

import re
from typing import Any, Final

from quart import Blueprint, Quart

_VARIABLE: Final = re.compile(r"<[^>]*>")
Claimed = dict[tuple[str, str], str]
"""Owner by (method, path), with each variable part of a path as `<>`."""


def claims(blueprints: list[Any], owner: str) -> Claimed:
    """Return what blueprints claim.

    Raises:
        TypeError: something else than a blueprint.
    """
    scratch = Quart("relay.plugin.paths", static_folder=None)
    for blueprint in blueprints:
        if not isinstance(blueprint, Blueprint):
            raise TypeError(f"Routes(blueprint={blueprint!r}): give a quart.Blueprint")
        scratch.register_blueprint(blueprint)
    return {
        (method, _VARIABLE.sub("<>", rule.rule)): owner
        for rule in scratch.url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }


def check_claims(taken: Claimed, wanted: Claimed) -> None:
    """Refuse paths that are another's.

    Raises:
        ValueError: naming the path and whose it is.
    """
    for (method, path), owner in wanted.items():
        other = taken.get((method, path))
        if other is not None and other != owner:
            raise ValueError(f"path {method} {path} is taken by {other}")
