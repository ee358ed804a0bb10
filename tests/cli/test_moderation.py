"""`relay ban`, `unban`, `timeout`, `restrictions` and `report`, with a server on the database and without."""

from __future__ import annotations

import json
from typing import Any

from tests.cli.conftest import Run


def held(run: Run, *more: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in run("restrictions", "--json", *more).output.splitlines()]


def test_a_ban_and_a_timeout_are_listed_and_lifted(anywhere: Run) -> None:
    anywhere("user", "add", "mallory")
    done = anywhere("ban", "mallory", "--for", "7d", "--reason", "spam")
    assert done.output.startswith("user mallory: banned until 20"), done.output
    anywhere("timeout", "mallory", "--for", "10m")
    assert [(one["kind"], one["by"], one["reason"]) for one in held(anywhere)] == [
        ("timeout", None, ""), ("ban", None, "spam"),
    ]  # fmt: skip
    assert anywhere("unban", "mallory").output == "user mallory: no longer banned\n"
    assert anywhere("timeout", "mallory", "--lift").output == "user mallory: may write again\n"
    assert held(anywhere) == []
    anywhere("unban", "mallory", ok=False)
    acts = [json.loads(line) for line in anywhere("audit", "--json", "--act", "user").output.splitlines()]
    assert {"user.banned", "user.timed_out", "user.ban_lifted", "user.timeout_lifted"} <= {
        one["act"] for one in acts
    }


def test_in_a_group_it_is_done_in_the_owners_name(anywhere: Run) -> None:
    for name in ("olga", "mallory"):
        anywhere("user", "add", name)
    anywhere("group", "create", "team", "--name", "Team", "--owner", "olga", "--member", "mallory")
    done = anywhere("ban", "mallory", "--group", "team")
    assert done.output == "user mallory: banned in team\n"
    assert [(one["user_id"], one["until"]) for one in held(anywhere, "--group", "team")] == [("mallory", None)]
    assert "banned from this group" in anywhere("group", "add", "team", "mallory", ok=False).output
    anywhere("ban", "olga", "--group", "team", ok=False)
    anywhere("unban", "mallory", "--group", "team")
    anywhere("group", "add", "team", "mallory")


def test_a_duration_is_read_strictly(anywhere: Run) -> None:
    anywhere("user", "add", "mallory")
    for wrong in ("10", "m", "10 m", "-1m", "0m", "ten"):
        assert anywhere("timeout", "mallory", "--for", wrong, ok=False).exit_code == 2, wrong
    for wrong_use in (("--for", "10m", "--lift"), (), ("--for", "53w")):
        assert anywhere("timeout", "mallory", *wrong_use, ok=False).exit_code == 1, wrong_use


def test_reports_are_listed_and_one_that_is_not_there_is_told(anywhere: Run) -> None:
    anywhere("report", "list")
    assert anywhere("report", "list", "--json").output == ""
    for command in ("resolve", "dismiss", "reopen", "remove"):
        assert "there is no report 7" in anywhere("report", command, "7", ok=False).output, command
