"""The pages for plugin authors, held to the contract: each name in them exists, and each name of it is in them."""

from __future__ import annotations

import ast
import dataclasses
import importlib
import inspect
import re
from pathlib import Path
from typing import Any

import pytest

import relay.plugin
from relay.plugin import (
    AccountHook,
    Claim,
    ConversationHook,
    Conversations,
    Credentials,
    DeviceEvent,
    Devices,
    Groups,
    MemberChange,
    MessageHook,
    Messages,
    NewConversation,
    NewName,
    NewUser,
    Presence,
    RegisteredUser,
    Server,
    SessionHook,
    UploadHook,
    Users,
)
from tests.docs.conversation import blocks
from tests.docs.test_docs import DOCS, read, rows

HOOKS = read("docs/plugins/hooks.md")
PAGES = sorted((DOCS / "plugins").glob("*.md"))
CODE = re.compile(r"`([^`\n]+)`")
DOTTED = re.compile(r"\brelay(?:\.[a-z_]+)+(?:\.[A-Z]\w*)?")


def first_cells(heading: str) -> set[str]:
    """Return the names in the first column of a section's tables."""
    cells = [name for row in rows(HOOKS, heading) for name in CODE.findall(row[0])]
    return {match[1] for cell in cells if (match := re.match(r"(?:await )?(\w+)", cell))}


def exists(dotted: str) -> bool:
    try:
        importlib.import_module(dotted)
    except ModuleNotFoundError:
        module, _, name = dotted.rpartition(".")
        return hasattr(importlib.import_module(module), name) if module else False
    return True


def test_the_members_of_a_server_are_those_that_are_promised() -> None:
    protocols = [part for part in Server.__mro__ if part.__module__.startswith("relay.plugin.")]
    members = {name for part in protocols for name in (*vars(part), *part.__annotations__)}
    assert first_cells("`Server`") == {name for name in members if not name.startswith("_")}


@pytest.mark.parametrize("protocol", [Users, Groups, Conversations, Messages, Devices, Presence])
def test_the_members_of_an_interface_are_those_that_are_promised(protocol: type) -> None:
    members = {name for name in vars(protocol) if not name.startswith("_")}
    assert first_cells(f"`{protocol.__name__}`") == members
    told = {row[0].strip("`").removeprefix("await ") for row in rows(HOOKS, f"`{protocol.__name__}`")}
    assert told == {signature(vars(protocol)[name]) for name in members}


def signature(method: Any) -> str:
    """Return a method as the pages write it: its name, and its parameters without self and types."""
    parameters = list(inspect.signature(method).parameters.values())[1:]
    bare = [one.replace(annotation=one.empty) for one in parameters]
    text = f"{method.__name__}{inspect.Signature(bare)}"
    return re.sub(r"<Role\.(\w+): '\w+'>", r"Role.\1", text).replace("'", '"')


@pytest.mark.parametrize(
    ("heading", "part"),
    [
        ("`MessageHook`", MessageHook),
        ("`AccountHook`", AccountHook),
        ("`ConversationHook`", ConversationHook),
        ("`UploadHook`", UploadHook),
        ("`Authenticator`", Claim),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_the_fields_in_a_table_are_those_of_the_class(heading: str, part: Any) -> None:
    fields = part._fields if hasattr(part, "_fields") else [one.name for one in dataclasses.fields(part)]
    assert first_cells(heading) == set(fields) - {"create"}  # said with the user id that it is about


@pytest.mark.parametrize(
    "part",
    [SessionHook, DeviceEvent, Credentials, NewUser, RegisteredUser, NewName, NewConversation, MemberChange],
)
def test_the_fields_of_a_class_are_named_in_the_text(part: Any) -> None:
    fields = part._fields if hasattr(part, "_fields") else [one.name for one in dataclasses.fields(part)]
    for name in fields:
        assert re.search(rf"`{name}\b", HOOKS), name


def test_the_other_names_are_all_of_the_contract_that_has_no_section() -> None:
    listed = first_cells("The other names")
    assert listed <= set(relay.plugin.__all__)
    sections = set(re.findall(r"^## `(\w+)`$", HOOKS, re.MULTILINE))
    mentioned = set(CODE.findall(HOOKS.partition("## The other names")[0]))
    assert set(relay.plugin.__all__) - listed - sections <= mentioned


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_page_names_only_modules_and_names_that_exist(page: Path) -> None:
    for dotted in DOTTED.findall(" ".join(CODE.findall(page.read_text(encoding="utf-8")))):
        if not dotted.endswith((".py", ".toml", ".md", ".db", ".plugins")):
            assert exists(dotted), dotted


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_what_an_example_imports_of_relay_exists(page: Path) -> None:
    for block in blocks(page.read_text(encoding="utf-8")):
        if block.language != "python":
            continue
        for node in ast.walk(ast.parse(block.text)):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("relay"):
                for alias in node.names:
                    assert exists(f"{node.module}.{alias.name}"), alias.name
