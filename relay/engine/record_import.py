"""Import of records: everything of another server, or of another system, in the order of its lines."""

from __future__ import annotations

import hashlib
import secrets
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial

import msgspec
import trio

from relay.engine.engine import Engine
from relay.engine.imported_messages import ImportedMessages
from relay.protocol import records
from relay.protocol.errors import ErrorCode, RelayError
from relay.protocol.kinds import Role
from relay.services.router import Submission
from relay.services.sniffing import SNIFFED_BYTES, measure, sniff
from relay.storage import attachments, imported_accounts, imported_facts, imports, portable
from relay.storage.attachments import CHUNK_BYTES
from relay.storage.conversations import group_address
from relay.storage.imports import Coming, Source
from relay.storage.names import NAME
from relay.storage.portable import Tables


@dataclass
class Outcome:
    """The results of some lines, by their number among them.

    Attributes:
        new: those that changed something.
        there: those that were there already.
        refused: those that were not taken; behind one of them, others may not have been tried.
    """

    new: set[int] = field(default_factory=set)
    there: set[int] = field(default_factory=set)
    refused: dict[int, RelayError] = field(default_factory=dict)

    def add(self, number: int, *, new: bool) -> None:
        """Note a line that was taken."""
        (self.new if new else self.there).add(number)

    def ends(self, *, go_on: bool) -> bool:
        """Tell whether the lines behind are not tried: one was refused, or the server is too busy for one."""
        return bool(self.refused) and (not go_on or any(error.retry for error in self.refused.values()))


