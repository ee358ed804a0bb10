"""Every function that may refuse something other than a message, on every way that the documentation names."""

from __future__ import annotations

import json
import re
import sys
import textwrap
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import argon2
import pytest
import trio

from relay.app.admin import perform
from relay.engine.loader import load
from relay.protocol.errors import RelayError
from relay.protocol.kinds import Role
from relay.storage import accounts as table
from relay.storage.attachments import CHUNK_BYTES, any_blob
from relay.testing import World
from relay.testing import world as open_world
from tests.docs.conversation import blocks
from tests.docs.test_docs import read, rows

HEAD = """
from relay.plugin import *

def no(*arguments):
    raise RelayError(ErrorCode.FORBIDDEN, "not this")

def fail(*arguments):
    raise ZeroDivisionError("on purpose")
"""
WATCHER = """
import copy

asked, refusing = [], set()

def asker(what):
    async def ask(server, question):
        asked.append((what, copy.copy(question)))
        if what in refusing:
            no()
    return ask

def identify(server, credentials):
    token = credentials.token or ""
    return Claim(token[2:], display_name="Claimed") if token.startswith("p-") else None

def sign_in(server, name, password, address):
    return Claim(name, display_name="Signed In") if password == "right" else None

def made(kind, *names):
    return [kind(**{name: asker(f"{kind.__name__}.{name}") for name in names})]

@hookimpl
def relay_account_hooks():
    return made(AccountHook, "register", "name") + [AccountHook(registered=asker("AccountHook.registered"))]

@hookimpl
def relay_conversation_hooks():
    return made(ConversationHook, "begin", "join", "leave", "change_role", "name")

@hookimpl
def relay_upload_hooks():
    return made(UploadHook, "upload", "scan")

@hookimpl
def relay_authenticators():
    return [Authenticator(identify=identify)]

@hookimpl
def relay_password_authenticators():
    return [PasswordAuthenticator(sign_in=sign_in)]

@hookimpl
def relay_message_hooks():
    def stored(server, connection, entries):
        asked.extend(("stored", entry.payload) for entry in entries)

    return [MessageHook(types=frozenset({"group_event"}), stored=stored)]
"""
PAGE = "docs/plugins/hooks.md"
PASSWORD = "correct horse"
CHEAP = argon2.PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)


@asynccontextmanager
async def plugged(folder: Path, code: str, *users: str, **environ: str) -> AsyncIterator[World]:
    """Run a server with one plugin, `asked`."""
    plugins = folder / "plugins"
    plugins.mkdir(exist_ok=True)
    (plugins / "asked.py").write_text(HEAD + textwrap.dedent(code))
    more = {"RELAY_PLUGINS__DIRECTORIES": f'["{plugins}"]', "RELAY_ACCOUNTS__REGISTRATION": "open"} | environ
    async with open_world(folder, *users, **more) as world:
        assert world.engine.registry.broken == []
        yield world


def guard_of(world: World) -> Any:
    return world.engine.registry.guard("asked")


# The ways: each tries something new under a number, and tells why it was refused, or None.

Way = Callable[[World, int], Awaitable[str | None]]


async def _rest(world: World, method: str, path: str, user: str | None, **given: Any) -> str | None:
    answer = await world.rest(method, path, user, **given)
    return None if answer.status < 300 else str(answer.body["detail"])


async def _done(doing: Awaitable[Any]) -> str | None:
    try:
        await doing
    except RelayError as refused:
        return refused.message
    return None


def rest(method: str, path: str, user: str | None = "u0", **given: Any) -> Way:
    return lambda world, n: _rest(
        world, method, path.format(n=n), user and user.format(n=n), **_numbered(given, n)
    )


def _numbered(value: Any, n: int) -> Any:
    if isinstance(value, dict):
        return {name: _numbered(one, n) for name, one in value.items()}
    if isinstance(value, list):
        return [_numbered(one, n) for one in value]
    return value.format(n=n) if isinstance(value, str) else value


