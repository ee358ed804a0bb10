"""Exports: everything of one account, as an archive, or page by page for the command line.

An export has what the erasure of the account would erase: what is kept of the user, what they said, what was sent
to them alone, and their files. What others said is theirs, and is not in it.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final, NamedTuple

import trio

from relay.protocol.envelope import encode_json
from relay.protocol.errors import ErrorCode, RelayError, not_found
from relay.services.attachments import Attachments
from relay.services.envelopes import PerRecipient, envelopes
from relay.storage import exports
from relay.storage.attachments import Attachment
from relay.storage.exports import File
from relay.storage.history import Record
from relay.storage.jobs import Runner

_AT_ONCE: Final = 200
_PAUSE: Final = 0.002
_PIECE: Final = 65_536
_PART: Final = 131_072
_OLDEST: Final = 315_532_800.0
"""The oldest time that a ZIP can say, 1980."""

_UNFIT: Final = re.compile(r'[\x00-\x1f/\\:*?"<>|]')
"""Characters that a file may not have in its name on some system."""


class Lines(NamedTuple):
    """A page of an export: lines of JSON, and the position to go on after; None at the end."""

    lines: list[bytes]
    reached: int | None


class Exports:
    """Reads out what is kept of accounts.

    Args:
        page_bytes: the most bytes of messages that are read at one time.
        now: Unix seconds.
    """

    def __init__(
        self,
        runner: Runner,
        attachments: Attachments,
        recipients: PerRecipient,
        now: Callable[[], float],
        page_bytes: int,
    ) -> None:
        self._runner = runner
        self._attachments = attachments
        self._recipients = recipients
        self._now = now
        self._page_bytes = page_bytes or 1 << 20
        self._running: set[str] = set()

    async def account(self, user_id: str) -> dict[str, Any]:
        """Return what is kept of an account, as JSON values.

        Raises:
            RelayError: `not_found`.
        """
        found = await self._runner.read(partial(exports.account, user_id=user_id))
        if found is None:
            raise not_found(f"user {user_id!r}")
        return {"exported_at": self._now(), **found}

    async def messages(self, user_id: str, after: int = 0) -> Lines:
        """Return a page of what a user said, and of what was sent to them alone: envelopes."""
        records, reached = await self._runner.read(
            partial(exports.said, user_id=user_id, position=after, limit=_AT_ONCE, max_bytes=self._page_bytes)
        )
        return Lines(self._lines(user_id, records), reached)

    async def latest(self, user_id: str, after: int = 0) -> Lines:
        """Return a page of a user's latest values: reactions, votes, receipts."""
        records = await self._runner.read(partial(exports.latest, user_id=user_id, position=after, limit=_AT_ONCE))
        reached = records[-1].message_id if len(records) == _AT_ONCE else None
        return Lines(self._lines(user_id, records), reached)

    def _lines(self, user_id: str, records: Sequence[Record]) -> list[bytes]:
        return [encode_json(one) + b"\n" for one in envelopes(records, user_id, self._recipients)]

    async def files(self, user_id: str, after: str = "") -> list[File]:
        """Return a page of a user's uploads, those after an id; an empty one is the end."""
        return await self._runner.read(partial(exports.files, user_id=user_id, after=after, limit=_AT_ONCE))

    async def file(self, user_id: str, attachment_id: str) -> File:
        """Return one of a user's uploads.

        Raises:
            RelayError: `not_found`.
        """
        found = await self._runner.read(
            partial(exports.files, user_id=user_id, after="", limit=1, only=attachment_id)
        )
        if not found:
            raise not_found(f"attachment {attachment_id!r}")
        return found[0]

    def read(self, file: File, start: int = 0, stop: int | None = None) -> AsyncGenerator[bytes, None]:
        """Yield a file's bytes.

        Raises:
            RelayError: `not_found` if it was deleted meanwhile.
        """
        whole = Attachment(file.attachment_id, file.blob_id, "", file.name, file.type, file.size, file.sha256)
        return self._attachments.read(whole, start, file.size if stop is None else stop)

    async def archive(self, user_id: str) -> AsyncGenerator[bytes, None]:
        """Return the bytes of a ZIP with everything of an account, one at a time for each user.

        Raises:
            RelayError: `not_found`; `rate_limited` while another one is being made.
        """
        account = await self.account(user_id)
        if user_id in self._running:
            text = "an export of this account is being made; wait until it is done"
            raise RelayError(ErrorCode.RATE_LIMITED, text, retry_after=5.0, details={"reason": "export_running"})
        parts = self._archive(user_id, account)
        return _gathered(await anext(parts), parts)  # begun at once, so that it counts as running

    async def _archive(self, user_id: str, account: dict[str, Any]) -> AsyncGenerator[bytes, None]:
        self._running.add(user_id)
        try:
            zipped = _Zip(self._now())
            zipped.add("account.json", encode_json(account) + b"\n")
            yield zipped.taken()
            for name, page in (("messages.ndjson", self.messages), ("latest.ndjson", self.latest)):
                async with aclosing(zipped.entry(name, self._pages(page, user_id))) as parts:
                    async for part in parts:
                        yield part
            listed: list[bytes] = []
            after = ""
            while found := await self.files(user_id, after):
                for file in found:
                    path = path_of(file)
                    listed.append(encode_json(described(file)) + b"\n")
                    async with aclosing(zipped.entry(path, self.read(file))) as parts:
                        async for part in parts:
                            yield part
                after = found[-1].attachment_id
            zipped.add("files.ndjson", b"".join(listed))
            yield zipped.end()
        finally:
            self._running.discard(user_id)

    async def _pages(self, page: Any, user_id: str) -> AsyncGenerator[bytes, None]:
        reached: int | None = 0
        while reached is not None:
            lines, reached = await page(user_id, reached)
            yield b"".join(lines)
            await trio.sleep(_PAUSE)


