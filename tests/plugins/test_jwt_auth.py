"""Tokens of an identity provider: whom they let in, and every trick that must not work."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import jwt
import pytest
import trio
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from relay.engine.loader import load_plugins
from relay.settings import load
from relay.testing import EPOCH, Closed, RelayWorld, World
from tests.actors import OPERATOR

ISSUER, AUDIENCE = "https://id.example.org/", "relay"
RSA_KEY, OTHER_KEY = (rsa.generate_private_key(65537, 2048) for _ in range(2))
EC_KEY, ED_KEY = ec.generate_private_key(ec.SECP256R1()), ed25519.Ed25519PrivateKey.generate()
WEAK_KEY = rsa.generate_private_key(65537, 1024)
SECRET = "a secret of thirty-two bytes or more"


def pem(key: Any) -> bytes:
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return bytes(key.public_key().public_bytes(serialization.Encoding.PEM, form))


def jwk(key: Any, algorithm: str, kid: str, **more: Any) -> dict[str, Any]:
    made = json.loads(jwt.get_algorithm_by_name(algorithm).to_jwk(key.public_key()))
    return {**made, "kid": kid, "alg": algorithm, "use": "sig", **more}


def token(key: Any = RSA_KEY, algorithm: str = "RS256", kid: str | None = "one", /, **said: Any) -> str:
    claims = {"iss": ISSUER, "aud": AUDIENCE, "sub": "alice", "exp": EPOCH + 600, "iat": EPOCH - 5} | said
    headers = {} if kid is None else {"kid": kid}
    return jwt.encode(
        {name: value for name, value in claims.items() if value is not None}, key, algorithm, headers
    )


def settings(**options: Any) -> dict[str, str]:
    given = {"issuer": ISSUER, "audience": AUDIENCE, "algorithms": ["RS256"]} | options
    written = {f"RELAY_PLUGINS__JWT_AUTH__{name.upper()}": json.dumps(value) for name, value in given.items()}
    return {"RELAY_PLUGINS__ALSO": "jwt_auth"} | written


@pytest.fixture
def key_path(tmp_path: Path) -> str:
    path = tmp_path / "key.pem"
    path.write_bytes(pem(RSA_KEY))
    return str(path)


async def refused(world: World, shown: str) -> str:
    """Return why a token lets nobody in, which is the same by socket and by REST."""
    device = await world.upgrade()
    await device.send(
        {"type": "connection_event", "payload": {"event": "hello", "token": shown}, "meta": {"client_id": "c"}}
    )
    closed = await device.closed()
    assert closed.code == 4501
    answer = await world.rest("GET", "/api/users/me", shown)
    assert answer.status == 401
    assert world.engine.registry.guard("jwt_auth").failures == 0  # type: ignore[union-attr]
    return closed.reason


async def me(world: World, shown: str) -> dict[str, Any]:
    answer = await world.rest("GET", "/api/users/me", shown)
    assert answer.status == 200, answer.body
    body: dict[str, Any] = answer.body
    return body


@pytest.mark.parametrize(
    ("algorithm", "private", "public"),
    [("RS256", RSA_KEY, RSA_KEY), ("ES256", EC_KEY, EC_KEY), ("EdDSA", ED_KEY, ED_KEY), ("HS256", SECRET, None)],
)
async def test_a_good_token_lets_in_whom_it_names(
    relay_world: RelayWorld, tmp_path: Path, algorithm: str, private: Any, public: Any
) -> None:
    (tmp_path / "key").write_bytes(SECRET.encode() if public is None else pem(public))
    place = {("secret_path" if public is None else "key_path"): str(tmp_path / "key")}
    async with relay_world(None, "bob", **settings(algorithms=[algorithm], **place)) as world:
        shown = token(private, algorithm, None, name="Alice A.")
        device = await world.connect(shown, "laptop")
        assert device.ready["user_id"] == "alice"
        assert (await device.request("chat_message", {"content": "hi"}, "bob"))["type"] == "ack"
        assert (await me(world, shown))["display_name"] == "Alice A."
        assert (await me(world, world.tokens["bob"]))["user_id"] == "bob"


async def test_a_connection_ends_when_its_token_does(relay_world: RelayWorld, key_path: str) -> None:
    async with relay_world(None, **settings(key_path=key_path)) as world:
        device = await world.connect(token(exp=EPOCH + 20), "laptop")
        begun = trio.current_time()
        closed = await device.closed()
        assert closed.code == 4501
        assert 29 <= trio.current_time() - begun + (begun) <= 61
        assert "has expired" in await refused(world, token(exp=EPOCH + 20))


def forged(header: dict[str, Any], signature: bytes = b"") -> str:
    said = {"iss": ISSUER, "aud": AUDIENCE, "sub": "alice", "exp": EPOCH + 600}
    parts = [json.dumps(header).encode(), json.dumps(said).encode(), signature]
    return ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts)


def confused() -> str:
    """Return a token signed with the public key as if that were a shared secret."""
    import hashlib
    import hmac

    head = forged({"alg": "HS256", "typ": "JWT"}).rpartition(".")[0]
    signature = hmac.new(pem(RSA_KEY), head.encode(), hashlib.sha256).digest()
    return f"{head}.{base64.urlsafe_b64encode(signature).rstrip(b'=').decode()}"


WRONG = {
    "alg none": (forged({"alg": "none"}), "signed by 'none'; right is RS256"),
    "alg None": (forged({"alg": "None"}), "signed by 'none'" ),
    "no signature": (forged({"alg": "RS256", "kid": "one"}), "signature verification failed"),
    "the public key as a secret": (confused(), "signed by 'hs256'"),
    "another key": (token(OTHER_KEY), "signature verification failed"),
    "another algorithm": (token(EC_KEY, "ES256"), "signed by 'es256'"),
    "another audience": (token(aud="billing"), "audience"),
    "no audience": (token(aud=None), "aud"),
    "expired": (token(exp=EPOCH - 11), "it has expired"),
    "no expiry": (token(exp=None), "it has no exp"),
    "expiry is a text": (token(exp="never"), "exp"),
    "expiry beyond all": (token(exp=10**400), "its exp is no number"),
    "expiry is not a number": (token(exp=float("nan")), "its exp is no number"),
    "not yet": (token(nbf=EPOCH + 60), "it is not good yet"),
    "issued tomorrow": (token(iat=EPOCH + 86_400), "it is not good yet"),
    "nobody": (token(sub=None), "its sub names nobody"),
    "no user's name": (token(sub="auth0|1"), "its sub: 'auth0|1' cannot be a user id"),
    "a group's name": (token(sub="team"), "the name 'team' is taken"),
    "its own key": (forged({"alg": "RS256", "jwk": jwk(OTHER_KEY, "RS256", "x")}), "signature verification failed"),
    "its own place of keys": (forged({"alg": "RS256", "jku": "http://127.0.0.1:1/keys"}), "signature"),
    "another issuer": (token(iss="https://evil.example.org/"), ""),
    "no JSON": ("a.b.c", ""),
    "no token": ("x" * 43, ""),
}  # fmt: skip


@pytest.mark.parametrize("wrong", WRONG)
async def test_what_is_wrong_lets_nobody_in_and_says_why(
    relay_world: RelayWorld, key_path: str, wrong: str
) -> None:
    shown, why = WRONG[wrong]
    async with relay_world(None, "bob", **settings(key_path=key_path)) as world:
        await world.engine.groups.create("bob", "Team", [], "team")
        assert why in (await refused(world, shown)).lower() or why in await refused(world, shown)
        assert (await me(world, token()))["user_id"] == "alice"


async def test_claims_become_scopes_and_admins(relay_world: RelayWorld, key_path: str) -> None:
    options = settings(key_path=key_path, admin_claim="realm_access.roles", admin_values=["relay-admin"])
    async with relay_world(None, "bob", **options) as world:

        async def may(**said: Any) -> int:
            body = {"type": "notification", "payload": {"title": "x"}, "meta": {"target_id": "bob"}}
            return int((await world.rest("POST", "/api/messages", token(**said), json_body=body)).status)

        assert (
            await may() == await may(scope="notify openid") == await may(realm_access={"roles": ["other"]}) == 403
        )
        assert await may(scope="openid relay:notify") == await may(scope=["relay:notify"]) == 201
        assert await may(realm_access={"roles": ["relay-admin"]}) == 201
        assert await may(scope={"relay:notify": 1}, realm_access="relay") == 403
        assert (await me(world, token(realm_access={"roles": ["relay-admin"]})))["admin"] is True
        assert (await me(world, token()))["admin"] is False


async def test_who_is_not_there_comes_in_only_where_users_are_created(
    relay_world: RelayWorld, key_path: str
) -> None:
    async with relay_world(None, "bob", **settings(key_path=key_path, create_users=False)) as world:
        await refused(world, token(sub="stranger"))
        assert (await me(world, token(sub="bob")))["user_id"] == "bob"
        await world.engine.administration.set_disabled(OPERATOR, "bob", True)
        assert (await world.rest("GET", "/api/users/me", token(sub="bob"))).status == 401 + 2


class Provider:
    """An identity provider's key set, over real HTTP on loopback."""

    def __init__(self) -> None:
        self.keys: Any = [jwk(RSA_KEY, "RS256", "one")]
        self.asked: list[str] = []
        self.status = "200 OK"
        self.headers = ""
        self.hangs = False

    async def serve(self, stream: trio.SocketStream) -> None:
        async with stream:
            head = b""
            while b"\r\n\r\n" not in head:
                head += await stream.receive_some(4096)
            self.asked.append(head.decode().split(" ")[1])
            if self.hangs:
                await trio.sleep_forever()
            body = self.keys if isinstance(self.keys, bytes) else json.dumps({"keys": self.keys}).encode()
            answer = (
                f"HTTP/1.1 {self.status}\r\n{self.headers}Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
            )
            await stream.send_all(answer.encode() + body)


