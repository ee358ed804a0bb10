"""REST of a user's targets."""

import secrets
import sqlite3
from functools import partial
from hashlib import blake2b, sha256
from typing import Annotated, Any, NamedTuple

import msgspec
import trio
from msgspec import Meta

from relay.http import Blueprint, Body, BoundView, Caller, endpoint, reply
from relay.plugin import ErrorCode, RelayError, Server, TokenBuckets, check_shown

from . import mail, preferences, targets
from .addresses import AnyAddress, InvalidAddress, Mail, check_address, place_of
from .content import Notification
from .options import Options
from .senders import make_client, senders
from .targets import Failed, Gone, Target
from .vapid import encode, load_key, public_bytes, read_key
from .words import WORDS

TESTS_PER_MINUTE = 6
CODES_AT_ONCE, CODE_EVERY_SECONDS = 5, 600.0
"""Bounds on the codes that a user may have sent: the addresses may be other people's."""

CODE_SECONDS = 3600.0
CODE_TRIES = 5
SHARE = 0.8
"""The part of `[timeouts] handler_seconds` that a call may take: a target that hangs is not the plugin's fault."""


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
    """The result of a test: whether it arrived at its target, and if not, why."""

    delivered: bool
    error: str | None


class Confirmation(Body, frozen=True):
    """The code that a mail showed."""

    code: Annotated[str, Meta(pattern=r"^[0-9]{8}$(?!\n)")]


class Shared(NamedTuple):
    """The state that the views of one server share.

    Attributes:
        tests, codes: bound how often a user may have a test or a code sent.
    """

    options: Options
    tests: TokenBuckets
    codes: TokenBuckets


def blueprint(options: Options) -> Blueprint:
    """Return the plugin's paths."""
    tests = TokenBuckets(TESTS_PER_MINUTE / 60, TESTS_PER_MINUTE, "tests", trio.current_time)
    codes = TokenBuckets(1 / CODE_EVERY_SECONDS, CODES_AT_ONCE, "codes", trio.current_time)
    add_target, test_target = _sending_views(Shared(options, tests, codes))
    made = Blueprint("notifications", __name__)
    for method, path, name, view in (
        ("GET", "/api/push/key", "key", show_key),
        ("GET", "/api/push/targets", "targets", list_targets),
        ("POST", "/api/push/targets", "add_target", add_target),
        ("DELETE", "/api/push/targets/<target_id>", "delete_target", delete_target),
        ("POST", "/api/push/targets/<target_id>/test", "test_target", test_target),
        ("POST", "/api/push/targets/<target_id>/confirm", "confirm_target", confirm_target),
    ):
        made.add_url_rule(path, name, view, methods=[method])
    preferences.add_views(made)
    return made


@endpoint(answers={200: PublicKey})
async def show_key(server: Server) -> PublicKey:
    """Answer with the public half of the server's VAPID key."""
    key = load_key(await server.read(partial(read_key, name="vapid")))
    return PublicKey(encode(public_bytes(key)))


@endpoint(answers={200: Targets})
async def list_targets(server: Server, caller: Caller) -> Targets:
    """Answer with the caller's targets."""
    found = await server.read(partial(targets.list_of, user_id=caller.user_id))
    return Targets([_answer(target) for target in found])


@endpoint(answers={204: None}, refusals=[ErrorCode.NOT_FOUND])
async def delete_target(server: Server, caller: Caller, target_id: str) -> None:
    """Delete a target; what it shows stays there."""

    def write(connection: sqlite3.Connection) -> None:
        targets.remove(connection, targets.get_owned(connection, caller.user_id, target_id).target_id)

    await server.write(write)


@endpoint(body=Confirmation, answers={200: TargetAnswer}, refusals=[ErrorCode.NOT_FOUND, ErrorCode.FORBIDDEN])
async def confirm_target(server: Server, caller: Caller, body: Confirmation, target_id: str) -> TargetAnswer:
    """Confirm a mail address by the code that was sent to it."""

    def write(connection: sqlite3.Connection) -> Target | None:
        target = targets.get_owned(connection, caller.user_id, target_id)
        if target.state != targets.UNCONFIRMED:
            return target
        right = targets.try_code(connection, target_id, _hash(body.code), server.now(), CODE_TRIES)
        return targets.get(connection, target_id) if right else None

    target = await server.write(write)
    if target is None:
        raise RelayError(ErrorCode.FORBIDDEN, "the code is wrong or over; POST the address again for a new one")
    return _answer(target)


