"""A whole server moves: exported while it runs, and imported into an empty one, where everybody sees the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import MakeWorld
from tests.e2e.moving import PEOPLE, RandomWorld, picture
from tests.e2e.server import Server

pytestmark = pytest.mark.e2e


def moved(folder: Path, export: Path) -> tuple[Server, dict[str, str]]:
    """Return an empty server that has read an export, and tokens of its users."""
    folder.mkdir()
    server = Server(folder)
    server.start()
    print(server.relay("import", str(export)))
    return server, {user: server.relay("token", "create", user).strip() for user in PEOPLE}


def differences(one: Any, other: Any, place: str = "") -> list[str]:
    """Return where two values differ, for a failure that can be read."""
    if isinstance(one, dict) and isinstance(other, dict):
        return [
            text
            for key in dict.fromkeys([*one, *other])
            for text in differences(one.get(key, "absent"), other.get(key, "absent"), f"{place} / {key}")
        ]
    if isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        return [
            text
            for n, (a, b) in enumerate(zip(one, other, strict=True))
            for text in differences(a, b, f"{place} / {n}")
        ]
    return [] if one == other else [f"{place}: {one!r:.300} became {other!r:.300}"]


@pytest.mark.parametrize(("seed", "target"), [(0, "out"), (1, "out.ndjson")])
def test_everybody_sees_the_same_on_the_new_server(
    make_world: MakeWorld, tmp_path: Path, seed: int, target: str
) -> None:
    world = make_world(PEOPLE)
    RandomWorld(world, seed).talk(80)
    before = picture(world.server, world.tokens)
    export = tmp_path / target
    world.server.relay("export", str(export))
    server, tokens = moved(tmp_path / "new", export)
    try:
        after = picture(server, tokens)
        found = [text for user in PEOPLE for text in differences(before[user], after[user], user)]
        assert not found, "\n".join(found[:30])
        assert server.relay("import", str(export)).startswith("0 stored, ")
        assert not differences(after, picture(server, tokens))
    finally:
        server.stop()
