"""HTTP views, of plugins and of relay itself: their contract, their requests and their answers.

Every name that a plugin needs is imported from this package itself::

    from relay.http import Blueprint, Caller, Query, endpoint
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from relay.http.addresses import Address, AddressPolicy, Network, Url, is_public, mapped, read_url
from relay.http.endpoint import BoundView, Endpoint, endpoint
from relay.http.inner import Exchanged, call_api, run_asgi
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
    Response,
    ack_payload,
    admin,
    authenticate,
    caller,
    count_attempt,
    nothing,
    page_of,
    redirect,
    reply,
    request,
    server,
)

if TYPE_CHECKING:
    from relay.http.client import (
        AddressRefused,
        CallFailed,
        HttpAnswer,
        HttpClient,
        TimedOut,
        UnknownHost,
        Unreachable,
        seconds_to_wait,
        words_of,
    )
else:

    def __getattr__(name: str) -> Any:
        """Import the client when a plugin first asks for it: httpcore takes 20 ms and 2 MiB at a start."""
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(import_module("relay.http.client"), name)


__all__ = [
    "Address",
    "AddressPolicy",
    "AddressRefused",
    "Answer",
    "Blueprint",
    "Body",
    "BoundView",
    "CallFailed",
    "Caller",
    "DisplayName",
    "Endpoint",
    "Exchanged",
    "HttpAnswer",
    "HttpClient",
    "Limit",
    "Moment",
    "Network",
    "NoQuery",
    "Page",
    "Position",
    "Query",
    "Response",
    "TimedOut",
    "UnknownHost",
    "Unreachable",
    "Url",
    "Word",
    "ack_payload",
    "admin",
    "authenticate",
    "call_api",
    "caller",
    "count_attempt",
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
    "read_url",
    "redirect",
    "reply",
    "request",
    "run_asgi",
    "seconds_to_wait",
    "server",
    "words_of",
]
