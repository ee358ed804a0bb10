"""HTTP for plugins' routes and relay's own: requests read, answers made, and views described by the same words.

Every name that a plugin needs is imported from this package itself::

    from relay.http import Blueprint, Query, caller, described, read_query, reply
"""

from relay.http.addresses import Address, is_public, mapped, seconds_to_wait, words_of
from relay.http.endpoint import described
from relay.http.origins import origin_allowed
from relay.http.requests import (
    Answer,
    Body,
    Limit,
    Moment,
    NoQuery,
    Position,
    Query,
    Word,
    invalid,
    read_body,
    read_idempotency_key,
    read_query,
)
from relay.http.views import Blueprint, Caller, ack_payload, admin, caller, nothing, reply, request, server

__all__ = [
    "Address",
    "Answer",
    "Blueprint",
    "Body",
    "Caller",
    "Limit",
    "Moment",
    "NoQuery",
    "Position",
    "Query",
    "Word",
    "ack_payload",
    "admin",
    "caller",
    "described",
    "invalid",
    "is_public",
    "mapped",
    "nothing",
    "origin_allowed",
    "read_body",
    "read_idempotency_key",
    "read_query",
    "reply",
    "request",
    "seconds_to_wait",
    "server",
    "words_of",
]
