"""Failures of a sign-in: each has a reason, which the page has in people's words, and a text for the log."""

from relay.plugin import ErrorCode, RelayError

_RETRY_SECONDS = 30.0
"""When a provider that did not answer may be asked again."""


class Failed(Exception):
    """A sign-in that failed on its way through the provider.

    Attributes:
        reason: one of those in docs/reference/errors.md.
    """

    def __init__(self, reason: str, text: str) -> None:
        super().__init__(text)
        self.reason = reason


def refused(code: ErrorCode, reason: str, text: str, **details: str) -> RelayError:
    """Return a refusal of REST, with its reason."""
    later = _RETRY_SECONDS if code is ErrorCode.OVERLOADED else None
    return RelayError(code, text, retry_after=later, details={"reason": reason, **details})