def operation(op: str, **arguments: Any) -> Way:
    return lambda world, n: _done(perform(world.engine, op, _numbered(arguments, n)))


async def imports(world: World, n: int, sender: str = "old{n}") -> str | None:
    meta = {"id": f"i-{n}", "sender_id": sender.format(n=n), "target_id": "u0"}
    line = json.dumps({"type": "chat_message", "payload": {"content": "old"}, "meta": meta})
    answer = await perform(world.engine, "import", {"lines": [line], "create_users": True})
    return None if answer["stored"] else str(answer["problems"][0]["message"])


def plugin_does(what: Callable[[Any, int], Awaitable[Any]]) -> Way:
    return lambda world, n: _done(what(world.engine.server_of("asked"), n))


async def by_socket(world: World, n: int) -> str | None:
    device = await world.connect("u0")
    answer = await device.request("typing_indicator", {"typing": True}, f"u{n}")
    return None if answer["type"] == "ack" else str(answer["payload"]["message"])


def message(n: str) -> dict[str, Any]:
    return {"type": "chat_message", "payload": {"content": "hi"}, "meta": {"id": n, "target_id": n}}


NEW = {"password": PASSWORD, "display_name": "New"}
FORM = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.txt"\r\n\r\nhello {n}\r\n--x--\r\n'

ACCOUNTS: dict[str, Way] = {
    "POST /api/register": rest("POST", "/api/register", None, json_body={"user_id": "reg{n}", **NEW}),
    "PATCH /api/users/me": rest("PATCH", "/api/users/me", json_body={"display_name": "Me {n}"}),
    "relay user add": operation("user.add", user_id="add{n}", display_name="Added"),
    "relay user import": operation("user.import", user_ids=["imp{n}", "imq{n}"]),
    "relay import --create-users": imports,
    "Server.ensure_user": plugin_does(lambda server, n: server.ensure_user(f"ens{n}", "Ensured")),
    "Authenticator": rest("GET", "/api/users/me", "p-claim{n}"),
    "PasswordAuthenticator": rest(
        "POST", "/api/login", None, json_body={"user_id": "sign{n}", "password": "right"}
    ),
}
MEMBERS = "/api/groups/team/members/"
CONVERSATIONS: dict[str, Way] = {
    "WebSocket": by_socket,
    "POST /api/messages": rest("POST", "/api/messages", json_body=message("u{n}")),
    "Server.send": plugin_does(lambda server, n: server.send("u0", "chat_message", {"content": "x"}, f"u{n}")),
    "Conversations.find": plugin_does(lambda server, n: server.conversations.find("u0", f"u{n}")),
    "Groups.create": plugin_does(lambda server, n: server.groups.create("u0", "P", [f"u{n}"], f"plug{n}")),
    "relay import": partial(imports, sender="u{n}"),
    "POST /api/groups": rest(
        "POST", "/api/groups", json_body={"group_id": "rest{n}", "name": "R", "members": ["u{n}"]}
    ),
    "PATCH /api/groups": rest("PATCH", "/api/groups/team", json_body={"name": "Team {n}"}),
    "relay group create": operation("group.create", group_id="cli{n}", name="C", owner="u0", members=["u{n}"]),
}


async def join(world: World, n: int) -> str | None:
    if not (await world.engine.groups.get("u0", "team")).public:
        await world.rest("PATCH", "/api/groups/team", "u0", json_body={"public": True})
    return await _rest(world, "POST", "/api/groups/team/join", f"u{n}")


