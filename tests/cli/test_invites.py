"""`relay invite`."""

from __future__ import annotations

import json

import pytest

from tests.cli.conftest import Run


def test_an_invite_is_printed_as_its_link_listed_and_taken_back(anywhere: Run) -> None:
    anywhere("user", "add", "alice")
    anywhere("group", "create", "team", "--name", "Team", "--owner", "alice")
    made = anywhere("invite", "create", "--group", "team", "--label", "for the class", "--uses", "3")
    assert made.stderr == ""
    link = made.stdout.strip()
    assert link.startswith("http://127.0.0.1:8484/#invite=")
    (row,) = [json.loads(line) for line in anywhere("invite", "list", "--json").stdout.splitlines()]
    assert (row["label"], row["group_ids"], row["uses_left"], row["used_by"]) == ("for the class", ["team"], 3, [])
    assert "for the class" in anywhere("invite", "list").stdout
    assert anywhere("invite", "revoke", link).stdout == "invite: taken back\n"
    assert anywhere("invite", "list", "--json").stdout == ""
    (row,) = [json.loads(line) for line in anywhere("invite", "list", "--ended", "--json").stdout.splitlines()]
    assert row["revoked_at"] is not None
    assert row["invite_id"] in anywhere("invite", "revoke", row["invite_id"], ok=False).stderr


def test_an_invite_to_a_group_that_is_not_there_is_refused(anywhere: Run) -> None:
    assert "'nothing'" in anywhere("invite", "create", "--group", "nothing", ok=False).stderr


def test_the_qr_code_is_drawn_beside_what_a_script_reads(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    made = run("invite", "create", "--qr")
    assert made.stdout.count("\n") == 1
    drawn = made.stderr.splitlines()
    assert len(drawn) > 10
    assert any(block in made.stderr for block in "▀▄█")
    monkeypatch.setenv("RELAY_WEB__PAGE", "false")
    assert "http" not in run("invite", "create").stdout