class RecordImport:
    """Takes lines of one file.

    Args:
        source: where the file is from, for lines that are not its first.

    Attributes:
        source: the same, or as the first line says.
    """

    def __init__(self, engine: Engine, source: str | None = None) -> None:
        self._engine = engine
        self.source = source

    async def take(self, lines: Sequence[str], *, go_on: bool) -> Outcome:
        """Store records; messages together, and what is between them together.

        Args:
            go_on: continue after one that is refused.
        """
        outcome = Outcome()
        found: list[records.AnyRecord | RelayError] = []
        for line in lines:
            try:
                found.append(records.read_record(line))
            except RelayError as error:
                found.append(error)
        start = 0
        while start < len(found) and not outcome.ends(go_on=go_on):
            end = start + 1
            while end < len(found) and _kind(found[end]) == _kind(found[start]):
                end += 1
            numbered = dict(enumerate(found[start:end], start))
            await self._take_alike(numbered, outcome, go_on=go_on)
            start = end
        return outcome

    async def _take_alike(
        self, found: dict[int, records.AnyRecord | RelayError], outcome: Outcome, *, go_on: bool
    ) -> None:
        said: dict[int, records.Said] = {}
        others: dict[int, records.Record] = {}
        for number, record in found.items():
            if isinstance(record, RelayError):
                outcome.refused[number] = record
            elif isinstance(record, records.Said):
                said[number] = record
            else:
                others[number] = record
        if said:
            await self._take_messages(said, outcome, go_on=go_on)
        if others:
            await self._take_others(others, outcome, go_on=go_on)

    async def _begun(self) -> Source:
        if self.source is None:
            text = "the first line of a file is its record `export`; it says where the data is from"
            raise RelayError(ErrorCode.INVALID_PAYLOAD, text)
        name = self.source
        return await self._engine.runner.read(lambda connection: imports.find(connection, name))

    async def _take_messages(self, said: dict[int, records.Said], outcome: Outcome, *, go_on: bool) -> None:
        """Submit messages and wait until all of them are stored or refused."""
        submitted: dict[int, Submission] = {}
        try:
            making = ImportedMessages(self._engine, await self._begun())
        except RelayError as error:
            outcome.refused[min(said)] = error
            return
        for number, record in said.items():
            try:
                submission = await making.submission(record)
                self._engine.router.submit_nowait(submission)
            except RelayError as error:
                outcome.refused[number] = error
                if error.retry or not go_on:
                    break
                continue
            submitted[number] = submission
        if not submitted:
            return
        answered = trio.Event()
        # The results come in order, and none before this task waits.
        submitted[max(submitted)].answered = lambda _entry: answered.set()
        await answered.wait()
        for number, submission in submitted.items():
            if submission.entry.error is not None:
                outcome.refused[number] = submission.entry.error
            else:
                outcome.add(number, new=submission.entry.stored)

    async def _take_others(self, others: dict[int, records.Record], outcome: Outcome, *, go_on: bool) -> None:
        """Store what is no message, in one transaction; then bring up to date what is in memory."""
        first = min(others)
        header = others[first]
        try:
            if isinstance(header, records.Export):
                outcome.add(first, new=await self._begin(header))
                del others[first]
            source = await self._begun()
        except RelayError as error:
            outcome.refused[first] = error
            return
        work = _Work(source, self._engine.now(), _tables(self._engine))
        await self._engine.runner.write(partial(work.run, others=others, outcome=outcome, go_on=go_on))
        await self._remember(work, {type(others[number]) for number in outcome.new & others.keys()})
        for number, old_id in work.complete.items():
            try:
                await self._finish(source, old_id)
            except RelayError as error:
                outcome.new.discard(number)
                outcome.refused[number] = error

    async def _remember(self, work: _Work, kinds: set[type[records.Record]]) -> None:
        """Bring up to date what is in memory, after records of some kinds were new."""
        engine = self._engine
        if records.User in kinds:
            engine.accounts.forget()
        if records.Restriction in kinds:
            await engine.restrictions.recover()
            engine.accounts.forget()
        if records.Block in kinds:
            await engine.blocks.recover()
        for group_id, members in work.joined.items():
            held = await engine.channels.at(group_address(group_id))
            if held is not None:
                held.members.update(members)

    async def _begin(self, header: records.Export) -> bool:
        """Begin a file; return False, as nothing new is stored by it.

        Raises:
            RelayError: `invalid_payload` for another version of the format; `conflict` for this server's own data.
        """
        if header.version != records.VERSION:
            text = f"version is {header.version}, and this relay reads {records.VERSION}"
            raise RelayError(ErrorCode.INVALID_PAYLOAD, text)
        now = self._engine.now()
        await self._engine.runner.write(
            lambda connection: imports.begin(connection, header.source, header.reading, now)
        )
        self.source = header.source
        return False

    async def _finish(self, source: Source, old_id: str) -> None:
        """Make an attachment of a file whose bytes are there.

        Raises:
            RelayError: `invalid_payload` if it is not the file that its record describes.
        """
        runner, now = self._engine.runner, self._engine.now()
        coming = await runner.read(lambda connection: imports.coming_file(connection, source, old_id))
        assert coming is not None  # noqa: S101 - its last bytes came just now
        record = msgspec.json.decode(coming.record, type=records.Attachment)
        read = await runner.read(partial(_weigh, blob_id=coming.blob_id))
        if record.size not in (None, read.size) or record.sha256 not in (None, read.digest.hex()):
            told = f"{read.size:,} bytes, sha256 {read.digest.hex()}"
            text = f"attachment {old_id!r} is not the file that its record describes: {told}"
            raise RelayError(ErrorCode.INVALID_PAYLOAD, text)
        type_ = sniff(read.head[:SNIFFED_BYTES])
        pixels = measure(type_, read.head) if type_ in attachments.PICTURES else attachments.NO_PIXELS

        def finish(connection: sqlite3.Connection) -> None:
            free = (
                connection.execute("SELECT 1 FROM attachments WHERE attachment_id = ?", (old_id,)).fetchone()
                is None
            )
            named = old_id if free and NAME.fullmatch(old_id) else "a_" + secrets.token_urlsafe(12)
            new = attachments.Attachment(
                named, coming.blob_id, coming.user_id, record.name, type_, read.size, read.digest, *pixels
            )
            attachments.finish(connection, new, now)
            imports.finish_file(connection, source, old_id, named)

        await runner.write(finish)


def _tables(engine: Engine) -> Tables:
    """Return the tables of plugins whose rows an import fills, by name."""
    return {owned.part.name: owned.part for owned in engine.registry.parts["relay_portable_tables"]}


