"""`relay may`."""

from __future__ import annotations

import json

from relay.protocol.rights import Act
from tests.cli.conftest import Run


def test_it_says_whether_and_why(anywhere: Run) -> None:
    for name in ("olga", "mia"):
        anywhere("user", "add", name)
    anywhere("group", "create", "team", "--name", "The team", "--owner", "olga", "--member", "mia")
    allowed = anywhere("may", "mia", "write", "team")
    assert allowed.output == "yes: every member may write (right `write`), and mia is a member of 'The team'\n"
    refused = anywhere("may", "mia", "pin", "team", "--json", ok=False)
    assert json.loads(refused.output) == {
        "user": "mia", "act": "pin", "target": "team", "allowed": False, "rule": "right", "reason": "group_role",
        "sentence": "no: only the group's owner and admins may pin messages (right `pin`), and mia is a member of"
        " 'The team'",
    }  # fmt: skip
    assert (
        anywhere("may", "mia", "make_group").output
        == "yes: may create groups, and mia is a member of this server\n"
    )


def test_what_cannot_be_asked_is_said(anywhere: Run) -> None:
    anywhere("user", "add", "mia")
    assert "there is no act 'fly'" in anywhere("may", "mia", "fly", ok=False).output
    assert "give a USER and an ACT" in anywhere("may", "mia", ok=False).output
    assert "as its target" in anywhere("may", "mia", "write", ok=False).output
    assert "no user 'nobody'" in anywhere("may", "nobody", "upload", ok=False).output


def test_all_acts_are_listed(anywhere: Run) -> None:
    listed = [json.loads(line) for line in anywhere("may", "--acts", "--json").output.splitlines()]
    assert [one["act"] for one in listed] == [act.value for act in Act]
