"""Every REST call of a server: relay's own and those of its plugins, as its routes have them."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator
from typing import Any, Final, NamedTuple

from quart import Blueprint, Quart

from relay.engine.registry import Registry
from relay.http.endpoint import Access, Description, description
from relay.plugin.registrations import Routes

_VARIABLE: Final = re.compile(r"<(?:(\w+)(?:\([^)]*\))?:)?(\w+)>")
_EVERYWHERE: Final = {"HEAD", "OPTIONS"}


class Call(NamedTuple):
    """One call.

    Attributes:
        path: with each variable part as `{name}`.
        variables: the path's variable parts by name, each with its converter: "default", "path", "int" and so on.
        name: unlike that of any other call.
        group: whose it is: the module of relay's own, or the plugin.
        about: what that says of itself.
        access: who may call; see `Description`.
        said: what the view says of itself; None for one that says nothing.
        plugin: the plugin it belongs to; None for relay's own.
    """

    method: str
    path: str
    variables: dict[str, str]
    name: str
    group: str
    about: str
    view: Callable[..., Any]
    said: Description | None
    access: Access
    plugin: str | None


def calls(blueprints: list[Blueprint], registry: Registry) -> list[Call]:
    """Return every call of relay's own blueprints and of the plugins', by path and method."""
    found = [call for blueprint in blueprints for call in _of(blueprint, None, frozenset(), _about(blueprint))]
    about = {loaded.name: loaded.description for loaded in registry.loaded}
    for owned in registry.parts["relay_routes"]:
        routes: Routes = owned.part
        plugin = owned.guard.plugin
        found += _of(routes.blueprint, plugin, routes.public, about.get(plugin, ""))
    return sorted(_named_apart(found), key=lambda call: (call.path, call.method))


def _of(blueprint: Blueprint, plugin: str | None, public: frozenset[str], about: str) -> Iterator[Call]:
    scratch = Quart(__name__, static_folder=None)
    scratch.register_blueprint(blueprint)
    for rule in scratch.url_map.iter_rules():
        if rule.websocket:
            continue
        view = scratch.view_functions[rule.endpoint]
        function = rule.endpoint.rpartition(".")[2]
        said = description(view)
        if plugin is not None:
            access: Access = "open" if function in public else "token"
        else:
            access = said.access if said is not None else "token"
        group = plugin or blueprint.name
        for method in sorted((rule.methods or set()) - _EVERYWHERE):
            yield Call(
                method,
                _VARIABLE.sub(r"{\2}", rule.rule),
                {name: converter or "default" for converter, name in _VARIABLE.findall(rule.rule)},
                f"{group}_{function}",
                group,
                about,
                view,
                said,
                access,
                plugin,
            )


def _named_apart(found: list[Call]) -> Iterator[Call]:
    """Yield the calls, with the method in the names of those that would share one, and a number if need be."""
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


def _about(blueprint: Blueprint) -> str:
    module = sys.modules.get(blueprint.import_name)
    return ((module.__doc__ if module else "") or "").strip().partition("\n\n")[0].replace("\n", " ")
