"""REST: a user's targets."""

import secrets
import sqlite3
from collections.abc import Awaitable, Callable
from functools import partial
from hashlib import blake2b, sha256
from typing import Annotated, Any, NamedTuple, cast

import msgspec
import trio
from msgspec import Meta

from relay.http import Blueprint, Body, NoQuery, caller, described, read_body, read_query, reply
from relay.http import server as the_server
from relay.plugin import ErrorCode, RelayError, Server, TokenBuckets, check_shown

from . import choices, mail, targets
from .addresses import AnyAddress, Mail, WebPush, check_keys, check_path, place_of
from .notices import Notice
from .options import Options
from .outward import Failed, Gone, Outward
from .places import Places, Refused
from .schema import state
from .sending import senders
from .targets import Target
from .vapid import encode, load_key, public_bytes

TRIALS_PER_MINUTE = 6
CODES_AT_ONCE, CODE_EVERY_SECONDS = 5, 600.0
"""A user may have codes sent to addresses so seldom: they are other people's, perhaps."""

CODE_SECONDS = 3600.0
CODE_TRIES = 5
SHARE = 0.8
"""How much of `[timeouts] handler_seconds` a trial may take: a target that hangs is no failure of the plugin's."""


class PublicKey(msgspec.Struct):
    """The key that a browser is given as `applicationServerKey`."""

    public_key: str


class TargetAnswer(msgspec.Struct):
    """A target, as its owner sees it: without its tokens."""

    target_id: str
    kind: str
    place: str
    label: str
    withdraw: bool
    state: str
    created_at: float
    failures: int
    last_error: str | None
    retry_at: float | None
    delivered_at: float | None


class Targets(msgspec.Struct):
    """A user's targets."""

    targets: list[TargetAnswer]


class Trial(msgspec.Struct):
    """Whether a test arrived at its target, and why not."""

    delivered: bool
    error: str | None


class Confirmation(Body, frozen=True):
    """The code that a mail showed."""

    code: Annotated[str, Meta(pattern=r"^[0-9]{8}$(?!\n)")]


class Desk(NamedTuple):
    """What the views of one server share."""

    options: Options
    trials: TokenBuckets
    codes: TokenBuckets


def blueprint(options: Options) -> Blueprint:
    """Return the plugin's paths."""
    trials = TokenBuckets(TRIALS_PER_MINUTE / 60, TRIALS_PER_MINUTE, "tests", trio.current_time)
    codes = TokenBuckets(1 / CODE_EVERY_SECONDS, CODES_AT_ONCE, "codes", trio.current_time)
    desk = Desk(options, trials, codes)
    made = Blueprint("notifications", __name__)
    for method, path, name, view in (
        ("GET", "/api/push/key", "key", show_key),
        ("GET", "/api/push/targets", "targets", list_targets),
        ("POST", "/api/push/targets", "add_target", add_target),
        ("DELETE", "/api/push/targets/<target_id>", "delete_target", delete_target),
        ("POST", "/api/push/targets/<target_id>/test", "test_target", test_target),
        ("POST", "/api/push/targets/<target_id>/confirm", "confirm_target", confirm_target),
    ):
        made.add_url_rule(path, name, _with_desk(view, desk), methods=[method])
    choices.add_views(made)
    return made


def _with_desk(view: Callable[..., Awaitable[Any]], desk: Desk) -> Callable[..., Awaitable[Any]]:
    """Give a view what it shares with the others, keeping its name and what is said of it."""

    async def given(**arguments: str) -> Any:
        read_query(NoQuery)
        return await view(desk, **arguments)

    given.__name__, given.__doc__ = view.__name__, view.__doc__
    given.__dict__.update(view.__dict__)
    return given


@described(answers={200: PublicKey})
async def show_key(_desk: Desk) -> Any:
    """Answer with the public half of the server's VAPID key."""
    key = load_key(await the_server().read(lambda connection: state(connection, "vapid")))
    return reply(PublicKey(encode(public_bytes(key))))


@described(answers={200: Targets})
async def list_targets(_desk: Desk) -> Any:
    """Answer with the caller's targets."""
    user_id = caller().user_id
    found = await the_server().read(lambda connection: targets.of_user(connection, user_id))
    return reply(Targets([_answer(target) for target in found]))


@described(
    body=AnyAddress,
    answers={200: TargetAnswer, 201: TargetAnswer},
    refusals=[ErrorCode.CONFLICT, ErrorCode.RATE_LIMITED, ErrorCode.OVERLOADED],
)
async def add_target(desk: Desk) -> Any:
    """Add a target, or change the one of the same place."""
    address = cast(AnyAddress, await read_body(cast(Any, AnyAddress)))
    server, user_id, now = the_server(), caller().user_id, the_server().now()
    _check(desk.options, address)
    if address.label:
        check_shown(address.label, "label")
    position = server.services.router.position
    most = desk.options.targets_per_user
    new = await _code_for(desk, server, user_id, address) if isinstance(address, Mail) else None
    client_id = address.client_id or caller().client_id

    def write(connection: sqlite3.Connection) -> tuple[Target, bool]:
        kept = targets.ACTIVE if new is None else targets.UNCONFIRMED
        made, fresh = targets.add(
            connection, user_id, address, client_id, since=position, now=now, most=most, state=kept
        )
        if new is not None and made.state == targets.UNCONFIRMED:
            targets.expect_code(connection, made.target_id, _hash(new), now + CODE_SECONDS)
        return made, fresh

    target, fresh = await server.write(write)
    return reply(_answer(target), 201 if fresh else 200)


