"""Loading plugins: a file dropped in is enough, and a broken one is named with its place and left out."""

from __future__ import annotations

from pathlib import Path

import pytest

from relay.engine.discovery import bundled_directory, in_directory
from relay.engine.loader import load
from relay.settings import load as read_settings
from relay.settings.model import BUNDLED_PLUGINS
from tests.plugin.authors import HEAD, returning, write

GOOD = returning("")
OFFSET = len(HEAD.splitlines())
"""The lines that stand above what a test writes."""


NEEDED = {
    "jwt_auth": {
        "issuer": "https://id.example.org/", "audience": "relay", "algorithms": ["RS256"], "jwks_url": "https://id.example.org/keys",
    },
    "oidc": {"providers": {"keycloak": {"issuer": "https://id.example.org/realms/one", "client_id": "relay"}}},
    "proxy_auth": {"networks": ["10.0.0.1"]},
}  # fmt: skip
"""What the bundled plugins cannot do without, that are off by default."""


def test_every_bundled_plugin_loads_and_is_enabled() -> None:
    registry = load(BUNDLED_PLUGINS, [], {})
    assert registry.broken == []
    assert {plugin.name for plugin in registry.loaded} == set(BUNDLED_PLUGINS)
    bundled = set(in_directory(bundled_directory(), "bundled"))
    assert bundled >= set(BUNDLED_PLUGINS)
    everything = load(bundled, [], NEEDED)
    assert everything.broken == []
    assert {plugin.name for plugin in everything.loaded} == bundled


def test_the_core_types_are_there_with_their_places_in_a_replay() -> None:
    registry = load(BUNDLED_PLUGINS, [], {})
    wanted = ("chat_message", "group_message", "group_event", "read_receipt", "connection_event", "ack", "error")
    assert set(wanted) <= set(registry.types)
    assert [registry.priority(name) for name in wanted[:4]] == [20, 30, 30, 40]
    assert sorted(registry.counted()) == ["chat_message", "group_message", "notification", "report"]


def test_a_file_dropped_into_a_directory_adds_its_type(tmp_path: Path) -> None:
    path = write(tmp_path, "mine", GOOD)
    registry = load([], [tmp_path], {})
    assert registry.broken == []
    assert set(registry.types) == {"t"}
    assert [(plugin.name, plugin.path, plugin.types) for plugin in registry.loaded] == [("mine", path, ("t",))]


def test_options_reach_their_plugin_and_no_other(tmp_path: Path) -> None:
    write(tmp_path, "one", returning('name=options.get("name", "none_one")'))
    write(tmp_path, "two", returning('name=options.get("name", "none_two")'))
    registry = load([], [tmp_path], {"one": {"name": "given"}})
    assert set(registry.types) == {"given", "none_two"}


MADE = HEAD.splitlines().index(next(line for line in HEAD.splitlines() if "MessageType(**" in line)) + 1 - OFFSET
"""The line in which a message type is made, which what stands below it only asks for."""

BROKEN = [
    ("def oops(:\n    pass", 1, "SyntaxError"),
    ("x = 1\n\n1 / 0" + GOOD, 3, "ZeroDivisionError: division by zero"),
    ("import no_such_module_at_all" + GOOD, 1, "ModuleNotFoundError"),
    ("raise SystemExit(3)" + GOOD, 1, "SystemExit: 3"),
    (returning('name="Not A Name"'), MADE, "ValueError: message type name 'Not A Name': use a-z"),
    (returning('key=lambda payload: ""'), MADE, "only a latest type has a key"),
    (
        "\n@hookimpl\ndef relay_message_types(options: Any) -> Any:\n    return [7]",
        None,
        "returned 7 in its list; return a list",
    ),
    (
        "\n@hookimpl\ndef relay_message_types(options: Any) -> Any:\n    return 7",
        None,
        "returned 7; return a list of MessageType",
    ),
    (
        "\n@hookimpl\ndef relay_message_typos(options: Any) -> Any:\n    return []" + GOOD,
        None,
        "relay_message_typos",
    ),
    ("\n@hookimpl\ndef relay_message_types(wrong: Any) -> Any:\n    return []", None, "wrong"),
]


