"""What a token says: until when it is good, whom it names, and what they may do."""

from collections.abc import Mapping
from typing import Any

from relay.plugin import Claim, ErrorCode, RelayError, check_name

from .options import Options

LATEST = 1e12
"""No time is beyond it, in seconds; a number that is none is not below it either."""


def refused(reason: str) -> RelayError:
    """Return the refusal of a token."""
    return RelayError(ErrorCode.FORBIDDEN, f"the token is refused: {reason}")


def times(said: Mapping[str, Any], now: float, leeway: float) -> tuple[float, float]:
    """Return until when a token is good, and since when.

    Raises:
        RelayError: `forbidden`: not now, or it does not say.
    """
    said_times = {name: said.get(name) for name in ("exp", "nbf", "iat")}
    for name, value in said_times.items():
        number = isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < LATEST
        if value is not None and not number:
            raise refused(f"its {name} is no number")
    if said_times["exp"] is None:
        raise refused("it has no exp: it would be good for ever")
    if now >= said_times["exp"] + leeway:
        raise refused("it has expired")
    if any(now < (said_times[name] or 0) - leeway for name in ("nbf", "iat")):
        raise refused("it is not good yet")
    return said_times["exp"] + leeway, said_times["iat"] or 0.0


def claim(said: Mapping[str, Any], options: Options, expires_at: float, issued_at: float) -> Claim:
    """Return whom a token that was checked lets in.

    Raises:
        RelayError: `forbidden`: it names nobody, or nobody that could be a user.
    """
    user_id = _look_up(said, options.user_claim)
    if not isinstance(user_id, str):
        raise refused(f"its {options.user_claim} names nobody")
    try:
        check_name(user_id, "user id")
    except RelayError as error:
        raise refused(f"its {options.user_claim}: {error.message}") from None
    name = _look_up(said, options.name_claim)
    prefix = options.scope_prefix
    scopes = {one.removeprefix(prefix) for one in _texts(said, options.scope_claim) if one.startswith(prefix)}
    return Claim(
        user_id,
        expires_at=expires_at,
        issued_at=issued_at,
        scopes=frozenset(scopes - {""}),
        admin=bool(set(_texts(said, options.admin_claim)) & set(options.admin_values)),
        display_name=name[:100] if isinstance(name, str) and name.strip() else None,
        create=options.create_users,
    )


def _look_up(said: Mapping[str, Any], path: str | None) -> Any:
    """Return a claim, by its name or by a path into objects: `realm_access.roles`."""
    if path is None or path in said:
        return None if path is None else said[path]
    found: Any = said
    for part in path.split("."):
        found = found.get(part) if isinstance(found, Mapping) else None
    return found


def _texts(said: Mapping[str, Any], path: str | None) -> list[str]:
    """Return the texts that a claim has: a list, or words with blanks between them."""
    found = _look_up(said, path)
    listed = found.split() if isinstance(found, str) else found
    return [one for one in listed if isinstance(one, str)] if isinstance(listed, list) else []