def _kind(record: object) -> str:
    """Return what of a file is taken together: messages, what is between them, or a line that is neither."""
    if isinstance(record, records.Said):
        return "said"
    return "wrong" if isinstance(record, RelayError) else "other"


@dataclass
class _Work:
    """The work of one transaction on records that are no messages.

    Attributes:
        tables: the tables of plugins whose rows are taken.
        joined: groups that have new members, and these.
        complete: files whose last bytes came, by the number of that line.
    """

    source: Source
    now: float
    tables: Tables
    joined: dict[str, dict[str, Role]] = field(default_factory=dict)
    complete: dict[int, str] = field(default_factory=dict)

    def run(
        self, connection: sqlite3.Connection, others: dict[int, records.Record], outcome: Outcome, *, go_on: bool
    ) -> None:
        """Store each record in a savepoint of its own."""
        for number, record in others.items():
            connection.execute("SAVEPOINT record")
            try:
                outcome.add(number, new=self._put(connection, number, record))
            except RelayError as error:
                connection.execute("ROLLBACK TO record")
                outcome.refused[number] = error
            connection.execute("RELEASE record")
            if number in outcome.refused and not go_on:
                return

    def _put(self, connection: sqlite3.Connection, number: int, record: records.Record) -> bool:
        if isinstance(record, records.User):
            return imported_accounts.put_user(connection, self.source, record, self.now)
        if isinstance(record, records.Group):
            joined = imported_accounts.put_group(connection, record, self.now)
            if joined:
                self.joined[record.group_id] = joined
            return joined is not None
        if isinstance(record, records.Attachment):
            return self._begin_file(connection, record)
        if isinstance(record, records.Chunk):
            return self._put_chunk(connection, number, record)
        if isinstance(record, records.Row):
            return portable.put(connection, self.source, self.tables, record)
        if isinstance(record, records.End):
            if self.source.reading == "all":
                imported_facts.read_all(connection, self.source)
            return False
        return imported_facts.put(record, connection, self.source, self.now)

    def _begin_file(self, connection: sqlite3.Connection, record: records.Attachment) -> bool:
        if record.path is not None:
            text = "the bytes of a file are in `chunk` records here; the command line reads what `path` names"
            raise RelayError(ErrorCode.INVALID_PAYLOAD, text)
        imported_facts.check_user(connection, record.user_id)
        if imports.has_file(connection, self.source, record.attachment_id):
            return False
        blob_id = attachments.begin(connection, self.now)
        created_at = self.now if record.created_at is None else record.created_at
        coming = Coming(blob_id, record.user_id, msgspec.json.encode(record), created_at)
        imports.begin_file(connection, self.source, record.attachment_id, coming, self.now)
        return True

    def _put_chunk(self, connection: sqlite3.Connection, number: int, chunk: records.Chunk) -> bool:
        coming = imports.coming_file(connection, self.source, chunk.attachment_id)
        if coming is None:
            return False
        first, left_over = divmod(chunk.start, CHUNK_BYTES)
        before = attachments.get_chunk(connection, coming.blob_id, first - 1) if first else None
        whole = len(chunk.data) % CHUNK_BYTES == 0 and len(chunk.data) > 0
        if left_over or (first and before is None) or not (whole or chunk.last):
            text = f"the bytes of a file come in order, {records.CHUNK_BYTES:,} in each line but the last"
            raise RelayError(ErrorCode.INVALID_PAYLOAD, text)
        for start in range(0, len(chunk.data), CHUNK_BYTES):
            part = chunk.data[start : start + CHUNK_BYTES]
            attachments.put_chunk(connection, coming.blob_id, first + start // CHUNK_BYTES, part)
        if chunk.last:
            self.complete[number] = chunk.attachment_id
        return True


@dataclass
class _Weighed:
    size: int
    digest: bytes
    head: bytes


def _weigh(connection: sqlite3.Connection, blob_id: int) -> _Weighed:
    """Return a blob's size and digest, and its first chunk."""
    digest, size, head = hashlib.sha256(), 0, b""
    for chunk in attachments.chunks_of(connection, blob_id):
        head = head or chunk
        size += len(chunk)
        digest.update(chunk)
    return _Weighed(size, digest.digest(), head)
