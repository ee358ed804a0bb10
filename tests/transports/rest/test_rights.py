"""Rights of groups: for every act and everybody, what is decided is what happens, and what the inspector says."""

from __future__ import annotations

import itertools
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import pytest

from relay.protocol.kinds import ServerRole
from relay.protocol.rights import ON_SERVER, PRESETS, Act, Holder, Rights
from relay.services.permissions import decide
from relay.storage import restrictions
from relay.storage.accounts import Identity
from relay.storage.restrictions import SERVER, Restriction
from tests.actors import OPERATOR
from tests.transports.rest.world import Answer, World, message, open_world

PEOPLE: Final = ("olga", "adam", "mia", "gone", "stan", "gus", "root")
"""The owner, an admin, a member, one who was removed, a stranger, a guest in the group, an admin of the server."""

OTHERS: Final = ("vic", "wim", "new")
MORE: Final = {"also": ["polls", "remind", "bots"]}
NEEDS: Final = {Act.MENTION_ALL: (Act.WRITE, Act.MENTION_ALL)}
"""Acts that are done together with another."""


class Place:
    """A group in which one person tries everything."""

    def __init__(self, world: World, who: str, group_id: str) -> None:
        self.world, self.who, self.id = world, who, group_id
        self.path = f"/api/groups/{group_id}"
        self.theirs = self.poll = self.own = self.own_too = self.root = 0
        self.closed = False

    async def fill(self) -> None:
        """Add the members, and what acts are about; everybody may write in it still."""
        world, numbers = self.world, itertools.count()

        async def said(by: str, type_: str, **payload: Any) -> int:
            meta = {"target_id": self.id, "id": f"{self.id}-{next(numbers)}"}
            ack = await world.post(by, "/api/messages", {"type": type_, "payload": payload, "meta": meta})
            return int(ack.ok(201)["message_id"])

        await world.group("olga", "adam", "mia", "gone", "gus", "vic", "wim", group_id=self.id)
        await world.call("olga", "PUT", f"{self.path}/members/adam", {"role": "admin"})
        self.theirs, self.root = (
            await said("vic", "group_message", content="v"),
            await said("vic", "group_message", content="root"),
        )
        self.poll = await said("vic", "poll", question="q", options=["a", "b"])
        if self.who not in ("stan", "root"):
            self.own = await said(self.who, "group_message", content="own")
            self.own_too = await said(self.who, "group_message", content="own too")
        (await world.call("olga", "DELETE", f"{self.path}/members/gone")).done()

    async def send(self, type_: str, **payload: Any) -> Answer:
        body = {"type": type_, "payload": payload, "meta": {"target_id": self.id}}
        return await self.world.post(self.who, "/api/messages", body)

    async def call(self, method: str, path: str = "", *body: Any) -> Answer:
        return await self.world.call(self.who, method, self.path + path, *body)


Try = Callable[[Place], Awaitable[Answer]]

TRIES: Final[dict[Act, Try]] = {
    Act.READ: lambda at: at.send("read_receipt", up_to_seq=1),
    Act.WRITE: lambda at: at.send("group_message", content="hello"),
    Act.THREAD: lambda at: at.send("group_message", content="hello", thread=at.root),
    Act.REACT: lambda at: at.send("reaction", message_id=at.root, emoji="👍", on=True),
    Act.EDIT: lambda at: at.send("message_edit", message_id=at.own or at.root, content="other"),
    Act.EDIT_OTHERS: lambda at: at.send("message_edit", message_id=at.root, content="other"),
    Act.PIN: lambda at: at.send("pin", message_id=at.root, on=True),
    Act.MENTION_ALL: lambda at: at.send("group_message", content="all!", mentions=["*"]),
    Act.COMMAND: lambda at: at.send("slash_command", command="remind", text="in 10m tea"),
    Act.END_OTHERS: lambda at: at.send("poll_close", poll=at.poll),
    Act.DELETE: lambda at: at.send("message_delete", message_id=at.own_too or at.root),
    Act.DELETE_OTHERS: lambda at: at.send("message_delete", message_id=at.theirs),
    Act.INVITE: lambda at: at.call("PUT", "/members/new"),
    Act.EDIT_PROFILE: lambda at: at.call("PATCH", "", {"description": "what it is for"}),
    Act.PUBLISH: lambda at: at.call("PATCH", "", {"public": False}),
    Act.CHANGE_RIGHTS: lambda at: at.call("PATCH", "", {"rights": {}}),
    Act.CHANGE_ROLE: lambda at: at.call("PUT", "/members/wim", {"role": "admin"}),
    Act.REMOVE_MEMBER: lambda at: at.call("DELETE", "/members/vic"),
    Act.SLOW_MODE: lambda at: at.call("PATCH", "", {"slow_mode_seconds": 10}),
    Act.CLOSE: lambda at: at.call("PATCH", "", {"closed": at.closed}),
    Act.JOIN: lambda at: at.call("POST", "/join"),
    Act.HAND_ON: lambda at: at.call("PUT", "/members/wim", {"role": "owner"}),
    Act.LEAVE: lambda at: at.call("DELETE", f"/members/{at.who}"),
    Act.DELETE_GROUP: lambda at: at.call("DELETE"),
}
"""A call for each act in a group, in an order in which none hinders the next."""


