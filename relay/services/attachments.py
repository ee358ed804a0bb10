"""Attachments: files in and out of the database, a chunk at a time, and the collection of what nobody holds.

A chunk is a job of its own for the one writer, so that messages are stored in between, and no more than a
chunk of a file is ever in memory. What breaks off leaves nothing: its chunks are dropped at once, or at the
next collection where the server itself ended.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import aclosing, contextmanager, suppress
from functools import partial
from math import inf
from typing import Final

import trio

from relay.protocol.errors import ErrorCode, RelayError, not_found
from relay.services.sniffing import SNIFFED_BYTES, sniff
from relay.storage import attachments
from relay.storage.attachments import CHUNK_BYTES, Attachment
from relay.storage.errors import StorageFailed
from relay.storage.jobs import Runner

_SLICE: Final = 64
"""Chunks that are dropped in one transaction."""


class _Coming:
    """One user's uploads that are not finished: how many, the bytes they may come to, and what is finished."""

    __slots__ = ("count", "size", "used")

    def __init__(self) -> None:
        self.count = self.size = self.used = 0


class _Upload:
    """One file on its way in; its announced bytes count from the beginning, what comes beyond them as it comes."""

    __slots__ = ("_coming", "size")

    def __init__(self, coming: _Coming) -> None:
        self._coming = coming
        self.size = 0

    def grow(self, size: int) -> None:
        """Note how many bytes it has, or will have, at least."""
        if size > self.size:
            self._coming.size += size - self.size
            self.size = size

    @contextmanager
    def ending(self) -> Iterator[None]:
        """Count it no more once the block is over."""
        try:
            yield
        finally:
            self._coming.size -= self.size


