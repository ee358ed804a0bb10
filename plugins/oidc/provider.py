"""One provider: what it says of itself, its keys, and the exchange of a code for what it knows of somebody.

Authlib and joserfc know the protocol: the request's address, the client's authentication, the check of an ID
token. Authlib's own client is not used: it brings httpx with a network of its own, and every call here goes by
relay's `HttpClient`, to checked addresses alone, under a deadline and without redirects.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import msgspec
import trio
from authlib.common.urls import add_params_to_uri
from authlib.oauth2.auth import ClientAuth
from authlib.oauth2.rfc6749.parameters import prepare_grant_uri, prepare_token_request
from authlib.oauth2.rfc7636 import create_s256_code_challenge
from joserfc.errors import JoseError

from relay.http import CallFailed, HttpAnswer, HttpClient

from .faults import Failed
from .options import Options, Provider
from .tokens import Keys, check_id_token, check_logout_token

FRESH_SECONDS = 3600.0
"""How long what a provider says of itself, and its keys, are good before they are fetched again."""

NO_LOGOUT = "it has no end_session_endpoint: nobody can be signed out there; leave logout out"
ANSWER_BYTES = 524_288
CALL_SECONDS = 3.0
_REFETCH_SECONDS = 60.0
_ADDRESSES = (
    "authorization_endpoint", "token_endpoint", "jwks_uri", "userinfo_endpoint", "end_session_endpoint",
)  # fmt: skip
_FORM = {"content-type": "application/x-www-form-urlencoded", "accept": "application/json"}


class Metadata(msgspec.Struct, frozen=True):
    """A provider's description of itself (OpenID Connect Discovery 1.0 section 3); the rest is passed over."""

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    userinfo_endpoint: str | None = None
    end_session_endpoint: str | None = None
    token_endpoint_auth_methods_supported: list[str] | None = None


class _Token(msgspec.Struct, frozen=True):
    """The token endpoint's answer."""

    id_token: str
    access_token: str


class _Refusal(msgspec.Struct, frozen=True):
    """The token endpoint's refusal (RFC 6749 section 5.2)."""

    error: str
    error_description: str = ""


class Answered(NamedTuple):
    """The provider's answer about who signed in: their claims, and the ID token that they are from."""

    claims: dict[str, Any]
    id_token: str


class Attempt(NamedTuple):
    """The secrets of one sign-in: what goes to the provider and comes back, and what never leaves this server."""

    state: str
    nonce: str
    verifier: str


