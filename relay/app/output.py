"""Output that cannot be written: to a full disk, or to a reader that has gone."""

from __future__ import annotations

import os
from typing import TextIO


def discard(stream: TextIO) -> None:
    """Have all further text of a stream go nowhere, with what it still holds.

    The interpreter would try to write that once more when it ends, and fail.
    """
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def end(stream: TextIO | None) -> bool:
    """Write what a stream still holds, and return whether that went; discard it where it did not.

    The interpreter would end with status 120, whatever the process did.
    """
    if stream is None:  # closed by the shell
        return True
    try:
        stream.flush()
    except OSError:
        discard(stream)
        return False
    return True