CHANGES: dict[str, Way] = {
    "PUT /api/groups/…/members": rest("PUT", MEMBERS + "u{n}", json_body={"role": "admin"}),
    "POST /api/groups/…/join": join,
    "relay group add": operation("group.add", group_id="team", user_id="u{n}", role="admin"),
    "Groups.put_member": plugin_does(
        lambda server, n: server.groups.put_member("u0", "team", f"u{n}", Role.ADMIN)
    ),
    "Groups.remove_member": plugin_does(lambda server, n: server.groups.remove_member("u0", "team", f"u{n}")),
    "DELETE /api/groups/…/members": rest("DELETE", MEMBERS + "u{n}"),
    "DELETE of oneself": rest("DELETE", MEMBERS + "u{n}", "u{n}"),
    "relay group remove": operation("group.remove", group_id="team", user_id="u{n}"),
}
UPLOADS: dict[str, Way] = {
    "POST /api/attachments": rest("POST", "/api/attachments?name=a.txt", data=b"hello"),
    "POST /api/attachments, as a form": rest(
        "POST", "/api/attachments", data=FORM, headers={"Content-Type": "multipart/form-data; boundary=x"}
    ),
}
WAYS = ACCOUNTS | CONVERSATIONS | CHANGES | UPLOADS
NAMED = re.compile(r"`([^`]+)`(, as a form| of oneself)?")


def told() -> dict[str, list[str]]:
    """Return what the documentation says: the ways by function."""
    return {
        NAMED.findall(function)[0][0]: [name + more for name, more in NAMED.findall(ways)]
        for function, ways, *_ in rows(read(PAGE), "What is asked, and on which ways")
    }


def test_the_documentation_names_every_way_that_is_tried_here() -> None:
    assert {way for ways in told().values() for way in ways} == set(WAYS)


@pytest.mark.parametrize("function", told())
async def test_each_way_asks_does_nothing_when_refused_and_goes_on_when_allowed(
    tmp_path: Path, function: str
) -> None:
    users = [f"u{n}" for n in range(10)]
    async with plugged(tmp_path, WATCHER, *users) as world:
        code: Any = sys.modules["relay_plugin_asked"]
        present = users if function.endswith(("leave", "change_role")) else ["u0"]
        await perform(
            world.engine, "group.create", {"group_id": "team", "name": "T", "owner": "u0", "members": present}
        )
        for n, way in enumerate(told()[function], 1):
            code.asked.clear()
            code.refusing.add(function)
            refusal = await WAYS[way](world, n)
            code.refusing.clear()
            first = [question for name, question in code.asked if name == function]
            assert first, f"{way}: not asked"
            if function == "AccountHook.name" and way.endswith("Authenticator"):
                assert refusal is None  # nobody is there to choose another: the name is dropped
                shown = {"Authenticator": f"claim{n}", "PasswordAuthenticator": f"sign{n}"}[way]
                page = await world.rest("GET", f"/api/users/{shown}", "u0")
                assert page.body["display_name"] == shown
                continue
            assert refusal is not None, f"{way}: refused, and done all the same"
            assert "not this" in refusal or way == "relay import --create-users", (way, refusal)
            code.asked.clear()
            assert await WAYS[way](world, n) is None, way
            again = [question for name, question in code.asked if name == function]
            assert [type(one) for one in again[: len(first)]] == [type(one) for one in first]
            if function.startswith("AccountHook") and way != "PATCH /api/users/me":
                await trio.sleep(1)
                assert "AccountHook.registered" in {name for name, _ in code.asked}
            if way in CHANGES:
                (event,) = [json.loads(payload) for name, payload in code.asked if name == "stored"]
                assert event["user_id"] == f"u{n}"
        assert guard_of(world).failures == 0


def hooks(kind: str, arguments: str) -> str:
    """Return the end of a plugin that registers one hook."""
    name = {"AccountHook": "account", "ConversationHook": "conversation", "UploadHook": "upload"}[kind]
    return f"\n@hookimpl\ndef relay_{name}_hooks():\n    return [{kind}({arguments})]\n"


async def add(world: World, name: str) -> str | None:
    return await _done(perform(world.engine, "user.add", {"user_id": name}))


async def shown(world: World, name: str) -> str | None:
    user = await world.engine.runner.read(lambda connection: table.get_user(connection, name))
    return None if user is None else user.display_name


async def upload(world: World, data: bytes, user: str = "u0", name: str = "a.txt") -> Any:
    return await world.rest("POST", f"/api/attachments?name={name}", user, data=data)


