"""docs/reference/schemas.md and what hooks.md says of `endpoint`, held to the code."""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import Any

from relay.app.plugin_admin import load_for
from relay.cli.schema import schema
from relay.http.endpoint import endpoint
from relay.settings import Settings
from relay.testing import RelayWorld
from relay.transports.schemas.typescript import typescript
from tests.docs.conversation import blocks
from tests.docs.test_docs import read, rows

PAGE = read("docs/reference/schemas.md")


async def test_the_type_that_is_shown_is_listed_so(relay_world: RelayWorld) -> None:
    (shown,) = [block.frame for block in blocks(PAGE) if block.language == "json"]
    async with relay_world(None) as world:
        told = (await world.rest("GET", "/api/types")).body["types"]
    assert next(one for one in told if one["name"] == shown["name"]) == shown


def test_the_typescript_that_is_shown_is_printed_so() -> None:
    (shown,) = [block.text for block in blocks(PAGE) if block.language == "ts"]
    printed = typescript(load_for(Settings()))
    interface, module = shown.split("\n\n")
    assert interface + "\n" in printed
    assert re.search(re.escape(module).replace(r"MessageTypes\ \{", r"MessageTypes \{[^}]*?"), printed)


async def test_every_path_and_option_of_the_table_is_there(relay_world: RelayWorld) -> None:
    table = PAGE.partition("\n|---|---|---|\n")[2].partition("\n\n")[0]
    paths = re.findall(r"`GET (/[^`]+)`", table)
    options = re.findall(r"`relay schema (--[a-z-]+)`", table)
    assert set(options) == {name for one in schema.params for name in one.opts} - {"--config"}
    async with relay_world(None) as world:
        for path in paths:
            assert (await world.rest("GET", path)).status == 200


async def test_messages_that_the_page_names_are_in_the_document(relay_world: RelayWorld) -> None:
    async with relay_world(None) as world:
        told: dict[str, Any] = (await world.rest("GET", "/asyncapi.json")).body
    section = PAGE.partition("## AsyncAPI\n")[2].partition("\n## ")[0]
    for name in re.findall(r"`((?:client|server)\.[a-z_.]+)`", section):
        assert name in told["components"]["messages"]
    for name in re.findall(r"`((?:receive|send)\.[a-z_.]+)`", section):
        assert name in told["operations"]
    assert "x-close-codes" in told["channels"]["socket"]


async def test_the_view_that_is_shown_answers_and_appears_as_it_says(
    tmp_path: Path, relay_world: RelayWorld
) -> None:
    examples = [block.text for block in blocks(read("docs/plugins/hooks.md")) if block.language == "python"]
    (shown,) = [text for text in examples if "weather" in text]
    (tmp_path / "plugins").mkdir()
    (tmp_path / "plugins" / "weather.py").write_text(shown, encoding="utf-8")
    async with relay_world(tmp_path / "plugins", "alice") as world:
        assert (await world.rest("GET", "/api/weather/oslo", "alice")).body == {"place": "oslo", "degrees": None}
        assert (await world.rest("GET", "/api/weather/alice", "alice")).status == 409
        told = (await world.rest("GET", "/openapi.json")).body["paths"]["/api/weather/{place}"]["get"]
    assert (told["operationId"], told["summary"]) == ("weather_weather", "Answer with the weather of a place")
    assert {"200", "400", "401", "404", "409", "502"} <= set(told["responses"])


def test_every_argument_of_endpoint_is_explained() -> None:
    section = read("docs/plugins/hooks.md").partition("| argument of `endpoint` |")[2].partition("\n\n")[0]
    told = {name for line in section.splitlines()[2:] for name in re.findall(r"`(\w+)`", line.split(" | ")[0])}
    assert told == set(inspect.signature(endpoint).parameters)


def test_every_field_of_a_type_is_explained() -> None:
    section = PAGE.partition("## /api/types\n")[2].partition("\n## ")[0]
    (shown,) = [block.frame for block in blocks(section) if block.language == "json"]
    documented = {row[0].strip("`") for row in rows(read("docs/plugins/hooks.md"), "`MessageType`")}
    assert set(shown) <= documented | {"plugin", "description"}
