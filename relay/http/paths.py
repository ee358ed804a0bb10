"""The paths that routes claim: one that is claimed twice is refused at the start, with both owners."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable
from typing import Any, Final, NamedTuple

from quart import Blueprint, Quart
from quart.routing import QuartRule
from werkzeug.routing.converters import BaseConverter
from werkzeug.routing.rules import RulePart

_REST: Final = re.compile(r"<path:[^>]*>$")
_VARIABLE: Final = re.compile(r"<[^>*]*>")
Claimed = dict[tuple[str, str], str]
"""Owners by (method, path); a variable part of a path is `<>`, or `<*>` if it takes the whole rest."""


class _Parsed(NamedTuple):
    """The text of a rule, read by Werkzeug."""

    parts: tuple[RulePart, ...]
    trace: tuple[tuple[bool, str], ...]
    converters: dict[str, BaseConverter]


_PARSED: Final[dict[tuple[Any, ...], _Parsed]] = {}
"""By the text of a rule, and the kinds of variables that its application knows."""

_MOST_PARSED: Final = 2000


class LateRule(QuartRule):
    """A rule whose text is read once in a process, and whose code for `url_for` is made at its first call.

    Both take most of the time of all routing, and each application that is made anew has nearly all rules of the
    one before. The methods are private ones of Werkzeug's. Where they have other names, all is made at once.
    """

    def _parse_rule(self, rule: str) -> tuple[RulePart, ...]:
        key = (rule, *self.map.converters.items())
        known = _PARSED.get(key)
        if known is None:
            begun, before = len(self._trace), set(self._converters)
            parts = tuple(super()._parse_rule(rule))
            found = {name: _of(self._converters[name], None) for name in self._converters if name not in before}
            if len(_PARSED) >= _MOST_PARSED:
                _PARSED.clear()
            _PARSED[key] = _Parsed(parts, tuple(self._trace[begun:]), found)
            return parts
        self._trace.extend(known.trace)
        for name, converter in known.converters.items():
            self._converters[name] = _of(converter, self.map)
            self.arguments.add(name)
        return known.parts

    def _compile_builder(self, append_unknown: bool = True) -> Callable[..., tuple[str, str]]:
        make = super()._compile_builder
        made: Callable[..., tuple[str, str]] | None = None

        def build(rule: QuartRule, /, **values: Any) -> tuple[str, str]:
            nonlocal made
            made = made or make(append_unknown)
            return made(rule, **values)

        return build


def _of(converter: BaseConverter, map_: Any) -> BaseConverter:
    """Return a copy of a converter for the rules of another application; None for those of none."""
    made = copy.copy(converter)
    made.map = map_
    return made


def claims(blueprints: list[Any], owner: str) -> Claimed:
    """Return the paths that blueprints claim.

    Raises:
        TypeError: one is not a blueprint, or acts on the requests of others.
    """
    if not blueprints:
        return {}
    scratch = Quart("relay.http.paths", static_folder=None)
    scratch.url_rule_class = LateRule
    for blueprint in blueprints:
        if not isinstance(blueprint, Blueprint):
            raise TypeError(f"Routes(blueprint={blueprint!r}): give a quart.Blueprint")
        scratch.register_blueprint(blueprint)
        _check_acts_on_own_requests(scratch, owner)
    return {
        (method, _VARIABLE.sub("<>", _REST.sub("<*>", rule.rule))): owner
        for rule in scratch.url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }


def _check_acts_on_own_requests(scratch: Quart, owner: str) -> None:
    """Refuse what would run for requests of others: it belongs to the application, and no guard watches it there.

    Raises:
        TypeError: with its name.
    """
    everywhere: dict[str, Any] = {
        "before_app_request": scratch.before_request_funcs,
        "after_app_request": scratch.after_request_funcs,
        "teardown_app_request": scratch.teardown_request_funcs,
    }
    for name, steps in everywhere.items():
        if steps.get(None):
            raise TypeError(f"{owner}: {name} would run for everybody's requests; use {name.replace('_app', '')}")
    if any(scratch.error_handler_spec[None].values()):
        raise TypeError(f"{owner}: app_errorhandler would answer for everybody's requests; use errorhandler")


def check_claims(taken: Claimed, wanted: Claimed) -> None:
    """Refuse paths that have another owner already.

    Raises:
        ValueError: with the path and its owner.
    """
    if not wanted:
        return
    wide = {key: owner for key, owner in taken.items() if key[1].endswith("<*>")}
    for (method, path), owner in wanted.items():
        near = taken if path.endswith("<*>") else wide
        same = {(method, path): taken[method, path]} if (method, path) in taken else {}
        for (others_method, others_path), other in (same | near).items():
            if method == others_method and other != owner and _overlap(path, others_path):
                raise ValueError(f"path {method} {path} is taken by {other}")


def _overlap(one: str, other: str) -> bool:
    """Return whether two paths are the same, or one lies below the rest that the other takes."""
    return one == other or any(
        whole.endswith("<*>") and inner.startswith(whole.removesuffix("<*>"))
        for whole, inner in ((one, other), (other, one))
    )
