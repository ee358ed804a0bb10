"""Invitations by admins: their link, what it is good for, and the end of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.transports.rest.test_accounts import PASSWORD, REGISTER
from tests.transports.rest.world import World, open_world

pytestmark = pytest.mark.real_time

INVITES = "/api/admin/invites"


async def test_an_admin_invites_somebody_who_registers_with_the_code(world: World) -> None:
    await world.add("root", role="owner")
    (await world.post("alice", INVITES)).refused(403, "forbidden")
    made = (await world.post("root", INVITES, {"uses": 1, "days": 2})).ok(201)
    assert made["link"].endswith(f"/#invite={made['code']}")
    assert made["expires_at"] - made["created_at"] == 2 * 86400
    assert {len(row) for row in made["qr"]} == {len(made["qr"])}
    assert set("".join(made["qr"])) == {"0", "1"}
    listed = (await world.get("root", INVITES)).ok()["invites"]
    assert listed == [{name: made[name] for name in listed[0]}]
    assert "code" not in listed[0]
    body = {"user_id": "erin", "password": PASSWORD, "invite": made["code"]}
    (await world.post(None, REGISTER, body)).ok(201)
    assert (await world.get("root", INVITES)).ok()["invites"] == []


async def test_an_invitation_that_was_taken_back_is_good_for_nothing(world: World) -> None:
    await world.add("root", role="owner")
    made = [(await world.post("root", INVITES, {"days": 0, "role": "admin"})).ok(201) for _ in range(3)]
    assert {one["expires_at"] for one in made} == {None}
    page = (await world.get("root", INVITES, limit=2)).ok()
    rest = (await world.get("root", INVITES, cursor=page["next_cursor"])).ok()
    found = [one["invite_id"] for one in page["invites"] + rest["invites"]]
    assert found == sorted(one["invite_id"] for one in made)
    (await world.call("root", "DELETE", f"{INVITES}/{made[0]['invite_id']}")).done()
    (await world.call("root", "DELETE", f"{INVITES}/{made[0]['invite_id']}")).refused(404, "not_found")
    body = {"user_id": "erin", "password": PASSWORD, "invite": made[0]["code"]}
    (await world.post(None, REGISTER, body)).refused(403, "forbidden")
    body["invite"] = made[1]["code"]
    token = (await world.post(None, REGISTER, body)).ok(201)["token"]
    assert (await world.get(token, "/api/users/me")).ok()["admin"] is True


@pytest.mark.parametrize(
    ("settings", "page", "link"),
    [
        ({}, None, "http://localhost/#invite="),
        ({}, "https://example.org/chat/", "https://example.org/chat/#invite="),
        (
            {"public_url": "https://chat.example.org"},
            "http://localhost:8484/",
            "https://chat.example.org/#invite=",
        ),
    ],
)
async def test_the_link_leads_to_where_people_open_the_page(
    tmp_path: Path, settings: dict[str, str], page: str | None, link: str
) -> None:
    async with open_world(tmp_path, server=settings) as world:
        await world.add("root", role="owner")
        made = (await world.post("root", INVITES, {"page": page})).ok(201)
        assert made["link"] == link + made["code"]
        for wrong in ("javascript:alert(1)", "https://", "https://example.org/?q", "http://[x"):
            refused = await world.post("root", INVITES, {"page": wrong})
            assert settings or refused.refused(400, "invalid_payload")["details"] == {"field": "page"}


async def test_where_nobody_may_register_nobody_is_invited(tmp_path: Path) -> None:
    async with open_world(tmp_path, accounts={"registration": "closed"}) as world:
        await world.add("root", role="owner")
        (await world.post("root", INVITES)).refused(409, "conflict")
