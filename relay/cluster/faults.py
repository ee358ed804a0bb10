"""The one fault of a nursery, without the group that trio puts around it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def ungrouped() -> Iterator[None]:
    """Raise a fault as it is, where a nursery in the block has a group of this one only; several stay a group."""
    try:
        yield
    except BaseExceptionGroup as group:
        leaves = list(_leaves(group))
        if len({(type(leaf), str(leaf)) for leaf in leaves}) > 1:
            raise
        raise leaves[0] from leaves[0].__cause__


def _leaves(fault: BaseException) -> Iterator[BaseException]:
    if isinstance(fault, BaseExceptionGroup):
        for one in fault.exceptions:
            yield from _leaves(one)
    else:
        yield fault
