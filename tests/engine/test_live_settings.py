"""Settings that are read again while the server runs: what is in force at once, what waits, what is refused whole."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio

from relay.engine.live_settings import Reloaded
from relay.protocol.errors import ErrorCode, RelayError
from relay.services.audit import Actor
from relay.settings import Settings, load_for_server
from relay.settings.fields import FIELDS
from relay.settings.live import LIVE, compare
from relay.testing import World
from relay.testing.world import serving
from tests.plugin.authors import HEAD, answers

OPTIONS = (
    HEAD
    + """
import msgspec

class Options(msgspec.Struct):
    word: str = "old"

WORDS = []

@hookimpl
def relay_options():
    return Options

@hookimpl
def relay_message_types(options):
    if options.word == "never":
        raise ValueError("not that word")
    return made(prepare=lambda draft: setattr(draft.payload, "s", options.word))
"""
)


class Operator:
    """Somebody who edits the settings file of a running server."""

    def __init__(self, world: World, file: Path) -> None:
        self.world = world
        self.file = file
        self.first = file.read_text()

    async def reload(self, more: str = "") -> Reloaded:
        self.file.write_text(self.first + more)
        return await self.world.engine.live.reload(Actor.operator(0))

    async def refused(self, more: str) -> str:
        before = self.world.engine.settings
        with pytest.raises(RelayError) as refused:
            await self.reload(more)
        assert refused.value.code is ErrorCode.CONFLICT
        assert self.world.engine.settings is before
        assert refused.value.message.startswith("the settings stay as they were: ")
        return refused.value.message


@asynccontextmanager
async def operator(folder: Path) -> AsyncIterator[Operator]:
    plugins = folder / "plugins.d"
    plugins.mkdir()
    (plugins / "mine.py").write_text(OPTIONS)
    file = folder / "relay.toml"
    file.write_text(f'[storage]\npath = "{folder / "relay.db"}"\n[plugins]\ndirectories = ["{plugins}"]\n')
    async with serving(load_for_server(file, {})) as world:
        await world.user("alice", "bob")
        assert world.engine.registry.broken == []
        yield Operator(world, file)


async def test_a_limit_holds_for_a_connection_that_is_open(tmp_path: Path) -> None:
    async with operator(tmp_path) as here:
        alice = await here.world.connect("alice")
        for name in ("a", "b"):
            await alice.say("bob", name, name)
        assert await answers(alice, 2) == {"a": "ack", "b": "ack"}
        found = await here.reload("[limits]\nmessages_per_second = 1\nmessages_burst = 1\n")
        assert found == Reloaded(
            applied=["[limits] messages_per_second", "[limits] messages_burst"], after_restart=[], kept={}
        )
        for name in ("c", "d"):
            await alice.say("bob", name, name)
        assert await answers(alice, 2) == {"c": "ack", "d": "rate_limited"}
        assert (await here.reload()).applied == found.applied
        await trio.sleep(1)  # what was taken stays taken, and comes back at the new rate
        await alice.say("bob", "e", "e")
        assert await answers(alice, 1) == {"e": "ack"}


async def test_a_file_that_does_not_fit_changes_nothing(tmp_path: Path) -> None:
    async with operator(tmp_path) as here:
        assert "did you mean messages_burst?" in await here.refused("[limits]\npending = 7\nmesages_burst = 1\n")
        here.file.unlink()
        with pytest.raises(RelayError, match=r"the settings stay as they were: .*relay\.toml"):
            await here.world.engine.live.reload(Actor.operator(0))
        told = await here.refused("[limits]\nmessages_burst = 1\n[plugins.mine]\nwrod = 'new'\n")
        assert "did you mean word?" in told
        told = await here.refused("[server]\ntls_certificate = '/no/such'\ntls_key = '/no/such'\n")
        assert "tls_certificate: /no/such cannot be read" in told


async def test_what_waits_for_a_restart_is_named_each_time(tmp_path: Path) -> None:
    async with operator(tmp_path) as here:
        more = "[server]\nport = 9\n[limits]\nbad_frames = 7\npending = 9\n[plugins.webhooks]\nx = 1\n"
        later = ["[server] port", "[limits] pending", "[plugins.webhooks]"]
        assert await here.reload(more) == Reloaded(applied=["[limits] bad_frames"], after_restart=later, kept={})
        assert await here.reload(more) == Reloaded(applied=[], after_restart=later, kept={})
        assert here.world.engine.settings.limits.bad_frames == 7
        assert here.world.engine.settings.limits.pending != 9


async def test_a_plugin_gets_its_options_and_one_that_refuses_them_keeps_the_old_ones(tmp_path: Path) -> None:
    async with operator(tmp_path) as here:

        def word() -> str:
            (mine,) = (one for one in here.world.engine.registry.loaded if one.name == "mine")
            return str(mine.options.word)

        assert (await here.reload("[plugins.mine]\nword = 'new'\n")).applied == ["[plugins.mine]"]
        assert word() == "new"
        found = await here.reload("[plugins.mine]\nword = 'never'\n[limits]\nbad_frames = 7\n")
        assert found.applied == ["[limits] bad_frames"]
        assert "not that word" in found.kept["[plugins.mine]"]
        assert word() == "new"


async def test_a_table_of_a_type_is_taken_and_given_back(tmp_path: Path) -> None:
    async with operator(tmp_path) as here:
        types = here.world.engine.registry
        before = types.types["chat_message"].max_bytes
        assert (await here.reload("[types.chat_message]\nmax_bytes = 77\n")).applied == ["[types.chat_message]"]
        assert types.types["chat_message"].max_bytes == 77
        assert (await here.reload()).applied == ["[types.chat_message]"]
        assert types.types["chat_message"].max_bytes == before
        assert (await here.reload()).applied == []


@pytest.mark.world("alice")
async def test_a_server_without_a_file_has_nothing_to_read(world: World) -> None:
    assert await world.engine.live.reload(Actor.operator(0)) == Reloaded(applied=[], after_restart=[], kept={})


async def test_plugins_see_the_settings_in_force(tmp_path: Path) -> None:
    async with operator(tmp_path) as here:
        server = here.world.engine.server_of("reaction")
        await here.reload("[limits]\nreactions_per_message = 2\n")
        assert server.settings.limits.reactions_per_message == 2


async def test_a_reload_is_told_when_it_begins_and_when_it_is_over(tmp_path: Path) -> None:
    async with operator(tmp_path) as here:
        told: list[bool] = []
        here.world.engine.live.on_reload = told.append
        await here.reload()
        await here.refused("[limits]\nx = 1\n")
        assert told == [True, False, True, False]


def test_live_keys_are_keys() -> None:
    assert {
        (section, key) for section, keys in LIVE.items() for key in keys if key not in FIELDS[section]
    } == set()


def test_nothing_differs_from_itself() -> None:
    assert compare(Settings(), Settings()) == (Settings(), [], [])


async def test_accounts_follow_the_file(tmp_path: Path) -> None:
    async with operator(tmp_path) as here:
        engine, world = here.world.engine, here.world
        proposal = {"user_id": "carol", "password": "correct horse"}
        assert (await world.rest("POST", "/api/register", json_body=proposal)).status == 403
        found = await here.reload(
            '[accounts]\nregistration = "open"\npassword_min_length = 20\ntoken_days = 1\n'
            'require_second_factor_for = "everybody"\nerase_own = false\ndirectory = "shared"\n'
        )
        assert found.after_restart == ["[accounts] directory"]
        assert len(found.applied) == 5
        assert (await world.rest("POST", "/api/register", json_body=proposal)).body["details"]["min"] == 20
        proposal["password"] = "a password of twenty characters"
        asked = await world.rest("POST", "/api/register", json_body=proposal)
        assert asked.body["details"]["reason"] == "second_factor_setup"
        assert engine.own_account.allowed is False
        await here.reload('[accounts]\nregistration = "open"\ntoken_days = 1\n')
        login = {"user_id": "carol", "password": proposal["password"]}
        token = (await world.rest("POST", "/api/login", json_body=login)).body
        assert token["expires_at"] == pytest.approx(engine.now() + 86_400, abs=60)
        await here.reload("[accounts]\npassword_login = false\n")
        refused = await world.rest("POST", "/api/login", json_body=login)
        assert refused.body["details"]["reason"] == "password_login_off"


async def test_the_limits_of_files_follow_the_file(tmp_path: Path) -> None:
    async with operator(tmp_path) as here:

        async def upload() -> int:
            path = "/api/attachments"
            return (await here.world.rest("POST", path, "alice", data=b"x" * 2000)).status

        assert await upload() == 201
        await here.reload("[attachments]\nmax_bytes = 1024\n")
        assert await upload() == 413
        device = await here.world.connect("bob")
        assert device.ready["limits"]["attachment_bytes"] == 1024
        await here.reload("[attachments]\nquota_bytes = 3000\n")
        assert await upload() == 413
        await here.reload("[attachments]\nkeep_unused_hours = 0.01\ncollect_minutes = 0.1\n")
        await trio.sleep(60)
        await here.reload("[attachments]\nquota_bytes = 3000\n")
        assert await upload() == 201  # the first one was collected, though the next collection was far away


async def test_backups_follow_the_file(tmp_path: Path) -> None:
    async with operator(tmp_path) as here:
        backups, there = here.world.engine.backups, tmp_path / "elsewhere"
        assert backups.next_at() is None
        await here.reload(f'[backup]\nevery_seconds = 3600\nfolder = "{there}"\n')
        due = backups.next_at()
        assert due is not None
        assert backups.folder.path == there
        await here.reload()
        assert backups.next_at() is None
