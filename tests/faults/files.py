"""The check of a database file by itself: whole by SQLite, and sequences without holes."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path

from tests.faults.ledger import Broken


def check_whole(copy: Path) -> None:
    """Check the copy of a database as a fault left it.

    Raises:
        Broken: it is damaged, or a sequence has a hole.
    """
    with contextlib.closing(sqlite3.connect(copy)) as connection:
        verdicts = [verdict for (verdict,) in connection.execute("PRAGMA integrity_check").fetchall()]
        holes = connection.execute(
            "SELECT channel_id, min(seq), max(seq), count(*) FROM log GROUP BY channel_id"
            " HAVING min(seq) != 1 OR max(seq) != count(*)"
        ).fetchall()
    if verdicts != ["ok"]:
        raise Broken(f"integrity_check: {verdicts}")
    if holes:
        raise Broken(f"sequences with holes (channel, min, max, count): {holes}")
