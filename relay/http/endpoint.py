"""The decorator `@endpoint`: a view's contract, said once. It serves the view, and `/openapi.json` is made of it.

    @blueprint.get("/api/polls/<int:poll>/votes")
    @endpoint(query=VotesQuery, answers={200: Votes}, refusals=[ErrorCode.NOT_FOUND])
    async def votes(server: Server, caller: Caller, query: VotesQuery, poll: int) -> Votes: ...

A view asks for what it needs by the names of its parameters: `caller`, `server` (`engine` in relay's own views),
`query` and `body`. The others are the variable parts of its path.

What follows from the declaration is not said again: a view with a body may answer 413 and 415, one with a variable
in its path 404, one that needs a token 401 and 403, and each of them 400, 408, 431 and 500: `/openapi.json` has
them.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass, field
from functools import wraps
from typing import Any, Final, Literal, cast, get_args

from quart import g, request
from werkzeug.sansio.response import Response as AnyResponse

from relay.http.requests import NoQuery, read_body, read_query
from relay.http.views import nothing, reply
from relay.protocol.errors import ErrorCode
from relay.protocol.kinds import ServerRole
from relay.services.server_roles import require_server_role

Access = Literal["token", "moderator", "admin", "owner", "open", "either"]
View = Callable[..., Awaitable[Any]]
BoundView = Callable[..., Awaitable[AnyResponse]]
_LEAST: Final[Mapping[str, ServerRole]] = {
    "moderator": ServerRole.MODERATOR,
    "admin": ServerRole.ADMIN,
    "owner": ServerRole.OWNER,
}
_MARK: Final = "__relay_endpoint__"
_JSON: Final = "application/json"
_FROM_HOST: Final = frozenset({"caller", "server", "engine"})
"""Parameters whose values the server puts into `quart.g` before it calls a view."""


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    """The contract of one view. Use it as a decorator, below the route's own.

    The view is `async`. It returns a value, which becomes the JSON of the first of its `answers`, or a `Response`
    of its own. The first line of its docstring is its summary.

    Args:
        query: the struct of its query parameters; unknown parameters are refused. None: they are not looked at.
        body: the type of its JSON body; `bytes` for a body of another kind. A view with a body and without a
            parameter `body` reads the request itself.
        optional_body: whether the body may be left out.
        answers: the types of its answers by status; None for an answer without a body.
        refusals: its error codes, or statuses that have no code, besides those that follow from the rest.
        access: who may call: "token" for users; "moderator", "admin" or "owner" for who has that role on this
            server, or a higher one; "open" for everybody; "either" where it depends on the request: such a view
            calls `authenticate` where it needs a caller.
        body_types: content types of the body; JSON where it is a struct.
        answer_types: content types of its answers.
        headers: request headers that it reads, each with its purpose.
        answer_headers: headers of its answers by status, each with its meaning.

    Raises:
        TypeError: the access is not one of these, there is no answer, the view is not `async`, or it asks for what
            was not declared.
    """

    query: Any = NoQuery
    body: Any = None
    optional_body: bool = False
    answers: Mapping[int, Any] = field(default_factory=lambda: {200: dict[str, Any]})
    refusals: Collection[ErrorCode | int] = ()
    access: Access = "token"
    body_types: Collection[str] = (_JSON,)
    answer_types: Collection[str] = (_JSON,)
    headers: Mapping[str, str] = field(default_factory=dict)
    answer_headers: Mapping[int, Mapping[str, str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.access not in get_args(Access):  # must not pass: the view would be open to everybody
            raise TypeError(f"@endpoint: access is {self.access!r}; right is one of {', '.join(get_args(Access))}")
        if not self.answers:
            raise TypeError("@endpoint: answers is empty; leave it out for {200: dict}")

    def __call__(self, view: View) -> BoundView:
        """Return the view as a route calls it: with the path's variables alone."""
        wanted = frozenset(inspect.signature(view).parameters)
        self._check(view, wanted)
        from_host = wanted & _FROM_HOST

        @wraps(view)
        async def bound(**arguments: Any) -> AnyResponse:
            if self.access in _LEAST:
                require_server_role(g.caller.identity, _LEAST[self.access])
            if self.query is not None:
                query = read_query(self.query)
                if "query" in wanted:
                    arguments["query"] = query
            if "body" in wanted:
                arguments["body"] = await self._read_body()
            for name in from_host:
                arguments[name] = getattr(g, name)
            return self._answer(await view(**arguments))

        setattr(bound, _MARK, self)
        return bound

    def _check(self, view: View, wanted: frozenset[str]) -> None:
        name = getattr(view, "__qualname__", repr(view))
        if not inspect.iscoroutinefunction(view):
            raise TypeError(f"@endpoint: {name} is not async; write async def")
        if "query" in wanted and self.query in (None, NoQuery):
            raise TypeError(f"@endpoint: {name} has a parameter query; declare it: @endpoint(query=…)")
        if "body" in wanted and self.body is None:
            raise TypeError(f"@endpoint: {name} has a parameter body; declare it: @endpoint(body=…)")
        if "caller" in wanted and self.access in ("open", "either"):
            raise TypeError(f"@endpoint: {name} has a parameter caller, and its access is {self.access!r}")

    async def _read_body(self) -> Any:
        if self.body is bytes:
            return cast(bytes, await request.get_data(as_text=False))
        return await read_body(self.body, optional=self.optional_body)

    def _answer(self, result: Any) -> AnyResponse:
        if isinstance(result, AnyResponse):
            return result
        status, type_ = next(iter(self.answers.items()))
        return nothing() if type_ is None else reply(result, status)


endpoint = Endpoint


def endpoint_of(view: Callable[..., Any]) -> Endpoint | None:
    """Return the contract of a view; None for a view without `@endpoint`."""
    found: Endpoint | None = getattr(view, _MARK, None)
    return found


def access_of(view: Callable[..., Any], *, public: bool = False) -> Access:
    """Return who may call a view.

    Args:
        public: whether a view without `@endpoint` is for everybody; see `relay.plugin.Routes`.
    """
    found = endpoint_of(view)
    if found is not None:
        return found.access
    return "open" if public else "token"
