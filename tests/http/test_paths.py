"""Routes' paths, and rules that build URLs only for who asks."""

from __future__ import annotations

from typing import Any

import pytest
from quart import url_for
from quart.routing import QuartRule
from quart_trio import QuartTrio

from relay.http.paths import LateRule
from relay.testing import World
from relay.transports.rest.app import make_app


class App(QuartTrio):
    url_rule_class = LateRule


async def test_a_view_asks_for_the_url_of_another() -> None:
    app = App(__name__, static_folder=None)

    @app.get("/boards/<name>/<int:number>/<path:rest>", endpoint="card")
    async def card(name: str, number: int, rest: str) -> str:
        return " ".join(url_for("card", name=name, number=number + more, rest=rest, more=more) for more in (0, 1))

    response = await app.test_client().get("/boards/a%20b/7/c/d")
    assert (await response.get_data(as_text=True)) == "/boards/a%20b/7/c/d?more=0 /boards/a%20b/8/c/d?more=1"


async def test_a_rule_that_was_read_before_is_matched_and_built_as_at_the_first_time() -> None:
    for base in ("one", "two"):
        app = App(base, static_folder=None)

        @app.get("/shelves/<name>/<int:number>/<path:rest>/end", endpoint="shelf")
        async def shelf(name: str, number: int, rest: str) -> str:
            return f"{name} {number + 1} {rest} {url_for('shelf', name=name, number=number, rest=rest)}"

        client = app.test_client()
        response = await client.get("/shelves/a%20b/7/c/d/end")
        assert (await response.get_data(as_text=True)) == "a b 8 c/d /shelves/a%20b/7/c/d/end"
        assert (await client.get("/shelves/a/b/c/end")).status_code == 404
        (rule,) = app.url_map.iter_rules()
        assert rule.arguments == {"name", "number", "rest"}
        assert all(converter.map is app.url_map for converter in rule._converters.values())


async def test_a_server_makes_no_code_for_urls_that_nobody_asks_for(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[QuartRule] = []
    make = QuartRule._compile_builder

    def count(rule: QuartRule, append_unknown: bool = True) -> Any:
        made.append(rule)
        return make(rule, append_unknown)

    monkeypatch.setattr(QuartRule, "_compile_builder", count)
    app = make_app(world.engine)
    assert not made
    async with app.test_request_context("/"):
        assert url_for("groups.get", group_id="team") == "/api/groups/team"
    assert len(made) == 1
