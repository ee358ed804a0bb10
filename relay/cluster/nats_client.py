"""The connection to NATS: nats-py, which is asyncio's, and so runs on a loop of its own.

nats-py would connect again by itself. It ends for good where a server refuses it, and sends what waited for a lost
connection over the next one; so each of its clients has one connection here, and a lost one is replaced by another
client, for ever. Whoever listens goes on listening: what came meanwhile has passed by.
"""

from __future__ import annotations

import asyncio
import logging
import random
import secrets
import ssl
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from itertools import count
from typing import Any, Final, NamedTuple

from relay.cluster.nats_login import Login, LoginFailed
from relay.cluster.nats_loop import Loop
from relay.cluster.stream import Unreachable
from relay.protocol.errors import said
from relay.settings.cluster import ClusterSettings

_log: Final = logging.getLogger("relay.cluster")

_CONNECT_SECONDS: Final = 3.0
_PAUSE_SECONDS: Final = 0.25
"""Between two attempts to connect."""

_PING_SECONDS: Final = 1.0
_PINGS: Final = 2
"""How many pings may have no answer; at the next one the connection is lost."""

_SOON_SECONDS: Final = 1.0
"""A connection that lasted no longer is followed by a pause as long."""

_LOST: Final = "the connection was lost"
_DEFAULT_PORT: Final = ":4222"
_NO_RESPONDERS: Final = "503"
MOST_BYTES: Final = 1 << 20
"""The most bytes of a message where a server says nothing else."""


class MissingExtra(Exception):
    """A package is not installed that a cluster needs; the text has the command that installs it."""


class Message(NamedTuple):
    """A message for somebody who listens.

    Attributes:
        reply: where an answer goes; for an entry of a stream, which one it is.
        status: of a message that the server itself sent, such as "408"; else empty.
        about: that status in words.
    """

    data: bytes
    subject: str
    reply: str
    status: str
    about: str


