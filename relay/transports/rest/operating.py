"""The calls of operators: the server's condition and figures, its use of the disk, the reload of its settings."""

from __future__ import annotations

from typing import Annotated, Final

import msgspec
from msgspec import Meta
from quart import Blueprint, current_app

from relay.engine.condition import Condition, Conditions
from relay.engine.engine import Engine
from relay.engine.live_settings import Reloaded
from relay.http.endpoint import endpoint
from relay.http.requests import Answer, Query, Time
from relay.http.views import Caller
from relay.protocol.errors import ErrorCode
from relay.services.figures import FIGURES, Series
from relay.services.usage import Usage
from relay.storage.aggregates import HOUR

blueprint = Blueprint("operating", __name__)
_CONDITIONS: Final = "relay.conditions"


Step = Annotated[
    Annotated[int, Meta(ge=60, le=31_622_400, multiple_of=60)] | None,
    Meta(description="a number of seconds, a multiple of 60"),
]


class FiguresQuery(Query, frozen=True):
    """A figure and a stretch of time; the last hour without any."""

    name: Annotated[str, Meta(min_length=1, max_length=64, description="the name of a figure")]
    from_: Time = msgspec.field(name="from", default=None)
    to: Time = None
    step: Step = None


class SeveralQuery(Query, frozen=True):
    """Figures and a stretch of time; the last hour without any."""

    names: Annotated[
        str, Meta(min_length=1, max_length=500, description="names of figures, with commas between them")
    ]
    from_: Time = msgspec.field(name="from", default=None)
    to: Time = None
    step: Step = None


class SeveralFigures(Answer, frozen=True):
    """Figures over the same time, each once, in the order in which they were named."""

    figures: list[Series]


class KnownFigure(Answer, frozen=True):
    """A figure that is kept; one that is `counted` has a sum for each step, the others a mean."""

    name: str
    unit: str
    counted: bool
    about: str


class KnownFigures(Answer, frozen=True):
    """All figures; `kept` is false where `[metrics] history` is."""

    figures: list[KnownFigure]
    kept: bool


@blueprint.get("/api/admin/health")
@endpoint(answers={200: Condition}, access="admin")
async def health(engine: Engine) -> Condition:
    """Answer with the server's condition: its queues, how far they lag behind, its devices and plugins."""
    extensions: dict[str, Conditions] = current_app.extensions
    if _CONDITIONS not in extensions:
        extensions[_CONDITIONS] = Conditions(engine)
    return await extensions[_CONDITIONS].condition()


@blueprint.get("/api/admin/figures")
@endpoint(query=FiguresQuery, answers={200: Series}, refusals=[ErrorCode.NOT_FOUND], access="admin")
async def figures(engine: Engine, query: FiguresQuery) -> Series:
    """Answer with one figure over time."""
    until = engine.now() if query.to is None else query.to
    since = until - HOUR if query.from_ is None else query.from_
    (series,) = await engine.figures.series([query.name], since, until, query.step)
    return series


@blueprint.get("/api/admin/figures/several")
@endpoint(query=SeveralQuery, answers={200: SeveralFigures}, refusals=[ErrorCode.NOT_FOUND], access="admin")
async def several(engine: Engine, query: SeveralQuery) -> SeveralFigures:
    """Answer with several figures over the same time: they are read at once."""
    until = engine.now() if query.to is None else query.to
    since = until - HOUR if query.from_ is None else query.from_
    return SeveralFigures(figures=await engine.figures.series(query.names.split(","), since, until, query.step))


@blueprint.get("/api/admin/figures/names")
@endpoint(answers={200: KnownFigures}, access="admin")
async def names(engine: Engine) -> KnownFigures:
    """Answer with the names of all figures, and what each is."""
    known = [KnownFigure(name=one.name, unit=one.unit, counted=one.counted, about=one.about) for one in FIGURES]
    return KnownFigures(figures=known, kept=engine.settings.metrics.history)


@blueprint.get("/api/admin/storage")
@endpoint(answers={200: Usage}, access="admin")
async def storage(engine: Engine) -> Usage:
    """Answer with the use of the disk: what takes how much, how fast it grows, and what will be erased."""
    return await engine.usage.usage()


@blueprint.post("/api/admin/settings/reload")
@endpoint(answers={200: Reloaded}, refusals=[ErrorCode.CONFLICT], access="admin")
async def reload(engine: Engine, caller: Caller) -> Reloaded:
    """Have the settings file and the certificate read again; where something does not fit, nothing changes."""
    return await engine.live.reload(caller.actor)
