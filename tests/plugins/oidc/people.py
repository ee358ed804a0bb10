"""Browsers that sign in: their cookie, their way out to the provider, and back."""

from __future__ import annotations

import json
import re
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from oidc_provider_mock import User

from relay.testing import World
from relay.testing import world as running
from tests.plugins.oidc.provider import CLIENT_ID, NAME, SECRET, RealProvider, sign_in_there

PUBLIC = "https://chat.example.org/talk"
BASE = f"/api/oidc/{NAME}"
ERIN = User(
    sub="1001",
    claims={
        "preferred_username": "erin",
        "name": "Erin Example",
        "email": "erin@example.org",
        "email_verified": True,
        "groups": ["staff", "ops"],
    },
)


def settings(folder: Path, issuer: str, *, public: str = PUBLIC, **options: Any) -> dict[str, str]:
    """Return the settings of a server with one provider, as variables."""
    secret = folder / "client_secret"
    secret.write_text(f"{SECRET}\n")
    table = {"issuer": issuer, "client_id": CLIENT_ID, "client_secret_file": str(secret), "title": "There"}
    return {
        "RELAY_PLUGINS__ALSO": '["oidc"]',
        "RELAY_PLUGINS__OIDC__PROVIDERS": _toml({NAME: {**table, **options}}),
        "RELAY_PLUGINS__OIDC__ALLOW_NETWORKS": '["127.0.0.0/8"]',
        "RELAY_SERVER__PUBLIC_URL": public,
    }


def _toml(value: Any) -> str:
    """Return a value as TOML has it on one line."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(key)} = {_toml(one)}" for key, one in value.items()) + "}"
    return json.dumps(value)


@asynccontextmanager
async def opened(
    folder: Path, provider: RealProvider, *users: str, environ: dict[str, str] | None = None, **options: Any
) -> AsyncIterator[World]:
    """Run a server whose people sign in at a provider."""
    set_up = settings(folder, provider.url, **options) | (environ or {})
    async with running(folder, *users, **set_up) as world:
        assert world.engine.registry.broken == []
        ahead = world.engine.now() - time.time()
        provider.now = lambda: time.time() + ahead
        yield world


class Browser:
    """A browser with the cookie of this plugin, and the page's fragment."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.cookie: str | None = None
        self.set_cookie = ""

    async def ask(self, method: str, path: str, token: str | None = None, body: Any = None) -> Any:
        """Make a request, and keep the cookie."""
        headers = {} if self.cookie is None else {"Cookie": self.cookie}
        answer = await self.world.rest(method, path, token, json_body=body, headers=headers)
        if "set-cookie" in answer.headers:
            self.set_cookie = answer.headers["set-cookie"]
            self.cookie = self.set_cookie.partition(";")[0]
        return answer

    async def leave(self) -> str:
        """Press the provider's button; return the provider's address."""
        answer = await self.ask("GET", f"{BASE}/start")
        assert answer.status == 303
        return answer.headers["location"]

    async def come_back(self, to: str) -> str:
        """Follow the provider's redirect; return what the page is opened with."""
        parts = urlsplit(to)
        assert parts.path.endswith(f"{BASE}/callback"), to
        answer = await self.ask("GET", f"{BASE}/callback?{parts.query}")
        assert answer.status == 303
        return answer.headers["location"]

    async def visit(self, sub: str | None = "1001") -> str:
        """Go out to the provider as somebody and come back; return what the page is opened with."""
        return await self.come_back(await sign_in_there(await self.leave(), sub))

    async def finish(self, opened_with: str) -> Any:
        """Exchange the page's code for a login."""
        return await self.ask("POST", f"{BASE}/finish", body={"code": code_of(opened_with), "client_id": "tab"})

    async def sign_in(self, sub: str = "1001") -> Any:
        """Sign in as somebody at the provider; return the answer to the page."""
        return await self.finish(await self.visit(sub))

    async def link(self, token: str, sub: str = "1001") -> Any:
        """Connect a signed-in user's account with somebody at the provider."""
        begun = await self.ask("POST", f"{BASE}/link/start", token)
        assert begun.status == 200, begun.body
        back = await self.come_back(await sign_in_there(begun.body["url"], sub))
        return await self.ask("POST", f"{BASE}/link", token, {"code": code_of(back)})


def code_of(opened_with: str) -> str:
    """Return the code that the page is opened with."""
    found = re.fullmatch(rf"\.\./\.\./\.\./#way={NAME}:([\w-]+)", opened_with)
    assert found, opened_with
    return found[1]


def failure_of(opened_with: str) -> str:
    """Return why a sign-in failed, as the page is told."""
    found = re.fullmatch(r"\.\./\.\./\.\./#way-failed=(\w+)", opened_with)
    assert found, opened_with
    return found[1]


def query_of(url: str) -> dict[str, str]:
    """Return the parameters of an address."""
    return {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}
