"""The drain: the end of a server, which takes nothing new from its beginning and is over at its deadline."""

from __future__ import annotations

import math
from collections.abc import Callable


class Drain:
    """The end of a server: whether it has begun, and its deadline; one object for all who ask.

    Args:
        on_deadline: called with each deadline that is set, on trio's clock.

    Attributes:
        begun: True once the server takes nothing new.
        deadline: when the server must have ended, on trio's clock; infinite until that is known.
    """

    def __init__(self, on_deadline: Callable[[float], None] | None = None) -> None:
        self.begun = False
        self.deadline = math.inf
        self._on_deadline = on_deadline

    def begin(self, deadline: float = math.inf) -> None:
        """Take nothing new from now on, and end at a moment of trio's clock; an earlier deadline holds."""
        self.begun = True
        self.deadline = min(self.deadline, deadline)
        if self._on_deadline is not None and deadline < math.inf:
            self._on_deadline(self.deadline)
