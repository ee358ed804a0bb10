"""Import: messages of another system, on the same path as a client's, and the records of an export."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Iterable, Sequence
from itertools import takewhile
from typing import Final, NamedTuple

import msgspec
import trio

from relay.engine.engine import Engine
from relay.engine.record_import import Outcome, RecordImport
from relay.engine.submitter import InternalSender
from relay.protocol.envelope import EMPTY, Envelope, Meta, Name
from relay.protocol.errors import ErrorCode, RelayError, not_found
from relay.protocol.kinds import ConversationKind, Kind
from relay.protocol.records import is_record
from relay.services.acts import Act
from relay.services.audit import Actor
from relay.services.router import Submission
from relay.storage.accounts import Identity, get_user
from relay.storage.names import find_name

_SLICE: Final = 256
"""Messages that are submitted at one time: few enough that other users' messages hardly wait behind them."""

_SECONDS: Final = 15.0
"""After this time an answer reports how far the import has come, well before the control socket's deadline."""

_SLICE_CHARACTERS: Final = 1_000_000
"""A stream's lines are stored before more of them wait in memory."""

_BUSY_SECONDS: Final = 60.0
_PAUSE: Final = 0.5
_RECORD_SECONDS: Final = 5.0
_TOLD: Final = 100
"""The most refused lines that a report names."""


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
    """The reason why a message was not stored; within one request of lines, `line` counts from 0."""

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


class Options(NamedTuple):
    """The options of an import.

    Attributes:
        create_users: create senders and recipients of messages that do not exist.
        go_on: continue after a line that is refused.
    """

    create_users: bool = False
    go_on: bool = False


async def import_messages(
    engine: Engine,
    actor: Actor,
    lines: tuple[str, ...],
    create_users: bool = False,
    go_on: bool = False,
    source: str | None = None,
) -> Imported:
    """Store messages and records, each a line of JSON, in their order; what was stored before is skipped.

    Args:
        create_users: create senders and recipients of messages that do not exist.
        go_on: continue after a line that is refused.
        source: where records are from, whose first line is not among these.
    """
    done = await _import(engine, RecordImport(engine, source), lines, Options(create_users, go_on))
    await _record(engine, actor, done.stored, done.duplicates, len(done.problems))
    return done


async def _record(engine: Engine, actor: Actor, stored: int, duplicates: int, refused: int) -> None:
    details = {"stored": stored, "duplicates": duplicates, "refused": refused}
    await engine.audit.record(actor, Act.MESSAGES_IMPORTED, details=details)


async def _import(engine: Engine, taking: RecordImport, lines: Sequence[str], options: Options) -> Imported:
    """Store lines, for as long as one answer may take."""
    done = Imported()
    until = trio.current_time() + _SECONDS
    while done.taken < len(lines) and trio.current_time() < until:
        part = lines[done.taken : done.taken + _SLICE]
        recorded = is_record(part[0])
        part = list(takewhile(is_record if recorded else _is_envelope, part))
        if recorded:
            outcome = await taking.take(part, go_on=options.go_on)
        else:
            if options.create_users:
                await _create_users(engine, part)
            outcome = await _submit(engine, part, go_on=options.go_on)
        _count(done, outcome, len(part))
        if done.problems and not options.go_on:
            done.taken = done.problems[0].line
        if done.busy is not None or (done.problems and not options.go_on):
            break
    return done


class Report(msgspec.Struct):
    """The result of an import of a stream; lines count from 1.

    Attributes:
        refused: how many lines were refused; `problems` has the first of them.
        next_line: where to begin again; None where all lines were handled.
        busy: why the import stopped, if no line was at fault.
    """

    stored: int = 0
    duplicates: int = 0
    refused: int = 0
    problems: list[Problem] = []
    next_line: int | None = None
    busy: str | None = None

    @property
    def over(self) -> bool:
        """Whether nothing more is taken."""
        return self.next_line is not None

    def refuse(self, number: int, error: RelayError, *, go_on: bool) -> None:
        """Add a line that could not be read."""
        self.refused += 1
        if len(self.problems) < _TOLD:
            self.problems.append(Problem(number, error.code, error.message))
        if not go_on:
            self.next_line = number

    def add(self, done: Imported, numbers: Sequence[int]) -> None:
        """Add what became of some lines, by their numbers."""
        self.stored += done.stored
        self.duplicates += done.duplicates
        self.refused += len(done.problems)
        for problem in done.problems[: max(0, _TOLD - len(self.problems))]:
            self.problems.append(Problem(numbers[problem.line], problem.code, problem.message))


