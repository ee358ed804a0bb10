"""The list of a server's REST calls: relay's own and its plugins', read from their routes."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from typing import Any, Final, NamedTuple

from quart import Blueprint, Quart

from relay.engine.registry import LoadedPlugin, Registry
from relay.http.endpoint import Access, Endpoint, access_of, endpoint_of
from relay.http.paths import LateRule
from relay.plugin.registrations import Routes

_VARIABLE: Final = re.compile(r"<(?:(\w+)(?:\([^)]*\))?:)?(\w+)>")
CALLS: Final = "relay.calls"
"""The key of the function that lists all calls, among the application's `extensions`."""

_EVERYWHERE: Final = {"HEAD", "OPTIONS"}


class Call(NamedTuple):
    """One call.

    Attributes:
        path: with each variable part as `{name}`.
        variables: the path's variable parts by name, each with its converter: "default", "path", "int" and so on.
        name: unlike that of any other call.
        group: the blueprint of relay's own, or the plugin.
        about: what the group is, in a sentence.
        endpoint: the contract of the view; None for a view without one.
        access: who may call; see `Endpoint`.
        plugin: the plugin it belongs to; None for relay's own.
    """

    method: str
    path: str
    variables: dict[str, str]
    name: str
    group: str
    about: str
    view: Callable[..., Any]
    endpoint: Endpoint | None
    access: Access
    plugin: str | None


def calls(own: Mapping[Blueprint, str], registry: Registry) -> list[Call]:
    """Return all calls, by path and method.

    Args:
        own: relay's own blueprints, each with a sentence of what it is.
    """
    found = [call for blueprint, about in own.items() for call in _of_own(blueprint, about)]
    for loaded in registry.loaded:
        found += calls_of(loaded, registry)
    return sorted(_with_unique_names(found), key=lambda call: (call.path, call.method))


@cache
def path_of(rule: str) -> str:
    """Return the path of a route, with each variable part as `{name}`."""
    return _VARIABLE.sub(r"{\2}", rule)


def calls_of(loaded: LoadedPlugin, registry: Registry) -> list[Call]:
    """Return the calls of one plugin, by path and method; the name of one may be that of another's."""
    parts: list[Routes] = [one.part for one in registry.parts["relay_routes"] if one.guard.plugin == loaded.name]
    found = [call for one in parts for call in _of(one.blueprint, loaded.description, loaded.name, one.public)]
    return sorted(found, key=lambda call: (call.path, call.method))


@cache
def _of_own(blueprint: Blueprint, about: str) -> tuple[Call, ...]:
    """Return the calls of one of relay's own blueprints, which do not change."""
    return tuple(_of(blueprint, about))


def _of(
    blueprint: Blueprint, about: str, plugin: str | None = None, public: frozenset[str] = frozenset()
) -> Iterator[Call]:
    scratch = Quart(__name__, static_folder=None)
    scratch.url_rule_class = LateRule
    scratch.register_blueprint(blueprint)
    for rule in scratch.url_map.iter_rules():
        if rule.websocket:
            continue
        view = scratch.view_functions[rule.endpoint]
        function = rule.endpoint.rpartition(".")[2]
        group = plugin or blueprint.name
        for method in sorted((rule.methods or set()) - _EVERYWHERE):
            yield Call(
                method=method,
                path=path_of(rule.rule),
                variables={name: converter or "default" for converter, name in _VARIABLE.findall(rule.rule)},
                name=f"{group}_{function}",
                group=group,
                about=about,
                view=view,
                endpoint=endpoint_of(view),
                access=access_of(view, public=function in public),
                plugin=plugin,
            )


def _with_unique_names(found: list[Call]) -> Iterator[Call]:
    """Yield the calls, with the method in names that would be the same, and a number if need be."""
    names = [call.name for call in found]
    taken: set[str] = set()
    for call in found:
        name = call.name if names.count(call.name) == 1 else f"{call.name}_{call.method.lower()}"
        number = 1
        while name in taken:
            number += 1
            name = f"{call.name}_{call.method.lower()}_{number}"
        taken.add(name)
        yield call._replace(name=name)
