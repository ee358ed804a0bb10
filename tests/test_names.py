"""Wherever a name can be given, one that shows nothing or turns text around is refused or cleaned; all are folded."""

from __future__ import annotations

import unicodedata
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from relay.app import admin, admin_groups
from relay.protocol.errors import ErrorCode, RelayError
from relay.testing import RelayWorld, World
from tests.actors import OPERATOR

BAD = ["\u202eevil", "\u3164", "\u200d"]


async def rest(world: World, method: str, path: str, body: Any, user: str | None = "alice") -> int:
    return int((await world.rest(method, path, user, json_body=body)).status)


async def told(call: Awaitable[Any]) -> int:
    with pytest.raises(RelayError) as refused:
        await call
    assert refused.value.code is ErrorCode.INVALID_PAYLOAD
    return 400


Give = Callable[[World, str], Awaitable[int]]
DOORS: dict[str, Give] = {
    "one's own name": lambda world, name: rest(world, "PATCH", "/api/users/me", {"display_name": name}),
    "a new account": lambda world, name: rest(
        world, "POST", "/api/register", {"user_id": "new", "password": "x" * 12, "display_name": name}, None
    ),
    "a new group": lambda world, name: rest(world, "POST", "/api/groups", {"name": name, "members": ["bob"]}),
    "a group": lambda world, name: rest(world, "PATCH", "/api/groups/team", {"name": name}),
    "a user, by the operator": lambda world, name: told(admin.add_user(world.engine, OPERATOR, "made", name)),
    "a group, by the operator": lambda world, name: told(
        admin_groups.create_group(world.engine, OPERATOR, "made", name, "alice")
    ),
    "a token, by the operator": lambda world, name: told(
        admin.create_token(world.engine, OPERATOR, "alice", name)
    ),
    "a user, by a plugin": lambda world, name: told(world.engine.server_of("search").ensure_user("made", name)),
}


@pytest.mark.parametrize("name", BAD, ids=ascii)
@pytest.mark.parametrize("door", DOORS)
async def test_a_name_that_is_none_is_refused(relay_world: RelayWorld, door: str, name: str) -> None:
    async with relay_world(None, "alice", "bob") as world:
        made = {"group_id": "team", "name": "Team", "members": ["bob"]}
        assert await rest(world, "POST", "/api/groups", made) == 201
        assert await DOORS[door](world, name) == 400
        group = await world.rest("GET", "/api/groups/team", "alice")
        assert group.body["name"] == "Team"


async def test_a_poll_names_what_it_asks(relay_world: RelayWorld) -> None:
    async with relay_world(None, "alice", "bob", RELAY_PLUGINS__ALSO="polls") as world:
        alice = await world.connect("alice")
        for poll in (
            {"question": "\u200b", "options": ["a", "b"]},
            {"question": "Which?", "options": ["a", "\u3164"]},
            {"question": "Which?", "options": ["a", "\u202eb"]},
            {"question": "Which?", "options": ["a", " a"]},
        ):
            refused = await alice.request("poll", poll, "bob")
            assert refused["payload"]["code"] == "invalid_payload", poll
        assert (await alice.request("poll", {"question": "Which?\nSay!", "options": ["a", "b"]}, "bob"))[
            "type"
        ] == "ack"


NAMES = {"privet": "\u041f\u0420\u0418\u0412\u0415\u0422", "oezil": "\u00d6zil", "resume": "re\u0301sume\u0301"}


@pytest.mark.parametrize(
    ("q", "expected"),
    [
        ("\u043f\u0440\u0438\u0432\u0435\u0442", ["privet"]),
        ("\u043f\u0440\u0438", ["privet"]),
        ("\u00f6zil", ["oezil"]),
        ("o\u0308ZIL", ["oezil"]),
        ("ozil", ["oezil"]),
        ("r\u00e9sum\u00e9", ["resume"]),
        ("PRIVET", ["privet"]),
        ("%", []),
        ("_", []),
        ("z\u0456l", []),
    ],
)
async def test_people_are_found_by_names_in_any_case_and_composition(
    relay_world: RelayWorld, q: str, expected: list[str]
) -> None:
    from urllib.parse import quote

    async with relay_world(None, "alice", *NAMES) as world:
        for user, name in NAMES.items():
            assert await rest(world, "PATCH", "/api/users/me", {"display_name": name}, user) == 200
        for form in ("NFC", "NFD"):
            text = quote(unicodedata.normalize(form, q))  # type: ignore[arg-type]
            answer = await world.rest("GET", f"/api/users?q={text}", "alice")
            assert [user["user_id"] for user in answer.body["users"]] == expected
        nothing = await world.rest("GET", "/api/users?q=%E2%80%8D", "alice")
        assert nothing.status == 400
        assert len((await world.rest("GET", "/api/users", "alice")).body["users"]) == 4


@pytest.mark.parametrize(
    ("given", "kept"),
    [("ann\u202egpj.exe", "anngpj.exe"), ("\u3164", "file"), ("../\u2028a\n.txt", "a.txt"), ("\u200b..", "file")],
    ids=ascii,
)
def test_a_files_name_is_cleaned(given: str, kept: str) -> None:
    from relay.transports.rest.attachments import _clean_name

    assert _clean_name(given) == kept