@asynccontextmanager
async def providing() -> AsyncIterator[tuple[Provider, str]]:
    provider = Provider()
    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(partial(trio.serve_tcp, provider.serve, 0, host="127.0.0.1"))
        yield provider, f"http://127.0.0.1:{listeners[0].socket.getsockname()[1]}/keys"
        nursery.cancel_scope.cancel()


class Clock:
    """The clock of the plugin, moved by hand: sockets need the real one."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.ahead = 0.0
        real = trio.current_time
        import sys

        module = sys.modules["relay_plugin_jwt_auth.keys"]

        class Time:
            def __getattr__(self, name: str) -> Any:
                return (lambda: real() + outer.ahead) if name == "current_time" else getattr(trio, name)

        outer = self
        monkeypatch.setattr(module, "trio", Time())


@pytest.mark.trio
@pytest.mark.real_time
async def test_keys_are_fetched_rotated_and_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from relay.testing import world as running

    async with providing() as (provider, url), running(tmp_path, **settings(jwks_url=url)) as world:
        clock = Clock(monkeypatch)

        async def status(shown: str) -> int:
            return int((await world.rest("GET", "/api/users/me", shown)).status)

        exp = world.engine.now() + 1e6
        first, second, none = (
            token(exp=exp),
            token(OTHER_KEY, "RS256", "two", exp=exp),
            token(RSA_KEY, "RS256", None, exp=exp),
        )
        assert [await status(first) for _ in range(5)] == [200] * 5
        assert await status(none) == 200  # there is but one key
        assert provider.asked == ["/keys"]
        provider.keys = [jwk(RSA_KEY, "RS256", "one"), jwk(OTHER_KEY, "RS256", "two")]
        # An unknown kid asks again, at most once a minute, whoever makes kids up.
        assert await status(second) == 401
        assert len(provider.asked) == 1
        clock.ahead += 61
        assert await status(second) == 200
        for number in range(20):
            assert await status(token(OTHER_KEY, "RS256", f"made-up-{number}", exp=exp)) == 401
        assert len(provider.asked) == 2
        assert await status(none) == 401  # there are two keys
        # A key that was taken out is not good once the keys are old.
        provider.keys = [jwk(OTHER_KEY, "RS256", "two")]
        assert await status(first) == 200
        clock.ahead += 3601
        assert await status(second) == 200
        assert await status(first) == 401
        # While the provider is away the keys stay good for a day, and no longer.
        provider.status = "500 Away"
        clock.ahead += 23 * 3600
        assert await status(second) == 200
        clock.ahead += 2 * 3600
        assert await status(second) == 401
        provider.status = "200 OK"
        clock.ahead += 61
        assert await status(second) == 200


@pytest.mark.trio
@pytest.mark.filterwarnings("ignore::jwt.warnings.InsecureKeyLengthWarning")
@pytest.mark.real_time
@pytest.mark.parametrize("trick", ["redirect", "huge", "junk", "weak", "private", "encryption", "curve", "hangs"])
async def test_what_is_no_key_set_lets_nobody_in_and_nothing_else_is_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trick: str, caplog: pytest.LogCaptureFixture
) -> None:
    from relay.testing import world as running

    async with providing() as (provider, url):
        key, algorithm = (
            (EC_KEY, "ES256") if trick == "curve" else (WEAK_KEY if trick == "weak" else RSA_KEY, "RS256")
        )
        provider.keys = [jwk(key, algorithm, "one")]
        if trick == "redirect":
            provider.status, provider.headers = "302 Found", f"Location: {url}/elsewhere\r\n"
        elif trick == "huge":
            provider.keys = b" " * 300_000 + json.dumps({"keys": provider.keys}).encode()
        elif trick == "junk":
            provider.keys = b"[[[[1"
        elif trick == "private":
            provider.keys = [json.loads(jwt.get_algorithm_by_name("RS256").to_jwk(RSA_KEY)) | {"kid": "one"}]
        elif trick == "encryption":
            provider.keys[0]["use"] = "enc"
        elif trick == "curve":
            provider.keys[0]["crv"] = "P-384"
        provider.hangs = trick == "hangs"
        async with running(tmp_path, **settings(jwks_url=url, algorithms=[algorithm])) as world:
            if trick == "hangs":
                import sys

                monkeypatch.setattr(sys.modules["relay_plugin_jwt_auth.keys"], "FETCH_SECONDS", 0.2)
            shown = token(key, algorithm, exp=world.engine.now() + 600)
            for _ in range(3):
                assert (await world.rest("GET", "/api/users/me", shown)).status == 401
            assert provider.asked == ["/keys"]
            assert world.engine.registry.guard("jwt_auth").failures == 0  # type: ignore[union-attr]
            if trick != "weak":
                assert "the keys cannot be had" in caplog.text


@pytest.mark.trio
@pytest.mark.real_time
async def test_a_place_that_hangs_holds_no_good_token_up_and_junk_sets_nothing_aside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`handler_seconds` is shorter than fetching may take: no token waits as long as either."""
    from relay.testing import world as running

    deadline = {"RELAY_TIMEOUTS__HANDLER_SECONDS": "1"}
    async with providing() as (provider, url), running(tmp_path, **settings(jwks_url=url), **deadline) as world:
        clock, exp = Clock(monkeypatch), world.engine.now() + 1e6
        good = token(exp=exp)
        assert (await world.rest("GET", "/api/users/me", good)).status == 200
        provider.hangs = True
        clock.ahead += 3601
        answers: list[int] = []

        async def show(shown: str) -> None:
            answers.append((await world.rest("GET", "/api/users/me", shown)).status)

        async with trio.open_nursery() as nursery:
            for number in range(30):
                nursery.start_soon(show, token(OTHER_KEY, "RS256", f"made-up-{number}", exp=exp))
            nursery.start_soon(show, good)
        assert sorted(answers) == [200, *[401] * 30]
        with trio.fail_after(0.4):  # less than any wait for keys
            assert (await world.rest("GET", "/api/users/me", good)).status == 200
        assert provider.asked == ["/keys", "/keys"]
        guard = world.engine.registry.guard("jwt_auth")
        assert guard is not None
        assert (guard.failures, guard.quarantined) == (0, False)


