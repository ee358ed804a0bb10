"""The tables of docs/topics/rights.md say what is decided."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from relay.protocol.kinds import Role, ServerRole
from relay.protocol.rights import ANNOUNCEMENT, BY_RIGHT, ON_SERVER, ORDINARY, Act, Rights, acts_of
from relay.services.permissions import decide
from relay.storage.accounts import Identity

PAGE = (Path(__file__).parents[2] / "docs" / "topics" / "rights.md").read_text(encoding="utf-8")
OPEN = Rights(*[type(ORDINARY.write)("everybody")] * len(Rights._fields))


def rows(*columns: str) -> dict[str, list[str]]:
    """Return the cells of the table with these columns, by the word that each row begins with."""
    _, _, after = PAGE.partition(f"| {' | '.join(columns)} |\n")
    assert after, columns
    table = after.partition("\n\n")[0].splitlines()[1:]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in table]
    return {re.findall("`([a-z_]+)`", row[0])[0]: row[1:] for row in cells}


def test_the_presets_are_those_of_the_page() -> None:
    told = rows("right", "to", "ordinary", "announcement")
    assert {name: tuple(cells[1:]) for name, cells in told.items()} == {
        name: (getattr(ORDINARY, name).value, getattr(ANNOUNCEMENT, name).value) for name in Rights._fields
    }


def test_every_act_in_a_group_is_on_the_page() -> None:
    told = rows("act", "owner", "admin", "member", "closed")
    assert set(told) | {"join"} == {act.value for act in Act if act not in ON_SERVER}


@pytest.mark.parametrize("act", [act for act in Act if act not in ON_SERVER and act is not Act.JOIN])
def test_what_a_role_may_do_is_what_the_page_says(act: Act) -> None:
    *roles, closed = rows("act", "owner", "admin", "member", "closed")[act.value]
    for role, said in zip((Role.OWNER, Role.ADMIN, Role.MEMBER), roles, strict=True):
        assert (act in acts_of(role, OPEN)) is (said != "no"), (role, said)
        assert (said == "right") is (act in BY_RIGHT)
    role = Role.ADMIN if act is Act.LEAVE else Role.OWNER
    assert (act in acts_of(role, OPEN, closed=True)) is (closed == "yes")


def test_what_one_may_do_on_the_server_is_what_the_page_says() -> None:
    told = rows("act", "guest", "member", "moderator", "admin, owner")
    assert set(told) == {act.value for act in ON_SERVER}
    order = (ServerRole.GUEST, ServerRole.MEMBER, ServerRole.MODERATOR, ServerRole.ADMIN)
    for name, cells in told.items():
        for role, said in zip(order, cells, strict=True):
            assert decide(Identity(user_id="a", role=role), Act(name)).allowed is (said == "yes"), (name, role)
