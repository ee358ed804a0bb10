"""The one fault of a nursery, without the group that trio puts around it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import trio


@contextmanager
def ungrouped() -> Iterator[None]:
    """Raise a fault as it is, where a nursery in the block has a group of this one only; several stay a group.

    Cancellations beside it do not count: the next checkpoint raises them again.
    """
    try:
        yield
    except BaseExceptionGroup as group:
        faults = [leaf for leaf in _leaves(group) if not isinstance(leaf, trio.Cancelled)]
        if len({(type(fault), str(fault)) for fault in faults}) != 1:
            raise
        raise faults[0] from faults[0].__cause__


def _leaves(fault: BaseException) -> Iterator[BaseException]:
    if isinstance(fault, BaseExceptionGroup):
        for one in fault.exceptions:
            yield from _leaves(one)
    else:
        yield fault