async def test_a_file_of_keys_is_read_again_when_a_token_names_another(
    relay_world: RelayWorld, tmp_path: Path
) -> None:
    file = tmp_path / "keys.json"
    file.write_text(json.dumps({"keys": [jwk(RSA_KEY, "RS256", "one")]}))
    late = EPOCH + 1_000_000  # files are read in threads, for which virtual time does not wait
    async with relay_world(None, **settings(jwks_path=str(file))) as world:
        await me(world, token(exp=late))
        file.write_text(json.dumps({"keys": [jwk(OTHER_KEY, "RS256", "two")]}))
        await trio.sleep(61)
        await me(world, token(OTHER_KEY, "RS256", "two", exp=late))
        await refused(world, token(exp=late))


BAD = {
    "no place": ({}, "name one place of keys"),
    "two places": ({"key_path": "a", "jwks_url": "https://a"}, "this names 2"),
    "mixed": ({"algorithms": ["HS256", "RS256"], "secret": SECRET}, "HS256 stands alone"),
    "a public secret": ({"algorithms": ["HS256"], "key_path": "a"}, "HS256 takes secret"),
    "a secret for RS256": ({"secret": SECRET}, "the others take key_path"),
    "short": ({"algorithms": ["HS256"], "secret": "short"}, "the secret has 5 bytes"),
    "none": ({"algorithms": ["none"], "key_path": "a"}, "Invalid enum value 'none'"),
    "plain http": ({"jwks_url": "http://id.example.org/keys"}, "jwks_url begins with https://"),
    "file url": ({"jwks_url": "file:///etc/passwd"}, "jwks_url begins with https://"),
    "no file": ({"key_path": "/no/such/file"}, "No such file"),
    "admins of nothing": ({"jwks_url": "https://a", "admin_values": ["x"]}, "go together"),
    "a misspelt key": ({"jwks_url": "https://a", "isuer": "x"}, "did you mean issuer?"),
}  # fmt: skip