async def test_a_registration_may_get_another_name_a_display_name_and_an_invite(tmp_path: Path) -> None:
    code = """
    def register(server, new):
        if new.way == "register":
            new.user_id, new.display_name = new.user_id.lower(), f"{new.user_id} of {new.address or 'nowhere'}"
            new.invite = {"friend": server.memory["invite"]}.get(new.invite, new.invite)

    def name(server, new):
        new.text = new.text.replace("frak", "****")
    """
    code = textwrap.dedent(code) + hooks("AccountHook", "register=register, name=name")
    async with plugged(tmp_path, code, RELAY_ACCOUNTS__REGISTRATION="invite") as world:
        invite = await perform(world.engine, "user.invite", {})
        world.engine.server_of("asked").memory["invite"] = invite.split("#")[-1]
        body = {"user_id": "NEW", "password": PASSWORD, "display_name": "whatever", "invite": "friend"}
        answer = await world.rest("POST", "/api/register", json_body=body)
        assert (answer.status, answer.body["user_id"]) == (201, "new"), answer
        assert str(await shown(world, "new")).startswith("NEW of ")
        token = answer.body["token"]
        answer = await world.rest("PATCH", "/api/users/me", token, json_body={"display_name": "frak off"})
        assert answer.body["display_name"] == "**** off"
        assert await add(world, "frakker") is None
        assert await shown(world, "frakker") == "****ker"


JUNK = {
    "raises": "fail",
    "raises what is no Exception": "lambda server, new: exec('raise SystemExit(3)')",
    "returns False": "lambda server, new: False",
    "changes what is fixed": "lambda server, new: setattr(new, 'way', 'plugin')",
    "changes the user id of an operator's": "lambda server, new: setattr(new, 'user_id', 'other')",
    "makes a name no text": "lambda server, new: setattr(new, 'display_name', 5)",
    "makes a name that shows nothing": "lambda server, new: setattr(new, 'display_name', '\\u200b')",
    "makes a name too long": "lambda server, new: setattr(new, 'display_name', 'x' * 101)",
    "waits for ever": "wait",
}
WAIT = "import trio\n\nasync def wait(*arguments):\n    await trio.sleep_forever()\n"


@pytest.mark.parametrize("way", JUNK)
async def test_what_fails_refuses_and_nothing_happens(tmp_path: Path, way: str) -> None:
    async with plugged(tmp_path, WAIT + hooks("AccountHook", f"register={JUNK[way]}")) as world:
        assert "failed" in str(await add(world, "new"))
        assert await shown(world, "new") is None
        assert guard_of(world).failures == 1


async def test_a_plugin_in_quarantine_is_passed_over_unless_it_is_required(tmp_path: Path) -> None:
    for required, alone in ((False, True), (True, False)):
        folder = tmp_path / str(required)
        folder.mkdir()
        settings = {"RELAY_PLUGINS__QUARANTINE_FAILURES": "2"}
        code = hooks("ConversationHook", f"begin=fail, required={required}")
        async with plugged(folder, code, "u0", "u1", **settings) as world:
            device = await world.connect("u0")
            codes = []
            for _ in range(3):
                answer = await device.request("chat_message", {"content": "hi"}, "u1")
                codes.append(answer["payload"].get("code"))
            assert guard_of(world).quarantined
            assert codes == (["plugin_failed"] * 2 + [None] if alone else ["overloaded"] * 3)
            if required:
                assert answer["payload"]["retry"] is True
                assert "must check this message, and failed too often" in answer["payload"]["message"]
                assert world.engine.required.lacking() == {"asked": "failed too often and is set aside"}
                assert world.engine.required.refused["asked"] == 3
                guard_of(world).resume()


