"""The book of mixed traffic: each thing comes to each of its receivers once."""

from __future__ import annotations

import pytest

from benchmarks.frames import MismatchError
from benchmarks.people import Book


def test_times_count_from_the_moment_that_was_planned() -> None:
    book = Book()
    name = book.name()
    book.expect(name, "a message", 10.0, ["alice", "bob"])
    book.came(name, "bob", 10.5)
    assert book.is_due(name)
    book.came(name, "alice", 12.0)
    assert not book.missing()
    assert list(book.taken["a message"]) == [0.5, 2.0]


def test_what_came_twice_or_to_somebody_else_is_noticed() -> None:
    book = Book()
    one, other = book.name(), book.name()
    assert one != other
    book.expect(one, "a message", 0.0, ["alice", "bob"])
    book.came(one, "bob", 1.0)
    for name, user in ((one, "bob"), (one, "carol"), (other, "alice")):
        with pytest.raises(MismatchError, match=f"{user} was sent"):
            book.came(name, user, 2.0)
    assert book.missing()[one].users == {"alice"}
