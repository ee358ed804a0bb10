"""The one group that the server keeps itself: nobody changes it by hand, its owner neither."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final

from relay.protocol.errors import ErrorCode, RelayError

_OPEN: Final[ContextVar[bool]] = ContextVar("kept group", default=False)


class KeptGroup:
    """Tells whether a change of a group is the server's own.

    Attributes:
        address: of the group's conversation; None while there is none.
    """

    def __init__(self) -> None:
        self.address: str | None = None

    @contextmanager
    def open(self) -> Iterator[None]:
        """Let this task change the group, until the block ends."""
        token = _OPEN.set(True)
        try:
            yield
        finally:
            _OPEN.reset(token)

    def check(self, address: str) -> None:
        """Refuse a change of the group by hand.

        Raises:
            RelayError: `forbidden`.
        """
        if address == self.address and not _OPEN.get():
            text = "the server keeps this group: its members are the moderators"
            raise RelayError(ErrorCode.FORBIDDEN, text, details={"reason": "kept_group"})
