"""The pages about identities: the plugin that is shown, and the settings."""

from __future__ import annotations

import hashlib
import re
import sqlite3
import tomllib
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import trio

from relay.engine.loader import load_plugins
from relay.settings import load
from relay.testing import Closed, Device
from relay.testing import world as open_world
from tests.docs.conversation import blocks
from tests.docs.test_docs import read

pytestmark = pytest.mark.real_time


def fill(path: Path, now: float) -> None:
    """Make the shop's database: ann is logged in, ben is blocked, old was logged in."""
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.executescript(
            "CREATE TABLE customers (login TEXT PRIMARY KEY, full_name TEXT, blocked INTEGER);"
            "CREATE TABLE sessions (token_hash TEXT PRIMARY KEY, login TEXT, expires_at REAL);"
        )
        for login, blocked, expires_at in (("ann", 0, now + 60), ("ben", 1, now + 60), ("old", 0, now - 1)):
            connection.execute("INSERT INTO customers VALUES (?, ?, ?)", (login, f"{login.title()} S.", blocked))
            hashed = hashlib.sha256(f"shop-{login}".encode()).hexdigest()
            connection.execute("INSERT INTO sessions VALUES (?, ?, ?)", (hashed, login, expires_at))


def renew(path: Path, expires_at: float) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE sessions SET expires_at = ? WHERE login = 'ann'", (expires_at,))


def write_plugin(folder: Path, name: str) -> str:
    """Write a plugin of the page, and return the directory that it is in."""
    shown = {
        block.device: block.text for block in blocks(read("docs/plugins/identities.md")) if block.role == "plugin"
    }
    (folder / "plugins.d").mkdir()
    (folder / "plugins.d" / f"{name}.py").write_text(shown[name], encoding="utf-8")
    return str(folder / "plugins.d")


def fill_accounts(path: Path) -> None:
    """Make the application's database: ann, and ben, who is blocked; the password of each is their name, twice."""
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE accounts (login, full_name, email, salt, hash, blocked)")
        for login, blocked in (("ann", 0), ("ben", 1)):
            salt = login.encode() * 5
            hashed = hashlib.scrypt(2 * login.encode(), salt=salt, n=16384, r=8, p=1, dklen=32)
            row = (login, f"{login.title()} S.", f"{login}@example.org", salt, hashed, blocked)
            connection.execute("INSERT INTO accounts VALUES (?, ?, ?, ?, ?, ?)", row)


async def lived(device: Device) -> Closed:
    """Answer heartbeats until the server closes the connection, and return how it did."""
    try:
        while True:
            await device.next("heartbeat")
            await device.event("heartbeat")
    except Closed as closed:
        return closed


@pytest.mark.trio
async def test_the_plugin_that_is_shown_lets_in_whom_the_shop_knows(tmp_path: Path) -> None:
    """On the real clock: the plugin uses a thread, which a virtual one would not wait for."""
    settings = {
        "RELAY_PLUGINS__DIRECTORIES": write_plugin(tmp_path, "shop_users"),
        "RELAY_PLUGINS__SHOP_USERS__DATABASE": str(tmp_path / "shop.db"),
        "RELAY_HEARTBEAT__INTERVAL_SECONDS": "1",
    }
    with trio.fail_after(30):
        async with open_world(tmp_path, "bob", **settings) as world:
            fill(tmp_path / "shop.db", world.engine.now())
            for token, why in (
                ("shop-ben", "blocked"),
                ("shop-old", "again"),
                ("shop-no", "again"),
                ("other", ""),
            ):
                answer = await world.rest("GET", "/api/users/me", token)
                assert (answer.status, why in answer.body["detail"]) == (401, True)
            renew(tmp_path / "shop.db", world.engine.now() + 2)
            ann = await world.connect("shop-ann", "ann-1")
            assert ann.ready["user_id"] == "ann"
            assert (await ann.request("chat_message", {"content": "hi"}, "bob"))["type"] == "ack"
            page = await world.rest("GET", "/api/users/ann", "bob")
            assert page.body["display_name"] == "Ann S."
            assert (await lived(ann)).code == 4501
            assert world.engine.registry.guard("shop_users").failures == 0  # type: ignore[union-attr]


@pytest.mark.trio
async def test_the_plugin_that_is_shown_signs_in_by_the_applications_passwords(tmp_path: Path) -> None:
    settings = {
        "RELAY_PLUGINS__DIRECTORIES": write_plugin(tmp_path, "app_users"),
        "RELAY_PLUGINS__APP_USERS__DATABASE": str(tmp_path / "app.db"),
    }
    fill_accounts(tmp_path / "app.db")
    with trio.fail_after(30):
        async with open_world(tmp_path, "bob", **settings) as world:

            async def log_in(name: str, password: str) -> Any:
                return await world.rest(
                    "POST", "/api/login", json_body={"user_id": name, "password": password, "client_id": "ann-1"}
                )

            answer = await log_in("Ann@example.org", "annann")
            assert (answer.status, answer.body["user_id"]) == (200, "ann")
            ann = await world.connect(answer.body["token"], "ann-1")
            assert (await ann.request("chat_message", {"content": "hi"}, "bob"))["type"] == "ack"
            assert (await world.rest("GET", "/api/users/ann", "bob")).body["display_name"] == "Ann S."
            for name, password, why in (
                ("ann@example.org", "ben", "wrong"),
                ("nobody@example.org", "annann", "wrong"),
                ("ben@example.org", "wrong", "wrong"),
                ("ben@example.org", "benben", "blocked"),
            ):
                answer = await log_in(name, password)
                assert (answer.status, why in answer.body["detail"]) == (403, True), (name, answer)
            assert world.engine.registry.guard("app_users").failures == 0  # type: ignore[union-attr]


@pytest.mark.parametrize("name", ["jwt_auth", "proxy_auth"])
def test_the_settings_that_are_shown_work_and_every_option_is_told(tmp_path: Path, name: str) -> None:
    page = read(f"docs/plugins/{name}.md")
    shown = re.findall(r"```toml\n(.*?)```", page, re.DOTALL)[0]
    (tmp_path / "relay.toml").write_text(shown, encoding="utf-8")
    registry = load_plugins(load(tmp_path / "relay.toml", {}), {})
    assert registry.broken == []
    (loaded,) = [one for one in registry.loaded if one.name == name]
    told = set(re.findall(r"`(\w+)`", "".join(re.findall(r"^\| (`.*?) \|", page, re.MULTILINE))))
    assert told == set(loaded.options.__struct_fields__)
    for key, value in tomllib.loads(shown)["plugins"][name].items():
        assert getattr(loaded.options, key) == value
