"""A plugin's page module is read with its files when the plugin is loaded, or the plugin is left out."""

from __future__ import annotations

from pathlib import Path

import pytest

from relay.engine import page_files
from relay.engine.loader import load
from relay.engine.registry import Registry
from tests.plugin.authors import returning, write


def loaded(folder: Path, page: str, **files: str) -> Registry:
    """Load a plugin whose `relay_page` returns an expression, with files in the folder `page` beside it."""
    code = (
        f"from relay.plugin import PageExtension\n\n@hookimpl\ndef relay_page(options):\n    return {page}\n"
        + returning("")
    )
    write(folder, "mine", code)
    (folder / "page" / "pictures").mkdir(parents=True)
    for name, text in files.items():
        (folder / "page" / name.replace("__", "/").replace("_", ".")).write_text(text)
    return load([], [folder], {"mine": {"colour": "red"}})


def test_a_folder_is_served_by_the_ends_of_names_and_nothing_else_of_it(tmp_path: Path) -> None:
    page = 'PageExtension(folder="page", styles=["page.css"], options=options)'
    names = {
        "page_js": "1",
        "page_css": "2",
        "pictures__on_svg": "3",
        "README_md": "4",
        "_hidden_js": "5",
        "x_py": "6",
    }
    registry = loaded(tmp_path, page, **names)
    assert registry.broken == []
    (plugin,) = registry.loaded
    assert plugin.page is not None
    assert {name: file.data for name, file in plugin.page.files.items()} == {
        "page.js": b"1", "page.css": b"2", "pictures/on.svg": b"3",
    }  # fmt: skip
    assert (plugin.page.module, plugin.page.styles, plugin.page.options) == (
        "page.js",
        ("page.css",),
        {"colour": "red"},
    )


def test_texts_take_the_place_of_files_and_another_text_makes_another_version(tmp_path: Path) -> None:
    versions = set()
    for number, module in enumerate(("export {};\\n", "export { };\\n")):
        (plugin,) = loaded(tmp_path / str(number), f'PageExtension(module="{module}", styles=["p {{}}"])').loaded
        assert plugin.page is not None
        assert sorted(plugin.page.files) == ["page.js", "style-1.css"]
        versions.add(plugin.page.version)
    assert len(versions) == 2


@pytest.mark.parametrize(
    ("page", "told"),
    [
        ('PageExtension(folder="pages")', "there is no folder"),
        ('PageExtension(folder="page", module="pag.js")', "there is no 'pag.js' in .*did you mean page.js"),
        ('PageExtension(folder="page", module="page.css")', "'page.css' does not end in .js"),
        ('PageExtension(folder="page", styles=["page.js"])', "'page.js' does not end in .css"),
        ('PageExtension(folder="page", styles="page.css")', "styles is 'page.css'; write a list of texts"),
        ('PageExtension(module="page.js")', "without a folder; write folder='page'"),
        ("PageExtension(folder=5)", "folder is 5; write the folder's name"),
        ("PageExtension(module=None)", "module and admin are None; name the module for the page, or for /admin"),
        ('PageExtension(folder="page", options={"a": object()})', "options is a value that JSON can say"),
        ('PageExtension(folder="page", options="a" * 20_000)', "options has 20002 bytes as JSON; 16384 at most"),
        ('[PageExtension(folder="page")]', r"relay_page returned \[.*; return a PageExtension"),
        ('"page.js"', "relay_page returned 'page.js'; return a PageExtension"),
    ],
)
def test_what_is_wrong_with_it_is_told_and_the_plugin_left_out(tmp_path: Path, page: str, told: str) -> None:
    (broken,) = loaded(tmp_path, page, page_js="1", page_css="2").broken
    assert broken.name == "mine"
    with pytest.raises(AssertionError, match=told):
        raise AssertionError(broken.reason)


def test_too_much_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page_files, "MAX_BYTES", 1 << 20)
    (broken,) = loaded(tmp_path, 'PageExtension(folder="page")', page_js="x" * (1 << 20), page_css="2").broken
    assert "more than 1 MiB together" in broken.reason


def test_a_plugin_without_a_page_by_its_options_is_none(tmp_path: Path) -> None:
    (plugin,) = loaded(tmp_path, "None").loaded
    assert plugin.page is None


def test_a_module_for_the_administration_stands_beside_the_pages_or_alone(tmp_path: Path) -> None:
    both = loaded(tmp_path / "both", 'PageExtension(folder="page", admin="admin.js")', page_js="1", admin_js="2")
    (plugin,) = both.loaded
    assert plugin.page is not None
    assert (plugin.page.module, plugin.page.admin) == ("page.js", "admin.js")
    (alone,) = loaded(tmp_path / "alone", 'PageExtension(module=None, admin="export {};\\n")').loaded
    assert alone.page is not None
    assert (alone.page.module, alone.page.admin, sorted(alone.page.files)) == (None, "admin.js", ["admin.js"])


@pytest.mark.parametrize(
    ("page", "says"),
    [
        ("PageExtension(module=None)", "module and admin are None"),
        ('PageExtension(folder="page", module=None, admin="not.js")', "there is no 'not.js'"),
        ('PageExtension(folder="page", module=None, admin=3)', "admin is 3"),
        ('PageExtension(module=None, admin="admin.js")', "admin is 'admin.js', without a folder"),
    ],
)
def test_a_module_for_the_administration_that_cannot_be_is_named(tmp_path: Path, page: str, says: str) -> None:
    registry = loaded(tmp_path, page, admin_js="1")
    (broken,) = registry.broken
    assert says in broken.reason
