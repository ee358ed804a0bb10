"""Claims of a token: its times, its user, and what the user may do."""

from collections.abc import Mapping
from typing import Any

from relay.plugin import Claim, ErrorCode, RelayError, check_name

from .options import Options

LATEST = 1e12
"""No time in a token is later, Unix seconds; NaN and infinity are not below it either."""


def refused(reason: str) -> RelayError:
    """Return the refusal of a token."""
    return RelayError(ErrorCode.FORBIDDEN, f"the token is refused: {reason}")


def times(claims: Mapping[str, Any], now: float, leeway: float) -> tuple[float, float]:
    """Return when a token expires, and when it was issued.

    Raises:
        RelayError: `forbidden`: it is not valid now, or has no `exp`.
    """
    given = {name: claims.get(name) for name in ("exp", "nbf", "iat")}
    for name, value in given.items():
        number = isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < LATEST
        if value is not None and not number:
            raise refused(f"its {name} is no number")
    if given["exp"] is None:
        raise refused("it has no exp: it would be good for ever")
    if now >= given["exp"] + leeway:
        raise refused("it has expired")
    if any(now < (given[name] or 0) - leeway for name in ("nbf", "iat")):
        raise refused("it is not good yet")
    return given["exp"] + leeway, given["iat"] or 0.0


def claim(claims: Mapping[str, Any], options: Options, expires_at: float, issued_at: float) -> Claim:
    """Return whom a token with a valid signature lets in.

    Raises:
        RelayError: `forbidden`: it names nobody, or a name that no user can have.
    """
    user_id = _look_up(claims, options.user_claim)
    if not isinstance(user_id, str):
        raise refused(f"its {options.user_claim} names nobody")
    try:
        check_name(user_id, "user id")
    except RelayError as error:
        raise refused(f"its {options.user_claim}: {error.message}") from None
    name = _look_up(claims, options.name_claim)
    prefix = options.scope_prefix
    scopes = {one.removeprefix(prefix) for one in _texts(claims, options.scope_claim) if one.startswith(prefix)}
    return Claim(
        user_id,
        expires_at=expires_at,
        issued_at=issued_at,
        scopes=frozenset(scopes - {""}),
        admin=bool(set(_texts(claims, options.admin_claim)) & set(options.admin_values)),
        display_name=name[:100] if isinstance(name, str) and name.strip() else None,
        create=options.create_users,
    )


def _look_up(claims: Mapping[str, Any], path: str | None) -> Any:
    """Return a claim, by its name or by a path into objects: `realm_access.roles`."""
    if path is None or path in claims:
        return None if path is None else claims[path]
    found: Any = claims
    for part in path.split("."):
        found = found.get(part) if isinstance(found, Mapping) else None
    return found


def _texts(claims: Mapping[str, Any], path: str | None) -> list[str]:
    """Return the texts of a claim: of a list, or of one text with spaces between them."""
    found = _look_up(claims, path)
    listed = found.split() if isinstance(found, str) else found
    return [one for one in listed if isinstance(one, str)] if isinstance(listed, list) else []
