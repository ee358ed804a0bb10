"""Plugins to begin with, as `relay plugins new` writes them."""

from __future__ import annotations

from pathlib import Path

import pytest

from relay.engine.loader import load
from relay.plugin.scaffold import BadName, write_plugin

MAX_LINES = 60


@pytest.mark.parametrize("name", ["tasks", "shared_link", "a1"])
def test_a_plugin_with_a_page_module_loads_and_is_short(tmp_path: Path, name: str) -> None:
    plugin, module, test = write_plugin(name, tmp_path, page=True)
    registry = load([], [tmp_path], {})
    assert registry.broken == []
    (loaded,) = registry.loaded
    assert loaded.types == (name, f"{name}_done")
    assert loaded.page is not None
    assert loaded.page.files[loaded.page.module].data == module.read_bytes()
    for path in (plugin, module, test):
        text = path.read_text()
        assert len(text.splitlines()) <= MAX_LINES, path
        assert not any(line != line.rstrip() for line in text.splitlines()), path


@pytest.mark.parametrize(("first", "second"), [(False, True), (True, False), (True, True), (False, False)])
def test_nothing_that_is_there_is_written_over(tmp_path: Path, first: bool, second: bool) -> None:
    write_plugin("tasks", tmp_path, page=first)
    with pytest.raises(BadName, match="is there already"):
        write_plugin("tasks", tmp_path, page=second)