class Attachments:
    """Takes files in, gives them out, and collects them.

    Args:
        now: Unix seconds.
        max_bytes: the largest file; 0 means no limit.
        quota_bytes: the most that one user's uploads may have together, unfinished ones included; 0 means none.
        keep_seconds: how long an upload may wait for a message to hold it.
        collect_seconds: between two collections.
        at_once: the most unfinished uploads of one user; 0 means no limit.
        upload_seconds: how long one may take.
    """

    def __init__(
        self,
        runner: Runner,
        now: Callable[[], float],
        *,
        max_bytes: int,
        quota_bytes: int,
        keep_seconds: float,
        collect_seconds: float,
        at_once: int = 0,
        upload_seconds: float = inf,
    ) -> None:
        self._runner = runner
        self._now = now
        self._max_bytes = max_bytes or 1 << 62
        self._quota_bytes = quota_bytes or 1 << 62
        self._at_once = at_once or 1 << 62
        self._upload_seconds = upload_seconds
        self._keep_seconds = keep_seconds
        self._collect_seconds = collect_seconds
        self._receiving: set[int] = set()
        self._coming: dict[str, _Coming] = {}
        self._received = trio.Event()

    async def receive(
        self, user_id: str, name: str, data: AsyncGenerator[bytes, None], size: int | None = None
    ) -> Attachment:
        """Store a file as it comes in.

        Args:
            data: its bytes, in parts of any size.
            size: how many are announced, where that is known: what is too large is refused before it comes.

        Raises:
            RelayError: `too_large`, over the limit of a file, of the user's quota or of the time;
                `rate_limited`, too many at once.
        """
        async with aclosing(data):
            with self._counted(user_id) as coming:
                coming.used = await self._used(user_id)
                upload = _Upload(coming)
                try:
                    self._take(upload, size or 0, coming)
                    return await self._receive_in_time(user_id, name, data, upload, coming)
                finally:
                    # It is counted twice for a moment, rather than not at all.
                    with upload.ending():
                        coming.used = await self._used(user_id)

    @contextmanager
    def _counted(self, user_id: str) -> Iterator[_Coming]:
        """Count an upload among its user's unfinished ones."""
        coming = self._coming.setdefault(user_id, _Coming())
        if coming.count >= self._at_once:
            raise RelayError(
                ErrorCode.RATE_LIMITED,
                f"you have {coming.count} unfinished uploads; send again when one of them is over",
                retry_after=1.0,
            )
        coming.count += 1
        try:
            yield coming
        finally:
            coming.count -= 1
            if not coming.count:
                del self._coming[user_id]

    async def _used(self, user_id: str) -> int:
        return await self._runner.read(lambda connection: attachments.used_bytes(connection, user_id), inline=True)

    async def _receive_in_time(
        self, user_id: str, name: str, data: AsyncGenerator[bytes, None], upload: _Upload, coming: _Coming
    ) -> Attachment:
        with trio.move_on_after(self._upload_seconds):
            return await self._receive(user_id, name, data, upload, coming)
        raise RelayError(
            ErrorCode.TOO_LARGE,
            f"a file may take {self._upload_seconds / 60:g} minutes to arrive; this one took more",
        )

    async def _receive(
        self, user_id: str, name: str, data: AsyncGenerator[bytes, None], upload: _Upload, coming: _Coming
    ) -> Attachment:
        blob_id = await self._runner.write(lambda connection: attachments.begin(connection, self._now()))
        self._receiving.add(blob_id)
        self._received.set()
        kept: Attachment | None = None
        try:
            digest, head, total = await self._store(blob_id, data, upload, coming)
            attachment_id = "a_" + secrets.token_urlsafe(12)
            new = Attachment(attachment_id, blob_id, user_id, name, sniff(head), total, digest)
            kept = await self._runner.write(lambda connection: attachments.finish(connection, new, self._now()))
        finally:
            self._receiving.discard(blob_id)
            if kept is None or kept.blob_id != blob_id:
                with trio.CancelScope(shield=True, deadline=trio.current_time() + 5):
                    await self._drop(blob_id)
        return kept

    async def _store(
        self, blob_id: int, data: AsyncGenerator[bytes, None], upload: _Upload, coming: _Coming
    ) -> tuple[bytes, bytes, int]:
        """Store chunks as they fill; return the digest, the first bytes, and the size."""
        digest, head, waiting, total, number = hashlib.sha256(), b"", bytearray(), 0, 0
        async for part in data:
            total += len(part)
            self._take(upload, total, coming)
            digest.update(part)
            head = head if len(head) >= SNIFFED_BYTES else (head + part)[:SNIFFED_BYTES]
            waiting += part
            while len(waiting) >= CHUNK_BYTES:
                chunk = bytes(waiting[:CHUNK_BYTES])
                del waiting[:CHUNK_BYTES]
                await self._put(blob_id, number, chunk)
                number += 1
        if waiting:
            await self._put(blob_id, number, bytes(waiting))
        return digest.digest(), head, total

    async def _put(self, blob_id: int, number: int, chunk: bytes) -> None:
        await self._runner.write(lambda connection: attachments.put_chunk(connection, blob_id, number, chunk))

    def _take(self, upload: _Upload, size: int, coming: _Coming) -> None:
        """Count what a file has come to; refuse one that is too large, or too much with all others.

        Raises:
            RelayError: `too_large`.
        """
        if size > self._max_bytes:
            raise RelayError(
                ErrorCode.TOO_LARGE,
                f"a file has at most {self._max_bytes} bytes",
                details={"max_bytes": self._max_bytes},
            )
        used = coming.used + coming.size - upload.size
        if used + size > self._quota_bytes:
            raise RelayError(
                ErrorCode.TOO_LARGE,
                f"your files may have {self._quota_bytes} bytes together, and have {used}; delete some first",
                details={"quota_bytes": self._quota_bytes, "used_bytes": used},
            )
        upload.grow(size)

    async def open(self, user_id: str, attachment_id: str) -> Attachment:
        """Return an attachment to whoever may have it.

        Raises:
            RelayError: `not_found` to anybody else.
        """
        found = await self._runner.read(
            lambda connection: attachments.find(connection, user_id, attachment_id), inline=True
        )
        if found is None:
            raise not_found(f"attachment {attachment_id!r}")
        return found

    async def read(self, attachment: Attachment, start: int, stop: int) -> AsyncGenerator[bytes, None]:
        """Yield the bytes from `start` up to `stop`, a chunk at a time.

        Raises:
            RelayError: `not_found`: it was collected meanwhile.
        """
        for number in range(start // CHUNK_BYTES, (stop + CHUNK_BYTES - 1) // CHUNK_BYTES):
            chunk = await self._runner.read(
                partial(attachments.get_chunk, blob_id=attachment.blob_id, number=number)
            )
            if chunk is None:
                raise not_found(f"attachment {attachment.attachment_id!r}")
            first = number * CHUNK_BYTES
            yield chunk[max(start - first, 0) : stop - first]

    async def remove(self, user_id: str, attachment_id: str) -> None:
        """Remove an upload of one's own that no message holds.

        Raises:
            RelayError: `not_found`, `conflict`.
        """
        await self._runner.write(lambda connection: attachments.remove(connection, user_id, attachment_id))

    async def run(self) -> None:
        """Collect for ever, at the start and every `collect_seconds`; nothing while there is nothing."""
        while True:
            with suppress(StorageFailed):  # the disk is full or away: the next collection tries again
                await self.collect()
            if not await self._runner.read(attachments.any_blob):
                await self._received.wait()
            self._received = trio.Event()
            await trio.sleep(self._collect_seconds)

    async def collect(self) -> int:
        """Forget what nothing holds and drop its bytes, in small transactions; return how many blobs went."""
        before = self._now() - self._keep_seconds
        while await self._runner.write(lambda connection: attachments.forget_unheld(connection, before, _SLICE)):
            pass
        loose = await self._runner.write(attachments.release_blobs)
        dropped = [blob_id for blob_id in loose if blob_id not in self._receiving]
        for blob_id in dropped:
            await self._drop(blob_id)
        return len(dropped)

    async def _drop(self, blob_id: int) -> None:
        while not await self._runner.write(
            lambda connection: attachments.drop_chunks(connection, blob_id, _SLICE)
        ):
            pass
