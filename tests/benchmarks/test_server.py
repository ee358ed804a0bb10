"""The server of the benchmarks: its limits let each workload through."""

from __future__ import annotations

import tomllib
from functools import partial

import msgspec

from benchmarks.__main__ import WORKLOADS
from benchmarks.server import CONFIG
from relay.settings import Settings


def test_a_group_may_be_as_large_as_the_largest_of_a_workload() -> None:
    made = [workload for workload, _ in WORKLOADS.values()]
    sizes = [one.keywords.get("members", 0) for one in made if isinstance(one, partial)]
    most = msgspec.convert(tomllib.loads(CONFIG.format(replay=2000)), Settings).limits.group_members
    assert max(sizes) > Settings().limits.group_members
    assert most == 0 or max(sizes) <= most
