"""What the pages say is held to the code: codes, hooks, dependencies, links, and the plugins they show."""

import dataclasses
import inspect
import re
import shutil
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import relay.plugin
from relay.plugin import MessageType, hookspecs
from relay.plugin.types import Draft
from relay.protocol.errors import CLOSE_REASONS, HTTP_STATUS, RETRYABLE, CloseCode, ErrorCode
from relay.testing import world as open_world
from tests.docs.conversation import NONE, Block, Conversation, blocks

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
MARKDOWN = sorted([*ROOT.glob("*.md"), *DOCS.rglob("*.md")])
LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#+ (.*)$", re.MULTILINE)
FENCED = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)


def read(path: str) -> str:
    return (ROOT / path).read_text(encoding="utf-8")


def rows(page: str, heading: str) -> Iterator[list[str]]:
    """Yield the cells of the table under a heading, less its head."""
    section = re.split(r"^## ", page.partition(f"## {heading}\n")[2], flags=re.MULTILINE)[0]
    for line in [line for line in section.splitlines() if line.startswith("|")][2:]:
        yield [cell.strip() for cell in line.strip("|").split(" | ")]


def anchors(page: str) -> set[str]:
    """Return the names that a page's headings have as link targets."""
    titles = HEADING.findall(FENCED.sub("", page))
    return {re.sub(r"[^\w\- ]", "", title.lower()).strip().replace(" ", "-") for title in titles}


# Error and close codes.


def test_every_error_code_is_documented_with_its_status_and_whether_to_retry() -> None:
    told = {row[0]: (row[1], row[2]) for row in rows(read("docs/reference/errors.md"), "Error codes")}
    assert told == {
        f"`{code}`": (str(HTTP_STATUS[code]), "yes" if code in RETRYABLE else "no") for code in ErrorCode
    }


def test_every_close_code_is_documented_with_its_reason() -> None:
    told = {int(row[0]): row[1] for row in rows(read("docs/reference/errors.md"), "Close codes")}
    assert told == {int(code): CLOSE_REASONS[code] or NONE for code in CloseCode}


def test_every_refusal_of_an_upgrade_is_documented() -> None:
    source = (
        read("relay/transports/head.py")
        + read("relay/transports/front_door.py")
        + read("relay/transports/reception.py")
    )
    raised = set(re.findall(r"BadHead\((\d{3})", source))
    assert {row[0] for row in rows(read("docs/reference/errors.md"), "Refusals of the upgrade")} == raised


# Plugins.


def hooks() -> dict[str, Any]:
    return {name: hook for name, hook in vars(hookspecs).items() if name.startswith("relay_")}


def test_every_hook_is_documented_with_its_signature() -> None:
    page = read("docs/plugins/hooks.md")
    assert hooks()
    for name, hook in hooks().items():
        signature = str(inspect.signature(hook)).replace("'", "")
        assert f"    {name}{signature}\n" in page
        assert str(inspect.getdoc(hook)).rstrip(".") in page.replace("\n", " ")
    assert set(re.findall(r"^### `(relay_\w+)`$", page, re.MULTILINE)) == set(hooks())


def test_every_field_of_a_message_type_is_documented_with_its_default() -> None:
    told = {row[0]: row[1] for row in rows(read("docs/plugins/hooks.md"), "`MessageType`")}
    fields = {one.name: one for one in dataclasses.fields(MessageType) if one.init}
    assert set(told) == {f"`{name}`" for name in fields}
    for name, field in fields.items():
        if field.default is dataclasses.MISSING:
            assert told[f"`{name}`"] == NONE
        elif name == "targets":
            assert told["`targets`"] == ", ".join(sorted(field.default, reverse=True))
        else:
            assert told[f"`{name}`"] == f"`{field.default}`"


def test_every_attribute_of_a_draft_is_documented() -> None:
    told = {row[0] for row in rows(read("docs/plugins/hooks.md"), "`Draft`")}
    assert told == {f"`{one.name}`" for one in dataclasses.fields(Draft)}


def test_every_name_for_plugins_is_documented() -> None:
    page = read("docs/plugins/hooks.md")
    for name in relay.plugin.__all__:
        assert re.search(rf"`{name}\b", page), name


async def test_the_plugins_that_are_shown_load_and_answer_as_the_page_says(tmp_path: Path) -> None:
    shown = list(blocks(read("docs/plugins/writing.md")))
    plugins = [block for block in shown if block.role == "plugin"]
    folder = tmp_path / "plugins.d"
    folder.mkdir()
    for block in plugins:
        (folder / f"{block.device}.py").write_text(block.text, encoding="utf-8")
    async with open_world(tmp_path, "alice", "bob", "carol", relay_plugins__directories=str(folder)) as world:
        assert world.engine.registry.broken == []
        assert {block.device for block in plugins} <= set(world.engine.registry.types)
        await world.engine.groups.create("alice", "The team", ["bob"], "team")
        conversation = Conversation(world)
        conversation.devices["client"] = await world.connect("alice", "alice-laptop")
        conversation.devices["bob"] = await world.connect("bob", "bob-phone")
        for block in shown:
            await conversation.play(block)
        await conversation.nothing_more()
        assert conversation.played == len(shown) - len(plugins) > 8