@pytest.mark.parametrize("bad", BAD)
def test_settings_that_would_let_anybody_in_leave_it_out(bad: str) -> None:
    options, told = BAD[bad]
    (broken,) = load_plugins(load(None, settings(**options)), {}).broken
    assert told in broken.reason


def test_a_private_key_and_a_key_of_another_kind_are_no_public_key(tmp_path: Path) -> None:
    (tmp_path / "ec.pem").write_bytes(pem(EC_KEY))
    private = RSA_KEY.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (tmp_path / "private.pem").write_bytes(private)
    for name in ("ec.pem", "private.pem"):
        (broken,) = load_plugins(load(None, settings(key_path=str(tmp_path / name))), {}).broken
        assert "key_path has no public key for RS256" in broken.reason


async def test_a_device_that_was_revoked_stays_out_with_its_old_token(
    relay_world: RelayWorld, key_path: str
) -> None:
    async with relay_world(None, **settings(key_path=key_path)) as world:
        old = token(iat=EPOCH)
        await world.connect(old, "phone")
        await trio.sleep(10)
        assert (await world.rest("DELETE", "/api/devices/phone", old)).status in (200, 204)
        with pytest.raises(Closed, match="4503"):
            await world.connect(old, "phone")
        assert (await world.connect(token(iat=EPOCH + 11), "phone")).ready["user_id"] == "alice"
