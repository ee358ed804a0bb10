"""Changes of the settings file: one key changes, and every comment stays where it is."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from relay.settings import SettingsError, render_toml
from relay.settings.toml_writer import NotWritten, SettingsFile, variable_of

ALSO = ("plugins", "also")

LAYOUTS = {
    "no file": "",
    "no section": "# first\n[server]\nport = 8500 # as ever\n",
    "only a plugin's table": "# first\n[plugins.polls]\nmax_options = 5 # few\n\n[server]\nport = 8500\n",
    "a list in one line": '[plugins]\nalso = ["bots"] # why not\n',
    "a list in lines": '[plugins]\nalso = [\n  "bots", # first\n  "webhooks",\n]\n\n[server]\nport = 8500\n',
    "tables out of order": '[plugins.polls]\nmax_options = 5\n[log]\nlevel = "debug"\n[plugins]\nenabled = ["answers"]\n',
    "the shipped one": render_toml(),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_list_grows_and_shrinks_and_all_else_stays(tmp_path: Path, layout: str) -> None:
    path, before = tmp_path / "relay.toml", LAYOUTS[layout]
    if before:
        path.write_text(before)
    was = tomllib.loads(before).get("plugins", {}).get("also")
    file = SettingsFile(path)
    file.add(ALSO, "retention")
    file.save({})
    assert tomllib.loads(path.read_text())["plugins"]["also"] == [*(was or []), "retention"]
    after = iter(path.read_text().splitlines())
    assert all(line in after for line in before.splitlines() if not line.startswith("also")), (
        "lines moved, or went"
    )
    for comment in ("# first", "# as ever", "# few", "# why not"):
        assert (comment in path.read_text()) == (comment in before)
    file = SettingsFile(path)
    file.take(ALSO, "retention")
    file.save({})
    assert tomllib.loads(path.read_text())["plugins"]["also"] == (was or [])


def test_text_that_is_no_settings_is_not_written(tmp_path: Path) -> None:
    path = tmp_path / "relay.toml"
    path.write_text("[server]\nport = 8500\n")
    file = SettingsFile(path)
    file.put(("server", "port"), 0.5)
    with pytest.raises(SettingsError, match="port"):
        file.save({})
    assert path.read_text() == "[server]\nport = 8500\n"
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_that_is_no_toml_or_cannot_be_written_is_told(tmp_path: Path) -> None:
    path = tmp_path / "relay.toml"
    path.write_text("[server")
    with pytest.raises(NotWritten, match=r"relay.toml is not TOML: "):
        SettingsFile(path)
    nowhere = SettingsFile(tmp_path / "none" / "relay.toml")
    nowhere.add(ALSO, "bots")
    with pytest.raises(NotWritten, match="cannot be written: No such file or directory"):
        nowhere.save({})


def test_mode_and_link_stay(tmp_path: Path) -> None:
    real, link = tmp_path / "real.toml", tmp_path / "relay.toml"
    real.write_text("[plugins]\n")
    real.chmod(0o640)
    link.symlink_to(real)
    file = SettingsFile(link)
    file.add(ALSO, "bots")
    assert file.difference().splitlines()[-1] == '+also = ["bots"]'
    file.save({})
    assert link.is_symlink()
    assert real.stat().st_mode & 0o777 == 0o640
    assert '"bots"' in real.read_text()


def test_a_variable_that_sets_a_key_or_a_part_of_it_is_found(tmp_path: Path) -> None:
    environ = {"RELAY_PLUGINS__ALSO": "bots", "RELAY_PLUGINS__POLLS__MAX_OPTIONS": "5"}
    assert variable_of(ALSO, None, environ) == "RELAY_PLUGINS__ALSO"
    assert (
        variable_of(("plugins", "polls"), tmp_path / "none.toml", environ) == "RELAY_PLUGINS__POLLS__MAX_OPTIONS"
    )
    assert variable_of(("plugins", "polls", "other"), None, environ) is None
