"""REST of webhooks: `/api/webhooks…` for admins, and `/hook/TOKEN` for whoever has a token."""

from typing import Annotated, Any

import msgspec
import trio
from msgspec import Meta

from relay.http import Blueprint, Body, Limit, Position, Query, ack_payload, endpoint, page_of, reply
from relay.plugin import ErrorCode, Integer, Name, Routes, Server, TokenBuckets

from . import incoming, service
from .filter import Choice
from .incoming import CreatedIncoming, Incoming
from .options import Options
from .service import Created, HookView, Replayed
from .tables import AttemptView, DeadView


class NewHook(Body, frozen=True):
    """A webhook to create: a URL, and the messages that it gets; without those all."""

    url: Annotated[str, Meta(max_length=2000)]
    messages: Choice = Choice()
    reply_as: Name | None = None
    secret: Annotated[str, Meta(max_length=200)] | None = None


class NewSecret(Body, frozen=True):
    """For how many hours the old secret stays valid."""

    hours: Annotated[float, Meta(ge=0, le=8760)] = 24.0


class ReplayBody(Body, frozen=True):
    """The dead letter that is delivered once more; without it all are."""

    message_id: Integer | None = None


class DeadQuery(Query, frozen=True):
    """The beginning of the page."""

    after: Position = None
    limit: Limit = 50


class NewIncoming(Body, frozen=True):
    """An incoming webhook to create: who posts, and to whom."""

    name: Name
    user_id: Name
    target_id: Name


class Hooks(msgspec.Struct):
    """All outgoing webhooks."""

    webhooks: list[HookView]


class Attempts(msgspec.Struct):
    """The newest attempts of one webhook."""

    deliveries: list[AttemptView]


class DeadLetters(msgspec.Struct):
    """A page of dead letters; `next_after` begins the next one."""

    dead: list[DeadView]
    has_more: bool
    next_after: int | None


class Incomings(msgspec.Struct):
    """All incoming webhooks."""

    incoming: list[Incoming]


class Purpose(msgspec.Struct):
    """The purpose of an incoming webhook."""

    name: str
    posts_as: str
    target_id: str
    takes: str


class Posted(msgspec.Struct, omit_defaults=True):
    """The stored message: the payload of its ack."""

    timestamp: float
    duplicate: bool
    message_id: int
    seq: int
    replaces: int | None = None


_TAKES = "text; JSON or a form with content or text, or with title, level and content for a notification; and id"


def make_routes(options: Options) -> Routes:
    """Return the plugin's routes."""
    blueprint = Blueprint("webhooks", __name__)
    _add_outgoing(blueprint)
    _add_changes(blueprint, options)
    _add_dead(blueprint)
    _add_incoming(blueprint)
    _add_calls(blueprint, options)
    return Routes(blueprint=blueprint)


def _add_outgoing(blueprint: Blueprint) -> None:
    @blueprint.post("/api/webhooks")
    @endpoint(query=None, body=NewHook, answers={201: Created}, refusals=[ErrorCode.CONFLICT], access="admin")
    async def create(server: Server, body: NewHook) -> Created:
        """Create an outgoing webhook, and answer with its id and secret."""
        return await service.add(server, body.url, body.messages, body.reply_as, body.secret)

    @blueprint.get("/api/webhooks")
    @endpoint(answers={200: Hooks}, access="admin")
    async def list_all(server: Server) -> Hooks:
        """Answer with all outgoing webhooks and their state."""
        return Hooks(await service.list_hooks(server))

    @blueprint.get("/api/webhooks/<hook_id>")
    @endpoint(query=None, answers={200: HookView}, access="admin")
    async def show(server: Server, hook_id: str) -> HookView:
        """Answer with one webhook and its state."""
        return await service.show(server, hook_id)

    @blueprint.delete("/api/webhooks/<hook_id>")
    @endpoint(query=None, answers={204: None}, access="admin")
    async def remove(server: Server, hook_id: str) -> None:
        """Remove a webhook."""
        await service.remove(server, hook_id)


