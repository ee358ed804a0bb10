"""A pass of the purge, step by step, over an index that one step does not get through."""

import random

from tests.plugins.search.asking import module, tables


def test_a_large_index_is_merged_to_its_end() -> None:
    connection, dice, purging = tables(), random.Random(5), module(".purge")
    for rowid in range(1, 61):
        words = " ".join(f"{dice.randrange(10**9):09d}" for _ in range(400))
        connection.execute("INSERT INTO search_index (rowid, words, marks) VALUES (?, ?, '')", (rowid, words))
        connection.commit()  # each transaction's words are a segment of their own
    gone = [f"{dice.randrange(10**5):05d}zebra" for _ in range(40)]
    connection.execute(
        "INSERT INTO search_index (rowid, words, marks) VALUES (99, ?, '')", (" ".join(sorted(gone)),)
    )
    connection.commit()
    connection.execute("DELETE FROM search_index WHERE rowid = 99")
    purging.suspect(connection, purging.ALL)
    connection.commit()

    def left() -> int:
        blocks = connection.execute("SELECT block FROM search_index_data").fetchall()
        return sum(block.count(b"zebra") for (block,) in blocks)

    assert left() > 0
    purge, vocabulary, steps = purging.Purge(), module(".vocabulary").Vocabulary(), 0
    while purge.step(connection, vocabulary):
        steps += 1
        connection.commit()
    assert left() == 0
    assert steps > 4, "one step gets through this index, which is too small"
