"""The keys that tokens are checked with: given, or fetched from the one place that is named, and renewed."""

from typing import Any

import httpx
import jwt
import msgspec
import trio
from jwt.exceptions import PyJWTError

from relay.plugin import Server

from .claims import refused
from .options import Algorithm, Options

FETCH_SECONDS = 5.0
WAIT_SECONDS = 1.0
"""So long a token waits for keys that are being fetched."""

FETCH_BYTES = 262_144
RETRY_SECONDS = 60.0
"""Keys are asked for at most so often, whatever tokens name."""

MOST_KEYS = 100
SECRET_BYTES = 32


class Keys:
    """The keys that tokens are checked with, fetched again when they are old, or when a token names another."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._fixed: dict[str, Any] = {}
        self._by_id: dict[str | None, dict[str, Any]] = {}
        self._taken_at = self._tried_at = float("-inf")
        self._asked = trio.Event()
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

        A place that does not answer holds nobody up: the fetching is `keep`'s, and waited for shortly.

        Raises:
            RelayError: `forbidden`: there is none, or keys could not be had for too long.
        """
        if algorithm in self._fixed:
            return self._fixed[algorithm]
        fresh = trio.current_time() - self._taken_at < self._options.refresh_minutes * 60
        usable = trio.current_time() - self._taken_at <= self._options.keep_minutes * 60
        found = self._chosen(key_id, algorithm) if usable else None
        if found is None or not fresh:
            # Old keys are still good for who shows one while new ones are on their way.
            await self._renewed(0.0 if self._fetching and found else WAIT_SECONDS, server)
        if trio.current_time() - self._taken_at > self._options.keep_minutes * 60:
            raise refused("the keys that tokens are checked with cannot be had just now")
        found = self._chosen(key_id, algorithm)
        if found is None:
            raise refused("it is signed with a key that is not known here")
        return found

    async def keep(self, server: Server) -> None:
        """Fetch the keys whenever somebody asks for newer ones, for ever."""
        while True:
            await self._asked.wait()
            self._fetching = True
            try:
                await self._renew(server)
            finally:
                self._fetching = False
                self._asked = trio.Event()
                self._done.set()
                self._done = trio.Event()

    async def _renewed(self, seconds: float, server: Server) -> None:
        """Have the keys fetched, unless that was tried a moment ago, and wait a while for it."""
        if not self._fetching and trio.current_time() - self._tried_at < RETRY_SECONDS:
            return
        if self._options.jwks_path is not None:
            await self._renew(server)  # a file answers
            return
        self._asked.set()
        # Well within the plugin's own deadline: a token that somebody made up is no failure of the plugin's.
        with trio.move_on_after(min(seconds, server.handler_seconds / 2)):
            await self._done.wait()

    def _chosen(self, key_id: str | None, algorithm: str) -> Any:
        known = self._by_id.get(key_id)
        if known is None and key_id is None and len(self._by_id) == 1:
            known = next(iter(self._by_id.values()))
        return None if known is None else known.get(algorithm)

    async def _renew(self, server: Server) -> None:
        """Fetch the keys; old ones stay where it fails."""
        self._tried_at = trio.current_time()
        options = self._options
        try:
            if options.jwks_url is not None:
                self._take(await _fetch(options.jwks_url))
            elif options.jwks_path is not None:
                self._take(await trio.Path(options.jwks_path).read_bytes())
        except (httpx.HTTPError, OSError, ValueError, trio.TooSlowError) as fault:
            server.log.warning("the keys cannot be had: %s: %s", type(fault).__name__, fault)
        else:
            self._taken_at = trio.current_time()

    def _take(self, document: bytes) -> None:
        """Take the keys of a JSON Web Key Set (RFC 7517) in the place of those before.

        Raises:
            ValueError: it is none, or has no key for the algorithms.
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
    """Return a listed key by each algorithm that it is for."""
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
    """Fetch a small document, from there and nowhere else.

    Raises:
        httpx.HTTPError, ValueError, trio.TooSlowError: it cannot be had.
    """
    with trio.fail_after(FETCH_SECONDS):
        async with (
            httpx.AsyncClient(follow_redirects=False, trust_env=False) as client,
            client.stream(
                "GET", url, headers={"Accept": "application/json", "Accept-Encoding": "identity"}
            ) as answer,
        ):
            if answer.status_code != 200:
                raise ValueError(f"{url} answered {answer.status_code}")
            received = b""
            async for chunk in answer.aiter_raw():  # to its end: httpx leaves parts behind where one stops early
                received = (received + chunk)[: FETCH_BYTES + 1]
            if len(received) > FETCH_BYTES:
                raise ValueError(f"{url} has more than {FETCH_BYTES:,} bytes")
            return received
