"""The program that `make binary` makes, where there is no Python; `make test-binary` runs this."""

from __future__ import annotations

import importlib.util
import json
import shutil
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from relay.engine.discovery import bundled_directory, in_directory
from relay.settings.model import BUNDLED_PLUGINS
from release.binary import ARCHIVE, FOLDER, ONE_FILE
from release.contents import WITHOUT, packages
from tests.e2e.bare_root import lacking, make_root
from tests.e2e.server import PROGRAM, Server, Tables, environment
from tests.e2e.wire import PATIENCE
from tests.e2e.world import World
from tests.engine.test_loader import NEEDED

IS_NAMED = PROGRAM is not None and Path(PROGRAM).resolve() == FOLDER / "relay"
of_the_program = pytest.mark.skipif(
    not IS_NAMED, reason="RELAY_BIN does not name the program in dist: make test-binary"
)
pytestmark = [pytest.mark.e2e, of_the_program]

LARGEST = 40_000_000
"""Bytes of one file, and of the folder when it is packed."""

DROPPED_IN = '''\
"""A note, and proof that everything may be imported."""

import importlib
import sys
from typing import Annotated

import msgspec
from msgspec import Meta

from relay.plugin import Kind, MessageType, hookimpl

absent = []
for name in {names!r}:
    try:
        importlib.import_module(name)
    except ImportError as error:
        absent.append(f"{{name}}: {{error}}")
if absent:
    raise ImportError("; ".join(absent))


class Note(msgspec.Struct):
    text: Annotated[str, Meta(max_length=100)]


@hookimpl
def relay_message_types() -> list[MessageType]:
    return [MessageType(name="note", payload=Note, kind=Kind.STREAM)]
'''


def everything() -> list[str]:
    """Return the modules that a dropped-in plugin may import: all that Python and the packages have here."""
    tops = {Path(file).parts[0] for package in packages() for file in package.files or [] if file.suffix == ".py"}
    names = {Path(name).stem for name in tops} | (sys.stdlib_module_names - WITHOUT)
    # Some of Python's are for other systems, and not here either.
    return sorted(name for name in names if name.isidentifier() and importlib.util.find_spec(name) is not None)


def all_plugins(folder: Path) -> Tables:
    """Return settings with every bundled plugin switched on, and a folder for others."""
    also = sorted(set(in_directory(bundled_directory(), "bundled")) - set(BUNDLED_PLUGINS))
    providers = NEEDED["oidc"]["providers"]
    assert isinstance(providers, dict)
    return {
        "plugins": {"also": also, "directories": [str(folder)]},
        "plugins.jwt_auth": {**NEEDED["jwt_auth"], "jwks_url": "http://127.0.0.1:9/keys"},
        "plugins.proxy_auth": NEEDED["proxy_auth"],
        **{f"plugins.oidc.providers.{name}": values for name, values in providers.items()},
    }


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A root without Python, with the program in both forms."""
    if missing := lacking():
        pytest.skip(missing)
    root = make_root(tmp_path_factory.mktemp("bare") / "root", FOLDER / "relay")
    shutil.copytree(FOLDER, root / "opt/relay", symlinks=True)
    shutil.copy(ONE_FILE, root / "usr/bin/relay")
    return root


@pytest.mark.parametrize("program", ["/opt/relay/relay", "/usr/bin/relay"], ids=["folder", "one-file"])
def test_it_does_everything_where_there_is_no_python(root: Path, program: str) -> None:
    folder = root / "srv" / program.replace("/", "-")
    (folder / "plugins.d").mkdir(parents=True)
    (folder / "plugins.d" / "note.py").write_text(DROPPED_IN.format(names=everything()))
    world = World(
        folder, ("alice", "bob"), all_plugins(folder / "plugins.d"), command=["chroot", str(root), program]
    )
    try:
        listed = [json.loads(line) for line in world.server.relay("plugins", "list", "--json").splitlines()]
        assert {row["name"]: row["state"] for row in listed} == dict.fromkeys(
            [*in_directory(bundled_directory(), "bundled"), "note"], "running"
        )
        for path in ("/", "/app/main.js", "/sdk/index.js", "/plugins/index.json", "/openapi.json", "/readyz"):
            assert httpx.get(world.server.url + path, trust_env=False).status_code == 200, path
        alice, bob = world.device("alice"), world.device("bob")
        alice.say("bob", "by the socket")
        bob.wait_content("by the socket")
        note = {"type": "note", "payload": {"text": "by REST"}, "meta": {"target_id": "bob"}}
        assert world.rest("alice").post("/api/messages", json=note).status_code == 201
        assert [row["type"] for row in world.history("bob", peer="alice")] == ["chat_message", "note"]
        assert world.server.stop() == 0
    finally:
        world.end()


def test_it_prints_what_is_inside_and_the_samples(tmp_path: Path) -> None:
    server = Server(tmp_path, command=[str(FOLDER / "relay")])
    told = server.relay("version", "--verbose")
    assert "\nform: program in a folder\n" in told
    assert "\nSQLite: 3." in told
    assert "\n  trio " in told
    assert "[server]" in server.relay("config", "sample", "relay.toml")
    assert "proxy_pass" in server.relay("config", "sample", "nginx.conf")


def test_it_writes_the_settings_to_begin_with(tmp_path: Path) -> None:
    for arguments in (("config", "init"), ("config", "check", "--config", "relay.toml")):
        done = subprocess.run(
            [FOLDER / "relay", *arguments],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=True,
            env=environment(),
        )
    assert done.stdout == "relay.toml: ok\n"
    schema = json.loads((tmp_path / "relay.schema.json").read_text())
    assert "delay_seconds" in schema["properties"]["plugins"]["properties"]["notifications"]["properties"]


def test_it_is_no_larger_than_it_should_be() -> None:
    assert ONE_FILE.stat().st_size < LARGEST
    assert ARCHIVE.stat().st_size < LARGEST


def test_a_new_plugin_is_written_checked_and_loaded(tmp_path: Path) -> None:
    done = subprocess.run(
        [FOLDER / "relay", "plugins", "new", "zap"], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert "try it: relay plugins check zap;" in done.stderr
    checked = subprocess.run(
        [FOLDER / "relay", "plugins", "check", "zap"], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert checked.stdout.startswith("zap: ")


@pytest.mark.parametrize("program", [FOLDER / "relay", ONE_FILE], ids=["folder", "one-file"])
def test_what_it_says_names_the_program_and_no_folder_of_the_moment(tmp_path: Path, program: Path) -> None:
    settings: Tables = {"plugins": {"also": ["proxy_auth"]}}
    server = Server(tmp_path, settings, command=[str(program)])
    server.start()
    while "user add bob" not in server.diagnosis():
        assert server.alive
        time.sleep(0.01)
    server.stop()
    said = server.diagnosis()
    assert f"\n    {program} user add alice --config {server.config}\n" in said
    assert "plugin 'proxy_auth' (bundled) is left out: " in said
    assert "_MEI" not in said


def test_without_message_types_it_refuses_to_start(tmp_path: Path) -> None:
    server = Server(tmp_path, {"plugins": {"enabled": []}}, command=[str(FOLDER / "relay")])
    server.spawn()
    assert server.process is not None
    assert server.process.wait(PATIENCE) == 1
    assert "name at least chat_message" in server.diagnosis()
