"""The nursery tree that the docstring of relay/app/server.py draws."""

from __future__ import annotations

import ast
import inspect
import itertools
import re
from collections.abc import Callable
from typing import Any

from relay.app import server
from relay.engine import engine

BRANCH = re.compile(r"(?P<lead>(?: {3}|│ {2})*(?:[├└]─ )?)(?P<names>\w+)(?: {2,}\S.*)?")


def tree() -> list[tuple[int, str]]:
    """Return (depth, name) of each line of the drawing."""
    drawing = (server.__doc__ or "").split("\n\n", 1)[1]
    branches = [BRANCH.fullmatch(line) for line in drawing.splitlines() if line.strip()]
    assert all(branches), "a line of the tree has another form"
    return [(len(one["lead"]) // 3, one["names"]) for one in branches if one is not None]


def started(function: Callable[..., Any]) -> set[str]:
    """Return the names of the tasks that a function starts, of `engine.heartbeat.run` its "heartbeat"."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(inspect.getsource(function))):
        if isinstance(node, ast.Call) and ast.unparse(node.func).endswith((".start_soon", ".start")):
            task = node.args[0].args[0] if isinstance(node.args[0], ast.Call) else node.args[0]  # of a partial
            names.add(ast.unparse(task).removesuffix(".run").rpartition(".")[2])
    return names


def test_the_tree_in_the_docstring_is_a_tree() -> None:
    depths = [depth for depth, _ in tree()]
    assert depths[0] == 0
    assert all(1 <= after <= before + 1 for before, after in itertools.pairwise(depths))
    assert max(depths) == 4


def test_the_tree_names_tasks_and_nurseries_that_exist() -> None:
    code = inspect.getsource(server).split('"""', 2)[2] + inspect.getsource(engine)
    assert {name for _, name in tree()} <= set(re.findall(r"\w+", code))


def test_the_tree_names_every_task_that_the_server_starts() -> None:
    drawn = {name for _, name in tree()}
    # `accept` runs in the nursery of `accept_all`, once for each listener.
    assert {
        name
        for one in (server.services, server._serve, server.receive_signals)
        for name in started(inspect.unwrap(one))
    } - drawn == {"accept"}