def _add_changes(blueprint: Blueprint, options: Options) -> None:
    @blueprint.post("/api/webhooks/<hook_id>/pause")
    @endpoint(query=None, answers={200: HookView}, access="admin")
    async def pause(server: Server, hook_id: str) -> HookView:
        """Pause a webhook: it delivers nothing until it is resumed."""
        await service.pause(server, hook_id)
        return await service.show(server, hook_id)

    @blueprint.post("/api/webhooks/<hook_id>/resume")
    @endpoint(query=None, answers={200: HookView}, access="admin")
    async def resume(server: Server, hook_id: str) -> HookView:
        """Resume a webhook: it goes on from where it stood."""
        await service.resume(server, hook_id)
        return await service.show(server, hook_id)

    @blueprint.post("/api/webhooks/<hook_id>/rotate")
    @endpoint(query=None, body=NewSecret, optional_body=True, answers={200: Created}, access="admin")
    async def rotate(server: Server, body: NewSecret, hook_id: str) -> Created:
        """Give a webhook a new secret; the old one stays valid for some hours."""
        return await service.rotate(server, hook_id, body.hours)

    @blueprint.post("/api/webhooks/<hook_id>/test")
    @endpoint(query=None, answers={200: AttemptView}, access="admin")
    async def send_test(server: Server, hook_id: str) -> AttemptView:
        """Post a test to a webhook's receiver once, and answer with what became of it."""
        return await service.send_test(server, options, hook_id)


def _add_dead(blueprint: Blueprint) -> None:
    @blueprint.get("/api/webhooks/<hook_id>/deliveries")
    @endpoint(query=None, answers={200: Attempts}, access="admin")
    async def deliveries(server: Server, hook_id: str) -> Attempts:
        """Answer with the newest attempts of a webhook, newest first."""
        return Attempts(await service.deliveries(server, hook_id))

    @blueprint.get("/api/webhooks/<hook_id>/dead")
    @endpoint(query=DeadQuery, answers={200: DeadLetters}, access="admin")
    async def dead(server: Server, query: DeadQuery, hook_id: str) -> DeadLetters:
        """Answer with a page of a webhook's dead letters, oldest first."""
        found = await service.dead(server, hook_id, query.after or 0, query.limit + 1)
        return DeadLetters(*page_of(found, query.limit, lambda letter: letter.message_id))

    @blueprint.post("/api/webhooks/<hook_id>/replay")
    @endpoint(query=None, body=ReplayBody, optional_body=True, answers={202: Replayed}, access="admin")
    async def replay(server: Server, body: ReplayBody, hook_id: str) -> Replayed:
        """Deliver dead letters once more: all, or one."""
        return await service.replay(server, hook_id, body.message_id)


def _add_incoming(blueprint: Blueprint) -> None:
    @blueprint.post("/api/webhooks/incoming")
    @endpoint(
        query=None, body=NewIncoming, answers={201: CreatedIncoming}, refusals=[ErrorCode.CONFLICT], access="admin"
    )
    async def create_incoming(server: Server, body: NewIncoming) -> CreatedIncoming:
        """Create an incoming webhook, and answer with the path of its URL."""
        return await incoming.create(server, body.name, body.user_id, body.target_id)

    @blueprint.get("/api/webhooks/incoming")
    @endpoint(query=None, answers={200: Incomings}, access="admin")
    async def list_incoming(server: Server) -> Incomings:
        """Answer with all incoming webhooks."""
        return Incomings(await server.read(incoming.list_all))

    @blueprint.delete("/api/webhooks/incoming/<name>")
    @endpoint(query=None, answers={204: None}, access="admin")
    async def revoke(server: Server, name: str) -> None:
        """Revoke an incoming webhook."""
        await incoming.revoke(server, name)


def _add_calls(blueprint: Blueprint, options: Options) -> None:
    rate = options.incoming_per_minute
    rates = TokenBuckets(rate / 60, rate, "calls of this webhook", trio.current_time)

    @blueprint.post("/hook/<token>")
    @endpoint(
        query=None,
        body=bytes,
        answers={201: Posted, 200: Posted},
        refusals=[ErrorCode.FORBIDDEN, ErrorCode.CONFLICT, ErrorCode.RATE_LIMITED, ErrorCode.OVERLOADED],
        access="open",
        body_types=["text/plain", "application/json", "application/x-www-form-urlencoded"],
        headers={"Idempotency-Key": "the same call again under the same key is stored once"},
    )
    async def call(server: Server, token: str) -> Any:
        """Post the content of the call, and answer with the ack's payload."""
        entry = await incoming.post_call(server, token, rates, options.incoming_bytes)
        return reply(ack_payload(entry), 200 if entry.duplicate else 201)

    @blueprint.get("/hook/<token>")
    @endpoint(query=None, answers={200: Purpose}, access="open")
    async def purpose(server: Server, token: str) -> Purpose:
        """Answer with the purpose of an incoming webhook."""
        found = await incoming.find(server, token)
        return Purpose(found.name, found.user_id, found.target_id, _TAKES)
