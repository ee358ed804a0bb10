"""Moments in the sentences of a trace, in UTC."""

from __future__ import annotations

from datetime import UTC, datetime


def moment(at: float) -> str:
    """Return a moment in UTC."""
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M:%S} UTC"


def when(at: float) -> str:
    """Return a moment as a part of a sentence."""
    return f"at {moment(at)}"
