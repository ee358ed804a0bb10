"""`/api/webhooks…` for admins, and `/hook/TOKEN` for whoever has one."""

from functools import partial
from typing import Annotated, Any

import msgspec
import trio
from msgspec import Meta

from relay.http import (
    Blueprint,
    Body,
    Limit,
    NoQuery,
    Position,
    Query,
    ack_payload,
    admin,
    described,
    nothing,
    read_body,
    read_query,
    reply,
    server,
)
from relay.plugin import ErrorCode, Integer, Name, Routes, TokenBuckets

from . import incoming, managing
from .calling import post, the_incoming
from .choosing import Choice
from .incoming import CreatedIncoming, Incoming
from .options import Options
from .views import AttemptView, Created, DeadView, HookView, Replayed


class NewHook(Body, frozen=True):
    """A webhook to create: a URL, and which messages it is for; all without that."""

    url: Annotated[str, Meta(max_length=2000)]
    messages: Choice = Choice()
    reply_as: Name | None = None
    secret: Annotated[str, Meta(max_length=200)] | None = None


class NewSecret(Body, frozen=True):
    """How long the old secret is good still."""

    hours: Annotated[float, Meta(ge=0, le=8760)] = 24.0


class ReplayBody(Body, frozen=True):
    """Which dead letter is delivered once more; all without it."""

    message_id: Integer | None = None


class DeadQuery(Query, frozen=True):
    """Where the page begins."""

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
    """What an incoming webhook is for."""

    name: str
    posts_as: str
    target_id: str
    takes: str


class Posted(msgspec.Struct, omit_defaults=True):
    """What was stored: the payload of its ack."""

    timestamp: float
    duplicate: bool
    message_id: int
    seq: int
    replaces: int | None = None


_MAKING = [ErrorCode.FORBIDDEN, ErrorCode.CONFLICT]
_GONE = [ErrorCode.FORBIDDEN, ErrorCode.NOT_FOUND]
_TAKES = "text; JSON or a form with content or text, or with title, level and content for a notification; and id"


def make_routes(options: Options) -> Routes:
    """Return the plugin's paths."""
    blueprint = Blueprint("webhooks", __name__)
    _add_outgoing(blueprint)
    _add_changes(blueprint, options)
    _add_dead(blueprint)
    _add_incoming(blueprint)
    _add_calls(blueprint, options)
    return Routes(blueprint=blueprint, public=frozenset({"call", "purpose"}))


def _add_outgoing(blueprint: Blueprint) -> None:
    @blueprint.post("/api/webhooks")
    @described(body=NewHook, answers={201: Created}, refusals=_MAKING)
    async def create() -> Any:
        """Create an outgoing webhook, and answer with its id and secret."""
        admin()
        body = await read_body(NewHook)
        return reply(await managing.add(server(), body.url, body.messages, body.reply_as, body.secret), 201)

    @blueprint.get("/api/webhooks")
    @described(query=NoQuery, answers={200: Hooks}, refusals=[ErrorCode.FORBIDDEN])
    async def list_all() -> Any:
        """Answer with all outgoing webhooks and how they stand."""
        admin()
        read_query(NoQuery)
        return reply(Hooks(await managing.views(server())))

    @blueprint.get("/api/webhooks/<hook_id>")
    @described(answers={200: HookView}, refusals=_GONE)
    async def show(hook_id: str) -> Any:
        """Answer with one webhook and how it stands."""
        admin()
        return reply((await managing.views(server(), hook_id))[0])

    @blueprint.delete("/api/webhooks/<hook_id>")
    @described(answers={204: None}, refusals=_GONE)
    async def remove(hook_id: str) -> Any:
        """Remove a webhook."""
        admin()
        await managing.remove(server(), hook_id)
        return nothing()


