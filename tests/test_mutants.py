"""The list of mutants fits the tree, and a run of one does to it what it says."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.mutants.__main__ import arguments, chosen
from tests.mutants.listing import TREE, Mutant, problems, read
from tests.mutants.running import Copy, Fate

FRAMING = "relay/protocol/framing.py"
TESTS = "tests/protocol/test_framing.py"


def mutant(old: str, new: str, *, lives: str | None = None, file: str = FRAMING, tests: str = TESTS) -> Mutant:
    return Mutant("room", "name", file, old, new, "it would hurt", (tests,), (), lives)


def test_no_mutant_is_stale_and_each_names_tests_that_are_there() -> None:
    listed = read()
    assert len(listed) > 150
    assert problems(listed) == []


def test_what_is_wrong_in_the_list_is_named(tmp_path: Path) -> None:
    (tmp_path / "code.py").write_text("one = 1\ntwo = 1\n")
    wrong = [
        mutant("three", "3", file="code.py"),
        mutant("= 1", "= 2", file="code.py"),
        mutant("one = 1", "one = (1", file="code.py"),
        mutant("one", "one", file="code.py"),
        mutant("one", "1", file="gone.py"),
    ]
    found = problems(wrong, tmp_path)
    for text in (
        "stands 0 times",
        "stands 2 times",
        "is not Python",
        "changes nothing",
        "is there twice",
        "gone.py",
    ):
        assert any(text in problem for problem in found), text
    assert sum("names a test that is not there" in problem for problem in found) == len(wrong)


def test_a_room_with_a_mistake_is_named(tmp_path: Path) -> None:
    (tmp_path / "rooms.toml").write_text('[[file]]\npath = "x"\ntests = []\nmutants = []\n')
    with pytest.raises(ValueError, match=r"rooms\.toml: .*mutants"):
        read(tmp_path)


def test_some_are_chosen_by_name_or_by_room() -> None:
    listed = [mutant("a", "b"), mutant("c", "d")._replace(room="other", name="second")]
    assert chosen(listed, arguments(["--only", "other/s"])) == listed[1:]
    assert chosen(listed, arguments(["--room", "room"])) == listed[:1]
    assert chosen(listed, arguments([])) == listed


@pytest.mark.real_time
def test_a_run_tells_what_became_of_each_and_leaves_the_tree_as_it_was(tmp_path: Path) -> None:
    before = (TREE / FRAMING).read_bytes()
    text = before.decode()
    statement = next(line for line in text.splitlines() if line == "    if size < 65536:")
    wrong = statement.replace("<", ">")
    folder = tmp_path / "copy"
    folder.mkdir()
    copy = Copy(folder, 100)
    try:
        killed = copy.try_one(mutant(statement, wrong))
        assert killed.fate is Fate.KILLED
        assert killed.by.startswith(TESTS)
        harmless = mutant(statement, statement + "  # the same")
        assert copy.try_one(harmless).fate is Fate.SURVIVED
    finally:
        copy.stop()
    assert (TREE / FRAMING).read_bytes() == before == (folder / FRAMING).read_bytes()
