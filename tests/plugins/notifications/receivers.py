"""What stands outside: an ntfy server, a Gotify server and a push service, as far as relay speaks with them.

They refuse what the real ones refuse, and the push service reads what a browser reads: it checks who sends (RFC
8292) and decrypts (RFC 8291), by the words of the RFCs and with none of the plugin's code.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from cryptography.hazmat.primitives import hashes, hmac, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.ciphers.aead import AESGCM


class Reply(NamedTuple):
    status: int
    body: bytes = b""
    headers: Mapping[str, str] = {}


def b64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def raw(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


class Receiver:
    """One server outside.

    Attributes:
        origin: as `https://ntfy.example`.
        calls: every request, as method and path.
        replies: what to answer instead, oldest first, before it does its work again.
    """

    def __init__(self, origin: str) -> None:
        self.origin = origin
        self.calls: list[tuple[str, str]] = []
        self.replies: list[Reply] = []
        self.problems: list[str] = []

    def answer(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> Reply:
        self.calls.append((method, path))
        if self.replies:
            return self.replies.pop(0)
        try:
            return self.work(method, path, {name.lower(): value for name, value in headers.items()}, body)
        except Exception as problem:
            self.problems.append(f"{method} {path}: {type(problem).__name__}: {problem}")
            return Reply(400, str(problem).encode())

    def work(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> Reply:
        raise NotImplementedError


class Ntfy(Receiver):
    """Topics, whose messages are known by sequence ids; `shown` is what a phone shows."""

    def __init__(self, origin: str, token: str | None = None) -> None:
        super().__init__(origin)
        self.token = token
        self.shown: dict[str, dict[str, Any]] = {}
        self.published: list[dict[str, Any]] = []

    def work(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> Reply:
        if self.token is not None and headers.get("authorization") != f"Bearer {self.token}":
            return Reply(403)
        if method == "POST" and path == "/":
            said = json.loads(body)
            assert re.fullmatch(r"[-_A-Za-z0-9]{1,64}", said["topic"])
            assert re.fullmatch(r"[-_A-Za-z0-9]{1,64}", said["sequence_id"])
            assert 1 <= said["priority"] <= 5
            assert len(said["message"].encode()) <= 4096
            self.published.append(said)
            self.shown[said["sequence_id"]] = said
            return Reply(200, json.dumps({"id": "x", "sequence_id": said["sequence_id"]}).encode())
        if method == "DELETE" and path.count("/") == 2:
            self.shown.pop(path.rpartition("/")[2], None)
            return Reply(200, b"{}")
        return Reply(404)

    @property
    def texts(self) -> list[tuple[str, str]]:
        return [(said["title"], said["message"]) for said in self.shown.values()]


class Gotify(Receiver):
    """Messages with ids; an application's token posts, a client's deletes."""

    def __init__(self, origin: str) -> None:
        super().__init__(origin)
        self.messages: dict[int, dict[str, Any]] = {}
        self.posted = 0

    def work(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> Reply:
        key = headers.get("x-gotify-key")
        if method == "POST" and path == "/message":
            if key != "app-token":
                return Reply(401)
            self.posted += 1
            self.messages[self.posted] = json.loads(body)
            return Reply(200, json.dumps({"id": self.posted, **self.messages[self.posted]}).encode())
        if method == "DELETE" and path.startswith("/message/"):
            if key != "client-token":
                return Reply(403)
            return Reply(200 if self.messages.pop(int(path.rpartition("/")[2]), None) else 404)
        return Reply(404)

    @property
    def texts(self) -> list[tuple[str, str]]:
        return [(said["title"], said["message"]) for said in self.messages.values()]


class PushService(Receiver):
    """Subscriptions of browsers; `shown` is what their service workers show, by tag."""

    def __init__(self, origin: str, now: Callable[[], float]) -> None:
        super().__init__(origin)
        self.now = now
        self.server_key: bytes | None = None
        self.browsers: dict[str, Browser] = {}

    def subscribe(self, public_key: str) -> Browser:
        self.server_key = raw(public_key)
        browser = Browser(f"{self.origin}/send/{len(self.browsers)}")
        self.browsers[f"/send/{len(self.browsers)}"] = browser
        return browser

    def work(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> Reply:
        browser = self.browsers.get(path)
        if browser is None:
            return Reply(410)
        assert method == "POST"
        assert headers["content-encoding"] == "aes128gcm"
        assert int(headers["ttl"]) > 0
        assert re.fullmatch(r"[A-Za-z0-9_-]{1,32}", headers["topic"])
        assert headers["urgency"] in ("very-low", "low", "normal", "high")
        assert len(body) <= 4096
        self.check_sender(headers["authorization"])
        browser.take(json.loads(browser.decrypt(body)), headers)
        return Reply(201, headers={"Location": f"{self.origin}/message/1"})

    def check_sender(self, authorization: str) -> None:
        scheme, _, rest = authorization.partition(" ")
        assert scheme == "vapid"
        given = dict(part.strip().split("=", 1) for part in rest.split(","))
        assert raw(given["k"]) == self.server_key, "another server's key"
        head, body, signature = given["t"].split(".")
        assert json.loads(raw(head)) == {"typ": "JWT", "alg": "ES256"}
        claims = json.loads(raw(body))
        assert claims["aud"] == self.origin
        assert self.now() < claims["exp"] <= self.now() + 86_400
        both = raw(signature)
        assert len(both) == 64
        der = encode_dss_signature(int.from_bytes(both[:32], "big"), int.from_bytes(both[32:], "big"))
        key = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), raw(given["k"]))
        key.verify(der, f"{head}.{body}".encode(), ec.ECDSA(hashes.SHA256()))


class Browser:
    """A subscription, and what its service worker does with what comes."""

    def __init__(self, endpoint: str) -> None:
        self.endpoint = endpoint
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.auth = b"sixteen bytes..."
        self.shown: dict[str, dict[str, Any]] = {}
        self.came: list[dict[str, Any]] = []
        self.headers: list[Mapping[str, str]] = []

    @property
    def p256dh(self) -> bytes:
        return self.key.public_key().public_bytes(
            serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint
        )

    def target(self) -> dict[str, Any]:
        return {"kind": "webpush", "endpoint": self.endpoint, "p256dh": b64(self.p256dh), "auth": b64(self.auth)}

    def decrypt(self, body: bytes) -> bytes:
        salt, size, length = body[:16], int.from_bytes(body[16:20], "big"), body[20]
        theirs, sealed = body[21 : 21 + length], body[21 + length :]
        assert len(sealed) <= size
        point = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), theirs)
        shared = self.key.exchange(ec.ECDH(), point)
        keyed = mac(mac(self.auth, shared), b"WebPush: info\0" + self.p256dh + theirs + b"\1")
        pseudo = mac(salt, keyed)
        content_key = mac(pseudo, b"Content-Encoding: aes128gcm\0\1")[:16]
        nonce = mac(pseudo, b"Content-Encoding: nonce\0\1")[:12]
        padded = AESGCM(content_key).decrypt(nonce, sealed, None).rstrip(b"\0")
        assert padded[-1:] == b"\2"
        return padded[:-1]

    def take(self, said: dict[str, Any], headers: Mapping[str, str]) -> None:
        self.came.append(said)
        self.headers.append(headers)
        if said["event"] == "notification":
            self.shown[said["tag"]] = said
        else:
            assert said["event"] == "withdrawn"
            self.shown.pop(said["tag"], None)

    @property
    def texts(self) -> list[tuple[str, str]]:
        return [(said["title"], said["body"]) for said in self.shown.values()]


def mac(key: bytes, message: bytes) -> bytes:
    made = hmac.HMAC(key, hashes.SHA256())
    made.update(message)
    return made.finalize()
