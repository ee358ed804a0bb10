"""Which paths a plugin's routes claim, so that one claimed twice is refused at boot with both names."""

from __future__ import annotations

import re
from typing import Any, Final

from quart import Blueprint, Quart

_REST: Final = re.compile(r"<path:[^>]*>$")
_VARIABLE: Final = re.compile(r"<[^>*]*>")
Claimed = dict[tuple[str, str], str]
"""Owner by (method, path), with each variable part of a path as `<>`, and as `<*>` where it is all the rest."""


def claims(blueprints: list[Any], owner: str) -> Claimed:
    """Return what blueprints claim.

    Raises:
        TypeError: something else than a blueprint.
    """
    scratch = Quart("relay.http.paths", static_folder=None)
    for blueprint in blueprints:
        if not isinstance(blueprint, Blueprint):
            raise TypeError(f"Routes(blueprint={blueprint!r}): give a quart.Blueprint")
        scratch.register_blueprint(blueprint)
        _check_for_itself(scratch, owner)
    return {
        (method, _VARIABLE.sub("<>", _REST.sub("<*>", rule.rule))): owner
        for rule in scratch.url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }


def _check_for_itself(scratch: Quart, owner: str) -> None:
    """Refuse what would run for requests of others: it is the application's, and nobody guards it there.

    Raises:
        TypeError: naming it.
    """
    everywhere: dict[str, Any] = {
        "before_app_request": scratch.before_request_funcs,
        "after_app_request": scratch.after_request_funcs,
        "teardown_app_request": scratch.teardown_request_funcs,
    }
    for name, kept in everywhere.items():
        if kept.get(None):
            raise TypeError(f"{owner}: {name} would run for everybody's requests; use {name.replace('_app', '')}")
    if any(scratch.error_handler_spec[None].values()):
        raise TypeError(f"{owner}: app_errorhandler would answer for everybody's requests; use errorhandler")


def check_claims(taken: Claimed, wanted: Claimed) -> None:
    """Refuse paths that are another's.

    Raises:
        ValueError: naming the path and whose it is.
    """
    for (method, path), owner in wanted.items():
        for (others_method, others_path), other in taken.items():
            if method == others_method and other != owner and _meet(path, others_path):
                raise ValueError(f"path {method} {path} is taken by {other}")


def _meet(one: str, other: str) -> bool:
    """Return whether two paths are the same, or one lies below what the other takes whole."""
    return one == other or any(
        whole.endswith("<*>") and inner.startswith(whole.removesuffix("<*>"))
        for whole, inner in ((one, other), (other, one))
    )
