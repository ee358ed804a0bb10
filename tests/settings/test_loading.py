"""The settings: their sources, the generated pages, and the origin of each value."""

import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import jsonschema
import msgspec
import pytest

from relay.settings import (
    SETTINGS,
    Settings,
    TypeSettings,
    explain,
    load,
    render_markdown,
    render_toml,
)
from relay.settings.environment import variable_names
from relay.settings.fields import FIELDS
from relay.settings.schema import render_schema

ROOT = Path(__file__).parent.parent.parent


def write(folder: Path, text: str, name: str = "relay.toml") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


# What is shipped


def test_the_shipped_relay_toml_is_what_the_structs_say():
    assert (ROOT / "relay.toml").read_text(encoding="utf-8") == render_toml(), (
        "relay.toml is stale; run: python -m relay.settings toml > relay.toml"
    )


def test_the_configuration_page_is_what_the_structs_say():
    assert (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8") == render_markdown(), (
        "docs/configuration.md is stale; run: python -m relay.settings markdown > docs/configuration.md"
    )


def test_the_shipped_schema_is_what_the_structs_say():
    assert (ROOT / "relay.schema.json").read_text(encoding="utf-8") == render_schema(), (
        "relay.schema.json is stale; run: python -m relay.settings schema > relay.schema.json"
    )


def test_the_schema_takes_what_the_settings_take_and_nothing_else():
    schema = json.loads(render_schema({"bot": {"type": "object", "properties": {"colour": {"type": "string"}}}}))
    jsonschema.Draft7Validator.check_schema(schema)
    judge = jsonschema.Draft7Validator(schema)
    text = re.sub(r"^# (?=[a-z_]+ = |\[types)", "", render_toml(), flags=re.MULTILINE)
    assert list(judge.iter_errors(tomllib.loads(text))) == []
    assert list(judge.iter_errors({"plugins": {"bot": {"colour": "red"}, "other": {"any": 1}}})) == []
    for wrong in (
        {"server": {"prot": 1}},
        {"server": {"port": "8484"}},
        {"server": {"port": 70_000}},
        {"limits": {"body_bytes": 5}},
        {"log": {"level": "loud"}},
        {"types": {"chat_message": {"ttl": 60}}},
        {"plugins": {"bot": {"color": "red"}}},
        {"logging": {}},
    ):
        assert list(judge.iter_errors(wrong)), wrong


def test_the_command_writes_the_page_it_is_asked_for():
    command = [sys.executable, "-m", "relay.settings"]
    toml = subprocess.run([*command, "toml"], cwd=ROOT, capture_output=True, check=True)
    assert toml.stdout.decode() == render_toml()
    assert subprocess.run([*command, "yaml"], cwd=ROOT, capture_output=True).returncode == 2


def test_the_shipped_relay_toml_sets_the_defaults(monkeypatch):
    monkeypatch.chdir(ROOT)
    assert load(ROOT / "relay.toml", {}) == load(None, {})


def test_every_commented_key_of_the_shipped_file_is_its_default_too(tmp_path, monkeypatch):
    text = re.sub(r"^# (?=[a-z_]+ = |\[types)", "", render_toml(), flags=re.MULTILINE)
    path = write(tmp_path, text)
    monkeypatch.chdir(tmp_path)
    settings = load(path, {})
    assert settings.types.keys() == {"chat_message"}
    assert msgspec.structs.replace(settings, types={}) == load(None, {})
    named = {key.rpartition(".")[2] for key, _, origin in explain(settings, path, {}) if origin != "default"}
    assert named == {row.key for row in SETTINGS}


def test_every_key_has_a_description_and_every_number_has_bounds():
    for row in SETTINGS:
        assert row.description.endswith("."), row
        assert bool(row.bounds) == ("number" in row.type), row


@pytest.mark.parametrize("row", [row for row in SETTINGS if row.default is not None], ids=lambda row: row.key)
def test_each_default_is_a_value_its_own_key_accepts(row, tmp_path):
    text = msgspec.json.encode(row.default).decode()
    load(write(tmp_path, f"[{row.section}]\n{row.key} = {text}\n"), {})


def test_every_limit_can_be_lifted():
    lifted = load(None, dict.fromkeys(variable_names("limits"), "0")).limits
    assert set(msgspec.structs.astuple(lifted)) == {0}


# Where values come from


def test_without_a_file_relative_paths_start_at_the_current_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    settings = load(None, {})
    assert settings.storage.path == str(tmp_path / "relay.db")
    assert settings.plugins.directories == [str(tmp_path / "plugins.d")]
    assert settings.server == Settings().server


def test_relative_paths_of_a_file_start_at_its_folder_and_those_of_variables_at_the_current_one(
    tmp_path, monkeypatch
):
    (tmp_path / "etc").mkdir()
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "etc", '[server]\ntls_certificate = "a.pem"\ntls_key = "/k/b.pem"\n')
    settings = load(Path("etc/relay.toml"), {"RELAY_PLUGINS__DIRECTORIES": "mine, ~/theirs", "HOME": "/unused"})
    assert settings.storage.path == str(tmp_path / "etc" / "relay.db")
    assert settings.server.tls_certificate == str(tmp_path / "etc" / "a.pem")
    assert settings.server.tls_key == "/k/b.pem"
    assert settings.plugins.directories == [str(tmp_path / "mine"), os.path.expanduser("~/theirs")]


