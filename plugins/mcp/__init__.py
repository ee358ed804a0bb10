"""The Model Context Protocol: tools by which agents read and write messages, as their token allows.

It adds `POST /mcp` (streamable HTTP). `pip install 'relay-server[mcp]'` installs the package that it needs.
"""

import importlib.metadata
from typing import Annotated, Any

import msgspec
import trio
from msgspec import Meta

from relay.http import Blueprint, Exchanged, nothing, reply, request, server
from relay.plugin import BackgroundTask, ErrorCode, RelayError, Routes, Server, hookimpl

from .loading import load
from .tools import READING, ToolName, offered

_PART_OF_DEADLINE = 0.8
"""A request is given up before the plugin's own deadline: relay being slow is no failure of this plugin."""


class Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[plugins.mcp]`.

    Attributes:
        path: of the endpoint.
        tools: those that are offered; by default all.
        read_only: whether only those of them are offered that change nothing.
    """

    path: Annotated[str, Meta(pattern=r"^(/[A-Za-z0-9._~-]+)+$", max_length=200)] = "/mcp"
    tools: list[ToolName] | None = None
    read_only: bool = False


@hookimpl
def relay_options() -> type[msgspec.Struct]:
    """Register `[plugins.mcp]`, read into `Options`."""
    try:
        installed = importlib.metadata.version("mcp")
    except importlib.metadata.PackageNotFoundError:
        installed = "not installed"
    if not installed.startswith("2."):
        raise ImportError(f"the package mcp is {installed}; right is version 2: pip install 'relay-server[mcp]'")
    return Options


@hookimpl
def relay_background(options: Options) -> list[BackgroundTask]:
    """Add the task that imports the package at the start, so that the first request need not wait for it."""

    async def run(_server: Server) -> None:
        await load()

    return [BackgroundTask(name="import", run=run)]


@hookimpl
def relay_routes(options: Options) -> list[Routes]:
    """Add the endpoint. It answers POST alone: there is no stream to GET, and no session to DELETE.

    Without `@endpoint` it needs a token, and `/openapi.json` does not describe it: the protocol does.
    """
    made = Blueprint("mcp", __name__)
    names = offered(options.tools, READING if options.read_only else None)

    @made.post(options.path, endpoint="mcp")
    async def answer() -> Any:
        """Answer a message of the Model Context Protocol."""
        _check_origin()
        with trio.move_on_after(server().handler_seconds * _PART_OF_DEADLINE):
            protocol, body = await load(), await request.get_data(as_text=False)
            return _response(await protocol.answer(names, request.scope, body))
        raise RelayError(ErrorCode.OVERLOADED, "this took too long; try again", retry_after=1)

    return [Routes(blueprint=made)]


def _check_origin() -> None:
    """Refuse pages of origins that the operator did not allow: programs send no Origin.

    A page of this server's own name is refused as well, as a name can be pointed at this machine by somebody else
    (DNS rebinding).

    Raises:
        RelayError: `forbidden`.
    """
    origin = request.headers.get("Origin")
    if origin is not None and origin.lower() not in server().settings.server.allowed_origins:
        raise RelayError(
            ErrorCode.FORBIDDEN, "pages of this origin may not call; [server] allowed_origins names those that may"
        )


def _response(answer: Exchanged) -> Any:
    """Return what the protocol's library answered; a refusal in plain text becomes a problem."""
    if not answer.body:
        empty = nothing()
        empty.status_code = answer.status
        return empty
    if not answer.headers["content-type"].startswith("application/json"):
        raise RelayError(ErrorCode.INVALID_PAYLOAD, answer.body.decode())
    return reply(msgspec.Raw(answer.body), answer.status, {"Cache-Control": "no-store"})
