"""HTTP views, of plugins and of relay itself: their contract, their requests and their answers.

Every name that a plugin needs is imported from this package itself::

    from relay.http import Blueprint, Caller, Query, endpoint
"""

from relay.http.addresses import Address, is_public, mapped, seconds_to_wait, words_of
from relay.http.endpoint import Endpoint, described, endpoint
from relay.http.origins import origin_allowed
from relay.http.requests import (
    Answer,
    Body,
    DisplayName,
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
from relay.http.views import (
    Blueprint,
    Caller,
    Page,
    ack_payload,
    admin,
    authenticate,
    caller,
    nothing,
    page_of,
    reply,
    request,
    server,
)

__all__ = [
    "Address",
    "Answer",
    "Blueprint",
    "Body",
    "Caller",
    "DisplayName",
    "Endpoint",
    "Limit",
    "Moment",
    "NoQuery",
    "Page",
    "Position",
    "Query",
    "Word",
    "ack_payload",
    "admin",
    "authenticate",
    "caller",
    "described",
    "endpoint",
    "invalid",
    "is_public",
    "mapped",
    "nothing",
    "origin_allowed",
    "page_of",
    "read_body",
    "read_idempotency_key",
    "read_query",
    "reply",
    "request",
    "seconds_to_wait",
    "server",
    "words_of",
]