@pytest.mark.parametrize("there", [True, False], ids=["fails", "left out"])
async def test_what_the_operator_requires_is_asked_or_nothing_happens(tmp_path: Path, there: bool) -> None:
    if not there:
        (tmp_path / "plugins").mkdir()
        (tmp_path / "plugins" / "filter.py").write_text("1 / 0")
    name = "asked" if there else "filter"
    settings = {"RELAY_PLUGINS__REQUIRED": f'["{name}"]'}
    folder = tmp_path / "plugins"
    folder.mkdir(exist_ok=True)
    (folder / "asked.py").write_text(HEAD + hooks("AccountHook", f"name={'fail' if there else 'print'}"))
    async with open_world(tmp_path, RELAY_PLUGINS__DIRECTORIES=f'["{folder}"]', **settings) as world:
        refusal = str(await add(world, "new"))
        assert f"the plugin {name!r} must allow this, and " in refusal
        assert ("the server's log says how" if there else "left out at the start") in refusal
        assert await shown(world, "new") is None


async def test_hooks_are_asked_in_their_order_and_see_what_those_before_them_made(tmp_path: Path) -> None:
    code = """
    def first(server, new): new.text += " one"
    def second(server, new): new.text += " two"

    @hookimpl
    def relay_account_hooks():
        return [AccountHook(name=second, order=2), AccountHook(name=first, order=1)]
    """
    async with plugged(tmp_path, code) as world:
        assert await add(world, "new") is None
        assert await shown(world, "new") == "new one two"


async def test_who_began_is_told_and_only_the_beginning_is_asked_about(tmp_path: Path) -> None:
    async with plugged(tmp_path, WATCHER, "u0", "u1") as world:
        code: Any = sys.modules["relay_plugin_asked"]
        code.asked.clear()
        one, other = await world.connect("u0"), await world.connect("u1")
        for device, target in ((one, "u1"), (one, "u1"), (other, "u0"), (one, "u0")):
            assert (await device.request("chat_message", {"content": "hi"}, target))["type"] == "ack"
        (begun,) = [question for name, question in code.asked if name == "ConversationHook.begin"]
        assert (begun.kind, begun.by, begun.target_id, begun.members) == ("user", "u0", "u1", ("u0", "u1"))
        world.engine.channels._by_target.clear()  # as if it were long ago
        assert (await other.request("chat_message", {"content": "hi"}, "u0"))["type"] == "ack"
        assert len([name for name, _ in code.asked if name == "ConversationHook.begin"]) == 1


async def test_members_are_told_with_who_does_it_and_an_erasure_asks_nobody(tmp_path: Path) -> None:
    async with plugged(tmp_path, WATCHER, "u0", "u1", "u2") as world:
        code: Any = sys.modules["relay_plugin_asked"]
        code.asked.clear()
        body = {"group_id": "team", "name": "Team", "members": ["u1", "u2"]}
        assert (await world.rest("POST", "/api/groups", "u0", json_body=body)).status == 201
        assert (await world.rest("PUT", MEMBERS + "u1", "u0", json_body={"role": "admin"})).status == 200
        assert (await world.rest("PUT", MEMBERS + "u1", "u0", json_body={"role": "admin"})).status == 200
        assert (await world.rest("DELETE", MEMBERS + "u2", "u2")).status == 204
        await perform(world.engine, "group.add", {"group_id": "team", "user_id": "u2"})
        told = [
            (name.partition(".")[2], one.user_id, one.by, one.role, one.was)
            for name, one in code.asked
            if name in ("ConversationHook.join", "ConversationHook.leave", "ConversationHook.change_role")
        ]
        assert told == [
            ("join", "u1", "u0", "member", None),
            ("join", "u2", "u0", "member", None),
            ("change_role", "u1", "u0", "admin", "member"),
            ("leave", "u2", "u2", None, "member"),
            ("join", "u2", None, "member", None),
        ]
        code.asked.clear()
        code.refusing |= {"ConversationHook.leave", "ConversationHook.change_role"}
        await perform(world.engine, "user.erase", {"user_id": "u0"})
        code.refusing.clear()
        assert {name for name, _ in code.asked} == {"stored"}
        assert (await world.engine.groups.get("u1", "team")).members == {"u1": "owner", "u2": "member"}


