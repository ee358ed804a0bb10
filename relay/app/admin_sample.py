"""The operations behind `relay sample`: the sample data added, removed, and whether it is there."""

from __future__ import annotations

from relay.app.admin_groups import Answer
from relay.engine.engine import Engine
from relay.engine.sample import SampleData
from relay.engine.sample_texts import Language
from relay.services.audit import Actor


async def show_sample(engine: Engine) -> Answer:
    """Return whether the sample data is there, or can be added."""
    return (await SampleData(engine).state())._asdict()


async def add_sample(engine: Engine, actor: Actor, language: Language = "en") -> Answer:
    """Add the sample data; see `SampleData.add`."""
    return (await SampleData(engine).add(actor, language))._asdict()


async def remove_sample(engine: Engine, actor: Actor) -> Answer:
    """Remove the sample data; see `SampleData.remove`."""
    return (await SampleData(engine).remove(actor))._asdict()
