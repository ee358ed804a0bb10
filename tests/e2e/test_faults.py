"""The short versions of `make faults`, one after the other on one server: what was acknowledged stays so."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.faults.scenarios import DISK, SCENARIOS
from tests.faults.stage import Stage, stage

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def made() -> Iterator[Stage]:
    with stage() as made:
        yield made


@pytest.mark.parametrize("name", [name for name in SCENARIOS if name != DISK])
def test_nothing_acknowledged_is_lost_or_doubled_by(made: Stage, name: str) -> None:
    faults = made.faults
    SCENARIOS[name].short(made)
    made.settle(ready=False)
    made.check()
    assert made.faults > faults


def test_a_disk_that_is_full_and_has_room_again_loses_nothing_acknowledged() -> None:
    with stage(small_disk=True) as made:
        SCENARIOS[DISK].short(made)
        assert made.faults
