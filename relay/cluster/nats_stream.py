"""The cluster's stream, on JetStream: each append names what it expects to stand before it, or is refused."""

from __future__ import annotations

import asyncio
import base64
import logging
import secrets
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, suppress
from functools import partial
from typing import Any, Final

import msgspec

from relay.cluster import nats_answers as api
from relay.cluster.nats_answers import Answer
from relay.cluster.nats_client import Connection
from relay.cluster.nats_entries import Entries
from relay.cluster.stream import Entry, NoStream, Refused, Unreachable
from relay.settings.cluster import ClusterSettings

_log: Final = logging.getLogger("relay.cluster")

ANSWER_SECONDS: Final = 2.0
"""How long an entry that is appended, or a question about the stream, may have no answer."""

_TRY_SECONDS: Final = 0.5
"""After so long without an answer the same is sent again; NATS knows it by its id."""

_PAUSE_SECONDS: Final = 0.05
_MAKE_SECONDS: Final = 10.0
_HEADER_BYTES: Final = 512
_DUPLICATES_SECONDS: Final = 10
"""How long NATS knows an entry by its id: longer than it may have no answer."""

_SECOND: Final = 1_000_000_000
"""JetStream's times are in nanoseconds."""


class JetStream:
    """A cluster's stream (`relay.cluster.stream.Stream`).

    Args:
        seconds: how long an entry that is appended, or a question, may have no answer.
    """

    def __init__(self, connection: Connection, settings: ClusterSettings, seconds: float = ANSWER_SECONDS) -> None:
        self._connection = connection
        self._settings = settings
        self._seconds = seconds
        self._name = f"relay-{settings.name}"
        self._subject = f"relay.{settings.name}.stream"

    @property
    def most_bytes(self) -> int:
        """The most bytes that an entry has."""
        return self._connection.most_bytes - _HEADER_BYTES

    def append(self, parts: Sequence[bytes], expected: int) -> int:
        """Append entries one after the other behind the place `expected`, and return the place of the last one.

        Raises:
            Refused: there is something behind `expected` already.
            Unreachable: it is not known whether they are there. While no server is connected this comes at once.
        """
        return self._connection.loop.block(partial(self._append, parts, expected))

    async def last(self) -> int:
        """Return the place of the newest entry; 0 for a stream that has none yet.

        Raises:
            Unreachable: the stream did not answer.
            NoStream: there is none.
        """
        return (await self._connection.loop.call(self._look)).state.last_seq

    def entries(self, after: int) -> AbstractAsyncContextManager[AsyncIterator[Entry]]:
        """Return all entries behind the place `after` as they come, in order, for ever; each comes once.

        Raises:
            Missing: the stream has no longer what came next.
            NoStream: there is none.
        """
        return Entries(self._connection, self._name, after, self._look, self._stored).open()

    async def create(self) -> None:
        """Make the stream, or have the one that is there keep as much as the settings say.

        Raises:
            Unreachable: NATS did not answer, or does not allow it.
        """
        await self._connection.loop.call(self._create)

    # On asyncio's loop.

    async def _append(self, parts: Sequence[bytes], expected: int) -> int:
        token = secrets.token_hex(8)
        for part in parts:
            headers = {
                "Nats-Expected-Stream": self._name,
                "Nats-Expected-Last-Sequence": str(expected),
                "Nats-Msg-Id": f"{token}-{expected}",
            }
            await self._append_one(part, expected, headers)
            expected += 1
        return expected

    async def _append_one(self, part: bytes, expected: int, headers: dict[str, str]) -> None:
        """Append an entry; it is sent again until its fate is known, or its time is over."""
        clock = asyncio.get_running_loop().time
        deadline, why = clock() + self._seconds, ""
        if not self._connection.up:
            raise Unreachable(self._connection.away)
        while (left := deadline - clock()) > 0:
            try:
                answer = api.decode(
                    await self._connection.request(self._subject, part, min(left, _TRY_SECONDS), headers)
                )
                if await self._is_there(answer, part, expected + 1):
                    return
                why = "" if answer.error is None else answer.error.description
            except Unreachable as error:
                why = str(error)
            await asyncio.sleep(_PAUSE_SECONDS)
        raise Unreachable(f"the stream did not take it within {self._seconds:g} s: {why}")

    async def _is_there(self, answer: Answer, part: bytes, place: int) -> bool:
        """Tell whether an entry has its place; False where that is not known yet.

        Raises:
            Refused: something else has it.
            Unreachable: it cannot be looked up.
        """
        error = answer.error
        if error is None:
            if answer.seq not in (0, place):  # 0: the same is on its way already
                raise Refused
            return answer.seq == place
        if error.err_code == api.WRONG_LAST_SEQUENCE:
            # A publish that had no answer may be the very one that stands there.
            if await self._stored(place) != part:
                raise Refused
            return True
        return False

    async def _stored(self, place: int) -> bytes | None:
        """Return the entry at a place, as the stream's leader has it; None where there is none."""
        answer = await self._ask("STREAM.MSG.GET", {"seq": place}, _TRY_SECONDS)
        if answer.error is not None and answer.error.err_code == api.NO_MESSAGE:
            return None
        _checked(answer)
        return base64.b64decode(answer.message.data) if answer.message is not None else None

    async def _look(self) -> Answer:
        """Return the stream's state and configuration; it is asked again, as without a leader nobody answers."""
        clock = asyncio.get_running_loop().time
        deadline = clock() + self._seconds - _TRY_SECONDS
        while clock() < deadline and self._connection.up:
            with suppress(Unreachable):
                return _checked(await self._ask("STREAM.INFO", {}, _TRY_SECONDS))
            await asyncio.sleep(_PAUSE_SECONDS)
        return _checked(await self._ask("STREAM.INFO", {}, _TRY_SECONDS))

    async def _create(self) -> None:
        wanted = self._wanted()
        try:
            there = (await self._look()).config
        except NoStream:
            _checked(await self._ask("STREAM.CREATE", self._fixed() | wanted, _MAKE_SECONDS))
            _log.info("the stream %s is made, with replicas = %d", self._name, self._settings.replicas)
            return
        changed = {key: value for key, value in wanted.items() if there.get(key) != value}
        if changed:
            _checked(await self._ask("STREAM.UPDATE", there | wanted, _MAKE_SECONDS))
            _log.info("the stream %s is changed: %s", self._name, msgspec.json.encode(changed).decode())

    def _fixed(self) -> dict[str, Any]:
        return {
            "name": self._name,
            "subjects": [self._subject],
            "retention": "limits",
            "storage": "file",
            "discard": "new",
            "max_msgs": -1,
            "max_msg_size": -1,
            "max_consumers": -1,
        }

    def _wanted(self) -> dict[str, Any]:
        """Return what of the stream's configuration the settings say."""
        return {
            "num_replicas": self._settings.replicas,
            "max_age": int(self._settings.keep_hours * 3600 * _SECOND),
            "max_bytes": self._settings.stream_bytes or -1,
            "duplicate_window": _DUPLICATES_SECONDS * _SECOND,
        }

    async def _ask(self, call: str, body: dict[str, Any], seconds: float) -> Answer:
        subject = f"$JS.API.{call}.{self._name}"
        return api.decode(await self._connection.request(subject, api.encode(body), seconds))


def _checked(answer: Answer) -> Answer:
    """Return an answer that is no error.

    Raises:
        NoStream: there is no such stream.
        Unreachable: anything else is wrong.
    """
    error = answer.error
    if error is not None and error.err_code == api.STREAM_NOT_FOUND:
        raise NoStream
    if error is not None:
        raise Unreachable(f"NATS refuses it: {error.description} (error {error.err_code})")
    return answer
