"""The keys that tokens are checked with: from the settings, or fetched from one URL and renewed."""

from typing import Any

import jwt
import msgspec
import trio
from jwt.exceptions import PyJWTError

from relay.http import CallFailed, HttpClient
from relay.plugin import Server, Wakeup

from .claims import refused
from .options import Algorithm, Options

FETCH_SECONDS = 5.0
WAIT_SECONDS = 1.0
"""How long a token waits for keys that are being fetched."""

FETCH_BYTES = 262_144
RETRY_SECONDS = 60.0
"""The least time between two fetches, whatever tokens name."""

MOST_KEYS = 100
SECRET_BYTES = 32


class Keys:
    """The keys that tokens are checked with; fetched again when they are old, or a token names another one."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._fixed: dict[str, Any] = {}
        self._by_id: dict[str | None, dict[str, Any]] = {}
        self._taken_at = self._tried_at = float("-inf")
        self._asked = Wakeup()
        self._done = trio.Event()
        self._fetching = False
        if options.secret is not None:
            self._fixed = {"HS256": _long_enough(options.secret.encode())}
        elif options.secret_path is not None:
            self._fixed = {"HS256": _long_enough(_read(options.secret_path).strip())}
        elif options.key_path is not None:
            self._fixed = _public(_read(options.key_path), options.algorithms)
        elif options.jwks_path is not None:
            self._take(_read(options.jwks_path))

    async def find(self, server: Server, key_id: str | None, algorithm: str) -> Any:
        """Return the key of a token.

        A provider that does not answer holds nobody up: `keep` fetches, and is waited for a second at most.

        Raises:
            RelayError: `forbidden`: there is no such key, or keys could not be fetched for too long.
        """
        if algorithm in self._fixed:
            return self._fixed[algorithm]
        fresh = trio.current_time() - self._taken_at < self._options.refresh_minutes * 60
        usable = trio.current_time() - self._taken_at <= self._options.keep_minutes * 60
        found = self._chosen(key_id, algorithm) if usable else None
        if found is None or not fresh:
            # Old keys stay good while new ones are on their way.
            await self._renewed(0.0 if self._fetching and found else WAIT_SECONDS, server)
        if trio.current_time() - self._taken_at > self._options.keep_minutes * 60:
            raise refused("the keys that tokens are checked with cannot be had just now")
        found = self._chosen(key_id, algorithm)
        if found is None:
            raise refused("it is signed with a key that is not known here")
        return found

    async def keep(self, server: Server) -> None:
        """Fetch the keys when a token needs newer ones, for ever."""
        while True:
            await self._asked.wait()
            self._fetching = True
            try:
                await self._renew(server)
            finally:
                self._fetching = False
                self._asked.clear()  # who asked meanwhile has the answer as well
                self._done.set()
                self._done = trio.Event()

    async def _renewed(self, seconds: float, server: Server) -> None:
        """Have the keys fetched, unless that was tried within the last minute, and wait a while for it."""
        if not self._fetching and trio.current_time() - self._tried_at < RETRY_SECONDS:
            return
        if self._options.jwks_path is not None:
            await self._renew(server)  # reading a file takes no time
            return
        self._asked.set()
        # Well within the plugin's own deadline: an invented token must not count as a failure of the plugin.
        with trio.move_on_after(min(seconds, server.handler_seconds / 2)):
            await self._done.wait()

    def _chosen(self, key_id: str | None, algorithm: str) -> Any:
        known = self._by_id.get(key_id)
        if known is None and key_id is None and len(self._by_id) == 1:
            known = next(iter(self._by_id.values()))
        return None if known is None else known.get(algorithm)

    async def _renew(self, server: Server) -> None:
        """Fetch the keys; the old ones stay when that fails."""
        self._tried_at = trio.current_time()
        options = self._options
        try:
            if options.jwks_url is not None:
                self._take(await _fetch(options.jwks_url))
            elif options.jwks_path is not None:
                self._take(await trio.Path(options.jwks_path).read_bytes())
        except (CallFailed, OSError, ValueError) as fault:
            server.log.warning("the keys cannot be had: %r", fault)
        else:
            self._taken_at = trio.current_time()

    def _take(self, document: bytes) -> None:
        """Replace the keys by those of a JSON Web Key Set (RFC 7517).

        Raises:
            ValueError: it is not one, or has no key for the algorithms.
        """
        try:
            listed = msgspec.json.decode(document, type=dict[str, Any])["keys"][:MOST_KEYS]
        except (msgspec.DecodeError, UnicodeError, RecursionError, KeyError, TypeError) as fault:
            raise ValueError(f"not a JSON Web Key Set: {fault}") from None
        found: dict[str | None, dict[str, Any]] = {}
        for listed_key in listed:
            usable = _usable(listed_key, self._options.algorithms)
            if usable:
                found[listed_key.get("kid")] = usable
        if not found:
            raise ValueError(f"no key in it is for {', '.join(self._options.algorithms)}")
        self._by_id = found


def _usable(listed: Any, algorithms: list[Algorithm]) -> dict[str, Any]:
    """Return a key of a key set, by each algorithm that it is for."""
    if not isinstance(listed, dict) or listed.get("use", "sig") != "sig" or "d" in listed:
        return {}
    kinds = {"RS256": "RSA", "ES256": "EC", "EdDSA": "OKP"}
    found: dict[str, Any] = {}
    for algorithm in algorithms:
        if listed.get("alg", algorithm) == algorithm and listed.get("kty") == kinds.get(algorithm):
            try:
                found[algorithm] = jwt.PyJWK.from_dict(listed, algorithm).key
            except PyJWTError:
                continue
    return found


def _long_enough(secret: bytes) -> bytes:
    if len(secret) < SECRET_BYTES:
        raise ValueError(f"the secret has {len(secret)} bytes; HS256 takes {SECRET_BYTES} at least")
    return secret


def _public(pem: bytes, algorithms: list[Algorithm]) -> dict[str, Any]:
    """Return a key by each algorithm that it is for."""
    found: dict[str, Any] = {}
    if b"-----BEGIN PUBLIC KEY-----" in pem:
        for algorithm in algorithms:
            try:
                found[algorithm] = jwt.get_algorithm_by_name(algorithm).prepare_key(pem)
            except (PyJWTError, ValueError, TypeError):
                continue
    if not found:
        raise ValueError(
            f"key_path has no public key for {', '.join(algorithms)}: it begins with -----BEGIN PUBLIC KEY-----"
        )
    return found


def _read(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read(FETCH_BYTES)


async def _fetch(url: str) -> bytes:
    """Fetch a small document; redirects are not followed.

    Raises:
        CallFailed, ValueError: it cannot be fetched.
    """
    async with HttpClient(seconds=FETCH_SECONDS, answer_bytes=FETCH_BYTES) as client:
        answer = await client.call("GET", url, headers={"Accept": "application/json"})
    if answer.status != 200:
        raise ValueError(f"{url} answered {answer.status}")
    if answer.cut is not None:
        raise ValueError(f"{url}: {answer.cut}")
    return answer.body
