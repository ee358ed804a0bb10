"""docs/rest.md names every call, and its examples are true."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from relay.protocol.kinds import ServerRole
from relay.storage import accounts, invites
from tests.transports.rest.world import World

PAGE = (Path(__file__).parents[3] / "docs" / "rest.md").read_text(encoding="utf-8")
HEADING = re.compile(r"^### `([A-Z]+) (/[^`]*)`$", re.MULTILINE)


class Example(NamedTuple):
    """One call of the page and what it should bring."""

    method: str
    path: str
    headers: dict[str, str]
    body: Any
    status: int
    answer: Any


def sections() -> dict[tuple[str, str], str]:
    parts = HEADING.split(PAGE)[1:]
    return {(parts[i], parts[i + 1]): parts[i + 2] for i in range(0, len(parts), 3)}


def read(section: str, invite: str) -> Example:
    """Read the one example of a section."""
    (block,) = re.findall(r"^```http\n(.*?)^```", section, re.MULTILINE | re.DOTALL)
    asked, answered = block.replace("INVITE", invite).split("\n\n")
    first, *rest = asked.splitlines()
    method, path = first.split(" ")
    headers = dict(line.split(": ", 1) for line in rest if not line.startswith(("{", " ")))
    body = "\n".join(line for line in rest if line.startswith(("{", " ")))
    status, _, answer = answered.partition("\n")
    return Example(
        method, path, headers, json.loads(body) if body else None, int(status),
        json.loads(answer) if answer.strip() else None,
    )  # fmt: skip


def plain(value: Any) -> Any:
    """Reduce an answer to what is the same each time: of times and tokens only that they are there."""
    if isinstance(value, dict):
        return {name: plain(item) for name, item in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    if isinstance(value, float) and value > 1e9:
        return "a time"
    if isinstance(value, str) and re.fullmatch(r"a_(\u2026|[\w-]{16})", value):
        return "an attachment"
    return "a token" if isinstance(value, str) and value.startswith("rly_") else value


def agrees(documented: Any, told: Any) -> bool:
    """Tell whether an answer is the documented one; a "…" stands for anything, also for further members."""
    if documented == "…":
        return True
    if isinstance(documented, dict) and isinstance(told, dict):
        named = documented.keys() - {"…"}
        complete = "…" in documented or named == told.keys()
        return complete and all(name in told and agrees(documented[name], told[name]) for name in named)
    return bool(documented == told)


def routes(world: World) -> set[tuple[str, str]]:
    return {
        (method, re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule))
        for rule in world.app.url_map.iter_rules()
        if not rule.endpoint.startswith("web.")  # what browsers load; docs/web-page.md
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }


async def prepare(world: World) -> str:
    """Bring about what the page's examples take for granted, and return an invite."""
    hashed = await world.engine.logins.hash_password("correct horse")
    now = world.engine.now()

    def create(connection: Any) -> str:
        accounts.update_user(connection, "alice", password_hash=hashed)
        return invites.create_invite(connection, now, created_by=None, expires_at=None, uses=1)

    invite = await world.engine.runner.write(create)
    await world.device("alice", "phone")
    await world.device("alice", "tablet")
    await world.say("bob", "alice", "Are you there?")
    return invite


async def give_role(world: World, path: str) -> None:
    """Give alice the role that a call takes."""
    role = ServerRole.ADMIN if path.startswith("/api/admin/") else ServerRole.MEMBER
    role = ServerRole.OWNER if path == "/api/admin/import" else role
    await world.engine.runner.write(lambda connection: accounts.update_user(connection, "alice", role=role))
    world.engine.accounts.forget()


async def test_every_call_of_the_application_is_on_the_page_and_no_other(world: World):
    assert set(sections()) == routes(world)


async def test_every_example_is_true(world: World, tmp_path: Path):
    (tmp_path / "relay.toml").write_text("")
    msgspec.structs.force_setattr(world.engine.settings.plugins, "file", str(tmp_path / "relay.toml"))
    invite, uploaded = await prepare(world), ""
    for (method, path), section in sections().items():
        example = read(section, invite)
        documented = re.escape(path).replace(r"\{", "{").replace(r"\}", "}")
        assert example.method == method
        assert re.fullmatch(re.sub(r"{\w+}", "[^/]+", documented), example.path.partition("?")[0]), path
        if path == "/api/messages/group/{group_id}":
            await world.group("alice", "bob")
        await give_role(world, path)
        # A token for each, as some of the calls revoke the one they are made with.
        world.tokens["alice"] = await world.engine.runner.write(
            lambda c: accounts.create_token(c, "alice", 1.0, origin="cli")
        )
        more = {} if example.body is None else {"body": example.body}
        answer = await world.call(
            "alice", method, example.path.replace("a_\u2026", uploaded), headers=example.headers, **more
        )
        if path == "/api/attachments" and method == "POST" and answer.status == 201:
            uploaded = answer.body["attachment_id"]
        assert answer.status == example.status, (example, answer.raw)
        told = answer.body if answer.raw and answer.headers["Content-Type"] != "application/zip" else None
        assert agrees(plain(example.answer), plain(told)), (example, told)
