"""Attachments: uploads and downloads of files in the database, and the collection of files that no message holds.

Files are read and written a chunk at a time. Each chunk is a job of its own for the one writer, so that messages
are stored in between, and no more than a chunk of a file is in memory. The chunks of an upload that breaks off are
dropped at once, or by the next collection if the server itself ended.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import aclosing, contextmanager
from functools import partial
from math import inf
from typing import Final

import trio

from relay.protocol.errors import ErrorCode, RelayError, not_found
from relay.services.questions import NOBODY, Asked, Upload
from relay.services.sniffing import SNIFFED_BYTES, measure, sniff
from relay.storage import attachments, pictures
from relay.storage.attachments import CHUNK_BYTES, Attachment, Pixels
from relay.storage.errors import StorageFailed
from relay.storage.jobs import Runner
from relay.wakeup import Wakeup

_SLICE: Final = 64
"""The most chunks that are dropped in one transaction."""

_RETRY_SECONDS: Final = 5.0
"""The pause before a collection that the disk did not take begins again."""


class _Unfinished:
    """One user's unfinished uploads: their number and bytes, and the bytes of the finished ones."""

    __slots__ = ("count", "size", "used")

    def __init__(self) -> None:
        self.count = self.size = self.used = 0


class _Upload:
    """One unfinished upload. Its announced size counts from the beginning, and bytes beyond it as they come."""

    __slots__ = ("_unfinished", "size")

    def __init__(self, unfinished: _Unfinished) -> None:
        self._unfinished = unfinished
        self.size = 0

    def grow(self, size: int) -> None:
        """Note that it has, or will have, at least this many bytes."""
        if size > self.size:
            self._unfinished.size += size - self.size
            self.size = size

    @contextmanager
    def ending(self) -> Iterator[None]:
        """Stop counting it at the end of the block."""
        try:
            yield
        finally:
            self._unfinished.size -= self.size


