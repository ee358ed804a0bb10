"""Moved names: what a plugin written for an earlier version of relay has to import instead.

A plugin that fails for such a name is told the new one, in the log, by `relay plugins list` and by `relay plugins
check`. Nothing here makes the old names work.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Final, Never

import relay.http
import relay.plugin


def _to(package: str, names: str = "", **renamed: str) -> dict[str, str]:
    """Return where names are now: those of `names` as they were called, the others by another name."""
    return {name: f"{package}.{name}" for name in names.split()} | {
        old: f"{package}.{new}" for old, new in renamed.items()
    }


MOVED: Final[Mapping[str, Mapping[str, str]]] = {
    "relay.plugin": _to("relay.plugin", Coming="DeviceEvent"),
    "relay.plugin.bell": _to("relay.plugin", Bell="Wakeup"),
    "relay.plugin.choices": _to("relay.plugin", "with_choices"),
    "relay.plugin.describing": _to("relay.http", described="endpoint"),
    "relay.plugin.outward": _to("relay.http", "Address is_public mapped seconds_to_wait words_of"),
    "relay.plugin.parts": _to(
        "relay.plugin",
        "Authenticator BackgroundTask Claim Command Credentials MessageHook Migration Routes SessionHook",
        Coming="DeviceEvent",
    ),
    "relay.plugin.reading": _to(
        "relay.http",
        "Answer Body Limit Moment NoQuery Position Query Word invalid read_body read_idempotency_key read_query",
    ),
    "relay.plugin.sending": _to("relay.plugin", follow="answer_depth"),
    "relay.plugin.server": _to("relay.plugin", "Server"),
    "relay.plugin.types": _to("relay.plugin", "Payload"),
    "relay.plugin.web": _to(
        "relay.http",
        "Blueprint Caller ack_payload admin caller nothing reply request server",
        described="endpoint",
    ),
    "relay.storage.erasing": _to("relay.plugin", erase="erase_messages"),
    "relay.storage.history": _to("relay.plugin", views="read_views"),
    "relay.storage.log": _to("relay.plugin", "Entry Unchanged"),
    "relay.storage.mentions": _to("relay.plugin", note="note_mentions", forget="forget_mentions"),
    "relay.storage.messages": _to(
        "relay.plugin",
        records="read_records",
        first_of="read_first",
        find="find_in_channel",
        rewrite="rewrite_message",
    ),
    "relay.storage.presence": _to("relay.plugin", choose="choose_status"),
    "relay.storage.witness": _to("relay.plugin", "Edited note_erased"),
}
"""Where the names of a module are now, by the module's old name and the name's."""

INTERNAL: Final = frozenset(
    f"relay.plugin.{name}"
    for name in (
        "assembling", "authentication", "discovery", "dispatch", "engine", "guard", "hooks", "loader", "options",
        "outcomes", "own_time", "paths", "registry", "schema", "unshielding", "vetting", "watch",
    )
)  # fmt: skip
"""Old names of modules that are relay's own, and hold nothing for plugins."""

ARGUMENTS: Final[Mapping[str, str]] = {"brief": "inline"}
"""New names of the arguments of `Server`'s methods, by the old ones."""

SERVICES: Final[Mapping[str, str]] = {
    "accounts": "server.users",
    "channels": "server.conversations, and server.groups.get for a group by its id",
    "connections": "server.devices",
    "epoch": "server.epoch",
    "groups": "server.groups",
    "history": "server.messages, and server.conversations.of_message",
    "presence": "server.presence",
    "router": "server.position",
    "settings": "server.settings, which has limits and server",
}
"""What a plugin uses now instead of a service that it reached by `server.services`."""


class MovedServices:
    """`server.services`, as it was: it has no service any more, and tells what there is instead."""

    def __getattr__(self, name: str) -> Never:
        raise AttributeError(_service(name))


def used_services(path: Path) -> Iterator[str]:
    """Yield, for each use of `server.services` in a plugin's source, the line and what to write instead.

    Code that is seldom run would tell it late.

    Args:
        path: a plugin's file; a package's `__init__.py` stands for all of its files.
    """
    for file in sorted(path.parent.rglob("*.py")) if path.name == "__init__.py" else [path]:
        source = file.read_text(encoding="utf-8", errors="replace") if file.is_file() else ""
        for number, line in enumerate(source.splitlines(), 1) if ".services." in source else ():
            yield from (f"{file.name}:{number}: {_service(name)}" for name in _SERVICE.findall(line))


_SERVICE: Final = re.compile(r"\bserver\.services\.(\w+)")
_NO_NAME: Final = re.compile(r"cannot import name '(\w+)' from '([\w.]+)'")
_NO_ARGUMENT: Final = re.compile(r"PluginServer\.\w+\(\) got an unexpected keyword argument '(\w+)'")


def new_place(fault: BaseException) -> str | None:
    """Return what to write instead of the old name that a plugin failed at; None for any other fault."""
    if isinstance(fault, ModuleNotFoundError):
        return _module(fault.name or "")
    if isinstance(fault, ImportError):
        found = _NO_NAME.match(str(fault))
        return None if found is None else _module(f"{found[2]}.{found[1]}") or _name(found[2], found[1])
    if isinstance(fault, AttributeError) and isinstance(fault.obj, ModuleType):
        return _name(fault.obj.__name__, fault.name or "")
    if isinstance(fault, TypeError):
        argument = _NO_ARGUMENT.match(str(fault))
        new = None if argument is None else ARGUMENTS.get(argument[1])
        return None if argument is None or new is None else f"the argument {argument[1]} is now {new}"
    return None


def _service(name: str) -> str:
    new = SERVICES.get(name, "nothing that plugins may use")
    return f"server.services.{name} is now {new}; docs/plugins/hooks.md has the interfaces"


def _module(module: str) -> str | None:
    """Return what is now where a module was; None for one that relay never had."""
    if module in INTERNAL:
        return f"{module} is relay's own, and is no more: plugins import from relay.plugin and relay.http"
    names = MOVED.get(module)
    if names is None:
        return None
    package = next(iter(names.values())).rpartition(".")[0]
    listed = [_renamed(old, new.rpartition(".")[2]) for old, new in names.items()]
    return f"{module} is now {package}: import {', '.join(listed)} from {package}"


def _name(module: str, name: str) -> str | None:
    """Return what a name of a module is now; None for one that nothing is known of."""
    new = MOVED.get(module, {}).get(name)
    if new is None and module.startswith("relay."):
        new = next((f"{one.__name__}.{name}" for one in (relay.plugin, relay.http) if name in one.__all__), None)
    if new is None:
        return None
    package, _, called = new.rpartition(".")
    if called == name:
        return f"import {name} from {package}"
    return f"{name} is now {called}: import it from {package}"


def _renamed(old: str, new: str) -> str:
    return old if old == new else f"{new} (was {old})"
