"""Second factors: set up, asked for, used up, turned off, reset, and demanded."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest
import trio

from relay.protocol.kinds import ServerRole
from relay.services import totp
from tests.transports.rest.test_accounts import LOGIN, PASSWORD, REGISTER, with_password
from tests.transports.rest.world import World, open_world

pytestmark = pytest.mark.real_time

FACTOR = "/api/users/me/second-factor"
PROOF = {"current_password": PASSWORD}


class Clock:
    """Unix seconds that stand still until a test moves them."""

    def __init__(self) -> None:
        self.at = 1_700_000_010.0

    def __call__(self) -> float:
        return self.at


def code(secret: str, clock: Clock, away: int = 0) -> str:
    return totp.code_of(base64.b32decode(secret), int(clock.at // totp.SECONDS) + away)


async def set_up(world: World, who: str, clock: Clock) -> tuple[str, list[str]]:
    await with_password(world, who)
    made = (await world.post(who, FACTOR, PROOF)).ok(201)
    assert set("".join(made["qr"])) == {"0", "1"}
    done = (await world.call(who, "PUT", FACTOR, {"code": code(made["secret"], clock)})).ok()
    return made["secret"], done["recovery_codes"]


async def log_in(world: World, given: str | None, who: str = "alice", **more: Any) -> Any:
    body = {"user_id": who, "password": PASSWORD, **more}
    return await world.post(None, LOGIN, body if given is None else body | {"code": given})


def reason(answer: Any, status: int = 403, code: str = "forbidden") -> str:
    return str(answer.refused(status, code)["details"]["reason"])


async def test_a_login_needs_a_code_which_is_good_once(tmp_path: Path) -> None:
    clock = Clock()
    async with open_world(tmp_path, "alice", now=clock) as world:
        secret, _ = await set_up(world, "alice", clock)
        assert reason(await log_in(world, None)) == "second_factor"
        assert "code" in (await log_in(world, None)).body["detail"]
        wrong = await world.post(None, LOGIN, {"user_id": "alice", "password": "wrong", "code": "000000"})
        assert reason(wrong) == "wrong_login"
        used = code(secret, clock)
        assert reason(await log_in(world, used)) == "wrong_code"  # it confirmed the second factor
        clock.at += 30
        fresh = code(secret, clock)
        token = (await log_in(world, f" {fresh[:3]} {fresh[3:]} ")).ok()["token"]
        assert (await world.get(token, FACTOR)).ok() == {
            "since": clock.at - 30,
            "recovery_codes_left": 10,
            "required": False,
        }
        assert reason(await log_in(world, fresh)) == "wrong_code"
        (await log_in(world, code(secret, clock, +1))).ok()
        assert reason(await log_in(world, code(secret, clock, +2))) == "wrong_code"
        clock.at += 90
        (await log_in(world, code(secret, clock, -1))).ok()
        assert reason(await log_in(world, code(secret, clock, -2))) == "wrong_code"


async def test_one_code_lets_one_of_many_logins_in(tmp_path: Path) -> None:
    clock = Clock()
    async with open_world(tmp_path, "alice", now=clock) as world:
        secret, _ = await set_up(world, "alice", clock)
        clock.at += 30
        found: list[int] = []

        async def attempt() -> None:
            found.append((await log_in(world, code(secret, clock))).status)

        async with trio.open_nursery() as nursery:
            for _ in range(6):
                nursery.start_soon(attempt)
        assert sorted(found) == [200, *[403] * 5]


async def test_a_recovery_code_is_good_once_and_new_ones_take_the_place_of_the_old(tmp_path: Path) -> None:
    clock = Clock()
    async with open_world(tmp_path, "alice", now=clock) as world:
        secret, codes = await set_up(world, "alice", clock)
        assert len(set(codes)) == 10
        (await log_in(world, codes[0].lower().replace("-", " "))).ok()
        assert reason(await log_in(world, codes[0])) == "wrong_code"
        assert (await world.get("alice", FACTOR)).ok()["recovery_codes_left"] == 9
        clock.at += 30
        proof = PROOF | {"code": code(secret, clock)}
        renewed = (await world.post("alice", f"{FACTOR}/recovery-codes", proof)).ok()["recovery_codes"]
        assert reason(await log_in(world, codes[1])) == "wrong_code"
        (await log_in(world, renewed[1])).ok()


async def test_it_is_set_up_and_turned_off_with_the_password_alone(tmp_path: Path) -> None:
    clock = Clock()
    async with open_world(tmp_path, "alice", "bob", now=clock) as world:
        assert reason(await world.post("bob", FACTOR, PROOF)) == "no_password"
        await with_password(world, "alice")
        assert reason(await world.post("alice", FACTOR, {"current_password": "wrong"})) == "wrong_password"
        assert reason(await world.call("alice", "PUT", FACTOR, {"code": "123456"}), 409, "conflict") == (
            "second_factor_not_begun"
        )
        (await world.post("alice", FACTOR, PROOF)).ok(201)
        (await log_in(world, None)).ok()  # what was not confirmed is asked for by nobody
        secret, _ = await set_up(world, "alice", clock)
        assert reason(await world.post("alice", FACTOR, PROOF), 409, "conflict") == "second_factor_on"
        clock.at += 30
        proof = {"current_password": "wrong", "code": code(secret, clock)}
        assert reason(await world.post("alice", f"{FACTOR}/off", proof)) == "wrong_password"
        assert reason(await world.post("alice", f"{FACTOR}/off", PROOF | {"code": "000000"})) == "wrong_code"
        (await world.post("alice", f"{FACTOR}/off", PROOF | {"code": code(secret, clock)})).done()
        (await log_in(world, None)).ok()
        off = await world.post("alice", f"{FACTOR}/off", PROOF | {"code": code(secret, clock)})
        assert reason(off, 409, "conflict") == "second_factor_off"


async def test_guessing_ends_and_an_admin_helps(tmp_path: Path) -> None:
    clock = Clock()
    limits = {"wrong_passwords_per_hour": 30}
    async with open_world(tmp_path, "alice", now=clock, limits=limits) as world:
        await world.add("root", role=ServerRole.OWNER)
        secret, _ = await set_up(world, "alice", clock)
        clock.at += 30
        for _ in range(3):
            assert reason(await log_in(world, "000000")) == "wrong_code"
        (await log_in(world, code(secret, clock))).refused(429, "rate_limited")
        for _ in range(40):  # asks for no code, so it guesses none
            assert reason(await log_in(world, None)) == "second_factor"
        path = "/api/admin/users/alice/second-factor"
        (await world.call("alice", "DELETE", path)).refused(403, "forbidden")
        (await world.call("root", "DELETE", path)).done()
        (await world.call("root", "DELETE", path)).refused(404, "not_found")
        (await log_in(world, None)).ok()
        (told,) = (await world.get("root", "/api/admin/audit", act="user.second_factor_reset")).ok()["entries"]
        assert (told["by"], told["about"]) == ("root", {"kind": "user", "id": "alice"})


@pytest.mark.parametrize("whose", ["admins", "everybody"])
async def test_where_the_server_demands_one_the_next_login_sets_it_up(tmp_path: Path, whose: str) -> None:
    clock = Clock()
    accounts = {"require_second_factor_for": whose, "registration": "open"}
    async with open_world(tmp_path, "alice", now=clock, accounts=accounts) as world:
        await world.add("root", role=ServerRole.OWNER)
        for name in ("alice", "root"):
            await with_password(world, name)
        if whose == "admins":
            (await log_in(world, None)).ok()
        asked = (await log_in(world, None, "root")).refused(403, "forbidden")["details"]
        assert asked["reason"] == "second_factor_setup"
        assert asked["link"].startswith("otpauth://totp/relay:root?")
        assert set("".join(asked["qr"])) == {"0", "1"}
        again = (await log_in(world, None, "root")).refused(403, "forbidden")["details"]
        assert again["secret"] == asked["secret"]
        assert reason(await log_in(world, "000000", "root")) == "wrong_code"
        done = (await log_in(world, code(asked["secret"], clock), "root")).ok()
        assert len(done["recovery_codes"]) == 10
        assert (await world.get(done["token"], FACTOR)).ok()["required"] is True
        clock.at += 30
        proof = PROOF | {"code": code(asked["secret"], clock)}
        assert reason(await world.post("root", f"{FACTOR}/off", proof)) == "second_factor_demanded"
        assert "recovery_codes" not in (await log_in(world, code(asked["secret"], clock), "root")).ok()
        made = await world.post(None, REGISTER, {"user_id": "erin", "password": PASSWORD})
        if whose == "admins":
            made.ok(201)
        else:
            secret = made.refused(403, "forbidden")["details"]["secret"]
            (await log_in(world, code(secret, clock), "erin")).ok()