async def _code_for(desk: Desk, server: Server, user_id: str, address: Mail) -> str | None:
    """Send a code to a mail address that its owner has not confirmed yet, and return it."""
    email = desk.options.email
    if email is None:
        raise RelayError(
            ErrorCode.INVALID_PAYLOAD, "this server sends no mail; other kinds are webpush, ntfy, gotify"
        )
    known = await server.read(lambda connection: targets.of_user(connection, user_id))
    same = [target for target in known if target.kind == "email" and target.place == place_of(address)]
    if same and same[0].state != targets.UNCONFIRMED:
        return None
    if not same and len(known) >= desk.options.targets_per_user:
        return None  # it is about to be refused, and nobody need get a mail for that
    desk.codes.take(user_id)
    code = f"{secrets.randbelow(10**8):08d}"
    letter = mail.confirmation(desk.options, email, address.address, code, server.now())
    try:
        with trio.fail_after(_seconds(server)):
            await mail.send(email, letter)
    except (Failed, trio.TooSlowError) as failed:
        text = str(failed) or "the mail server takes too long"
        raise RelayError(ErrorCode.OVERLOADED, f"the code could not be sent: {text}", retry_after=60.0) from None
    return code


def _check(options: Options, address: AnyAddress) -> None:
    """Refuse an address that could never be told.

    Raises:
        RelayError: `invalid_payload`.
    """
    try:
        if isinstance(address, WebPush):
            check_keys(address)
        if not isinstance(address, Mail):
            check_path(address, Places(options).check_url(place_of(address)))
    except Refused as refused:
        raise RelayError(ErrorCode.INVALID_PAYLOAD, str(refused)) from None


@described(answers={204: None}, refusals=[ErrorCode.NOT_FOUND])
async def delete_target(_desk: Desk, target_id: str) -> Any:
    """Delete a target; what it shows stays there."""
    user_id = caller().user_id

    def write(connection: sqlite3.Connection) -> None:
        targets.remove(connection, targets.owned(connection, user_id, target_id).target_id)

    await the_server().write(write)
    return "", 204


@described(answers={200: Trial}, refusals=[ErrorCode.NOT_FOUND, ErrorCode.CONFLICT, ErrorCode.RATE_LIMITED])
async def test_target(desk: Desk, target_id: str) -> Any:
    """Send a test to a target, at once; one that was given up and takes it is at work again."""
    server, user_id = the_server(), caller().user_id
    target = await server.read(lambda connection: targets.owned(connection, user_id, target_id))
    if target.state == targets.UNCONFIRMED:
        raise RelayError(ErrorCode.CONFLICT, "the address is not confirmed yet; POST …/confirm with the code")
    desk.trials.take(user_id)
    return reply(await trial(desk.options, server, target))


async def trial(options: Options, server: Server, target: Target) -> Trial:
    """Send a test to a target, and note what became of it."""
    outward = Outward(options, server.now)
    key = load_key(await server.read(lambda connection: state(connection, "vapid")))
    name = encode(blake2b(target.target_id.encode(), digest_size=16).digest())
    now = server.now()
    text = "This is a test. Notifications arrive here."
    notice = Notice(name, options.name, text, None, None, "", 1, 0, now, quiet=False, urgent=True)
    try:
        with trio.fail_after(_seconds(server)):
            await senders(options, outward, server.now, key)[target.kind].show(target, notice, None)
    except Gone as gone:
        await server.write(lambda connection: targets.remove(connection, target.target_id))
        return Trial(False, f"{gone}; the target is removed")
    except (Failed, trio.TooSlowError) as failed:
        return Trial(False, str(failed) or f"no answer within {_seconds(server):g} s")
    finally:
        await outward.aclose()
    await server.write(partial(targets.succeeded, target_id=target.target_id, now=now))
    return Trial(True, None)


@described(
    body=Confirmation,
    answers={200: TargetAnswer},
    refusals=[ErrorCode.NOT_FOUND, ErrorCode.FORBIDDEN],
)
async def confirm_target(desk: Desk, target_id: str) -> Any:
    """Confirm a mail address by the code that was sent to it."""
    body = await read_body(Confirmation)
    server, user_id = the_server(), caller().user_id

    def write(connection: sqlite3.Connection) -> Target | None:
        target = targets.owned(connection, user_id, target_id)
        if target.state != targets.UNCONFIRMED:
            return target
        right = targets.try_code(connection, target_id, _hash(body.code), server.now(), CODE_TRIES)
        return targets.get(connection, target_id) if right else None

    target = await server.write(write)
    if target is None:
        raise RelayError(ErrorCode.FORBIDDEN, "the code is wrong or over; POST the address again for a new one")
    return reply(_answer(target))


def _answer(target: Target) -> TargetAnswer:
    return TargetAnswer(
        target.target_id,
        target.kind,
        target.place,
        target.label,
        target.withdraw,
        target.state,
        target.created_at,
        target.failures,
        target.last_error,
        target.retry_at,
        target.delivered_at,
    )


def _hash(code: str) -> bytes:
    return sha256(code.encode()).digest()


def _seconds(server: Server) -> float:
    return SHARE * server.handler_seconds