def test_the_environment_wins_over_the_file(tmp_path):
    path = write(tmp_path, "[server]\nport = 1\nbacklog = 7\n[heartbeat]\ninterval_seconds = 5\n")
    settings = load(path, {"RELAY_SERVER__PORT": " 9000 ", "RELAY_HEARTBEAT__INTERVAL_SECONDS": "0.5"})
    assert (settings.server.port, settings.server.backlog) == (9000, 7)
    assert settings.heartbeat.interval_seconds == 0.5


@pytest.mark.parametrize(
    "text", ["10.0.0.0/8,::1", " 10.0.0.0/8 , ::1, ", '["10.0.0.0/8", "::1"]', "['10.0.0.0/8', '::1',]"]
)
def test_a_list_in_the_environment_has_commas_or_is_an_array(text):
    settings = load(None, {"RELAY_SERVER__TRUSTED_PROXIES": text})
    assert settings.server.trusted_proxies == ["10.0.0.0/8", "::1"]


def test_a_variable_can_name_a_file_with_the_value(tmp_path):
    secret = write(tmp_path, "12345\n", "secret")
    environ = {"RELAY_SERVER__PORT_FILE": str(secret), "RELAY_PLUGINS__MAIL__PASSWORD_FILE": str(secret)}
    settings = load(None, environ)
    assert settings.server.port == 12345
    assert settings.plugins.options == {"mail": {"password": "12345"}}


def test_plugin_options_are_handed_on_and_variables_add_to_them(tmp_path):
    path = write(tmp_path, '[plugins.web-push]\nkey = "k"\n[plugins.web-push.retry]\ntimes = 3\n[plugins.quiet]\n')
    environ = {
        "RELAY_PLUGINS__WEB_PUSH__RETRY__TIMES": "5",
        "RELAY_PLUGINS__OTHER__HOSTS": '["a", "b"]',
        "RELAY_PLUGINS__OTHER__DAY": "2030-01-01",
        "RELAY_PLUGINS__OTHER__WORD": "inf",
        "RELAY_PLUGINS__OTHER__ON": "true",
    }
    assert load(path, environ).plugins.options == {
        "web-push": {"key": "k", "retry": {"times": 5}},
        "quiet": {},
        "other": {"hosts": ["a", "b"], "day": "2030-01-01", "word": "inf", "on": True},
    }


def test_message_types_have_tables_of_their_own(tmp_path):
    path = write(tmp_path, "[types.chat_message]\nmax_bytes = 100\n[types.'my-Type']\nmax_bytes = 60\n")
    environ = {"RELAY_TYPES__CHAT_MESSAGE__PRIORITY": "3", "RELAY_TYPES__MY_TYPE__PRIORITY": "4"}
    assert load(path, environ).types == {
        "chat_message": TypeSettings(max_bytes=100, priority=3),
        "my-Type": TypeSettings(max_bytes=60, priority=4),
    }


def test_variables_without_a_double_underscore_are_left_alone():
    environ = {"RELAY_CONFIG": "x", "RELAY_SERVER_PORT": "tcp://10.0.0.1:80", "XRELAY_SERVR__PORT": "1"}
    assert load(None, environ) == load(None, {})


def test_explain_tells_where_each_value_comes_from_and_hides_secrets(tmp_path):
    path = write(
        tmp_path,
        '[server]\nport = 0\n[plugins.mail]\npassword = "p"\nnone_token = ""\nhost = "h"\n'
        'accounts = [{ secret = 1, name = "n" }]\n[types.blob]\npriority = 2\n',
    )
    environ = {"RELAY_LOG__LEVEL": "debug", "RELAY_PLUGINS__MAIL__API__KEY": "k"}
    told = {key: (value, origin) for key, value, origin in explain(load(path, environ), path, environ)}
    assert told["server.port"] == (0, f"{path}:2")
    assert told["server.host"] == ("127.0.0.1", "default")
    assert told["log.level"] == ("debug", "environment RELAY_LOG__LEVEL")
    assert told["plugins.mail.password"] == ("(redacted)", f"{path}:4")
    assert told["plugins.mail.none_token"] == ("", f"{path}:5")
    assert told["plugins.mail.host"] == ("h", f"{path}:6")
    assert told["plugins.mail.accounts"] == ([{"secret": "(redacted)", "name": "n"}], f"{path}:7")
    assert told["plugins.mail.api.key"] == ("(redacted)", "environment RELAY_PLUGINS__MAIL__API__KEY")
    assert told["accounts.token_days"] == (365, "default")
    assert told["types.blob.priority"] == (2, f"{path}:9")
    assert len(told) == len(SETTINGS) - len(FIELDS["types.NAME"]) + 6
