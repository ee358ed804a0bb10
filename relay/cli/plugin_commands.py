"""Commands of plugins. They are looked up only for a name that is not relay's own, as that loads the plugins."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, MutableMapping
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Annotated, Any, Union, get_args, get_origin, get_type_hints

import click
from msgspec import Meta

from relay.cli.base import (
    Command,
    Group,
    json_option,
    load_settings,
    print_fields,
    print_rows,
    printable,
)
from relay.cli.database import perform

if TYPE_CHECKING:
    from relay.plugin.registrations import Command as Part


def plugin_commands() -> MutableMapping[str, click.Command]:
    """Return plugins' commands by their first word; commands of several words are in groups."""
    from relay.app.plugin_admin import load_for

    found: MutableMapping[str, click.Command] = {}
    try:
        registry = load_for(load_settings(), tell=True)
    except click.ClickException:
        return {}  # the command itself reports the problem
    for owned in registry.parts["relay_commands"]:
        *groups, last = owned.part.name.split(" ")
        place = found
        for word in groups:
            group = place.setdefault(word, Group(name=word, help=f"Commands of the plugin {owned.guard.plugin}."))
            place = group.commands if isinstance(group, click.Group) else {}
        place[last] = _made(owned.part, last)
    return found


def _made(part: Part, name: str) -> click.Command:
    signature = inspect.signature(part.run)
    hints = get_type_hints(part.run, include_extras=True)
    params: list[click.Parameter] = []
    for parameter in list(signature.parameters.values())[1:]:
        kind, described = _read_hint(hints.get(parameter.name, str))
        required = parameter.default is parameter.empty
        if parameter.kind is parameter.KEYWORD_ONLY:
            flag = f"--{parameter.name.rstrip('_').replace('_', '-')}"
            params.append(
                click.Option(
                    [flag, parameter.name],
                    type=_click_type(kind),
                    is_flag=kind is bool,
                    multiple=get_origin(kind) is list,
                    required=required,
                    show_default=not required and parameter.default not in (None, False),
                    help=described,
                    **({} if required else {"default": parameter.default}),
                )
            )
        else:
            params.append(click.Argument([parameter.name], type=_click_type(kind), required=required))
    make = click.command(name, Command, params=params, help=inspect.getdoc(part.run))
    return make(_callback(part.name))


def _callback(name: str) -> Callable[..., None]:
    def run(as_json: bool, **arguments: Any) -> None:
        given = {key: value for key, value in arguments.items() if value is not None}
        _show(perform("plugin.command", name=name, arguments=given), as_json=as_json)

    return json_option(run)


def _show(answer: Any, *, as_json: bool) -> None:
    if answer is None:
        return
    if isinstance(answer, list) and answer and all(isinstance(row, dict) for row in answer):
        print_rows(answer, list(answer[0]), as_json=as_json)
    elif isinstance(answer, str) and not as_json:
        click.echo("\n".join(printable(line) for line in answer.split("\n")))
    elif isinstance(answer, dict) and not as_json:
        print_fields(answer)
    elif answer != []:
        click.echo(json.dumps(answer, ensure_ascii=False))


def _read_hint(hint: Any) -> tuple[Any, str | None]:
    """Return the type of a parameter's annotation, without None, and the description in it."""
    described = None
    if get_origin(hint) is Annotated:
        described = next((one.description for one in hint.__metadata__ if isinstance(one, Meta)), None)
        hint = hint.__origin__
    if get_origin(hint) in (Union, UnionType):
        hint = next(one for one in get_args(hint) if one is not NoneType)
    return hint, described


def _click_type(kind: Any) -> Any:
    return {int: click.INT, float: click.FLOAT, bool: click.BOOL}.get(kind, click.STRING)
