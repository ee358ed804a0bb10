"""The reader of imports behind the laws: it would find what is forbidden."""

from pathlib import Path

import pytest

from tests import floors


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give a test a tree of its own."""
    monkeypatch.setattr(floors, "ROOT", tmp_path)
    for folder in ("relay/protocol", "relay/storage", "plugins"):
        (tmp_path / folder).mkdir(parents=True)
    return tmp_path


def write(tree: Path, **files: str) -> None:
    for name, text in files.items():
        (tree / (name.replace("__", "/") + ".py")).write_text(text)


def test_a_circle_is_named_by_the_imports_that_lead_around(tree: Path) -> None:
    write(
        tree,
        relay__storage__one="from relay.storage import two\n",
        relay__storage__two="\nif TYPE_CHECKING:\n    from relay.storage.three import thing\n",
        relay__storage__three="def late():\n    import relay.storage.one\n",
        relay__storage__four="from relay.storage.one import thing\n",
    )
    circle = floors.circle(floors.graph("relay"))
    assert sorted(step.place for step in circle) == [
        "relay/storage/one.py:1", "relay/storage/three.py:2", "relay/storage/two.py:3",
    ]  # fmt: skip


def test_what_is_no_circle_is_not_taken_for_one(tree: Path) -> None:
    write(
        tree,
        relay__storage__one="from relay.storage import two, three\n",
        relay__storage__two="from relay.storage import three\n",
        relay__storage__three="import json\n",
    )
    assert floors.circle(floors.graph("relay")) == []


def test_an_import_of_a_floor_above_is_found(tree: Path) -> None:
    write(
        tree,
        relay__protocol__low="from relay.storage import high\n",
        relay__storage__high="from relay.protocol import low\n",
    )
    assert [step.place for step in floors.arrows_up()] == ["relay/protocol/low.py:1"]


@pytest.mark.parametrize(
    ("line", "outside"),
    [
        ("from relay.plugin import Kind", False),
        ("from relay.http import reply", False),
        ("from relay.testing import World", False),
        ("from relay.plugin.types import Kind", True),
        ("import relay.plugin", True),
        ("from relay import plugin", True),
        ("from relay.storage.log import Entry", True),
        ("import json", False),
        ("from .words import plain", False),
    ],
)
def test_a_plugin_keeps_to_names_of_its_contract(tree: Path, line: str, outside: bool) -> None:
    write(tree, plugins__one=line + "\n")
    assert bool(list(floors.outside_the_contract())) is outside
