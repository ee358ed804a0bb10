"""A real OpenID provider on a port of this machine, and a shell around it that can make it lie.

The provider is `oidc-provider-mock`: Flask and Authlib's own server. The shell asks for PKCE, which the provider does
not, and signs the ID tokens itself, so that a test can have keys rotate, and tokens that are wrong in any way.
"""

from __future__ import annotations

import json
import threading
import time
from base64 import urlsafe_b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from authlib.oauth2.rfc7636 import create_s256_code_challenge
from joserfc import jws, jwt
from joserfc.jwk import RSAKey
from oidc_provider_mock import User, app
from werkzeug.serving import WSGIRequestHandler, make_server
from werkzeug.test import run_wsgi_app
from werkzeug.wrappers import Request, Response

NAME, CLIENT_ID, SECRET = "there", "relay", "a secret of the client"
KEYS = {kid: RSAKey.generate_key(2048, {"kid": kid, "use": "sig", "alg": "RS256"}) for kid in ("one", "two")}
OLD_WAYS = pytest.mark.filterwarnings("ignore:get_jwt_config:DeprecationWarning")
"""The provider uses an older way of Authlib's, and says so."""

Change = Callable[[dict[str, Any], dict[str, Any]], None]


class _Quiet(WSGIRequestHandler):
    def log(self, type: str, message: str, *arguments: Any) -> None:
        """Say nothing."""


class RealProvider:
    """A running provider.

    Attributes:
        url: where it is, which is its issuer.
        now: Unix seconds; a server in memory has a clock of its own.
        change: changes the header and the claims of ID tokens before they are signed.
        unsigned: whether ID tokens have the algorithm `none`.
        published, signing: the names of the keys that it tells, and of the one that it signs with.
        told: what its description says besides, or instead.
        status: of all its answers but 200, where it is broken.
        delay: seconds that each answer takes.
        asked: the paths that were asked for.
        exchanged: the headers and forms that codes were exchanged with.
    """

    def __init__(self, *users: User) -> None:
        self._app = app(user_claims=users, require_nonce=True)
        self.url = ""
        self.now: Callable[[], float] = time.time
        self.change: Change = lambda header, claims: None
        self.unsigned = False
        self.published, self.signing = ["one"], "one"
        self.told: dict[str, Any] = {}
        self.status, self.delay = 200, 0.0
        self.asked: list[str] = []
        self.exchanged: list[tuple[dict[str, str], dict[str, str]]] = []
        self._challenges: dict[str, str] = {}

    def __call__(self, environ: Any, start_response: Any) -> Any:
        """Answer a request, as WSGI has it."""
        request = Request(environ)
        self.asked.append(request.path)
        time.sleep(self.delay)
        if self.status != 200:
            answer = Response("broken", self.status)
        elif request.path == "/jwks":
            answer = _json({"keys": [KEYS[kid].as_dict(private=False) for kid in self.published]})
        elif request.path == "/oauth2/token":
            answer = self._exchange(request)
        else:
            answer = Response(*self._ask(request))
            if request.path == "/.well-known/openid-configuration":
                answer = _json(json.loads(answer.data) | self.told)
            elif request.path == "/oauth2/authorize" and (to := answer.headers.get("Location")):
                for code in parse_qs(urlsplit(to).query).get("code", []):
                    self._challenges[code] = request.args["code_challenge"]
        return answer(environ, start_response)

    def _ask(self, request: Request) -> tuple[Any, Any, Any]:
        parts, status, headers = run_wsgi_app(self._app, request.environ)
        return b"".join(parts), status, headers

    def _exchange(self, request: Request) -> Response:
        form = request.form.to_dict()
        self.exchanged.append((dict(request.headers), form))
        if create_s256_code_challenge(form.get("code_verifier", "")) != self._challenges.get(form["code"]):
            return _json({"error": "invalid_grant", "error_description": "PKCE"}, 400)
        environ = {**request.environ, "wsgi.input": _again(request)}
        body, status, headers = self._ask(Request(environ))
        told = json.loads(body)
        if "id_token" not in told:
            return Response(body, status, headers)
        return _json(told | {"id_token": self._sign(told["id_token"])})

    def _sign(self, token: str) -> str:
        claims = json.loads(jws.extract_compact(token.encode()).payload)
        header: dict[str, Any] = {"alg": "RS256", "kid": self.signing}
        claims |= {"iat": int(self.now()), "exp": int(self.now()) + 600}
        self.change(header, claims)
        if self.unsigned:
            parts = ({"alg": "none", "typ": "JWT"}, claims)
            return (
                ".".join(urlsafe_b64encode(json.dumps(one).encode()).decode().rstrip("=") for one in parts) + "."
            )
        return jwt.encode(header, claims, KEYS[self.signing], algorithms=[header["alg"]])


def _again(request: Request) -> Any:
    """Return the body of a request whose form was read, to be read once more."""
    import io
    from urllib.parse import urlencode

    body = urlencode(request.form.to_dict()).encode()
    request.environ["CONTENT_LENGTH"] = str(len(body))
    return io.BytesIO(body)


def _json(value: Any, status: int = 200) -> Response:
    return Response(json.dumps(value), status, content_type="application/json")


@contextmanager
def providing(monkeypatch: pytest.MonkeyPatch, *users: User) -> Iterator[RealProvider]:
    """Run a provider in a thread."""
    monkeypatch.setenv("AUTHLIB_INSECURE_TRANSPORT", "1")  # the provider's own check; relay has another
    provider = RealProvider(*users)
    server = make_server("127.0.0.1", 0, provider, threaded=True, request_handler=_Quiet)
    provider.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield provider
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


async def sign_in_there(url: str, sub: str | None) -> str:
    """Sign in at the provider as somebody, or refuse to, and return where it leads the browser back to."""
    form = {"action": "deny"} if sub is None else {"sub": sub}
    async with httpx.AsyncClient() as client:
        answer = await client.post(url, data=form)
    assert answer.status_code in (302, 303), answer.text
    return answer.headers["Location"]
