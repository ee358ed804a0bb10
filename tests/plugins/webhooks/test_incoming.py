"""Incoming webhooks: what may be sent to one, and what becomes of it."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlencode

import pytest
import trio

from relay.plugin import RelayError, update_user
from tests.actors import OPERATOR
from tests.plugins.webhooks.conftest import Run

FORM = "application/x-www-form-urlencoded"
JSON = "application/json"


def form(**fields: str) -> bytes:
    return urlencode(fields).encode()


@pytest.mark.parametrize(
    ("kind", "body", "content"),
    [
        (FORM, b"Build failed: see a=b & c", "Build failed: see a=b & c"),  # as curl -d has it
        (FORM, form(content="a form"), "a form"),
        (FORM, form(text="a form", username="ci"), "a form"),
        (FORM, form(payload=json.dumps({"text": "as Slack has it", "channel": "#x"})), "as Slack has it"),
        (JSON, b'{"content": "JSON"}', "JSON"),
        (JSON, b'{"text": "Slack", "blocks": []}', "Slack"),
        ("application/vnd.github+json", b'{"content": "suffixed"}', "suffixed"),
        ("text/plain", "gr\u00fc\u00dfe \U0001f44b\n".encode(), "gr\u00fc\u00dfe \U0001f44b"),
        (None, b"without a type", "without a type"),
    ],
)
async def test_a_text_is_posted_however_it_is_sent(
    webhooks: Run, kind: str | None, body: bytes, content: str
) -> None:
    async with webhooks("alice") as world:
        path = (await world.command("incoming", name="builds", as_="ci", to="alice")).path
        headers = {"Content-Type": kind} if kind else {}
        answer = await world.world.rest("POST", path, None, data=body, headers=headers)
        assert answer.status == 201, answer.body
        (said,) = await world.world.history("alice", "user", "ci")
        assert said["payload"] == {"content": content}
        assert said["meta"]["sender_id"] == "ci"
        assert answer.body == {
            "timestamp": said["meta"]["timestamp"],
            "duplicate": False,
            "message_id": said["meta"]["message_id"],
            "seq": said["meta"]["seq"],
        }


@pytest.mark.parametrize(
    ("kind", "body", "status", "code", "told"),
    [
        ("text/plain", b"", 400, "invalid_payload", "nothing is said"),
        ("text/plain", b" \n ", 400, "invalid_payload", "nothing is said"),
        ("text/plain", b"\xff\xfe", 400, "invalid_payload", "not UTF-8"),
        (JSON, b"{", 400, "bad_json", "the body is not JSON"),
        (JSON, b"[" * 60_000, 400, "bad_json", "the body is not JSON"),
        (JSON, b'"text"', 400, "invalid_payload", "Expected `object`, got `str`"),
        (JSON, b'{"content": 5}', 400, "invalid_payload", "Expected `str`, got `int` - at `$.content`"),
        (JSON, b'{"ref": "refs/heads/main"}', 400, "invalid_payload", "nothing is said"),
        (JSON, b'{"content": "x", "level": "error"}', 400, "invalid_payload", "level is for notifications"),
        (JSON, b'{"title": "x", "level": "grave"}', 400, "invalid_payload", "Invalid enum value 'grave'"),
        (JSON, b'{"content": "x", "id": ""}', 400, "invalid_payload", "Expected `str` of length >= 1 - at `$.id`"),
        (FORM, form(payload="{"), 400, "bad_json", "the body is not JSON"),
        ("multipart/form-data; boundary=x", b"--x--", 400, "invalid_payload", "a multipart form is not read here"),
        ("text/plain", b"x" * 65_537, 413, "too_large", "a call has 65,536 bytes at most; this has 65,537"),
        ("text/plain", b"x" * 65_536, 413, "too_large", "content has at most"),
    ],
)
async def test_what_cannot_be_posted_is_refused_by_name(
    webhooks: Run, kind: str, body: bytes, status: int, code: str, told: str
) -> None:
    async with webhooks("alice") as world:
        path = (await world.command("incoming", name="builds", as_="ci", to="alice")).path
        answer = await world.world.rest("POST", path, None, data=body, headers={"Content-Type": kind})
        assert (answer.status, answer.body["code"]) == (status, code), answer.body
        assert told in answer.body["detail"]
        assert await world.world.history("alice", "user", "ci") == []


async def test_a_group_gets_a_group_message_and_a_new_user_joins_it(webhooks: Run) -> None:
    async with webhooks("alice", "bob") as world:
        await world.world.engine.groups.create("alice", "Team", [], "team")
        alice = await world.world.connect("alice")
        path = (await world.command("incoming", name="builds", as_="ci", to="team")).path
        assert (await alice.next("group_event"))["payload"]["user_id"] == "ci"
        answer = await world.world.rest("POST", path, None, data=b"built")
        assert answer.status == 201
        assert (await alice.next("group_message"))["payload"] == {"content": "built"}
        with pytest.raises(RelayError, match="bob is not in team: relay group add team bob"):
            await world.command("incoming", name="other", as_="bob", to="team")


async def test_a_title_makes_it_a_notification(webhooks: Run) -> None:
    async with webhooks("alice") as world:
        alice = await world.world.connect("alice")
        path = (await world.command("incoming", name="disk", as_="monitor", to="alice")).path
        call = {"title": "Disk full", "content": "95 %", "level": "warning", "id": "disk-1"}
        answer = await world.world.rest("POST", path, None, json_body=call)
        assert answer.status == 201
        told = await alice.next("notification")
        assert told["payload"] == {"title": "Disk full", "body": "95 %", "level": "warning"}
        assert told["meta"]["id"] == "disk-1"


async def test_the_same_call_under_one_id_is_stored_once(webhooks: Run) -> None:
    async with webhooks("alice") as world:
        path = (await world.command("incoming", name="builds", as_="ci", to="alice")).path

        async def call(body: dict[str, Any], **headers: str) -> Any:
            named = {name.replace("_", "-"): value for name, value in headers.items()}
            return await world.world.rest("POST", path, None, json_body=body, headers=named)

        first = await call({"content": "once", "id": "build-1"})
        again = await call({"content": "once"}, Idempotency_Key="build-1")
        assert (first.status, again.status) == (201, 200)
        assert again.body == first.body | {"duplicate": True}
        other = await call({"content": "other", "id": "build-1"})
        assert (other.status, other.body["code"]) == (409, "conflict")
        differing = await call({"content": "once", "id": "build-1"}, Idempotency_Key="build-2")
        assert differing.body["detail"].startswith("the header Idempotency-Key and id differ")
        assert len(await world.world.history("alice", "user", "ci")) == 1


async def test_only_the_whole_url_leads_there_and_revoked_it_does_no_more(webhooks: Run) -> None:
    async with webhooks("alice") as world:
        path = (await world.command("incoming", name="builds", as_="ci", to="alice")).path
        shown = await world.world.rest("GET", path, None)
        assert shown.status == 200
        assert (shown.body["name"], shown.body["posts_as"], shown.body["target_id"]) == ("builds", "ci", "alice")
        for wrong in (path[:-1], path + "x", "/hook/x"):
            for method in ("GET", "POST"):
                answer = await world.world.rest(method, wrong, None, data=b"hello")
                assert (answer.status, answer.body["code"]) == (404, "not_found")
        assert await world.command("revoke", name="builds") == "builds: revoked"
        assert (await world.world.rest("POST", path, None, data=b"hello")).status == 404
        with pytest.raises(RelayError, match="there is no incoming webhook 'builds'"):
            await world.command("revoke", name="builds")


async def test_only_a_hash_of_the_token_is_kept(webhooks: Run) -> None:
    async with webhooks("alice") as world:
        token = (await world.command("incoming", name="builds", as_="ci", to="alice")).path.removeprefix("/hook/")
        await world.world.rest("POST", f"/hook/{token}", None, data=b"hello")
        dump = await world.world.engine.runner.read(lambda connection: "\n".join(connection.iterdump()))
        assert "webhooks_incoming" in dump
        assert token not in dump


async def test_each_incoming_webhook_has_a_rate_of_its_own(webhooks: Run) -> None:
    async with webhooks("alice", incoming_per_minute=3) as world:
        busy = (await world.command("incoming", name="busy", as_="ci", to="alice")).path
        calm = (await world.command("incoming", name="calm", as_="ci", to="alice")).path
        answers = [await world.world.rest("POST", busy, None, data=b"hello") for _ in range(4)]
        assert [answer.status for answer in answers] == [201, 201, 201, 429]
        assert int(answers[-1].headers["retry-after"]) == 20
        assert (await world.world.rest("POST", calm, None, data=b"hello")).status == 201


async def test_a_disabled_user_posts_nothing(webhooks: Run) -> None:
    async with webhooks("alice") as world:
        path = (await world.command("incoming", name="builds", as_="ci", to="alice")).path
        await world.world.engine.administration.set_disabled(OPERATOR, "ci", True)
        answer = await world.world.rest("POST", path, None, data=b"hello")
        assert (answer.status, answer.body["code"]) == (403, "forbidden")
        await world.world.engine.administration.set_disabled(OPERATOR, "ci", False)
        assert (await world.world.rest("POST", path, None, data=b"hello")).status == 201


async def test_a_banned_user_posts_nothing_until_the_ban_is_over(webhooks: Run) -> None:
    async with webhooks("alice") as world:
        path = (await world.command("incoming", name="builds", as_="ci", to="alice")).path
        until = world.world.engine.now() + 3600
        await world.world.engine.moderation.restrict(OPERATOR, "ban", "ci", until=until)
        answer = await world.world.rest("POST", path, None, data=b"hello")
        assert (answer.status, answer.body["code"]) == (403, "forbidden")
        assert await world.world.history("alice", "user", "ci") == []
        await trio.sleep(3601)
        assert (await world.world.rest("POST", path, None, data=b"hello")).status == 201


async def test_who_is_banned_from_a_group_posts_nothing_there(webhooks: Run) -> None:
    async with webhooks("alice") as world:
        engine = world.world.engine
        await engine.groups.create("alice", "Team", [], "team")
        path = (await world.command("incoming", name="builds", as_="ci", to="team")).path
        assert (await world.world.rest("POST", path, None, data=b"one")).status == 201
        await engine.moderation.restrict(OPERATOR, "ban", "ci", group_id="team")
        assert (await world.world.rest("POST", path, None, data=b"two")).status in (403, 404)
        said = [one for one in await world.world.history("alice", "group", "team") if "content" in one["payload"]]
        assert [one["payload"]["content"] for one in said] == ["one"]
        assert "ci" not in (await engine.group_administration.get("team")).members


async def test_slow_mode_holds_for_who_a_webhook_posts_as(webhooks: Run) -> None:
    async with webhooks("alice") as world:
        engine = world.world.engine
        await engine.groups.create("alice", "Team", [], "team")
        path = (await world.command("incoming", name="builds", as_="ci", to="team")).path
        await engine.slow_mode.set(OPERATOR, "team", 60)
        assert (await world.world.rest("POST", path, None, data=b"one")).status == 201
        answer = await world.world.rest("POST", path, None, data=b"two")
        assert (answer.status, answer.headers["retry-after"]) == (429, "60")
        assert answer.body["details"]["reason"] == "slow_mode"
        await trio.sleep(60)
        assert (await world.world.rest("POST", path, None, data=b"two")).status == 201


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"to": "nobody"}, "there is no user or group 'nobody'"),
        ({"as_": None}, "an incoming webhook needs --as USER and --to USER-OR-GROUP"),
        ({"as_": "c i"}, "'c i' cannot be a user id"),
        ({"as_": "team"}, "the name 'team' is taken"),
        ({"name": "there"}, "there is an incoming webhook 'there' already"),
    ],
)
async def test_an_incoming_webhook_that_cannot_be_is_refused(
    webhooks: Run, arguments: dict[str, Any], told: str
) -> None:
    async with webhooks("alice") as world:
        await world.world.engine.groups.create("alice", "Team", [], "team")
        await world.command("incoming", name="there", as_="ci", to="alice")
        given = {"name": "new", "as_": "ci", "to": "alice"} | arguments
        with pytest.raises(RelayError) as refused:
            await world.command("incoming", **{key: value for key, value in given.items() if value is not None})
        assert told in refused.value.message
        assert [one.name for one in await world.command("incoming")] == ["there"]


async def test_who_made_one_and_when_it_was_used_is_known_to_the_minute(webhooks: Run) -> None:
    async with webhooks("alice", "root") as world:
        await world.world.engine.runner.write(lambda c: update_user(c, "root", role="admin"))
        world.world.engine.accounts.forget()
        body = {"name": "builds", "user_id": "ci", "target_id": "alice"}
        made = await world.world.rest("POST", "/api/webhooks/incoming", "root", json_body=body)

        async def seen() -> Any:
            return (await world.world.rest("GET", "/api/webhooks/incoming", "root")).body["incoming"][0]

        assert ((await seen())["made_by"], (await seen())["used_at"]) == ("root", None)
        await trio.sleep(100)
        for _ in range(2):
            assert (await world.world.rest("POST", made.body["path"], None, data=b"x")).status == 201
        first = (await seen())["used_at"]
        assert first == pytest.approx(world.world.engine.now(), abs=1)
        await trio.sleep(30)
        await world.world.rest("POST", made.body["path"], None, data=b"x")
        assert (await seen())["used_at"] == first
        await trio.sleep(31)
        await world.world.rest("POST", made.body["path"], None, data=b"x")
        assert (await seen())["used_at"] > first + 60
