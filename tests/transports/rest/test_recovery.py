"""Forgotten passwords, mail addresses and accounts by an address: by mail through a real server, and by an admin."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio

from relay.protocol.kinds import ServerRole
from relay.storage import accounts
from tests.smtp import Postbox, link_in, postbox, text_of
from tests.transports.rest.test_accounts import LOGIN, ME, PASSWORD, REGISTER, log_in, with_password
from tests.transports.rest.test_second_factors import Clock, reason
from tests.transports.rest.world import World, open_world

pytestmark = pytest.mark.real_time

MINE, VERIFY, ASK, RESET = (
    "/api/users/me/mail",
    "/api/mail-verification",
    "/api/password-reset/mail",
    "/api/password-reset",
)
PAGE = "https://chat.example.org"
FRESH = "battery staple"


@asynccontextmanager
async def mailing(folder: Path, *users: str, **sections: Any) -> AsyncIterator[tuple[World, Postbox, Clock]]:
    """Open a server that sends mails, with users who have passwords."""
    clock = Clock()
    with postbox() as box:
        mail = {
            "smtp_host": "127.0.0.1",
            "smtp_port": box.port,
            "security": "none",
            "from_address": "relay@example.org",
        }
        async with open_world(
            folder, *users, now=clock, mail=mail, server={"public_url": PAGE}, **sections
        ) as world:
            for name in users:
                await with_password(world, name)
            yield world, box, clock


async def mails(box: Postbox, count: int) -> Any:
    await trio.to_thread.run_sync(partial(box.wait, count))
    assert len(box.mails) == count
    return box.mails[-1]


async def verified(world: World, box: Postbox, who: str, address: str) -> None:
    before = len(box.mails)
    body = {"address": address, "current_password": PASSWORD}
    assert (await world.call(who, "PUT", MINE, body)).ok()["pending"] == address
    link = link_in(await mails(box, before + 1))
    (await world.post(None, VERIFY, {"code": link})).ok()


async def test_a_forgotten_password_is_set_anew_by_a_link_once_and_ends_all_sessions(tmp_path: Path) -> None:
    async with mailing(tmp_path, "alice") as (world, box, clock):
        await verified(world, box, "alice", "Alice@Example.org")
        sessions = [await log_in(world, "alice") for _ in range(2)]
        for typed in ("ALICE", "alice@example.org"):
            (await world.post(None, ASK, {"user": typed}, headers={"Accept-Language": "fr-CH,fr"})).done()
        mail = await mails(box, 3)
        assert mail["To"] == "Alice@Example.org"
        assert "nouveau mot de passe" in text_of(mail)
        link = link_in(mail)
        assert link.startswith(f"{PAGE}/#reset=")
        short = await world.post(None, RESET, {"code": link, "password": "short"})
        assert reason(short, 400, "invalid_payload") == "password_length"
        assert (await world.post(None, RESET, {"code": link, "password": FRESH})).ok() == {"user_id": "alice"}
        for used in (link, link_in(box.mails[1]), "wrong"):
            assert reason(await world.post(None, RESET, {"code": used, "password": FRESH})) == "bad_link"
        for token in sessions:
            assert (await world.get(token, ME)).status == 401
        (await world.get("alice", ME)).ok()  # made on the command line
        assert (await world.post(None, LOGIN, {"user_id": "alice", "password": PASSWORD})).status == 403
        (await world.post(None, LOGIN, {"user_id": "alice", "password": FRESH})).ok()
        assert "was set anew" in text_of(await mails(box, 4))
        (await world.post(None, ASK, {"user": "alice"})).done()
        link = link_in(await mails(box, 5))
        clock.at += 3600
        assert reason(await world.post(None, RESET, {"code": link, "password": FRESH})) == "bad_link"


async def test_nobody_learns_who_has_an_account_and_nobody_gets_a_flood_of_mails(tmp_path: Path) -> None:
    async with mailing(tmp_path, "alice", "bob", "carol") as (world, box, _):
        for name in ("alice", "carol"):
            await verified(world, box, name, f"{name}@example.org")
        await world.engine.runner.write(lambda c: accounts.update_user(c, "carol", disabled=1))
        for typed in ("bob", "carol", "nobody", "nobody@example.org", *["alice"] * 9):
            (await world.post(None, ASK, {"user": typed})).done()
        await mails(box, 2 + 5)
        await trio.sleep(0.3)
        assert box.recipients[2:] == ["alice@example.org"] * 5


async def test_an_address_counts_once_it_is_verified_and_changes_with_the_password_alone(tmp_path: Path) -> None:
    async with mailing(tmp_path, "alice", "bob") as (world, box, clock):
        wrong = {"address": "a@example.org", "current_password": "wrong"}
        assert reason(await world.call("alice", "PUT", MINE, wrong)) == "wrong_password"
        no_form = {"address": "a b@example.org", "current_password": PASSWORD}
        assert reason(await world.call("alice", "PUT", MINE, no_form), 400, "invalid_payload") == "mail_form"
        body = {"address": "a@example.org", "current_password": PASSWORD}
        (await world.call("alice", "PUT", MINE, body)).ok()
        link = link_in(await mails(box, 1))
        clock.at += 86_400
        assert reason(await world.post(None, VERIFY, {"code": link})) == "bad_link"
        assert (await world.get("alice", MINE)).ok() == {"address": None, "verified_at": None, "pending": None}
        await verified(world, box, "alice", "a@example.org")
        assert (await world.get("alice", MINE)).ok()["address"] == "a@example.org"
        (await world.call("bob", "PUT", MINE, body | {"address": "A@example.org"})).ok()
        taken = await world.post(None, VERIFY, {"code": link_in(await mails(box, 3))})
        assert reason(taken, 409, "conflict") == "mail_taken"
        await verified(world, box, "alice", "new@example.org")
        told = await mails(box, 5)
        assert (told["To"], "does not have" in text_of(told)) == ("a@example.org", True)
        gone = (await world.call("alice", "PUT", MINE, body | {"address": None})).ok()
        assert gone == {"address": None, "verified_at": None, "pending": None}
        assert (await mails(box, 6))["To"] == "new@example.org"


async def test_an_address_of_a_domain_makes_an_account_which_has_it(tmp_path: Path) -> None:
    accounts = {"registration": "domain", "mail_domains": ["example.org"]}
    async with mailing(tmp_path, accounts=accounts) as (world, box, _):
        told = (await world.get(None, "/api/registration")).ok()
        assert (told["registration"], told["mail"], told["mail_domains"]) == ("domain", True, ["example.org"])
        path = "/api/registration/mail"
        for other in ("a@mail.example.org", "a@example.com"):
            assert reason(await world.post(None, path, {"address": other})) == "mail_domain"
        without = await world.post(None, REGISTER, {"user_id": "erin", "password": PASSWORD})
        assert reason(without) == "bad_invite"
        (await world.post(None, path, {"address": "Erin@EXAMPLE.org"})).done()
        link = link_in(await mails(box, 1))
        body = {"user_id": "erin", "password": PASSWORD, "invite": link}
        token = (await world.post(None, REGISTER, body)).ok(201)["token"]
        assert (await world.get(token, MINE)).ok()["address"] == "Erin@EXAMPLE.org"
        (await world.post(None, path, {"address": "erin@example.org"})).done()
        known = await mails(box, 2)
        assert "There is one: erin" in text_of(known)


async def test_an_admin_makes_a_link_where_no_mail_is_sent(tmp_path: Path) -> None:
    async with open_world(tmp_path, "alice", server={"public_url": PAGE}) as world:
        await world.add("root", role=ServerRole.OWNER)
        assert reason(await world.post(None, ASK, {"user": "alice"}), 409, "conflict") == "no_mail"
        await with_password(world, "alice")
        body = {"address": "a@example.org", "current_password": PASSWORD}
        assert reason(await world.call("alice", "PUT", MINE, body), 409, "conflict") == "no_mail"
        path = "/api/admin/users/alice/reset-link"
        (await world.post("alice", path)).refused(403, "forbidden")
        (await world.post("root", "/api/admin/users/nobody/reset-link")).refused(404, "not_found")
        made = (await world.post("root", path)).ok(201)
        assert made["link"] == f"{PAGE}/#reset={made['code']}"
        (await world.post(None, RESET, {"code": made["code"], "password": FRESH})).ok()
        (await world.post(None, LOGIN, {"user_id": "alice", "password": FRESH})).ok()
        (told,) = (await world.get("root", "/api/admin/audit", act="user.reset_link_made")).ok()["entries"]
        assert (told["by"], told["about"]) == ("root", {"kind": "user", "id": "alice"})
        assert made["code"] not in str(told)
        await world.add("deputy", role=ServerRole.ADMIN)
        assert reason(await world.post("deputy", "/api/admin/users/root/reset-link")) == "role_too_high"
