"""The pages about identities: the plugin that is shown, and the settings."""

from __future__ import annotations

import hashlib
import re
import sqlite3
import tomllib
from pathlib import Path

import pytest

from relay.plugin.assembling import load_plugins
from relay.settings import load
from relay.testing import EPOCH, RelayWorld
from tests.docs.conversation import blocks
from tests.docs.test_docs import read


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    path = tmp_path / "shop.db"
    with sqlite3.connect(path) as connection:
        connection.executescript(
            "CREATE TABLE customers (login TEXT PRIMARY KEY, full_name TEXT, blocked INTEGER);"
            "CREATE TABLE sessions (token_hash TEXT PRIMARY KEY, login TEXT, expires_at REAL);"
        )
        for login, blocked, expires_at in (("ann", 0, EPOCH + 60), ("ben", 1, EPOCH + 60), ("old", 0, EPOCH - 1)):
            connection.execute("INSERT INTO customers VALUES (?, ?, ?)", (login, f"{login.title()} S.", blocked))
            hashed = hashlib.sha256(f"shop-{login}".encode()).hexdigest()
            connection.execute("INSERT INTO sessions VALUES (?, ?, ?)", (hashed, login, expires_at))
    connection.close()
    return path


async def test_the_plugin_that_is_shown_lets_in_whom_the_shop_knows(
    relay_world: RelayWorld, tmp_path: Path, shop: Path
) -> None:
    (plugin,) = [block for block in blocks(read("docs/plugins/identities.md")) if block.role == "plugin"]
    folder = tmp_path / "plugins.d"
    folder.mkdir()
    (folder / "shop_users.py").write_text(plugin.text, encoding="utf-8")
    async with relay_world(folder, "bob", RELAY_PLUGINS__SHOP_USERS__DATABASE=str(shop)) as world:
        ann = await world.connect("shop-ann", "ann-1")
        assert ann.ready["user_id"] == "ann"
        assert (await ann.request("chat_message", {"content": "hi"}, "bob"))["type"] == "ack"
        assert (await world.rest("GET", "/api/users/me", "shop-ann")).body["display_name"] == "Ann S."
        for token, why in (("shop-ben", "blocked"), ("shop-old", "again"), ("shop-no", "again"), ("other", "")):
            answer = await world.rest("GET", "/api/users/me", token)
            assert (answer.status, why in answer.body["detail"]) == (401, True)
        assert (await ann.closed()).code == 4501
        assert world.engine.registry.guard("shop_users").failures == 0  # type: ignore[union-attr]


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