async def _gathered(first: bytes, parts: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
    """Yield a first part and those behind it, none of them too small to be sent alone."""
    held = bytearray(first)
    async with aclosing(parts):
        async for part in parts:
            held += part
            if len(held) >= _PART:
                yield bytes(held)
                held.clear()
        yield bytes(held)


def path_of(file: File) -> str:
    """Return where a file is in an export: its own name, in a folder that is named after its id."""
    name = _UNFIT.sub("_", file.name).strip(". ") or "file"
    return f"files/{file.attachment_id}/{name}"


def described(file: File) -> dict[str, Any]:
    """Return what an export says of a file."""
    return {
        "attachment_id": file.attachment_id,
        "name": file.name,
        "type": file.type,
        "size": file.size,
        "sha256": file.sha256.hex(),
        "created_at": file.created_at,
        "path": path_of(file),
    }


class _Sink:
    """A file to write to that cannot be read or rewound: what was written waits until it is taken."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def write(self, data: bytes) -> int:
        self._parts.append(bytes(data))
        return len(data)

    def flush(self) -> None:
        """Do nothing: nothing is held back."""

    def close(self) -> None:
        """Do nothing: there is no file to close."""

    def taken(self) -> bytes:
        """Return what was written since the last time."""
        parts, self._parts = self._parts, []
        return b"".join(parts)


class _Zip:
    """A ZIP that is sent while it is made. Texts are compressed; files, which mostly are already, are not.

    Args:
        now: when its entries are from, Unix seconds.
    """

    def __init__(self, now: float) -> None:
        self._sink = _Sink()
        self._zip = zipfile.ZipFile(self._sink, "w")
        self._when = datetime.fromtimestamp(max(now, _OLDEST), UTC).timetuple()[:6]

    def _info(self, name: str) -> zipfile.ZipInfo:
        info = zipfile.ZipInfo(name, self._when)
        info.compress_type = zipfile.ZIP_STORED if name.startswith("files/") else zipfile.ZIP_DEFLATED
        return info

    def add(self, name: str, data: bytes) -> None:
        """Add a small file."""
        self._zip.writestr(self._info(name), data)

    async def entry(self, name: str, parts: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
        """Add a file of any size as it comes, and yield the ZIP's bytes up to its end."""
        with self._zip.open(self._info(name), "w", force_zip64=True) as writing:
            async with aclosing(parts):
                async for part in parts:
                    for start in range(0, len(part), _PIECE):
                        writing.write(part[start : start + _PIECE])
                        await trio.lowlevel.checkpoint()
                    yield self.taken()
        yield self.taken()

    def taken(self) -> bytes:
        """Return the bytes that came since the last time."""
        return self._sink.taken()

    def end(self) -> bytes:
        """Return the end of the ZIP, its list of files."""
        self._zip.close()
        return self.taken()
