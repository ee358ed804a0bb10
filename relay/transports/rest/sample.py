"""The sample data by REST: whether it is there, adding it, removing it."""

from __future__ import annotations

import msgspec
from quart import Blueprint, Response

from relay.engine.engine import Engine
from relay.engine.sample import SampleData, State
from relay.engine.sample_texts import Language
from relay.http.endpoint import endpoint
from relay.http.requests import Answer, Body
from relay.http.views import Caller, reply
from relay.protocol.envelope import Name
from relay.protocol.errors import ErrorCode

blueprint = Blueprint("sample", __name__)

_PATH = "/api/admin/sample"


class Sample(Answer, frozen=True):
    """The sample data: its accounts and groups while it is `there`; `offered`: it can be added."""

    there: bool
    users: list[Name]
    groups: list[Name]
    offered: bool


class NewSample(Body, frozen=True):
    """The language of the sample's texts."""

    language: Language = "en"


@blueprint.get(_PATH)
@endpoint(answers={200: Sample}, access="admin")
async def get(engine: Engine) -> Sample:
    """Answer whether the sample data is there, or can be added."""
    return _answer(await SampleData(engine).state())


@blueprint.post(_PATH)
@endpoint(
    body=NewSample, answers={201: Sample}, refusals=[ErrorCode.CONFLICT, ErrorCode.PLUGIN_FAILED], access="admin"
)
async def add(engine: Engine, caller: Caller, body: NewSample) -> Response:
    """Add people, groups and a conversation to try the server with."""
    return reply(_answer(await SampleData(engine).add(caller.actor, body.language)), 201)


@blueprint.delete(_PATH)
@endpoint(answers={200: Sample}, refusals=[ErrorCode.NOT_FOUND, ErrorCode.CONFLICT], access="admin")
async def remove(engine: Engine, caller: Caller) -> Sample:
    """Remove the sample data, with all that was said in its conversations."""
    return _answer(await SampleData(engine).remove(caller.actor))


def _answer(state: State) -> Sample:
    return msgspec.convert(state._asdict(), Sample)
