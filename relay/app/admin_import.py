"""The operation behind `relay import`: stored messages of another system, on the same path as a client's."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from typing import Final

import msgspec
import trio

from relay.engine.engine import Engine
from relay.engine.submitter import InternalSender
from relay.protocol.envelope import EMPTY, Envelope, Meta, Name
from relay.protocol.errors import ErrorCode, RelayError, not_found
from relay.protocol.kinds import ConversationKind, Kind
from relay.services.router import Submission
from relay.storage.accounts import Identity, get_user
from relay.storage.names import find_name

_SLICE: Final = 256
"""Messages that are submitted at one time: few enough that other users' messages hardly wait behind them."""

_SECONDS: Final = 15.0
"""After this time an answer reports how far the import has come, well before the control socket's deadline."""


class OldMeta(Meta, kw_only=True):
    """The `meta` of a message that was sent elsewhere, at `timestamp`. Other fields are ignored."""

    id: Name
    sender_id: Name


class Line(msgspec.Struct):
    """One line of a file: an envelope as the server sends it."""

    type: Name
    meta: OldMeta
    payload: msgspec.Raw = EMPTY


_decoder: Final = msgspec.json.Decoder(Line)


class Problem(msgspec.Struct):
    """The reason why a message was not stored; `line` counts from 0 within the request."""

    line: int
    code: ErrorCode
    message: str


class Imported(msgspec.Struct):
    """The result of one request.

    Attributes:
        taken: how many lines were handled; the lines after them have to be sent again.
        duplicates: how many were stored before.
        busy: why the import stopped, if no line was at fault.
    """

    taken: int = 0
    stored: int = 0
    duplicates: int = 0
    problems: list[Problem] = []
    busy: str | None = None


async def import_messages(
    engine: Engine, lines: tuple[str, ...], create_users: bool = False, go_on: bool = False
) -> Imported:
    """Store messages, each a line of JSON, in their order; those that were stored before are skipped.

    Args:
        create_users: create senders and recipients that do not exist.
        go_on: continue after a message that is refused.
    """
    done = Imported()
    until = trio.current_time() + _SECONDS
    while done.taken < len(lines) and trio.current_time() < until:
        part = lines[done.taken : done.taken + _SLICE]
        if create_users:
            await _create_users(engine, part)
        submissions, refused = await _submit(engine, part, go_on=go_on)
        _count(done, submissions, refused, len(part))
        if done.problems and not go_on:
            done.taken = done.problems[0].line
        if done.busy is not None or (done.problems and not go_on):
            break
    return done


def _count(done: Imported, submissions: dict[int, Submission], refused: dict[int, RelayError], size: int) -> None:
    """Add the results of a slice, up to the first line that the server was too busy for."""
    errors = refused | {n: one.entry.error for n, one in submissions.items() if one.entry.error is not None}
    busy = next((number for number in sorted(errors) if errors[number].retry), size)
    if busy < size:
        done.busy = errors[busy].message
    for number, error in sorted(errors.items()):
        if number < busy:
            done.problems.append(Problem(done.taken + number, error.code, error.message))
    for number, submission in submissions.items():
        if number < busy and number not in errors:
            done.duplicates += submission.entry.duplicate
            done.stored += not submission.entry.duplicate
    done.taken += busy


async def _submit(
    engine: Engine, lines: Sequence[str], *, go_on: bool
) -> tuple[dict[int, Submission], dict[int, RelayError]]:
    """Submit lines and wait for all results; return submissions and refusals by line number."""
    drafted: dict[int, Submission] = {}
    refused: dict[int, RelayError] = {}
    for number, text in enumerate(lines):
        try:
            drafted[number] = await _draft(engine, _read(text))
        except RelayError as error:
            refused[number] = error
            if not go_on:
                break
    submitted: dict[int, Submission] = {}
    for number, submission in drafted.items():
        try:
            engine.router.submit_nowait(submission)
        except RelayError as error:
            refused[number] = error
            break
        submitted[number] = submission
    if submitted:
        answered = trio.Event()
        # The results come in order, and none before this task waits.
        submitted[max(submitted)].answered = lambda _entry: answered.set()
        await answered.wait()
    return submitted, refused


def _read(text: str) -> Line:
    """Read a line.

    Raises:
        RelayError: `bad_envelope`, with what is missing.
    """
    try:
        return _decoder.decode(text)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        wanted = '{"type": "…", "payload": {…}, "meta": {"id": "…", "sender_id": "…", "target_id": "…"}}'
        raise RelayError(ErrorCode.BAD_ENVELOPE, f"not a message: {error}; expected {wanted}") from None


async def _draft(engine: Engine, line: Line) -> Submission:
    known = engine.registry.types.get(line.type)
    if known is not None and known.kind is Kind.TRANSIENT:
        text = f"a {line.type} is never stored; there is nothing to import"
        raise RelayError(ErrorCode.INVALID_PAYLOAD, text)
    user_id = line.meta.sender_id
    user = await engine.runner.read(lambda connection: get_user(connection, user_id), inline=True)
    if user is None:
        raise not_found(f"user {user_id!r}, who sent it")
    # Permissions to send are not checked, as the other system did that; membership in a group is.
    scopes = frozenset([known.scope] if known is not None and known.scope else [])
    identity = Identity(
        user_id=user_id, admin=user.admin, disabled=user.disabled, scopes=scopes, created_at=user.created_at
    )
    sender = InternalSender(identity, line.meta.client_id)
    envelope = Envelope(line.type, line.payload, line.meta)
    ready = engine.dispatcher.draft_nowait(sender, envelope, paced=False)
    return ready or await engine.dispatcher.draft(sender, envelope, paced=False)


async def _create_users(engine: Engine, lines: Iterable[str]) -> None:
    """Create missing users in one transaction; one that is refused is reported with the line it stands in."""
    wanted: dict[str, None] = {}
    for text in lines:
        try:
            line = _read(text)
        except RelayError:
            continue
        known = engine.registry.types.get(line.type)
        wanted[line.meta.sender_id] = None
        if line.meta.target_id and known and known.targets == {ConversationKind.USER}:
            wanted[line.meta.target_id] = None

    def missing(connection: sqlite3.Connection) -> list[str]:
        return [name for name in wanted if find_name(connection, name) is None]

    if absent := await engine.runner.read(missing):
        await engine.registration.add_missing(absent, skip_refused=True)