def _add_changes(blueprint: Blueprint, options: Options) -> None:
    @blueprint.post("/api/webhooks/<hook_id>/pause")
    @described(answers={200: HookView}, refusals=_GONE)
    async def pause(hook_id: str) -> Any:
        """Have a webhook deliver nothing until it is resumed."""
        admin()
        await managing.pause(server(), hook_id)
        return reply((await managing.views(server(), hook_id))[0])

    @blueprint.post("/api/webhooks/<hook_id>/resume")
    @described(answers={200: HookView}, refusals=_GONE)
    async def resume(hook_id: str) -> Any:
        """Have a webhook deliver again, from where it stood."""
        admin()
        await managing.resume(server(), hook_id)
        return reply((await managing.views(server(), hook_id))[0])

    @blueprint.post("/api/webhooks/<hook_id>/rotate")
    @described(body=NewSecret, answers={200: Created}, refusals=_GONE)
    async def rotate(hook_id: str) -> Any:
        """Give a webhook a new secret; the old one is good for some hours still."""
        admin()
        body = await read_body(NewSecret, optional=True)
        return reply(await managing.rotate(server(), hook_id, body.hours))

    @blueprint.post("/api/webhooks/<hook_id>/test")
    @described(answers={200: AttemptView}, refusals=_GONE)
    async def send_test(hook_id: str) -> Any:
        """Post a test to a webhook's receiver once, and answer with what came of it."""
        admin()
        return reply(await managing.send_test(server(), options, hook_id))


def _add_dead(blueprint: Blueprint) -> None:
    @blueprint.get("/api/webhooks/<hook_id>/deliveries")
    @described(answers={200: Attempts}, refusals=_GONE)
    async def deliveries(hook_id: str) -> Any:
        """Answer with the newest attempts of a webhook, newest first."""
        admin()
        return reply(Attempts(await managing.deliveries(server(), hook_id)))

    @blueprint.get("/api/webhooks/<hook_id>/dead")
    @described(query=DeadQuery, answers={200: DeadLetters}, refusals=_GONE)
    async def dead(hook_id: str) -> Any:
        """Answer with a page of a webhook's dead letters, oldest first."""
        admin()
        asked = read_query(DeadQuery)
        found = await managing.dead(server(), hook_id, asked.after or 0, asked.limit + 1)
        page = found[: asked.limit]
        more = len(found) > len(page)
        return reply(DeadLetters(page, more, page[-1].message_id if more else None))

    @blueprint.post("/api/webhooks/<hook_id>/replay")
    @described(body=ReplayBody, answers={202: Replayed}, refusals=_GONE)
    async def replay(hook_id: str) -> Any:
        """Have dead letters delivered once more: all, or one."""
        admin()
        body = await read_body(ReplayBody, optional=True)
        return reply(await managing.replay(server(), hook_id, body.message_id), 202)


def _add_incoming(blueprint: Blueprint) -> None:
    @blueprint.post("/api/webhooks/incoming")
    @described(body=NewIncoming, answers={201: CreatedIncoming}, refusals=_MAKING)
    async def create_incoming() -> Any:
        """Create an incoming webhook, and answer with the path of its URL."""
        admin()
        body = await read_body(NewIncoming)
        return reply(await incoming.create(server(), body.name, body.user_id, body.target_id), 201)

    @blueprint.get("/api/webhooks/incoming")
    @described(answers={200: Incomings}, refusals=[ErrorCode.FORBIDDEN])
    async def list_incoming() -> Any:
        """Answer with all incoming webhooks."""
        admin()
        return reply(Incomings(await server().read(incoming.list_all)))

    @blueprint.delete("/api/webhooks/incoming/<name>")
    @described(answers={204: None}, refusals=_GONE)
    async def revoke(name: str) -> Any:
        """End an incoming webhook."""
        admin()
        await server().write(partial(incoming.revoke, name=name))
        return nothing()


def _add_calls(blueprint: Blueprint, options: Options) -> None:
    rate = options.incoming_per_minute
    paces = TokenBuckets(rate / 60, rate, "calls of this webhook", trio.current_time)

    @blueprint.post("/hook/<token>")
    @described(
        body=bytes,
        answers={201: Posted, 200: Posted},
        refusals=[*_GONE, ErrorCode.CONFLICT, ErrorCode.RATE_LIMITED, ErrorCode.OVERLOADED],
        body_types=["text/plain", "application/json", "application/x-www-form-urlencoded"],
        headers={"Idempotency-Key": "the same call again under the same key is stored once"},
    )
    async def call(token: str) -> Any:
        """Post what is said, and answer with the ack's payload."""
        entry = await post(server(), token, paces, options.incoming_bytes)
        return reply(ack_payload(entry), 200 if entry.duplicate else 201)

    @blueprint.get("/hook/<token>")
    @described(answers={200: Purpose}, refusals=[ErrorCode.NOT_FOUND])
    async def purpose(token: str) -> Any:
        """Answer with what an incoming webhook is for."""
        found = await the_incoming(server(), token)
        return reply(Purpose(found.name, found.user_id, found.target_id, _TAKES))