def _sending_views(shared: Shared) -> tuple[BoundView, BoundView]:
    """Return the views that may send something: the one that adds a target, and the one that tests one."""

    @endpoint(
        body=AnyAddress,
        answers={200: TargetAnswer, 201: TargetAnswer},
        refusals=[ErrorCode.CONFLICT, ErrorCode.RATE_LIMITED, ErrorCode.OVERLOADED],
    )
    async def add_target(server: Server, caller: Caller, body: AnyAddress) -> Any:
        """Add a target, or change the one of the same place."""
        target, is_new = await _add(shared, server, caller, body)
        return reply(_answer(target), 201 if is_new else 200)

    @endpoint(answers={200: Trial}, refusals=[ErrorCode.NOT_FOUND, ErrorCode.CONFLICT, ErrorCode.RATE_LIMITED])
    async def test_target(server: Server, caller: Caller, target_id: str) -> Trial:
        """Send a test to a target, at once; one that was given up and takes it is at work again."""
        target = await server.read(lambda connection: targets.get_owned(connection, caller.user_id, target_id))
        if target.state == targets.UNCONFIRMED:
            raise RelayError(ErrorCode.CONFLICT, "the address is not confirmed yet; POST …/confirm with the code")
        shared.tests.take(caller.user_id)
        return await send_test(shared.options, server, target)

    return add_target, test_target


async def _add(shared: Shared, server: Server, caller: Caller, address: AnyAddress) -> tuple[Target, bool]:
    """Add a target for the caller; return it, and whether it is new."""
    try:
        check_address(shared.options, address)
    except InvalidAddress as invalid:
        raise RelayError(ErrorCode.INVALID_PAYLOAD, str(invalid)) from None
    if address.label:
        check_shown(address.label, "label")
    now, position = server.now(), server.position
    code = await _send_code(shared, server, caller.user_id, address) if isinstance(address, Mail) else None

    def write(connection: sqlite3.Connection) -> tuple[Target, bool]:
        made, is_new = targets.add(
            connection,
            caller.user_id,
            address,
            address.client_id or caller.client_id,
            since=position,
            now=now,
            most=shared.options.targets_per_user,
            state=targets.ACTIVE if code is None else targets.UNCONFIRMED,
        )
        if code is not None and made.state == targets.UNCONFIRMED:
            targets.expect_code(connection, made.target_id, _hash(code), now + CODE_SECONDS)
        return made, is_new

    return await server.write(write)


async def _send_code(shared: Shared, server: Server, user_id: str, address: Mail) -> str | None:
    """Send a code to a mail address and return it; None for one that needs no code, or is about to be refused.

    Raises:
        RelayError: `rate_limited`; `overloaded` when the mail server did not take it.
    """
    email = shared.options.email
    if email is None:
        raise RelayError(
            ErrorCode.INVALID_PAYLOAD, "this server sends no mail; other kinds are webpush, ntfy, gotify"
        )
    known = await server.read(lambda connection: targets.list_of(connection, user_id))
    same = [target for target in known if target.kind == "email" and target.place == place_of(address)]
    if same and same[0].state != targets.UNCONFIRMED:
        return None
    if not same and len(known) >= shared.options.targets_per_user:
        return None  # there are too many targets: nobody gets a mail for that
    shared.codes.take(user_id)
    code = f"{secrets.randbelow(10**8):08d}"
    letter = mail.confirmation(shared.options, email, address.address, code, server.now())
    try:
        with trio.fail_after(_seconds(server)):
            await mail.send(email, letter)
    except (Failed, trio.TooSlowError) as failed:
        text = str(failed) or "the mail server takes too long"
        raise RelayError(ErrorCode.OVERLOADED, f"the code could not be sent: {text}", retry_after=60.0) from None
    return code


async def send_test(options: Options, server: Server, target: Target) -> Trial:
    """Send a test to a target, and record the outcome."""
    key = load_key(await server.read(partial(read_key, name="vapid")))
    name = encode(blake2b(target.target_id.encode(), digest_size=16).digest())
    now = server.now()
    text = WORDS[target.address.language].test
    test = Notification(name, options.name, text, None, None, "", 1, 0, 0, now, quiet=False, urgent=True)
    try:
        async with make_client(options) as client:
            with trio.fail_after(_seconds(server)):
                await senders(options, client, server.now, key)[target.kind].show(target, test, None)
    except Gone as gone:
        await server.write(lambda connection: targets.remove(connection, target.target_id))
        return Trial(False, f"{gone}; the target is removed")
    except (Failed, trio.TooSlowError) as failed:
        return Trial(False, str(failed) or f"no answer within {_seconds(server):g} s")
    await server.write(partial(targets.note_success, target_id=target.target_id, now=now))
    return Trial(True, None)


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