ROLES: Final = {"root": ServerRole.ADMIN, "gus": ServerRole.GUEST, "mod": ServerRole.MODERATOR}


def identity(who: str) -> Identity:
    return Identity(user_id=who, role=ROLES.get(who, ServerRole.MEMBER))


@asynccontextmanager
async def people(folder: Path) -> AsyncIterator[World]:
    """Open a server with everybody, who know each other from one group."""
    async with open_world(folder, plugins=MORE) as world:
        for name in (*PEOPLE, *OTHERS, "mod"):
            await world.add(name, role=ROLES.get(name, ServerRole.MEMBER))
        await world.group("vic", *PEOPLE, "wim", "new", group_id="all")
        yield world


def happened(answer: Answer) -> bool:
    """Tell whether it was let through; a refusal says why, in words and in one word."""
    if answer.status < 300:
        return True
    body = answer.body
    assert (answer.status, body["code"]) in ((403, "forbidden"), (404, "not_found")), body
    assert answer.status == 404 or body["details"]["reason"], body
    return False


async def decided(world: World, who: str, act: Act, group_id: str) -> bool:
    """Return what is decided, after a look at whether the inspector says the same."""
    group = await world.engine.channels.group(group_id)
    acts = NEEDS.get(act, (act,))
    barred = who == "gone"
    mine = [decide(identity(who), one, group, barred=barred) for one in acts]
    for one, decision in zip(acts, mine, strict=True):
        told = (await world.get("root", "/api/admin/may", user=who, act=one.value, target=group_id)).ok()
        assert told["allowed"] is decision.allowed
        assert told["sentence"].startswith("yes: " if decision.allowed else "no: ")
        assert (told["rule"], told["reason"]) == (decision.rule, decision.reason)
    return all(decision.allowed for decision in mine)


async def try_everything(
    world: World, who: str, number: int, setting: dict[str, Any], acts: Sequence[Act]
) -> None:
    """Have somebody try acts in a new group, and compare each with what was decided; end with what ends it."""
    ending = (Act.LEAVE, Act.HAND_ON, Act.DELETE_GROUP)
    for part, chosen in enumerate([[act for act in acts if act not in ending], *([act] for act in ending)]):
        at = Place(world, who, f"g{number}-{who}-{part}")
        await at.fill()
        if setting:
            (await world.call("olga", "PATCH", at.path, setting)).ok()
        at.closed = bool(setting.get("closed"))
        for act in (act for act in TRIES if act in chosen):
            expected = await decided(world, who, act, at.id)
            may = (await world.get(who, at.path)).body.get("may", [])
            answer = await TRIES[act](at)
            assert happened(answer) is expected, (who, act, setting, answer.raw)
            if who in ("olga", "adam", "mia", "gus") and act is not Act.JOIN:
                assert all(one.value in may for one in NEEDS.get(act, (act,))) is expected, (who, act, may)


def test_there_is_a_call_for_every_act() -> None:
    assert set(TRIES) | ON_SERVER == set(Act)


@pytest.mark.parametrize("who", PEOPLE)
@pytest.mark.parametrize("setting", [{}, {"rights": "announcement"}, {"closed": True}], ids=str)
async def test_what_is_decided_is_what_happens(tmp_path: Path, who: str, setting: dict[str, Any]) -> None:
    async with people(tmp_path) as world:
        await try_everything(world, who, 0, setting, list(TRIES))