class Attachments:
    """Stores files, reads them, and collects those that no message holds.

    Args:
        now: Unix seconds.
        max_bytes: the largest file; 0 means no limit.
        quota_bytes: the most bytes of one user's uploads, unfinished ones included; 0 means no limit.
        keep_seconds: how long an upload is kept that no message holds.
        collect_seconds: between two collections.
        at_once: the most unfinished uploads of one user; 0 means no limit.
        upload_seconds: how long one upload may take.
        shared: whether users see only the pictures of those whom they have met.
        asked: who may refuse a file, before it is taken and before anybody can see it.
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
        shared: bool = False,
        asked: Asked = NOBODY,
    ) -> None:
        self._runner = runner
        self._now = now
        self._changed = Wakeup()
        self.limit(max_bytes, quota_bytes, at_once, upload_seconds)
        self._shared = shared
        self._asked = asked
        self.collect_every(collect_seconds, keep_seconds)
        self._receiving: set[int] = set()
        self._unfinished: dict[str, _Unfinished] = {}
        self._received = Wakeup()

    def limit(self, max_bytes: int, quota_bytes: int, at_once: int, upload_seconds: float) -> None:
        """Have other limits for uploads that begin from now on; 0 lifts one."""
        self._max_bytes = max_bytes or 1 << 62
        self._quota_bytes = quota_bytes or 1 << 62
        self._at_once = at_once or 1 << 62
        self._upload_seconds = upload_seconds

    def collect_every(self, seconds: float, keep_seconds: float) -> None:
        """Collect at other times, and keep an upload that no message holds for another time."""
        self._collect_seconds, self._keep_seconds = seconds, keep_seconds
        self._changed.set()

    async def receive(
        self, user_id: str, name: str, data: AsyncGenerator[bytes, None], size: int | None = None
    ) -> Attachment:
        """Store a file as it comes in.

        Args:
            data: its bytes, in parts of any size.
            size: the announced size, if there is one; a file that is too large is refused before it is read.

        Raises:
            RelayError: `too_large` for a file over the limit, the user's quota or the time; `rate_limited` for too
                many uploads at once; or a plugin's refusal.
        """
        file = Upload(user_id=user_id, name=name, type="", size=size)
        async with aclosing(data):
            with self._counted(user_id) as unfinished:
                unfinished.used = await self._used(user_id)
                upload = _Upload(unfinished)
                try:
                    self._count(upload, size or 0, unfinished)
                    return await self._receive(file, data, upload, unfinished)
                finally:
                    # During this read it counts twice, as finished and as unfinished, rather than not at all.
                    with upload.ending():
                        unfinished.used = await self._used(user_id)

    @contextmanager
    def _counted(self, user_id: str) -> Iterator[_Unfinished]:
        """Count one more unfinished upload of a user during the block."""
        unfinished = self._unfinished.setdefault(user_id, _Unfinished())
        if unfinished.count >= self._at_once:
            raise RelayError(
                ErrorCode.RATE_LIMITED,
                f"you have {unfinished.count} unfinished uploads; send again when one of them is over",
                retry_after=1.0,
                details={"reason": "uploads_waiting"},
            )
        unfinished.count += 1
        try:
            yield unfinished
        finally:
            unfinished.count -= 1
            if not unfinished.count:
                del self._unfinished[user_id]

    async def _used(self, user_id: str) -> int:
        return await self._runner.read(lambda connection: attachments.used_bytes(connection, user_id), inline=True)

    async def _receive(
        self, file: Upload, data: AsyncGenerator[bytes, None], upload: _Upload, unfinished: _Unfinished
    ) -> Attachment:
        blob_id = await self._runner.write(lambda connection: attachments.begin(connection, self._now()))
        self._receiving.add(blob_id)
        self._received.set()
        stored: Attachment | None = None
        try:
            digest, total = await self._store_in_time(blob_id, file, data, upload, unfinished)
            file.size, file.sha256, file.chunk = total, digest.hex(), partial(self._chunk, file.name, blob_id)
            await self._asked.ask("scan", file)
            attachment_id = "a_" + secrets.token_urlsafe(12)
            pixels = await self._measure(file.type, blob_id)
            new = Attachment(attachment_id, blob_id, file.user_id, file.name, file.type, total, digest, *pixels)
            stored = await self._runner.write(lambda connection: attachments.finish(connection, new, self._now()))
        finally:
            self._receiving.discard(blob_id)
            if stored is None or stored.blob_id != blob_id:
                with trio.CancelScope(shield=True, deadline=trio.current_time() + 5):
                    await self._drop(blob_id)
        return stored

    async def _store_in_time(
        self,
        blob_id: int,
        file: Upload,
        data: AsyncGenerator[bytes, None],
        upload: _Upload,
        unfinished: _Unfinished,
    ) -> tuple[bytes, int]:
        """Do what `_store` does, for as long as an upload may take."""
        with trio.move_on_after(self._upload_seconds):
            return await self._store(blob_id, file, data, upload, unfinished)
        raise RelayError(
            ErrorCode.TOO_LARGE,
            f"a file may take {self._upload_seconds / 60:g} minutes to arrive; this one took more",
            details={"reason": "upload_slow"},
        )

    async def _store(
        self,
        blob_id: int,
        file: Upload,
        data: AsyncGenerator[bytes, None],
        upload: _Upload,
        unfinished: _Unfinished,
    ) -> tuple[bytes, int]:
        """Store a file's chunks as they fill; return its digest and its size.

        As soon as its type is known, it is asked whether the file may come at all.
        """
        digest, head, waiting, total, number = hashlib.sha256(), b"", bytearray(), 0, 0
        async for part in data:
            total += len(part)
            self._count(upload, total, unfinished)
            digest.update(part)
            waiting += part
            if len(head) < SNIFFED_BYTES:
                head = (head + part)[:SNIFFED_BYTES]
                if len(head) == SNIFFED_BYTES:
                    await self._ask_begun(file, head)
            while len(waiting) >= CHUNK_BYTES:
                chunk = bytes(waiting[:CHUNK_BYTES])
                del waiting[:CHUNK_BYTES]
                await self._put(blob_id, number, chunk)
                number += 1
        if len(head) < SNIFFED_BYTES:
            await self._ask_begun(file, head)
        if waiting:
            await self._put(blob_id, number, bytes(waiting))
        return digest.digest(), total

    async def _ask_begun(self, file: Upload, head: bytes) -> None:
        file.type = sniff(head)
        await self._asked.ask("upload", file)

    async def _put(self, blob_id: int, number: int, chunk: bytes) -> None:
        await self._runner.write(lambda connection: attachments.put_chunk(connection, blob_id, number, chunk))

    def _count(self, upload: _Upload, size: int, unfinished: _Unfinished) -> None:
        """Count the bytes that an upload has by now; refuse what exceeds the limit or the user's quota.

        Raises:
            RelayError: `too_large`.
        """
        if size > self._max_bytes:
            raise RelayError(
                ErrorCode.TOO_LARGE,
                f"a file has at most {self._max_bytes} bytes",
                details={"reason": "file_too_large", "max_bytes": self._max_bytes},
            )
        used = unfinished.used + unfinished.size - upload.size
        if used + size > self._quota_bytes:
            raise RelayError(
                ErrorCode.TOO_LARGE,
                f"your files may have {self._quota_bytes} bytes together, and have {used}; delete some first",
                details={"reason": "quota", "quota_bytes": self._quota_bytes, "used_bytes": used},
            )
        upload.grow(size)

    async def open(self, user_id: str, attachment_id: str) -> Attachment:
        """Return an attachment that the user may read.

        Raises:
            RelayError: `not_found` if there is none, or it is not theirs to read.
        """
        found = await self._runner.read(
            lambda connection: (
                attachments.find(connection, user_id, attachment_id)
                or pictures.find(connection, user_id, attachment_id, shared=self._shared)
            ),
            inline=True,
        )
        if found is None:
            raise not_found(f"attachment {attachment_id!r}")
        return found

    async def read(self, attachment: Attachment, start: int, stop: int) -> AsyncGenerator[bytes, None]:
        """Yield the bytes from `start` up to `stop`, a chunk at a time.

        Raises:
            RelayError: `not_found` if it was collected meanwhile.
        """
        for number in range(start // CHUNK_BYTES, (stop + CHUNK_BYTES - 1) // CHUNK_BYTES):
            chunk = await self._chunk(attachment.attachment_id, attachment.blob_id, number)
            first = number * CHUNK_BYTES
            yield chunk[max(start - first, 0) : stop - first]

    async def _measure(self, type_: str, blob_id: int) -> Pixels:
        """Return the size of a picture that is stored, from its first chunk."""
        if type_ not in attachments.PICTURES:
            return attachments.NO_PIXELS
        head = await self._runner.read(partial(attachments.get_chunk, blob_id=blob_id, number=0))
        return measure(type_, head or b"")

    async def measure_older(self) -> None:
        """Read the sizes of pictures that an older version stored without them."""
        while older := await self._runner.read(lambda connection: attachments.unmeasured(connection, _SLICE)):
            sizes = [(*await self._measure(type_, blob_id), one) for one, type_, blob_id in older]
            await self._runner.write(partial(attachments.set_pixels, sizes=sizes))

    async def _chunk(self, called: str, blob_id: int, number: int) -> bytes:
        chunk = await self._runner.read(partial(attachments.get_chunk, blob_id=blob_id, number=number))
        if chunk is None:
            raise not_found(f"attachment {called!r}")
        return chunk

    async def remove(self, user_id: str, attachment_id: str) -> None:
        """Remove a user's own upload that no message holds.

        Raises:
            RelayError: `not_found`, `conflict`.
        """
        await self._runner.write(lambda connection: attachments.remove(connection, user_id, attachment_id))

    async def run(self) -> None:
        """Collect for ever, at the start and every `collect_seconds` while there are files."""
        while True:
            try:
                await self.collect()
                await self.measure_older()
            except StorageFailed:
                await trio.sleep(_RETRY_SECONDS)
                continue
            if not await self._runner.read(attachments.any_blob):
                await self._received.wait()
            self._received.clear()
            self._changed.clear()
            await self._changed.wait(self._collect_seconds)

    async def collect(self) -> int:
        """Drop the files that no message holds, in small transactions; return how many blobs were dropped."""
        before = self._now() - self._keep_seconds
        while await self._runner.write(lambda connection: attachments.forget_unheld(connection, before, _SLICE)):
            pass
        loose = await self._runner.write(lambda connection: attachments.release_blobs(connection, self._now()))
        dropped = [blob_id for blob_id in loose if blob_id not in self._receiving]
        for blob_id in dropped:
            await self._drop(blob_id)
        return len(dropped)

    async def _drop(self, blob_id: int) -> None:
        while not await self._runner.write(
            lambda connection: attachments.drop_chunks(connection, blob_id, _SLICE)
        ):
            pass