class Connection:
    """One node's connection to NATS. `run` is the context it lives in.

    The coroutines run on its loop.

    Attributes:
        loop: what others run them by.
        up: whether a server is connected.
        times: how often a connection was made or lost.
        changed: events of asyncio's that are set then.
        most_bytes: the most bytes of a message, its headers included.
    """

    def __init__(self, settings: ClusterSettings) -> None:
        self._settings = settings
        self._servers = [_with_port(server) for server in settings.servers]
        self._client: Any = None
        self._whys = dict.fromkeys(self._servers, "not asked yet")
        self._told: set[str] = set()
        self._listeners: dict[int, _Listener] = {}
        self._asked: dict[str, asyncio.Future[bytes]] = {}
        self._numbers = count()
        self._answers = self.inbox()
        self._tried: asyncio.Event
        self.loop = Loop(self._main)
        self.changed: set[asyncio.Event] = set()
        self.times = 0
        self.most_bytes = MOST_BYTES

    @property
    def up(self) -> bool:
        """Whether a server is connected."""
        return self._client is not None

    @property
    def away(self) -> str:
        """What to say while no server is connected: their names, and why."""
        whys = (f"{server} ({why})" for server, why in self._whys.items())
        return f"no NATS server answers: {', '.join(whys)}"

    @asynccontextmanager
    async def run(self) -> AsyncIterator[None]:
        """Be connected as long as this lasts; it begins when each server was tried, whether or not one answered.

        Raises:
            MissingExtra: nats-py is not installed.
        """
        _client_class()
        async with self.loop.run():
            await self.loop.call(self._first_round)
            yield

    # What runs on asyncio's loop.

    async def publish(
        self, subject: str, data: bytes, reply: str = "", headers: Mapping[str, str] | None = None
    ) -> None:
        """Send a message.

        Raises:
            Unreachable: it was not sent, as far as is known.
        """
        client = self._client
        if client is None:
            raise Unreachable(self.away)
        try:
            await client.publish(subject, data, reply, headers)
        except Exception as error:
            raise Unreachable(f"NATS does not take it: {said(error)}") from error

    async def request(
        self, subject: str, data: bytes, seconds: float, headers: Mapping[str, str] | None = None
    ) -> bytes:
        """Send a message, and return its answer.

        Raises:
            Unreachable: none came in that time, nobody is there to answer, or the connection was lost.
        """
        reply = f"{self._answers}.{next(self._numbers)}"
        future = self._asked[reply] = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout(seconds):
                await self.publish(subject, data, reply, headers)
                answer: bytes = await future
        except TimeoutError:
            raise Unreachable(f"NATS gave no answer within {seconds:.3g} s") from None
        finally:
            del self._asked[reply]
            future.cancel()
        return answer

    @staticmethod
    def inbox() -> str:
        """Return a subject that nobody else knows."""
        return f"_INBOX.{secrets.token_hex(11)}"

    async def listen(self, subject: str, heard: Callable[[Message], None]) -> int:
        """Call a function with all that comes to a subject, over all connections; return what ends that."""
        number = next(self._numbers)
        self._listeners[number] = listener = _Listener(subject, heard)
        if self._client is not None:
            with suppress(Exception):  # the next connection does it
                await listener.begin(self._client)
        return number

    async def unlisten(self, number: int) -> None:
        """End what `listen` began."""
        with suppress(Exception):  # a connection that is lost has ended it
            await self._listeners.pop(number).end()

    # Connecting, for ever.

    async def _main(self) -> None:
        self._tried = asyncio.Event()
        await self.listen(f"{self._answers}.*", self._take_answer)
        await self._keep()

    async def _first_round(self) -> None:
        await self._tried.wait()

    async def _keep(self) -> None:
        """Be connected to one of the servers, another one after each that is lost."""
        servers = random.sample(self._servers, len(self._servers))
        for attempt in count():
            server = servers[attempt % len(servers)]
            try:
                await self._be_connected(server)
            except Exception as error:
                self._whys[server] = said(error)
                if attempt + 1 >= len(servers):
                    self._note_away(error)
                await asyncio.sleep(_PAUSE_SECONDS)

    async def _be_connected(self, server: str) -> None:
        lost = asyncio.Event()
        client = await self._connect(server, lost)
        try:
            await self._serve(client, server, lost)
        finally:
            await _close(client)

    async def _serve(self, client: Any, server: str, lost: asyncio.Event) -> None:
        while missing := [one for one in self._listeners.values() if one.client is not client]:
            await missing[0].begin(client)
        self.most_bytes = min(client.max_payload, MOST_BYTES)
        self._client = client
        self._note_up(server)
        self._change()
        clock = asyncio.get_running_loop().time
        began = clock()
        try:
            await lost.wait()
        finally:
            self._client = None
            self._whys[server] = _LOST
            self._change()
        self._note_lost(server)
        if clock() - began < _SOON_SECONDS:
            await asyncio.sleep(_SOON_SECONDS)

    async def _connect(self, server: str, lost: asyncio.Event) -> Any:
        """Return a client with a connection; `lost` is set when it has it no more."""
        faults: list[Exception] = []

        async def note(error: Exception) -> None:
            faults.append(error)

        async def tell() -> None:
            lost.set()

        client = _client_class()()
        login = Login(self._settings, server)
        try:
            async with asyncio.timeout(_CONNECT_SECONDS):
                await client.connect(
                    servers=[server],
                    name=f"relay {self._settings.node}",
                    error_cb=note,
                    disconnected_cb=tell,
                    connect_timeout=_CONNECT_SECONDS - 1,
                    reconnect_time_wait=0,
                    max_reconnect_attempts=1,
                    ping_interval=_PING_SECONDS,
                    max_outstanding_pings=_PINGS,
                    **login.arguments(),
                )
            login.check_encrypted()
        except BaseException as error:
            await _close(client)
            if faults and isinstance(error, Exception) and not isinstance(error, LoginFailed):
                raise faults[-1] from error
            raise
        return client

    def _change(self) -> None:
        self.times += 1
        if self._client is None:
            for future in self._asked.values():
                if not future.done():
                    future.set_exception(Unreachable(self.away))
        for event in self.changed:
            event.set()

    def _take_answer(self, message: Message) -> None:
        future = self._asked.get(message.subject)
        if future is None or future.done():
            return  # it came too late
        if message.status == _NO_RESPONDERS:
            future.set_exception(Unreachable("nobody at NATS answers: no JetStream, or no leader of the stream"))
        else:
            future.set_result(message.data)

    # What operators are told: a line at each loss, and one at each return.

    def _note_up(self, server: str) -> None:
        _log.info("NATS is %s: %s", "there again" if self._told else "connected", server)
        self._told.clear()
        self._tried.set()

    def _note_lost(self, server: str) -> None:
        _log.warning("the connection to NATS is lost: %s; connecting again", server)
        self._told.add(_LOST)

    def _note_away(self, error: Exception) -> None:
        """Tell why no server answers, and again where one says something new; that none is there is told once."""
        is_silence = isinstance(error, OSError) and not isinstance(error, ssl.SSLError)
        if not self._told or (said(error) not in self._told and not is_silence):
            _log.error("%s; trying again until one does", self.away)
            self._told.update(self._whys.values())
        self._tried.set()


class _Listener:
    """A subject that somebody listens to, over one connection after the other.

    Attributes:
        client: the one that it has begun with.
    """

    def __init__(self, subject: str, heard: Callable[[Message], None]) -> None:
        self._subject = subject
        self._heard = heard
        self._subscription: Any = None
        self._has_ended = False
        self.client: Any = None

    async def begin(self, client: Any) -> None:
        self.client = client
        self._subscription = await client.subscribe(self._subject, cb=self._take)

    async def end(self) -> None:
        self._has_ended = True
        if self._subscription is not None:
            await self._subscription.unsubscribe()

    async def _take(self, message: Any) -> None:
        if self._has_ended:
            return
        headers = message.headers or {}
        self._heard(
            Message(
                message.data,
                message.subject,
                message.reply,
                headers.get("Status", ""),
                headers.get("Description", ""),
            )
        )


def check_extra() -> None:
    """Check that nats-py is installed.

    Raises:
        MissingExtra: it is not.
    """
    _client_class()


def _client_class() -> Any:
    """Return nats-py's class of clients.

    Raises:
        MissingExtra: it is not installed.
    """
    try:
        from nats.aio.client import Client
    except ModuleNotFoundError as error:
        raise MissingExtra("[cluster] needs nats-py: pip install 'relay-server[cluster]'") from error
    logging.getLogger("nats").setLevel(logging.CRITICAL)  # what is to be said is said above
    return Client


async def _close(client: Any) -> None:
    with suppress(Exception):
        async with asyncio.timeout(1):
            await client.close()


def _with_port(server: str) -> str:
    has_port = server.rpartition(":")[2].isdigit() and server.count(":") > 1
    return server if has_port else f"{server}{_DEFAULT_PORT}"