class Client:
    """relay as a client of one provider.

    Args:
        name: the provider's, in the settings.

    Raises:
        ValueError: the client's secret cannot be read.
    """

    def __init__(self, name: str, provider: Provider, options: Options) -> None:
        self.name = name
        self.provider = provider
        self._policy = options.policy
        self._leeway = options.leeway_seconds
        self._secret = provider.secret()
        self._metadata: Metadata | None = None
        self._keys: Keys | None = None
        self._told_at = self._keys_at = float("-inf")

    @property
    def title(self) -> str:
        """What people call the provider."""
        return self.provider.title or self.name.capitalize()

    async def metadata(self, *, fresh: bool = False) -> Metadata:
        """Return what the provider says of itself, of the last hour.

        Args:
            fresh: ask it now.

        Raises:
            Failed
        """
        if self._metadata is None or fresh or trio.current_time() - self._told_at > FRESH_SECONDS:
            url = self.provider.issuer.rstrip("/") + "/.well-known/openid-configuration"
            told: Metadata = _decoded(await self._get(url), Metadata, url)
            self._check(told)
            self._metadata, self._told_at = told, trio.current_time()
        return self._metadata

    def _check(self, told: Metadata) -> None:
        """Check what the provider says of itself.

        Raises:
            Failed: it is another issuer, or one of its addresses is not fit.
        """
        if told.issuer != self.provider.issuer:
            said, right = told.issuer, self.provider.issuer
            text = f"it says that its issuer is {said!r:.200}, and the settings say {right!r:.200}"
            raise Failed("sso_wrong_issuer", text)
        for name in _ADDRESSES:
            url = getattr(told, name)
            if url is None:
                continue
            scheme, host = urlsplit(url)[:2]
            if not host or (scheme != "https" and not (scheme == "http" and self.provider.is_plain)):
                raise Failed("sso_bad_answer", f"its {name} is {url!r:.200}; right is https://…")

    async def keys(self, *, fresh: bool = False) -> Keys:
        """Return the provider's keys, of the last hour.

        Raises:
            Failed
        """
        if self._keys is None or fresh or trio.current_time() - self._keys_at > FRESH_SECONDS:
            url = (await self.metadata()).jwks_uri
            body = await self._get(url)
            try:
                self._keys = Keys.read(body, self.provider.algorithms)
            except (ValueError, JoseError) as fault:
                raise Failed("sso_bad_answer", f"{url}: {fault}") from None
            self._keys_at = trio.current_time()
        return self._keys

    async def address(self, attempt: Attempt, redirect_uri: str) -> str:
        """Return the provider's address at which somebody signs in.

        Raises:
            Failed
        """
        told = await self.metadata()
        made: str = prepare_grant_uri(
            told.authorization_endpoint,
            self.provider.client_id,
            "code",
            redirect_uri=redirect_uri,
            scope=" ".join(self.provider.scopes),
            state=attempt.state,
            nonce=attempt.nonce,
            code_challenge=create_s256_code_challenge(attempt.verifier),
            code_challenge_method="S256",
        )
        return made

    async def logout_address(self, back: str, id_token: str | None) -> str:
        """Return the provider's address at which somebody signs out (OpenID Connect RP-Initiated Logout 1.0).

        Args:
            back: where the provider sends the browser then.
            id_token: of the sign-in; without it providers ask whether they really want to.

        Raises:
            Failed
        """
        endpoint = (await self.metadata()).end_session_endpoint
        if endpoint is None:
            raise Failed("sso_bad_answer", NO_LOGOUT)
        hint = [] if id_token is None else [("id_token_hint", id_token)]
        told = [("client_id", self.provider.client_id), ("post_logout_redirect_uri", back), *hint]
        made: str = add_params_to_uri(endpoint, told)
        return made

    async def exchange(self, code: str, attempt: Attempt, redirect_uri: str, now: float) -> Answered:
        """Exchange a code for the claims of who signed in; they are checked.

        Args:
            now: Unix seconds.

        Raises:
            Failed
        """
        told = await self.metadata()
        token = await self._fetch_token(told, code, attempt, redirect_uri)
        keys = await self.keys()
        if not keys.has_key_of(token.id_token):  # the provider has new keys
            keys = await self.keys(fresh=True)
        claims = check_id_token(
            token.id_token,
            keys,
            self.provider,
            nonce=attempt.nonce,
            access_token=token.access_token,
            now=now,
            leeway=self._leeway,
        )
        wanted = (self.provider.user_claim, self.provider.name_claim, self.provider.groups_claim)
        if told.userinfo_endpoint and any(one is not None and look_up(claims, one) is None for one in wanted):
            claims = await self._user_info(told.userinfo_endpoint, token.access_token, claims) | claims
        return Answered(claims, token.id_token)

    async def signed_out(self, token: str, now: float) -> str:
        """Return the `sub` of whom a logout token says that they have signed out.

        Args:
            now: Unix seconds.

        Raises:
            Failed
        """
        keys = await self.keys()
        # Anybody may send what looks like a token: it does not have keys fetched again and again.
        if not keys.has_key_of(token) and trio.current_time() - self._keys_at > _REFETCH_SECONDS:
            keys = await self.keys(fresh=True)
        return check_logout_token(token, keys, self.provider, now=now, leeway=self._leeway)

    async def _fetch_token(self, told: Metadata, code: str, attempt: Attempt, redirect_uri: str) -> _Token:
        """Exchange a code at the token endpoint.

        Raises:
            Failed
        """
        body = prepare_token_request(
            "authorization_code", "", redirect_uri=redirect_uri, code=code, code_verifier=attempt.verifier
        )
        known = told.token_endpoint_auth_methods_supported or ["client_secret_basic"]
        method = "client_secret_basic" if "client_secret_basic" in known else "client_secret_post"
        auth = ClientAuth(self.provider.client_id, self._secret, method if self._secret else "none")
        url, headers, body = auth.prepare("POST", told.token_endpoint, dict(_FORM), body)
        answer = await self._call("POST", url, headers, body.encode())
        if answer.status != 200:
            raise _refusal(answer, url)
        token: _Token = _decoded(answer.body, _Token, url)
        return token

    async def _user_info(self, url: str, access_token: str, claims: Mapping[str, Any]) -> dict[str, Any]:
        """Return what the provider knows of somebody besides their ID token.

        Raises:
            Failed
        """
        body = await self._get(url, {"authorization": f"Bearer {access_token}"})
        told: dict[str, Any] = _decoded(body, dict[str, Any], url)
        if told.get("sub") != claims["sub"]:  # OpenID Connect Core 1.0 section 5.3.2: it must not be used
            raise Failed("sso_bad_answer", f"{url} is about somebody else than the ID token")
        return told

    async def _get(self, url: str, headers: Mapping[str, str] | None = None) -> bytes:
        answer = await self._call("GET", url, {"accept": "application/json", **(headers or {})})
        if answer.status != 200:
            reason = "sso_unreachable" if answer.status >= 500 else "sso_bad_answer"
            raise Failed(reason, f"{url} answered {answer.status}")
        return answer.body

    async def _call(self, method: str, url: str, headers: Mapping[str, str], content: bytes = b"") -> HttpAnswer:
        try:
            async with HttpClient(seconds=CALL_SECONDS, answer_bytes=ANSWER_BYTES, policy=self._policy) as client:
                answer = await client.call(method, url, headers=headers, content=content)
        except (CallFailed, ValueError) as fault:
            raise Failed("sso_unreachable", str(fault)) from None
        if answer.cut is not None:
            raise Failed("sso_unreachable", f"{url}: {answer.cut}")
        return answer


def look_up(claims: Mapping[str, Any], path: str) -> Any:
    """Return a claim, by its name or by a path into objects: `realm_access.roles`; None where it is missing."""
    if path in claims:
        return claims[path]
    found: Any = claims
    for part in path.split("."):
        found = found.get(part) if isinstance(found, Mapping) else None
    return found


def _decoded(body: bytes, kind: Any, url: str) -> Any:
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as fault:
        raise Failed("sso_bad_answer", f"{url}: {fault}") from None


def _refusal(answer: HttpAnswer, url: str) -> Failed:
    """Return why the token endpoint gave no token."""
    try:
        told = msgspec.json.decode(answer.body, type=_Refusal)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        reason = "sso_unreachable" if answer.status >= 500 else "sso_bad_answer"
        return Failed(reason, f"{url} answered {answer.status}")
    # `invalid_grant`: a code that was used, or is too old, or another client's.
    reason = "sso_used" if told.error == "invalid_grant" else "sso_bad_answer"
    return Failed(reason, f"{url} refused: {told.error[:100]}: {told.error_description[:200]}")
