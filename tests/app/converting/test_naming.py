"""Ids made from names: valid, different, and the same ones each time."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.app.converting.archives import ExportError
from relay.app.converting.naming import Names, made_of, read_map
from relay.storage.names import NAME


@pytest.mark.parametrize(
    ("name", "otherwise", "made"),
    [
        ("alice", "U1", "alice"), ("Alice Liddell", "U1", "alice-liddell"), ("Zoë Müßig", "U1", "zoe-mussig"),
        ("Øre Łukasz", "U1", "ore-lukasz"), ("李雷", "U77", "u77"), ("..a..", "U1", "a"), ("", "U1", "u1"),
        ("a" * 80, "U1", "a" * 56), ("name@x.org", "U1", "name@x.org"), ("a/b\\c\n", "U1", "a-b-c"),
    ],
)  # fmt: skip
def test_an_id_resembles_the_name(name: str, otherwise: str, made: str) -> None:
    assert made_of(name, otherwise) == made


@given(st.lists(st.text(max_size=80), max_size=20))
def test_ids_are_valid_and_differ_in_more_than_case(called: list[str]) -> None:
    names = Names()
    given_out = [names.give(name, name) for name in called]
    assert all(NAME.fullmatch(one) for one in given_out)
    assert len({one.casefold() for one in given_out}) == len(called)


def test_what_was_chosen_is_given_to_nobody_else() -> None:
    names = Names({"U7": "alice"})
    assert names.chosen("U1", "alice") is None
    assert names.chosen("U7", "al") == "alice"
    assert [names.give("Alice", "U1"), names.give("alice", "U2")] == ["alice-2", "alice-3"]


def test_a_map_is_read(tmp_path: Path) -> None:
    path = tmp_path / "map.csv"
    path.write_text('\ufeffU1, alice\n\n# a remark\n"bob, the second",bob\nU1,alice\n', encoding="utf-8")
    assert read_map(path) == {"U1": "alice", "bob, the second": "bob"}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (b"U1,alice\nU2\n", ":2: 'U2'; expected the id or name elsewhere, a comma, and a user id"),
        (b"U1,no name\n", ":1: 'U1,no name'; expected"),
        (b",alice\n", ":1: ',alice'; expected"),
        (b"U1,alice\nU1,bob\n", ":2: 'U1' has two ids, 'alice' and 'bob'"),
        (b"\xff\xfe", ": cannot be read: "),
    ],
)
def test_a_map_that_cannot_be_read_is_named(tmp_path: Path, text: bytes, told: str) -> None:
    path = tmp_path / "map.csv"
    path.write_bytes(text)
    with pytest.raises(ExportError) as refused:
        read_map(path)
    assert str(refused.value).startswith(f"{path}{told}")


def test_a_map_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="No such file"):
        read_map(tmp_path / "map.csv")
