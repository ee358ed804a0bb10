"""What a REST view takes and answers, said where the view is: `/openapi.json` is made of it.

    @blueprint.get("/api/polls/<poll>")
    @described(answers={200: PollResult}, refusals=[ErrorCode.NOT_FOUND])
    async def result(poll: str) -> Response: ...

What follows from that is not said again: a view with a body may answer 413 and 415, one with a variable in its
path 404, one that needs a token 401 and 403, and each of them 400, 431 and 500; `relay.transports.rest.openapi`
adds those.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal, TypeVar

from relay.protocol.errors import ErrorCode

View = TypeVar("View", bound=Callable[..., Any])
Access = Literal["token", "open", "either"]
_MARK: Final = "__relay_description__"
_JSON: Final = "application/json"


@dataclass(frozen=True, kw_only=True)
class Description:
    """One view's parts; its summary is the first line of its docstring.

    Attributes:
        query, body: the structs that `read_query` and `read_body` take; None for a view without.
        optional_body: whether the body may be left out.
        answers: what it answers by status, as a type msgspec knows; None for an answer without a body.
        refusals: the codes that it refuses by, or statuses where it has one of its own, besides those that follow
            from the rest.
        body_types: content types of the body; JSON where it is a struct.
        answer_types: content types of its answers.
        headers: request headers that it reads, with what each is for.
        answer_headers: headers of an answer, with what each says, by status.
        access: "token" for users with a token, "open" for everybody, "either" where it depends; of a plugin's view
            `Routes` says that.
    """

    query: Any = None
    body: Any = None
    optional_body: bool = False
    answers: Mapping[int, Any] = field(default_factory=lambda: {200: dict[str, Any]})
    refusals: tuple[ErrorCode | int, ...] = ()
    body_types: tuple[str, ...] = (_JSON,)
    answer_types: tuple[str, ...] = (_JSON,)
    headers: Mapping[str, str] = field(default_factory=dict)
    answer_headers: Mapping[int, Mapping[str, str]] = field(default_factory=dict)
    access: Access = "token"


def described(
    *,
    query: Any = None,
    body: Any = None,
    optional_body: bool = False,
    answers: Mapping[int, Any] | None = None,
    refusals: Iterable[ErrorCode | int] = (),
    body_types: Iterable[str] = (_JSON,),
    answer_types: Iterable[str] = (_JSON,),
    headers: Mapping[str, str] | None = None,
    answer_headers: Mapping[int, Mapping[str, str]] | None = None,
    access: Access = "token",
) -> Callable[[View], View]:
    """Say what a view takes and answers; see `Description`. It goes below the route's own decorator."""
    said = Description(
        query=query,
        body=body,
        optional_body=optional_body,
        answers={200: dict[str, Any]} if answers is None else answers,
        refusals=tuple(refusals),
        body_types=tuple(body_types),
        answer_types=tuple(answer_types),
        headers=headers or {},
        answer_headers=answer_headers or {},
        access=access,
    )

    def mark(view: View) -> View:
        setattr(view, _MARK, said)
        return view

    return mark


def description(view: Callable[..., Any]) -> Description | None:
    """Return what was said of a view; None where nothing was."""
    said: Description | None = getattr(view, _MARK, None)
    return said