@pytest.mark.parametrize(("code", "line", "reason"), BROKEN, ids=[reason[:24] for _, _, reason in BROKEN])
def test_a_broken_plugin_is_named_with_its_place_and_the_others_load(
    tmp_path: Path, code: str, line: int | None, reason: str
) -> None:
    path = write(tmp_path, "bad", code)
    write(tmp_path, "good", GOOD)
    registry = load(["chat_message"], [tmp_path], {})
    (broken,) = registry.broken
    assert (broken.name, broken.path) == ("bad", path)
    assert reason in broken.reason
    if line is not None:
        assert f"bad.py:{OFFSET + line}: " in broken.reason
    assert str(broken).startswith(f"plugin 'bad' ({path}) is left out: ")
    assert set(registry.types) == {"chat_message", "t"}


def test_a_taken_name_names_who_has_it_and_adds_nothing(tmp_path: Path) -> None:
    write(
        tmp_path,
        "rival",
        '\n@hookimpl\ndef relay_message_types(options: Any) -> Any:\n    return made() + made(name="chat_message")',
    )
    registry = load(["chat_message"], [tmp_path], {})
    (broken,) = registry.broken
    assert "'chat_message' is taken by plugin 'chat_message'" in broken.reason
    assert set(registry.types) == {"chat_message"}


def test_one_plugin_cannot_have_a_name_twice(tmp_path: Path) -> None:
    write(
        tmp_path, "twice", "\n@hookimpl\ndef relay_message_types(options: Any) -> Any:\n    return made() + made()"
    )
    registry = load([], [tmp_path], {})
    assert [broken.name for broken in registry.broken] == ["twice"]
    assert registry.types == {}


def test_one_that_is_enabled_and_not_there_is_told_what_there_is() -> None:
    (broken,) = load(["chat_mesage"], [], {}).broken
    assert (broken.name, broken.path) == ("chat_mesage", None)
    assert "there is no plugin of that name; did you mean chat_message?" in broken.reason


def test_a_file_of_the_same_name_takes_a_bundled_ones_place(tmp_path: Path) -> None:
    path = write(tmp_path, "chat_message", returning('name="chat_message", priority=7'))
    registry = load(BUNDLED_PLUGINS, [tmp_path], {})
    assert registry.broken == []
    assert registry.types["chat_message"].priority == 7
    assert path in {plugin.path for plugin in registry.loaded}


def test_the_first_directory_that_has_a_name_wins(tmp_path: Path) -> None:
    for number in (1, 2):
        write(tmp_path / str(number), "mine", returning(f"priority={number}"))
    registry = load([], [tmp_path / "1", tmp_path / "2", tmp_path / "none"], {})
    assert registry.types["t"].priority == 1


def test_a_configured_priority_wins_and_a_lost_types_is_last(tmp_path: Path) -> None:
    registry = load(["chat_message"], [], {}, priorities={"chat_message": 3})
    assert registry.priority("chat_message") == 3
    assert registry.priority("of_a_plugin_that_is_gone") == 50


def test_what_is_wrong_in_a_table_of_an_array_is_told_with_its_own_line(tmp_path: Path) -> None:
    write(
        tmp_path,
        "ruled",
        """
import msgspec

class Rule(msgspec.Struct, forbid_unknown_fields=True):
    word: str = ""
    times: int = 1

class Options(msgspec.Struct, forbid_unknown_fields=True):
    rules: list[Rule] = []

@hookimpl
def relay_options() -> Any:
    return Options
""",
    )
    file = tmp_path / "relay.toml"
    rules = '[[plugins.ruled.rules]]\nword = "a"\n\n[[plugins.ruled.rules]]\nword = "b"\n'
    for wrong, line, told in (
        ('times = "2"', 6, "times: Expected `int`, got `str`"),
        ("tims = 2", 6, "tims: no such option; did you mean times?"),
    ):
        file.write_text(rules + wrong)
        settings = read_settings(file, {})
        (broken,) = load([], [tmp_path], settings.plugins.options, places=settings.plugins.places).broken
        assert broken.reason == f"{file}:{line}: plugins.ruled.rules.1.{told}"
