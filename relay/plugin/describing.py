"""What a REST view takes and answers, said where the view is: `/openapi.json` is made of it.

    @blueprint.get("/api/polls/<poll>")
    @described(answers={200: PollResult}, refusals=[ErrorCode.NOT_FOUND])
    async def result(poll: str) -> Response: ...

What every view may be answered besides (401, 405, 413, 429, 500 and so on) is added for all of them in one place.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from relay.protocol.errors import ErrorCode

View = TypeVar("View", bound=Callable[..., Any])
_MARK: Final = "__relay_description__"


@dataclass(frozen=True, kw_only=True)
class Description:
    """One view's parts; its summary is the first line of its docstring.

    Attributes:
        query, body: the structs that `read_query` and `read_body` take; None for a view without.
        answers: what it answers by status, as a type msgspec knows; None for an answer without a body.
        refusals: the codes that it refuses by, besides those of its query, body and token.
        body_types: content types of a body that is no JSON.
        answer_types: content types of an answer that is no JSON.
        headers: request headers it reads, with what each is for.
    """

    query: Any = None
    body: Any = None
    answers: Mapping[int, Any] = field(default_factory=lambda: {200: dict})
    refusals: tuple[ErrorCode, ...] = ()
    body_types: tuple[str, ...] = ()
    answer_types: tuple[str, ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict)


def described(
    *,
    query: Any = None,
    body: Any = None,
    answers: Mapping[int, Any] | None = None,
    refusals: Iterable[ErrorCode] = (),
    body_types: Iterable[str] = (),
    answer_types: Iterable[str] = (),
    headers: Mapping[str, str] | None = None,
) -> Callable[[View], View]:
    """Say what a view takes and answers; see `Description`. It goes below the route's own decorator."""
    said = Description(
        query=query,
        body=body,
        answers={200: dict} if answers is None else answers,
        refusals=tuple(refusals),
        body_types=tuple(body_types),
        answer_types=tuple(answer_types),
        headers=headers or {},
    )

    def mark(view: View) -> View:
        setattr(view, _MARK, said)
        return view

    return mark


def description(view: Callable[..., Any]) -> Description | None:
    """Return what was said of a view; None where nothing was."""
    said: Description | None = getattr(view, _MARK, None)
    return said