# Architecture.


def dependencies() -> set[str]:
    project = tomllib.loads(read("pyproject.toml"))
    wanted = [*project["project"]["dependencies"], *project["build-system"]["requires"]]
    for extra in project["project"]["optional-dependencies"].values():
        wanted += extra
    return {re.split(r"[^A-Za-z0-9_-]", one)[0] for one in wanted}


def test_every_dependency_is_named_with_its_reason_and_no_other() -> None:
    named: set[str] = set()
    for row in rows(read("ARCHITECTURE.md"), "Dependencies"):
        assert len(row) == 2
        assert row[1]
        named.update(re.findall(r"`([^`]+)`", row[0]))
    assert named == dependencies()


def test_every_floor_and_every_module_that_the_architecture_names_is_there() -> None:
    page = read("ARCHITECTURE.md")
    paths = re.findall(r"`((?:relay|plugins|config|benchmarks|tests|docs)/[\w./]*)`", page)
    assert len(paths) > 20
    for path in paths:
        assert (ROOT / path).exists(), path
    floors = {row[0].strip("`/") for row in rows(page, "Floors")}
    inside = {f"relay/{one.name}" for one in (ROOT / "relay").iterdir() if (one / "__init__.py").exists()}
    assert inside - floors == {"relay/client", "relay/testing"}


def test_every_table_of_the_schema_is_described() -> None:
    tables = set(
        re.findall(
            r"CREATE TABLE (\w+)", read("relay/storage/first_migrations.py") + read("relay/storage/migrations.py")
        )
    )
    named = [name for row in rows(read("ARCHITECTURE.md"), "The schema in words") for name in row[0].split(", ")]
    assert {name.strip("`") for name in named} == tables


# All pages.


@pytest.mark.parametrize("path", MARKDOWN, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_relative_link_leads_somewhere(path: Path) -> None:
    page = path.read_text(encoding="utf-8")
    for link in LINK.findall(FENCED.sub("", page)):
        if re.match(r"[a-z]+:", link):
            continue
        file, _, anchor = link.partition("#")
        target = (path.parent / file).resolve() if file else path
        assert target.exists(), link
        assert target.is_relative_to(ROOT), link
        if anchor:
            assert anchor in anchors(target.read_text(encoding="utf-8")), link


def test_the_index_leads_to_every_page() -> None:
    index = DOCS / "index.md"
    linked = {
        (DOCS / link.partition("#")[0]).resolve() for link in LINK.findall(index.read_text(encoding="utf-8"))
    }
    assert {page for page in DOCS.rglob("*.md") if page != index} <= linked


@pytest.mark.parametrize("path", MARKDOWN, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_setting_that_a_page_names_with_its_section_exists(path: Path) -> None:
    configuration = read("docs/configuration.md")
    for section, key in re.findall(r"`\[(\w+)\] (\w+)`", path.read_text(encoding="utf-8")):
        table = configuration.partition(f"\n## [{section}]\n")[2].partition("\n## ")[0]
        assert f"\n| `{key}` |" in table, f"[{section}] {key}"


# README and Makefile.


def test_the_readme_is_short_and_begins_with_make_run_and_make_test() -> None:
    readme = read("README.md")
    assert len(readme.splitlines()) < 150
    shown = [block.text for block in blocks(readme)]
    assert shown[:2] == ["make run", "make test"]


def targets(makefile: str) -> set[str]:
    return set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
def test_make_alone_lists_every_target_with_what_it_does() -> None:
    told = subprocess.run(["make", "--no-print-directory"], cwd=ROOT, capture_output=True, text=True, check=True)
    lines = [line.split(maxsplit=2) for line in told.stdout.splitlines()]
    assert all(len(line) == 3 and line[0] == "make" for line in lines)
    assert {line[1] for line in lines} == targets(read("Makefile"))
    (phony,) = re.findall(r"^\.PHONY: (.*)$", read("Makefile"), re.MULTILINE)
    assert set(phony.split()) == targets(read("Makefile"))


def test_every_shell_block_names_make_targets_that_exist() -> None:
    known = targets(read("Makefile"))
    for path in MARKDOWN:
        page = path.read_text(encoding="utf-8")
        for name in re.findall(r"`make ([a-z]+)`", page) + re.findall(
            r"^ *make ([a-z]+)(?= |$)", page, re.MULTILINE
        ):
            assert name in known, f"{path.name}: make {name}"


def test_a_block_has_a_role_that_the_player_knows() -> None:
    for page in ("docs/protocol.md", "docs/plugins/writing.md"):
        found: list[Block] = list(blocks(read(page)))
        assert {block.role for block in found} <= {"", "client", "server", "close", "plugin"}