SCANNER = """
async def upload(server, upload):
    server.memory["begun"] = (upload.name, upload.type, upload.size, upload.sha256)
    assert [part async for part in upload.parts()] == []
    upload.name = "begun-" + upload.name

async def scan(server, upload):
    read = b"".join([part async for part in upload.parts()])
    server.memory["scanned"] = (len(read), upload.size, len(upload.sha256))
    if b"virus" in read:
        raise RelayError(ErrorCode.FORBIDDEN, "this file is a virus")
    upload.type = "application/x-scanned"
"""


@pytest.mark.parametrize("size", [0, 5, CHUNK_BYTES, 2 * CHUNK_BYTES + 3])
async def test_a_file_is_read_renamed_and_kept_or_gone_without_a_byte(tmp_path: Path, size: int) -> None:
    async with plugged(tmp_path, SCANNER + hooks("UploadHook", "upload=upload, scan=scan"), "u0") as world:
        memory = world.engine.server_of("asked").memory
        refused = await upload(world, b"\x89PNG\r\n\x1a\n" + b"x" * size + b"virus")
        assert (refused.status, refused.body["detail"]) == (403, "this file is a virus")
        assert memory["begun"] == ("a.txt", "image/png", None, "")  # no size was announced
        assert memory["scanned"] == (size + 13, size + 13, 64)
        assert not await world.engine.runner.read(any_blob)
        kept = await upload(world, b"x" * size)
        assert (kept.status, kept.body["name"], kept.body["type"]) == (201, "begun-a.txt", "application/x-scanned")
        assert (
            await world.rest("GET", f"/api/attachments/{kept.body['attachment_id']}", "u0")
        ).body == b"x" * size
        assert guard_of(world).failures == 0


async def test_the_scanner_that_is_shown_finds_what_lies_across_two_parts(tmp_path: Path) -> None:
    (code,) = [block.text for block in blocks(read(PAGE)) if "def relay_upload_hooks" in block.text]
    async with plugged(tmp_path, code, "u0") as world:
        virus = b"EICAR-STANDARD-ANTIVIRUS-TEST-FILE"
        assert (await upload(world, b"x" * (CHUNK_BYTES - 7) + virus)).body["detail"] == "this file is a virus"
        assert (await upload(world, b"PK\x03\x04")).body["detail"] == "archives are not taken here"
        assert (await upload(world, b"x" * CHUNK_BYTES + virus[:-1])).status == 201


async def test_a_scan_has_a_deadline_of_its_own_and_a_file_that_is_not_scanned_is_gone(tmp_path: Path) -> None:
    code = WAIT + "async def slow(server, upload):\n    await trio.sleep(50)\n"
    for function, status, seconds in (("slow", 201, 50), ("wait", 502, 60)):
        folder = tmp_path / function
        folder.mkdir()
        async with plugged(folder, code + hooks("UploadHook", f"scan={function}"), "u0") as world:
            began = trio.current_time()
            assert (await upload(world, b"hello")).status == status
            assert trio.current_time() - began == pytest.approx(seconds, abs=1)
            assert await world.engine.runner.read(any_blob) is (status == 201)


@pytest.mark.parametrize(
    ("made", "why"),
    [
        ("AccountHook(register='x')", "register is 'x'; it is a function of server, new"),
        ("AccountHook(register=lambda new: None)", "it is called as register(server, new), but this takes (new)"),
        ("ConversationHook(join=no, required='yes')", "required is 'yes'; it is True or False"),
        ("AccountHook(registered=no, required=True)", "required is for a hook that can refuse"),
        ("UploadHook(scan=no, order='first')", "order is 'first'; it is a number"),
        ("PasswordAuthenticator(sign_in=lambda server, name: None)", "sign_in(server, name, password, address)"),
    ],
)
def test_a_mistake_is_told_at_the_start(tmp_path: Path, made: str, why: str) -> None:
    (tmp_path / "odd.py").write_text(f"{HEAD}\n@hookimpl\ndef relay_account_hooks():\n    return [{made}]\n")
    (broken,) = load([], [tmp_path], {}).broken
    assert why in broken.reason
    assert "odd.py:12" in broken.reason
