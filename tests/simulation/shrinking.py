"""A failing simulation made smaller by itself: steps are left out for as long as the same promise is broken."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import chain

from tests.simulation.steps import NUMBERS, Step

Fails = Callable[[Sequence[Step]], bool]
"""Whether a list of steps still breaks the promise."""


def shrink(steps: Sequence[Step], fails: Fails, most: int = 400) -> list[Step]:
    """Return fewer and plainer steps that still fail, by delta debugging (Zeller and Hildebrandt, 2002).

    Args:
        steps: they fail.
        most: the largest number of tries.
    """
    tries = 0

    def still(candidate: Sequence[Step]) -> bool:
        nonlocal tries
        tries += 1
        return tries <= most and fails(candidate)

    return _plainer(_fewer(list(steps), still), still)


def _fewer(steps: list[Step], still: Fails) -> list[Step]:
    """Leave out parts of the list, halves first, then ever smaller ones."""
    parts = 2
    while len(steps) > 1:
        size = -(-len(steps) // parts)
        for start in range(0, len(steps), size):
            candidate = steps[:start] + steps[start + size :]
            if still(candidate):
                steps, parts = candidate, max(2, parts - 1)
                break
        else:
            if size == 1:
                return steps
            parts = min(len(steps), parts * 2)
    return [] if steps and still([]) else steps


def _plainer(steps: list[Step], still: Fails) -> list[Step]:
    """Put 0 in the place of numbers that do not matter: there is no pause then, and the first device acts."""
    for at, number in chain.from_iterable(((at, n) for n in range(NUMBERS)) for at in range(len(steps))):
        step = steps[at]
        if step[1 + number]:
            plain = Step(*(value if place != 1 + number else 0 for place, value in enumerate(step)))
            candidate = [*steps[:at], plain, *steps[at + 1 :]]
            if still(candidate):
                steps = candidate
    return steps