async def import_stream(
    engine: Engine,
    actor: Actor,
    lines: AsyncIterator[str | RelayError],
    *,
    options: Options = Options(),  # noqa: B008 - an immutable value
) -> Report:
    """Store the lines of a stream as it comes, as `import_messages` does; blank lines are skipped.

    A line may be an error that says why it could not be read.

    What was stored stays where the stream breaks off: the same import again goes on. There is one entry in the
    audit log.
    """
    report, taking = Report(), RecordImport(engine)
    waiting: list[tuple[int, str]] = []
    number = size = 0
    try:
        async for line in lines:
            number += 1
            unread = isinstance(line, RelayError)
            if isinstance(line, str) and line.strip():
                waiting.append((number, line))
                size += len(line)
            if unread or len(waiting) == _SLICE or size > _SLICE_CHARACTERS:
                await _take(engine, taking, report, waiting, options)
                waiting, size = [], 0
            if isinstance(line, RelayError) and not report.over:
                report.refuse(number, line, go_on=options.go_on)
            if report.over:
                return report
        await _take(engine, taking, report, waiting, options)
        return report
    finally:
        with trio.CancelScope(shield=True, deadline=trio.current_time() + _RECORD_SECONDS):
            await _record(engine, actor, report.stored, report.duplicates, report.refused)


async def _take(
    engine: Engine, taking: RecordImport, report: Report, waiting: Sequence[tuple[int, str]], options: Options
) -> None:
    """Store lines, and wait for a server that is busy as long as it gets on."""
    until = trio.current_time() + _BUSY_SECONDS
    while waiting:
        numbers, texts = [number for number, _ in waiting], [text for _, text in waiting]
        done = await _import(engine, taking, texts, options)
        report.add(done, numbers)
        waiting = waiting[done.taken :]
        if done.problems and not options.go_on:
            report.next_line = waiting[0][0]
            return
        if done.taken:
            until = trio.current_time() + _BUSY_SECONDS
        if done.busy is not None and waiting:
            if trio.current_time() > until:
                report.next_line, report.busy = waiting[0][0], done.busy
                return
            await trio.sleep(_PAUSE)


def _is_envelope(line: str) -> bool:
    return not is_record(line)


def _count(done: Imported, outcome: Outcome, size: int) -> None:
    """Add the results of a slice, up to the first line that the server was too busy for."""
    errors = outcome.refused
    busy = next((number for number in sorted(errors) if errors[number].retry), size)
    if busy < size:
        done.busy = errors[busy].message
    for number, error in sorted(errors.items()):
        if number < busy:
            done.problems.append(Problem(done.taken + number, error.code, error.message))
    done.stored += sum(number < busy for number in outcome.new)
    done.duplicates += sum(number < busy for number in outcome.there)
    done.taken += busy


async def _submit(engine: Engine, lines: Sequence[str], *, go_on: bool) -> Outcome:
    """Submit lines and wait for all results."""
    drafted: dict[int, Submission] = {}
    outcome = Outcome()
    refused = outcome.refused
    for number, text in enumerate(lines):
        try:
            line = _read(text)
            drafted[number] = await _draft(engine, line)
            drafted[number].entry.at = _past(line.meta.timestamp, engine.now())
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
    for number, submission in submitted.items():
        entry = submission.entry
        if entry.error is not None:
            refused[number] = entry.error
        else:
            outcome.add(number, new=not entry.duplicate)
    return outcome


def _past(timestamp: float | None, now: float) -> float | None:
    """Return when a message was sent elsewhere; None where that is not told, or not over yet."""
    return timestamp if timestamp is not None and 0 < timestamp < now else None


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
        user_id=user_id, role=user.role, disabled=user.disabled, scopes=scopes, created_at=user.created_at
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
