"""`jwt_auth`: who shows a signed token (JWT, RFC 7519) of an identity provider comes in as whom it names.

Only the algorithms and the one place of keys that the settings name are ever used: what a token's own header says
of where keys are is not looked at.
"""

import ipaddress
import math
import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

import httpx
import jwt
import msgspec
import trio
from jwt.exceptions import InvalidTokenError, PyJWTError
from msgspec import Meta

from relay.plugin import Authenticator, Claim, Credentials, ErrorCode, RelayError, hookimpl
from relay.plugin.server import Server
from relay.storage.accounts import check_name

Algorithm = Literal["HS256", "RS256", "ES256", "EdDSA"]
Text = Annotated[str, Meta(min_length=1, max_length=1000)]

FETCH_SECONDS = 5.0
FETCH_BYTES = 262_144
RETRY_SECONDS = 60.0
"""Keys are asked for at most so often, whatever tokens name."""

MOST_KEYS = 100
SECRET_BYTES = 32
_SHAPE = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*")
_CHECKS: Any = {"verify_exp": False, "verify_nbf": False, "verify_iat": False, "enforce_minimum_key_length": True}


class Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`[plugins.jwt_auth]`; docs/plugins/jwt_auth.md has it in words."""

    issuer: Text
    audience: Text
    algorithms: Annotated[list[Algorithm], Meta(min_length=1)]
    secret: str | None = None
    secret_path: Text | None = None
    key_path: Text | None = None
    jwks_path: Text | None = None
    jwks_url: Text | None = None
    refresh_minutes: Annotated[float, Meta(ge=1, le=100_000)] = 60
    keep_minutes: Annotated[float, Meta(ge=1, le=1_000_000)] = 1440
    leeway_seconds: Annotated[float, Meta(ge=0, le=300)] = 10
    user_claim: Text = "sub"
    name_claim: Text | None = "name"
    scope_claim: Text | None = "scope"
    scope_prefix: Text = "relay:"
    admin_claim: Text | None = None
    admin_values: list[Text] = []
    create_users: bool = True

    def __post_init__(self) -> None:
        places = ("secret", "secret_path", "key_path", "jwks_path", "jwks_url")
        named = [name for name in places if getattr(self, name) is not None]
        if len(named) != 1:
            raise ValueError(f"name one place of keys, of {', '.join(places)}; this names {len(named)}")
        shared = "HS256" in self.algorithms
        if shared and len(self.algorithms) > 1:
            raise ValueError("HS256 stands alone: with others, a public key could be used as its secret")
        if shared != (named[0] in ("secret", "secret_path")):
            raise ValueError("HS256 takes secret or secret_path; the others take key_path, jwks_path or jwks_url")
        if self.jwks_url is not None and not _is_safe(self.jwks_url):
            raise ValueError("jwks_url begins with https://, or with http:// on this machine")
        if (self.admin_claim is None) != (not self.admin_values):
            raise ValueError("admin_claim and admin_values go together")


def _is_safe(url: str) -> bool:
    parts = urlsplit(url)
    if parts.scheme == "https":
        return bool(parts.hostname)
    try:
        local = parts.hostname == "localhost" or ipaddress.ip_address(parts.hostname or "").is_loopback
    except ValueError:
        local = False
    return parts.scheme == "http" and local


class Keys:
    """The keys that tokens are checked with, fetched again when they are old, or when a token names another."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._fixed: dict[str, Any] = {}
        self._by_id: dict[str | None, dict[str, Any]] = {}
        self._taken_at = self._tried_at = float("-inf")
        self._lock = trio.Lock()
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

        Raises:
            RelayError: `forbidden`: there is none, or keys could not be had for too long.
        """
        if algorithm in self._fixed:
            return self._fixed[algorithm]
        fresh = trio.current_time() - self._taken_at < self._options.refresh_minutes * 60
        if not fresh or self._chosen(key_id, algorithm) is None:
            async with self._lock:
                await self._renew(server)
        if trio.current_time() - self._taken_at > self._options.keep_minutes * 60:
            raise _refused("the keys that tokens are checked with cannot be had just now")
        found = self._chosen(key_id, algorithm)
        if found is None:
            raise _refused("it is signed with a key that is not known here")
        return found

    def _chosen(self, key_id: str | None, algorithm: str) -> Any:
        known = self._by_id.get(key_id)
        if known is None and key_id is None and len(self._by_id) == 1:
            known = next(iter(self._by_id.values()))
        return None if known is None else known.get(algorithm)

    async def _renew(self, server: Server) -> None:
        """Fetch the keys, unless that was tried a moment ago; old ones stay where it fails."""
        if trio.current_time() - self._tried_at < RETRY_SECONDS:
            return
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


def _refused(reason: str) -> RelayError:
    return RelayError(ErrorCode.FORBIDDEN, f"the token is refused: {reason}")


async def identify(server: Server, options: Options, keys: Keys, token: str) -> Claim | None:
    """Return whom a token names; None for what is no token of the issuer's.

    Raises:
        RelayError: `forbidden`: it is one, and not good.
    """
    try:
        header = jwt.get_unverified_header(token)
        said = jwt.decode(token, options={"verify_signature": False})
    except (PyJWTError, ValueError, RecursionError):
        return None
    if said.get("iss") != options.issuer:
        return None
    algorithm, key_id = header.get("alg"), header.get("kid")
    if algorithm not in options.algorithms:
        raise _refused(f"it is signed by {str(algorithm)[:20]!r}; right is {', '.join(options.algorithms)}")
    key = await keys.find(server, key_id, algorithm)
    try:
        said = jwt.decode(token, key, [algorithm], _CHECKS, audience=options.audience, issuer=options.issuer)
    except (InvalidTokenError, PyJWTError, ValueError, TypeError) as fault:
        raise _refused(str(fault)[:200].lower()) from None
    expires_at, issued_at = _times(said, server.now(), options.leeway_seconds)
    return _claim(said, options, expires_at, issued_at)


def _times(said: Mapping[str, Any], now: float, leeway: float) -> tuple[float, float]:
    """Return until when a token is good, and since when.

    Raises:
        RelayError: `forbidden`: not now, or it does not say.
    """
    times = {name: said.get(name) for name in ("exp", "nbf", "iat")}
    for name, value in times.items():
        number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
        if value is not None and not number:
            raise _refused(f"its {name} is no number")
    if times["exp"] is None:
        raise _refused("it has no exp: it would be good for ever")
    if now >= times["exp"] + leeway:
        raise _refused("it has expired")
    if any(now < (times[name] or 0) - leeway for name in ("nbf", "iat")):
        raise _refused("it is not good yet")
    return times["exp"] + leeway, times["iat"] or 0.0


def _claim(said: Mapping[str, Any], options: Options, expires_at: float, issued_at: float) -> Claim:
    user_id = _look_up(said, options.user_claim)
    if not isinstance(user_id, str):
        raise _refused(f"its {options.user_claim} names nobody")
    try:
        check_name(user_id, "user id")
    except RelayError as error:
        raise _refused(f"its {options.user_claim}: {error.message}") from None
    name = _look_up(said, options.name_claim)
    prefix = options.scope_prefix
    scopes = {one.removeprefix(prefix) for one in _texts(said, options.scope_claim) if one.startswith(prefix)}
    return Claim(
        user_id,
        expires_at=expires_at,
        issued_at=issued_at,
        scopes=frozenset(scopes - {""}),
        admin=bool(set(_texts(said, options.admin_claim)) & set(options.admin_values)),
        display_name=name[:100] if isinstance(name, str) and name.strip() else None,
        create=options.create_users,
    )


def _look_up(said: Mapping[str, Any], path: str | None) -> Any:
    """Return a claim, by its name or by a path into objects: `realm_access.roles`."""
    if path is None or path in said:
        return None if path is None else said[path]
    found: Any = said
    for part in path.split("."):
        found = found.get(part) if isinstance(found, Mapping) else None
    return found


def _texts(said: Mapping[str, Any], path: str | None) -> list[str]:
    """Return the texts that a claim has: a list, or words with blanks between them."""
    found = _look_up(said, path)
    listed = found.split() if isinstance(found, str) else found
    return [one for one in listed if isinstance(one, str)] if isinstance(listed, list) else []


@hookimpl
def relay_options() -> type[msgspec.Struct]:
    """Read `[plugins.jwt_auth]` into `Options`."""
    return Options


@hookimpl
def relay_authenticators(options: Options) -> list[Authenticator]:
    """Let in whom a token of the issuer's names."""
    keys = Keys(options)

    async def look(server: Server, credentials: Credentials) -> Claim | None:
        if credentials.token is None or not _SHAPE.fullmatch(credentials.token):
            return None
        return await identify(server, options, keys, credentials.token)

    return [Authenticator(identify=look)]
