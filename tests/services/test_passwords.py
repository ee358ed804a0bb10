"""Passwords: what a hash costs, outside of tests."""

from __future__ import annotations

import argon2

from tests.conftest import TRUE_COST


def test_a_hash_costs_what_the_standard_asks_for() -> None:
    """RFC 9106, section 4, the second recommended option: three passes over 64 MiB, in four lanes."""
    assert TRUE_COST == argon2.profiles.RFC_9106_LOW_MEMORY
    assert (TRUE_COST.type, TRUE_COST.time_cost) == (argon2.Type.ID, 3)
    assert (TRUE_COST.memory_cost, TRUE_COST.parallelism) == (64 * 1024, 4)
    assert (TRUE_COST.salt_len, TRUE_COST.hash_len) == (16, 32)
