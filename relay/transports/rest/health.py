"""Health checks: `/healthz` answers while the process lives, `/readyz` while the server can do its work."""

from __future__ import annotations

import logging
import sqlite3
from typing import Final, Literal

import trio
from quart import Blueprint, Response, current_app

from relay.engine.engine import Engine
from relay.http.endpoint import endpoint
from relay.http.requests import Answer
from relay.protocol.errors import ErrorCode, RelayError, said
from relay.storage.errors import StorageError
from relay.transports.rest.problems import problem

blueprint = Blueprint("health", __name__)

_log: Final = logging.getLogger("relay.rest")
_READINESS: Final = "relay.readiness"
_PROBE: Final = "probed"
_SECONDS: Final = 3.0
"""A database that takes longer counts as failing; probes give up at about that time."""

_RECHECK_SECONDS: Final = 1.0
"""Seconds that an answer is kept: anybody may ask, and each check writes to the disk."""


class Alive(Answer, frozen=True):
    """The process lives."""

    status: Literal["ok"]


class Checks(Answer, frozen=True):
    """The conditions of the server's work."""

    accepting: bool
    database_reads: bool
    database_writes: bool
    required_plugins: bool


class Ready(Answer, frozen=True, omit_defaults=True):
    """The server can do its work; `degraded`: but for the messages that a required plugin must check."""

    status: Literal["ready", "degraded"]
    checks: Checks
    reasons: list[str] | None = None


class _Readiness:
    """The last check of one engine's database."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._checked_at = -_RECHECK_SECONDS
        self._checks: dict[str, bool] = {}
        self._lock = trio.Lock()
        self._readable = True

    async def database(self) -> dict[str, bool]:
        """Return whether the database can be read and written, and whether the last commit reached the disk."""
        async with self._lock:
            if trio.current_time() - self._checked_at >= _RECHECK_SECONDS:
                self._checks = {"database_reads": await self._reads(), "database_writes": await self._writes()}
                self._checked_at = trio.current_time()
        stands = self._engine.runner.health.reason is None
        return self._checks | {"database_writes": self._checks["database_writes"] and stands}

    async def _reads(self) -> bool:
        try:
            with trio.fail_after(_SECONDS):
                await self._engine.runner.read(
                    lambda connection: connection.execute("SELECT value FROM facts LIMIT 1").fetchone()
                )
        except (sqlite3.Error, StorageError, trio.TooSlowError) as failure:
            if self._readable:
                _log.error("the database cannot be read: %s", _reason(failure))
            self._readable = False
        else:
            if not self._readable:
                _log.warning("the database can be read again")
            self._readable = True
        return self._readable

    async def _writes(self) -> bool:
        try:
            with trio.fail_after(_SECONDS):
                await self._engine.runner.write(_touch)
        except trio.TooSlowError as failure:
            _log.error("the database cannot be written: %s", _reason(failure))
            return False
        except (sqlite3.Error, StorageError):
            return False  # the writer's own line in the log says why, once
        return True


def _reason(failure: Exception) -> str:
    if isinstance(failure, trio.TooSlowError):
        return f"no answer within {_SECONDS:g} s; another program may hold it locked"
    return said(failure)


def _touch(connection: sqlite3.Connection) -> None:
    # Another value each time: SQLite leaves out the write of a row that stays as it is, and a full disk
    # would have nothing to refuse.
    connection.execute(
        "INSERT INTO facts (name, value) VALUES (?, 1) ON CONFLICT (name) DO UPDATE SET value = value + 1",
        (_PROBE,),
    )


def _readiness(engine: Engine) -> _Readiness:
    extensions: dict[str, _Readiness] = current_app.extensions
    if _READINESS not in extensions:
        extensions[_READINESS] = _Readiness(engine)
    return extensions[_READINESS]


@blueprint.get("/healthz")
@endpoint(query=None, answers={200: Alive}, access="open")
async def healthz() -> Alive:
    """Say that the process lives."""
    return Alive(status="ok")


@blueprint.get("/readyz")
@endpoint(query=None, answers={200: Ready}, refusals=[ErrorCode.OVERLOADED], access="open")
async def readyz(engine: Engine) -> Ready | Response:
    """Say whether the server can do its work: 503 while it drains or its database fails.

    Without a required plugin it is `degraded`, with 200: reading works, and the page is to come up and say why.
    """
    checks = {"accepting": not engine.drain.begun} | await _readiness(engine).database()
    lacking = engine.required.lacking()
    shown = checks | {"required_plugins": not lacking}
    if all(checks.values()):
        reasons = [f"the plugin {name!r} is required, and {state}" for name, state in lacking.items()]
        status: Literal["ready", "degraded"] = "degraded" if lacking else "ready"
        return Ready(status=status, checks=Checks(**shown), reasons=reasons or None)
    failing = ", ".join(name for name, good in checks.items() if not good)
    refusal = RelayError(ErrorCode.OVERLOADED, f"not ready: {failing} failed", retry_after=_RECHECK_SECONDS)
    return problem(refusal, checks=shown)
