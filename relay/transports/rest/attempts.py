"""Attempts at accounts: each counts by the address that it comes from, and what is refused goes to the log."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from relay.engine.engine import Engine
from relay.http import qr_codes
from relay.protocol.errors import ErrorCode, RelayError
from relay.services.limits import network_of
from relay.transports.rest.access import caller_address

_LOGGED: Final = (ErrorCode.FORBIDDEN, ErrorCode.RATE_LIMITED, ErrorCode.OVERLOADED)
"""The refusals that go to the log; a taken name, or too short a password, is nobody's attack."""

_STEPS: Final = ("second_factor", "second_factor_setup")
"""The reasons of refusals that are the first step of a login."""


@contextmanager
def attempt(engine: Engine, user_id: str | None) -> Iterator[str]:
    """Count an attempt at an account by its address, yield the address, and log a refusal.

    A refusal with the secret of a second factor that has to be set up gets the QR code of it.

    Args:
        user_id: whose account it is; None if that is not known.

    Raises:
        RelayError: `rate_limited`.
    """
    address = caller_address()
    try:
        engine.rates.logins.take(network_of(address))
        yield address
    except RelayError as refused:
        if refused.code in _LOGGED and (refused.details or {}).get("reason") not in _STEPS:
            engine.refusals.login(user_id, address, refused.message)
        if refused.details is not None and refused.details.get("reason") == "second_factor_setup":
            refused.details["qr"] = qr_codes.rows_of(refused.details["link"])
        raise
