"""The use of the disk: what takes how much of the database, how fast it grows, and when the disk is full.

It is measured on a reader, so no message waits for it, within a bounded time, and not again for a while.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Final, TypeVar

import msgspec
import trio

from relay.protocol.errors import RelayError
from relay.services.diagnosis import Diagnosis, Freed
from relay.storage import figures, sizes
from relay.storage.aggregates import DAY, HOUR, slope
from relay.storage.jobs import Runner
from relay.storage.sizes import FileSizes, Tree

T = TypeVar("T")
_SECONDS: Final = 5.0
"""How long tables are measured; what was not by then is told together."""

_TOGETHER_SECONDS: Final = 1.0
"""How long the small tables and the indexes may take together."""

_CACHED_SECONDS: Final = 300.0
_FORECAST_DAYS: Final = (30, 90)
_GROWTH_DAYS: Final = 30
_FREES_SECONDS: Final = 5.0
FREE: Final = "free pages"
REST: Final = "not measured"


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """A part of the database; `measured` is false for an estimate, or for what is left over."""

    name: str
    bytes: int
    measured: bool


class Growth(msgspec.Struct, frozen=True, kw_only=True):
    """The growth of the database; null where the figures do not reach back far enough, and `text` says so.

    `full_at` is when the disk is full if it goes on like this; null where it does not grow.
    """

    bytes_per_day: float | None
    full_at: float | None
    since: float | None
    text: str


class Forecast(msgspec.Struct, frozen=True, kw_only=True):
    """The room that rules and the end of messages' time free within so many days; it is used again."""

    days: int
    bytes: int
    rules: list[Freed]


class Usage(msgspec.Struct, frozen=True, kw_only=True):
    """The use of the disk. `whole` is false where not everything could be measured in time."""

    measured_at: float
    database_bytes: int
    used_bytes: int
    wal_bytes: int
    disk_free_bytes: int | None
    disk_bytes: int | None
    parts: list[Part]
    whole: bool
    growth: Growth
    frees: list[Forecast]


class StorageUsage:
    """Measures the use of the disk.

    Args:
        path: of the database.
        now: Unix seconds.
        history: whether figures are kept.
    """

    def __init__(
        self, path: Path, runner: Runner, diagnosis: Diagnosis, now: Callable[[], float], *, history: bool
    ) -> None:
        self._path = path
        self._runner = runner
        self._diagnosis = diagnosis
        self._now = now
        self._history = history
        self._lock = trio.Lock()
        self._last: Usage | None = None
        self._last_at = 0.0

    async def usage(self) -> Usage:
        """Return the use of the disk; as it was measured a few minutes ago, if it was."""
        async with self._lock:
            if self._last is None or trio.current_time() - self._last_at >= _CACHED_SECONDS:
                self._last = await self._measure()
                self._last_at = trio.current_time()
            return self._last

    async def _measure(self) -> Usage:
        now = self._now()
        files = await self._runner.read(lambda connection: sizes.file_sizes(connection, self._path))
        parts, whole = await self._parts(files)
        free, total = _disk(self._path)
        return Usage(
            measured_at=now,
            database_bytes=files.database,
            used_bytes=files.used,
            wal_bytes=files.wal,
            disk_free_bytes=free,
            disk_bytes=total,
            parts=parts,
            whole=whole,
            growth=await self._growth(now, files, free),
            frees=[await self._forecast(days, now) for days in _FORECAST_DAYS],
        )

    async def _parts(self, files: FileSizes) -> tuple[list[Part], bool]:
        """Return what takes how much, the largest first, and whether all of it was measured."""
        plugins = await self._runner.read(sizes.plugins_with_tables)
        listed = await self._runner.read(lambda connection: sizes.trees(connection, plugins))
        measured, missed = await self._measured(listed)
        parts = [Part(name=name, bytes=size, measured=True) for name, size in measured.items()]
        left = files.used - sum(measured.values())
        if missed and any(tree.name == "chunks" for tree in missed):
            size = await self._bounded(sizes.file_bytes)
            if size is not None:
                stored = min(size, left)
                known = measured.pop("files", 0)
                parts = [part for part in parts if part.name != "files"]
                parts.append(Part(name="files", bytes=known + stored, measured=False))
                left -= stored
        if missed:
            parts.append(Part(name=REST, bytes=max(left, 0), measured=False))
        parts.append(Part(name=FREE, bytes=files.free, measured=True))
        return sorted(parts, key=lambda part: -part.bytes), not missed

    async def _measured(self, listed: list[Tree]) -> tuple[dict[str, int], list[Tree]]:
        """Return the bytes of each part, as far as there was time, and the trees that were not measured."""
        found: dict[str, int] = {}
        if not await self._runner.read(sizes.measures):
            return found, listed
        until = trio.current_time() + _SECONDS
        missed: list[Tree] = []
        # The many small ones at once, as each read waits for its turn; one by one where that takes too long.
        waiting = [[tree for tree in listed if tree.name not in sizes.LARGEST]]
        waiting += [[tree] for tree in listed if tree.name in sizes.LARGEST]
        while waiting:
            trees = waiting.pop(0)
            left = until - trio.current_time()
            job = partial(sizes.tree_sizes, names=[tree.name for tree in trees])
            bound = left if len(trees) == 1 else min(left, _TOGETHER_SECONDS)
            known = await self._bounded(job, bound) if bound > 0 else None
            if known is not None:
                for tree, size in zip(trees, known, strict=True):
                    found[tree.part] = found.get(tree.part, 0) + size
            elif len(trees) > 1:
                waiting[:0] = [[tree] for tree in trees]
            else:
                missed += trees
        return found, missed

    async def _bounded(self, job: Callable[..., T], seconds: float = 1.0) -> T | None:
        """Return what a read returns; None where it takes too long."""
        try:
            return await self._runner.read(job, seconds=seconds)
        except RelayError:
            return None

    async def _growth(self, now: float, files: FileSizes, free: int | None) -> Growth:
        since = now - _GROWTH_DAYS * DAY
        rows = await self._runner.read(
            lambda connection: figures.read(connection, ("used_bytes",), HOUR, since, now)
        )
        points = [(float(at), row.values["used_bytes"].mean) for at, row in rows if "used_bytes" in row.values]
        if not points or points[-1][0] - points[0][0] < DAY:
            why = "the figures do not reach back for a day yet" if self._history else "[metrics] history is false"
            return Growth(bytes_per_day=None, full_at=None, since=points[0][0] if points else None, text=why)
        rate = slope(points) or 0.0
        full_at = now + (free + files.free) / rate if rate > 0 and free is not None else None
        text = "as in the last days" if rate > 0 else "it does not grow"
        return Growth(bytes_per_day=rate * DAY, full_at=full_at, since=points[0][0], text=text)

    async def _forecast(self, days: int, now: float) -> Forecast:
        rules = await self._diagnosis.frees(days, _FREES_SECONDS)
        try:
            messages, size = await self._runner.read(
                lambda connection: sizes.expiring(connection, now + days * DAY), seconds=1.0
            )
        except RelayError:
            messages, size = 0, 0
        if messages:
            rules.append(Freed(rule="expires_at", messages=messages, bytes=size))
        return Forecast(days=days, bytes=sum(rule.bytes for rule in rules), rules=rules)


def _disk(path: Path) -> tuple[int | None, int | None]:
    """Return the free bytes of the disk that the database is on, and all of them; None where nobody knows."""
    try:
        found = os.statvfs(path.parent)
    except OSError:
        return None, None
    return found.f_bavail * found.f_frsize, found.f_blocks * found.f_frsize
