"""The steps of a simulation: plain numbers, drawn from a seed, so that any of them can be left out or written down."""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple

LENGTHS: Final = {6: 5, 12: 3, 24: 1, 56: 1}
"""How many steps the seeds have, and how often each number comes.

Most seeds are short: several of them cost what a long one does, and each begins anew. What needs a long story to go
wrong has one seed in ten.
"""

NUMBERS: Final = 4
_TOP: Final = 1000

WEIGHTS: Final = {
    # what people do
    "say": 26, "edit": 8, "delete": 6, "react": 8, "read": 9, "type": 2, "status": 2, "attach": 2, "say_again": 4,
    "provoke": 4, "ack": 6,
    # what devices and their networks do
    "come": 14, "cut": 7, "silence": 4, "double": 4, "kill": 5, "leave": 3, "background": 1, "slow": 2,
    # what groups and operators do
    "member": 14, "rename": 1, "regroup": 2, "notify": 5, "import": 2, "sweep": 1,
    # what happens to the server
    "crash": 5, "restart": 2, "fail": 3, "drag": 2, "clock": 2, "backup": 1, "restore": 1,
}  # fmt: skip
"""How often each step comes, among all of these together."""

PAUSES: Final = (0.0, 0.0, 0.0, 0.001, 0.004, 0.02, 0.1, 0.5, 3.0, 40.0)


class Step(NamedTuple):
    """One step: what is done, and numbers from 0 to 999 that say by whom, where and how."""

    verb: str
    a: int
    b: int
    c: int
    d: int

    def __str__(self) -> str:
        return " ".join(map(str, self))

    @property
    def pause(self) -> float:
        """Seconds to wait after it."""
        return PAUSES[self.d % len(PAUSES)]


def length(seed: int) -> int:
    """Return how many steps a seed has, as `LENGTHS` says."""
    (found,) = random.Random(f"length {seed}").choices(list(LENGTHS), list(LENGTHS.values()))
    return found


def draw(seed: int, count: int | None = None, weights: Mapping[str, int] = WEIGHTS) -> list[Step]:
    """Return the steps of a seed, with verbs as often as their weights say.

    Args:
        count: how many steps; None for the seed's own number.
    """
    count = length(seed) if count is None else count
    rng = random.Random(f"steps {seed}")
    verbs = rng.choices(list(weights), list(weights.values()), k=count)
    return [Step(verb, *(rng.randrange(_TOP) for _ in range(NUMBERS))) for verb in verbs]


def write(seed: int, steps: Iterable[Step], remarks: Sequence[str] = ()) -> str:
    """Return a script that `--replay` reads."""
    return "\n".join([*(f"# {remark}" for remark in remarks), f"seed {seed}", *map(str, steps)]) + "\n"


def read(script: str, weights: Mapping[str, int] = WEIGHTS) -> tuple[int, list[Step]]:
    """Return the seed and the steps of a script.

    Raises:
        ValueError: naming the line that is none.
    """
    seed: int | None = None
    steps: list[Step] = []
    for number, line in enumerate(script.splitlines(), 1):
        words = line.partition("#")[0].split()
        if not words:
            continue
        verb, *numbers = words
        if verb == "seed" and len(numbers) == 1 and numbers[0].isdecimal():
            seed = int(numbers[0])
        elif verb in weights and len(numbers) == NUMBERS and all(one.isdecimal() for one in numbers):
            steps.append(Step(verb, *map(int, numbers)))
        else:
            raise ValueError(
                f"line {number}, {line!r}: write `seed N`, or a verb and {NUMBERS} numbers: say 1 2 3 4"
            )
    if seed is None:
        raise ValueError("no line says the seed: write `seed N`")
    return seed, steps
