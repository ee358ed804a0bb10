"""The page of results: its sentences come from the figures, and it says what is missing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from benchmarks import plots, results
from benchmarks.machine import Usage
from benchmarks.peers.measuring import Figures, Load, Paced
from benchmarks.peers.peer import IN_MEMORY, ON_DISK, ON_ITS_WAY
from benchmarks.report import Curve, Target
from benchmarks.report import Result as Row


def load(message: float, delivery: float) -> Load:
    return Load(1000, (message, delivery), 5000, (1.0, 2.0), (1.5, 2.5), 40, 0.5)


def server(message: float, delivery: float, keeps: str, **more: Any) -> dict[str, Any]:
    paced = Paced((message / 25, message), 20 * message)
    figures = Figures(load(message, message), 1.25, paced, load(200 * delivery, delivery))
    said = {"version": "1", "promise": "it is said", "room_promise": "", "keeps": keeps, "why": "it does less"}
    return {**said, **json.loads(json.dumps(figures, default=vars)), **more}


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    names: list[str] = []
    for what in ("dots", "lines"):
        monkeypatch.setattr(plots, what, lambda file, *_: names.append(file.name))
    return names


def write(folder: Path, own: object = None, others: object = None) -> Result:
    for name, told in (("own", own), ("others", others)):
        if told is not None:
            (folder / name).write_text(json.dumps(told))
    arguments = [str(folder / "own"), str(folder / "others"), "--folder", str(folder)]
    return CliRunner().invoke(results.main, arguments)


def page_of(folder: Path, own: object = None, others: object = None) -> str:
    outcome = write(folder, own, others)
    assert outcome.exit_code == 0, outcome.output
    return (folder / "RESULTS.md").read_text()


def test_it_says_whom_relay_is_ahead_of_and_whom_behind(tmp_path: Path, drawn: list[str]) -> None:
    servers = {
        "relay": server(50, 2, ON_DISK),
        "Slow": server(150, 20, ON_DISK),
        "Later": server(52, 3, ON_ITS_WAY),
        "Quick": server(25, 1, IN_MEMORY),
    }
    page = page_of(
        tmp_path, others={"machine": "a machine", "servers": servers, "left_out": ["Gone is not there"]}
    )
    message, rest = page.split("**Median ack at 100 messages a second")
    paced, delivery = rest.split("**CPU of a delivery")
    assert "Ahead of 1 of 3: Slow (on disk when it confirms) takes 3.0 times as much." in message
    assert "Like Later: the difference is within a tenth." in message
    assert "Behind Quick, which takes 50% of that: in memory when it confirms; it does less." in message
    assert "every server here that stores" not in message
    assert paced.startswith("**: 2.00 ms.")
    assert "| relay 1 | 50.0 µs | 1,000 | 1.0, 2.0 ms | 1.25 ms | 2.00 ms, 1,000 µs | 40 MiB |" in message
    assert "Slow (on disk when it confirms) takes 10.0 times as much; Later" in delivery
    assert "Ahead of every server here that stores what it confirms: Slow, Later." in delivery
    assert "- Gone is not there" in page
    assert "at its limit" not in page
    assert drawn == ["peers.svg"]


def test_a_load_at_its_limit_is_told(tmp_path: Path, drawn: list[str]) -> None:
    servers = {"relay": server(50, 2, ON_DISK), "Quick": server(5, 1, IN_MEMORY)}
    servers["Quick"]["room"]["busy"] = 0.97
    page = page_of(tmp_path, others={"machine": "", "servers": servers, "left_out": []})
    assert "at its limit beside Quick: they can do more" in page


def test_the_workloads_are_told_with_what_was_missed_and_what_failed(tmp_path: Path, drawn: list[str]) -> None:
    usage = Usage(2.0, 1.0, 0.5, 0.02)
    direct = Row("one to one", "9 messages/s", [0.001, 0.002], "50 µs", usage, [Target("its CPU", 80, 60, "µs")])
    parts = {"a message to one": [0.004] * 3}
    mixed = Row("mixed traffic", "200 things/s", [0.004], "9 µs", Usage(2.0, 1.0, 0.5, 1.0), parts=parts)
    curve = Curve(
        "accounts", "accounts", {10: {"CPU, µs": 5.0, "start, s": 1.0}, 1000: {"CPU, µs": 5.2, "start, s": 3.0}}
    )
    rows = {"direct": direct, "mixed": mixed, "growth-accounts": curve.result(usage)}
    workloads = {name: row.figures() for name, row in rows.items()}
    page = page_of(tmp_path, own={"machine": "a machine", "workloads": workloads, "failed": ["storm"]})
    assert "| one to one | 9 messages/s | 1.00 ms | 2.00 ms | 2.00 ms | 50 µs |" in page
    assert "80.00 ≤ 60 µs" in page
    assert "Failed, and left out: storm." in page
    assert "Not measured in this run: paced, group, idle," in page
    assert "| a message to one | 3 | 4.00 ms | 4.00 ms | 4.00 ms |" in page
    assert "other work, up to 50% of a core, during: mixed." in page
    assert "From 10 to 1,000, which is 100 times as many" in page
    assert "CPU 5 µs → 5.2 µs (the same); start 1 s → 3 s (3 times)" in page
    assert "growth: accounts" not in page
    assert drawn == ["growth-accounts.svg"]


def test_without_figures_there_is_no_page(tmp_path: Path, drawn: list[str]) -> None:
    outcome = write(tmp_path)
    assert outcome.exit_code == 1
    assert "run `make results`" in outcome.output
    assert not (tmp_path / "RESULTS.md").exists()
