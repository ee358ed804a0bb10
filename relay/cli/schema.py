"""`relay schema`: describes, for tools, the protocol of a server with these settings and plugins."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

import click

from relay.cli.base import Document, Failure, load_settings, note

if TYPE_CHECKING:
    from relay.engine.registry import Registry
    from relay.settings import Settings

_FORMS: Final = {
    "--json-schema": "JSON Schema of every message that a client may send.  [default]",
    "--openapi": "OpenAPI 3.1 of every REST call, as at /openapi.json.",
    "--asyncapi": "AsyncAPI 3.0 of every frame on the socket, as at /asyncapi.json.",
    "--typescript": "TypeScript declarations of every payload, for the SDK.",
}


def _forms(command: Any) -> Any:
    for flag, text in reversed(_FORMS.items()):
        command = click.option(flag, is_flag=True, help=text)(command)
    return command


@click.command(cls=Document)
@_forms
def schema(**chosen: bool) -> None:
    """Print a description, for tools, of the protocol of a server with these settings and plugins.

    No server needs to run. Plugins are loaded for it, so their code runs; if one of them would be left out,
    nothing is printed.
    """
    wanted = [name for name, is_chosen in chosen.items() if is_chosen] or ["json_schema"]
    if len(wanted) > 1:
        raise click.UsageError(f"give one of {', '.join(_FORMS)}")
    from relay.app.plugin_admin import load_for

    settings = load_settings()
    registry = load_for(settings)
    for broken in registry.broken:
        note(str(broken))
    if registry.broken:
        raise Failure(f"{len(registry.broken)} plugins would be left out, and so would what they speak")
    click.echo(_made(wanted[0], registry, settings), nl=False)


def _made(form: str, registry: Registry, settings: Settings) -> str:
    from relay.transports.rest.app import all_calls
    from relay.transports.rest.openapi import openapi
    from relay.transports.schemas.asyncapi import asyncapi
    from relay.transports.schemas.messages import client_document
    from relay.transports.schemas.typescript import typescript

    if form == "typescript":
        return typescript(registry)
    documents = {
        "json_schema": lambda: client_document(registry),
        "openapi": lambda: openapi(all_calls(registry), registry),
        "asyncapi": lambda: asyncapi(registry, settings),
    }
    return json.dumps(documents[form](), indent=2, ensure_ascii=False) + "\n"