@pytest.mark.parametrize("seed", range(2))
async def test_so_it_is_with_any_rights(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    async with people(tmp_path) as world:
        for number in range(4):
            rights = {name: chance.choice(list(Holder)).value for name in Rights._fields}
            setting: dict[str, Any] = {
                "rights": rights,
                "closed": chance.random() < 0.2,
                "public": chance.random() < 0.3,
            }
            acts = [act for act in TRIES if act is not Act.PUBLISH]
            await try_everything(world, chance.choice(PEOPLE), number, setting, acts)


@pytest.mark.parametrize("who", ["olga", "adam", "mia", "stan"])
@pytest.mark.parametrize("everywhere", [False, True], ids=["in the group", "on the server"])
async def test_during_a_timeout_too(tmp_path: Path, who: str, everywhere: bool) -> None:
    async with people(tmp_path) as world:
        ending = (Act.LEAVE, Act.HAND_ON, Act.DELETE_GROUP)
        for part, chosen in enumerate([set(TRIES) - set(ending), *({act} for act in ending)]):
            at = Place(world, who, f"t{part}")
            await at.fill()
            await time_out(world, who, None if everywhere else at.id)
            for act in (act for act in TRIES if act in chosen):
                told = [await asked(world, who, one, at.id) for one in NEEDS.get(act, (act,))]
                answer = await TRIES[act](at)
                assert happened(answer) is all(one["allowed"] for one in told), (who, act, told, answer.raw)
                if any(one["reason"] == "timed_out" for one in told):
                    assert (told[0]["rule"], answer.body["details"]["reason"]) == ("timeout", "timed_out")
            if everywhere:
                await world.engine.moderation.lift(OPERATOR, "timeout", who)


async def test_the_inspector_knows_bans_blocks_and_slow_mode(tmp_path: Path) -> None:
    async with people(tmp_path) as world:
        await world.group("olga", "mia", "vic", group_id="open", public=True)
        engine = world.engine

        async def same(who: str, act: Act, target: str, answer: Answer) -> tuple[str, str]:
            told = await asked(world, who, act, target)
            assert (told["allowed"], answer.status < 300) == (False, False)
            assert told["reason"] == answer.body["details"]["reason"]
            return told["rule"], told["reason"]

        await engine.moderation.restrict(OPERATOR, "ban", "stan", group_id="open", reason="spam")
        refused = await world.post("stan", "/api/groups/open/join")
        assert await same("stan", Act.JOIN, "open", refused) == ("ban", "banned_here")

        await world.say("mia", "vic", "hello")
        (await world.call("vic", "PUT", "/api/users/mia/block")).done()
        for who, other, reason in (("mia", "vic", "cannot_write"), ("vic", "mia", "you_block")):
            refused = await world.post(who, "/api/messages", message(other, "hello"))
            assert await same(who, Act.WRITE, other, refused) == ("block", reason)
        assert (await asked(world, "mia", Act.READ, "vic"))["allowed"] is True
        assert (await asked(world, "mia", Act.WRITE, "open"))["allowed"] is True
        (await world.call("vic", "PUT", "/api/users/wim/block")).done()
        refused = await world.post("wim", "/api/messages", message("vic", "hello"))
        assert await same("wim", Act.START_DIRECT, "vic", refused) == ("block", "cannot_write")

        (await world.call("olga", "PATCH", "/api/groups/open", {"slow_mode_seconds": 60})).ok()
        assert (await asked(world, "mia", Act.WRITE, "open"))["allowed"] is True
        await world.say("mia", "open", "once", group=True)
        refused = await world.post("mia", "/api/messages", message("open", "twice", True))
        assert await same("mia", Act.WRITE, "open", refused) == ("slow_mode", "slow_mode")
        told = await asked(world, "mia", Act.WRITE, "open")
        assert "a member writes here once every 60 seconds" in told["sentence"]
        assert (await asked(world, "olga", Act.WRITE, "open"))["allowed"] is True
        assert (await asked(world, "mia", Act.REACT, "open"))["allowed"] is True

        await engine.moderation.restrict(OPERATOR, "ban", "mia", reason="spam")
        told = await asked(world, "mia", Act.READ, "open")
        assert (told["rule"], told["reason"]) == ("ban", "banned")
        assert told["sentence"].startswith(
            "no: this account is banned from this server: spam, and mia is a member"
        )
        (await world.call("root", "PATCH", "/api/admin/users/vic", {"disabled": True})).ok()
        told = await asked(world, "vic", Act.READ, "open")
        assert (told["rule"], told["sentence"]) == (
            "account",
            "no: this account is disabled, and vic is a member of 'The team'",
        )


async def asked(world: World, who: str, act: Act, target: str) -> Any:
    """Return what the inspector says."""
    return (await world.get("root", "/api/admin/may", user=who, act=act.value, target=target)).ok()


async def time_out(world: World, who: str, group_id: str | None) -> None:
    """Let somebody only read, even the owner of the group, which nobody could do by hand."""
    group = None if group_id is None else await world.engine.channels.group(group_id)
    place = SERVER if group is None else group.channel_id
    made = Restriction(place, who, "timeout", "", None, 0.0, world.engine.now() + 1000)
    await world.engine.runner.write(lambda connection: restrictions.put(connection, made))
    world.engine.restrictions.hold(made)


async def test_on_the_server_too(tmp_path: Path) -> None:
    async with people(tmp_path) as world:
        await world.add("far")
        title = {"type": "notification", "payload": {"title": "t"}, "meta": {"target_id": "vic"}}
        kind = {"Content-Type": "text/plain"}
        tries: dict[Act, Callable[[str], Awaitable[Answer]]] = {
            Act.MAKE_GROUP: lambda who: world.post(who, "/api/groups", {"name": "x"}),
            Act.START_DIRECT: lambda who: world.post(who, "/api/messages", message("far", "hello")),
            Act.SEE_DIRECTORY: lambda who: world.get(who, "/api/users", q="far"),
            Act.UPLOAD: lambda who: world.post(who, "/api/attachments", b"x", headers=kind),
            Act.HAVE_TOKENS: lambda who: world.post("root", f"/api/admin/users/{who}/tokens", {}),
            Act.NOTIFY: lambda who: world.post(who, "/api/messages", title),
            Act.INVITE_PEOPLE: lambda who: world.post(who, "/api/admin/invites", {}),
            Act.ADMINISTER: lambda who: world.get(who, "/api/admin/plugins"),
        }
        assert set(tries) | {Act.MODERATE} == ON_SERVER
        for who, act in itertools.product(("stan", "gus", "mod", "root"), tries):
            expected = decide(identity(who), act).allowed
            told = (await world.get("root", "/api/admin/may", user=who, act=act.value)).ok()
            assert told["allowed"] is expected
            answer = await tries[act](who)
            found = act is not Act.SEE_DIRECTORY or answer.body["users"]
            assert (happened(answer) and bool(found)) is expected, (who, act, answer.raw)
        assert [decide(identity(who), Act.MODERATE).allowed for who in ("stan", "gus", "mod", "root")] == [
            False, False, True, True,
        ]  # fmt: skip
        told = (await world.get("root", "/api/admin/may", user="gus", act="start_direct", target="stan")).ok()
        assert told["allowed"] is True
        await world.say("gus", "stan", "we are in a group")


async def test_a_guest_joins_no_public_group(tmp_path: Path) -> None:
    async with people(tmp_path) as world:
        await world.group("olga", public=True, group_id="open")
        refused = (await world.post("gus", "/api/groups/open/join")).refused(403, "forbidden")
        assert refused["details"]["reason"] == "guest"
        told = (await world.get("root", "/api/admin/may", user="gus", act="join", target="open")).ok()
        assert (told["allowed"], told["reason"]) == (False, "guest")
        (await world.post("stan", "/api/groups/open/join")).ok()


async def test_the_inspector_says_why_in_a_sentence(world: World) -> None:
    await world.add("root", admin=True)
    await world.group("alice", "carol", name="News", rights="announcement")

    async def asked(**query: str) -> Any:
        return (await world.get("root", "/api/admin/may", **query)).ok()["sentence"]

    assert await asked(user="carol", act="write", target="team") == (
        "no: only the group's owner and admins may write (right `write`), and carol is a member of 'News'"
    )
    assert await asked(user="carol", act="react", target="team") == (
        "yes: every member may react, and carol is a member of 'News'"
    )
    assert await asked(user="root", act="read", target="team") == (
        "no: only members learn of it, and what is in it, and root is no member of 'News'"
    )
    (await world.get("root", "/api/admin/may", user="carol", act="write")).refused(400, "invalid_payload")
    (await world.get("root", "/api/admin/may", user="no", act="read", target="team")).refused(404, "not_found")
    (await world.get("root", "/api/admin/may", user="bob", act="read", target="no")).refused(404, "not_found")
    (await world.get("root", "/api/admin/may", user="bob", act="fly", target="team")).refused(
        400, "invalid_payload"
    )
    (await world.get("carol", "/api/admin/may", user="carol", act="upload")).refused(403, "forbidden")


async def test_who_may_invite_adds_members_and_no_admins(world: World) -> None:
    await world.group("alice", "bob")
    (await world.call("alice", "PATCH", "/api/groups/team", {"rights": {"invite": "everybody"}})).ok()
    (await world.call("bob", "PUT", "/api/groups/team/members/carol", {"role": "admin"})).refused(403, "forbidden")
    (await world.call("bob", "PUT", "/api/groups/team/members/carol", {"role": "member"})).ok()


async def test_rights_are_chosen_one_by_one_or_by_a_word_and_everybody_is_told(world: World) -> None:
    await world.group("alice", "bob")
    phone = await world.device("bob", "phone")
    told = (await world.call("alice", "PATCH", "/api/groups/team", {"rights": {"pin": "everybody"}})).ok()
    assert told["rights"] == Rights(pin=Holder.EVERYBODY)._asdict()
    told = (await world.call("alice", "PATCH", "/api/groups/team", {"rights": {"write": "owner"}})).ok()
    assert told["rights"] == Rights(pin=Holder.EVERYBODY, write=Holder.OWNER)._asdict()
    told = (await world.call("alice", "PATCH", "/api/groups/team", {"rights": "announcement"})).ok()
    assert told["rights"] == PRESETS["announcement"]._asdict()
    (await world.call("alice", "PATCH", "/api/groups/team", {"rights": "announcement"})).ok()
    events = [frame["payload"] for frame in phone.frames]
    assert [event["rights"]["write"] for event in events] == ["everybody", "owner", "admins"]
    rows = (await world.get("bob", "/api/conversations")).ok()["conversations"]
    assert rows[0]["rights"] == told["rights"]
    assert "write" not in rows[0]["may"]
    assert "thread" in rows[0]["may"]
    for wrong in ({"rights": "quiet"}, {"rights": {"write": "nobody"}}, {"rights": {"fly": "admins"}}):
        (await world.call("alice", "PATCH", "/api/groups/team", wrong)).refused(400, "invalid_payload")


async def test_a_closed_group_is_read_and_found_and_opened_again_by_its_owner(world: World) -> None:
    await world.group("alice", "bob", public=True)
    await world.say("bob", "team", "before", group=True)
    told = (await world.call("alice", "PATCH", "/api/groups/team", {"closed": True})).ok()
    assert told["closed"] is True
    refused = (await world.post("bob", "/api/messages", message("team", "after", True))).refused(403, "forbidden")
    assert refused["details"]["reason"] == "group_closed"
    texts = (await world.get("bob", "/api/messages/group/team")).ok()["messages"]
    assert "before" in [one["payload"].get("content") for one in texts]
    assert (await world.get("bob", "/api/search", q="before")).ok()["results"]
    assert (await world.get("carol", "/api/public-groups")).ok()["groups"] == []
    (await world.post("carol", "/api/groups/team/join")).refused(403, "forbidden")
    (await world.call("bob", "PATCH", "/api/groups/team", {"closed": False})).refused(403, "forbidden")
    body = {"closed": False, "name": "Again"}
    assert (await world.call("alice", "PATCH", "/api/groups/team", body)).ok()["closed"] is False
    await world.say("bob", "team", "after", group=True)


async def test_rights_outlast_the_server(tmp_path: Path) -> None:
    async with open_world(tmp_path, "alice", "bob") as world:
        await world.group("alice", "bob", rights={"write": "admins"})
        await world.group("alice", "bob", group_id="old")
        (await world.call("alice", "PATCH", "/api/groups/old", {"closed": True})).ok()
        tokens = world.tokens
    async with open_world(tmp_path) as world:
        world.tokens = tokens
        (await world.post("bob", "/api/messages", message("team", "x", True))).refused(403, "forbidden")
        (await world.post("alice", "/api/messages", message("old", "x", True))).refused(403, "forbidden")
        await world.say("alice", "team", "x", group=True)


@pytest.mark.parametrize(("members", "may"), [(False, False), (True, True)])
async def test_the_pin_plugins_option_is_the_right_of_groups_that_chose_none(
    tmp_path: Path, members: bool, may: bool
) -> None:
    async with open_world(tmp_path, "alice", "bob", plugins={"options": {"pin": {"members": members}}}) as world:
        await world.group("alice", "bob")
        assert ("pin" in (await world.get("bob", "/api/groups/team")).ok()["may"]) is may
        (await world.call("alice", "PATCH", "/api/groups/team", {"rights": {"pin": "admins"}})).ok()
        assert "pin" not in (await world.get("bob", "/api/groups/team")).ok()["may"]
