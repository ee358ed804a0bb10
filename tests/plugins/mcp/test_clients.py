"""The library's own client on a real server: what agents do, over restarts and `kill -9`."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import httpx2
import pytest
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.exceptions import MCPError

from tests.e2e.server import Server

pytestmark = pytest.mark.e2e

PING = {"jsonrpc": "2.0", "id": 1, "method": "ping"}
USERS = ("agent", "alice", "bob", "carol")


class Place:
    """A server with users, and what they do by REST."""

    def __init__(self, folder: Path) -> None:
        self.server = Server(folder, {"plugins": {"also": ["mcp"]}})
        self.server.start()
        self.tokens = self.server.import_users(USERS)
        self.wait_imported()
        self.say("POST", "/api/groups", "alice", {"name": "Team", "group_id": "team", "members": ["agent", "bob"]})

    def restart(self) -> None:
        self.server.kill()
        self.server.start()
        self.wait_imported()

    def wait_imported(self) -> None:
        """Wait until the library is imported: on a busy machine requests are told to try again until then."""
        deadline = time.monotonic() + 60
        while self.ping("agent").status_code == 503:
            assert time.monotonic() < deadline, self.server.diagnosis()

    def login(self, user: str, password: str) -> str:
        body = {"user_id": user, "password": password}
        answer = httpx.post(f"{self.server.url}/api/login", json=body, trust_env=False)
        return str(answer.json()["token"])

    def ping(self, user: str | None, body: Any = PING) -> httpx.Response:
        headers = {"Accept": "application/json, text/event-stream"}
        if user is not None:
            headers["Authorization"] = f"Bearer {self.tokens[user]}"
        return httpx.post(f"{self.server.url}/mcp", json=body, headers=headers, timeout=20, trust_env=False)

    def say(self, method: str, path: str, user: str, body: Any = None) -> Any:
        with self.server.rest(self.tokens[user]) as rest:
            answer = rest.request(method, path, json=body)
        assert answer.status_code < 300, answer.text
        return answer.json() if answer.content else None

    def send(self, user: str, target: str, content: str) -> int:
        kind = "group_message" if target == "team" else "chat_message"
        body = {"type": kind, "payload": {"content": content}, "meta": {"target_id": target}}
        return int(self.say("POST", "/api/messages", user, body)["message_id"])

    @asynccontextmanager
    async def agent(self, user: str = "agent", mode: Any = "legacy") -> AsyncIterator[Client]:
        headers = {"Authorization": f"Bearer {self.tokens[user]}"}
        async with httpx2.AsyncClient(headers=headers, timeout=20, trust_env=False) as http:
            transport = streamable_http_client(f"{self.server.url}/mcp", http_client=http)
            async with Client(transport, mode=mode) as client:
                yield client


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    made = Place(tmp_path_factory.mktemp("mcp"))
    yield made
    made.server.kill()


async def done(client: Client, tool: str, **arguments: Any) -> Any:
    result = await client.call_tool(tool, arguments)
    assert not result.is_error, result.structured_content
    return result.structured_content


async def refused(client: Client, tool: str, **arguments: Any) -> Any:
    result = await client.call_tool(tool, arguments)
    assert result.is_error, result.structured_content
    return result.structured_content


def contents(page: Any) -> list[str]:
    return [row["payload"]["content"] for row in page["messages"] if "content" in row["payload"]]


@pytest.mark.parametrize("mode", ["legacy", "auto"])
async def test_an_agent_reads_answers_edits_reacts_and_deletes(place: Place, mode: str) -> None:
    asked = place.send("alice", "agent", f"what is the time? {mode}")
    async with place.agent(mode=mode) as client:
        hints = {tool.name: tool.annotations for tool in (await client.list_tools()).tools}
        assert all(hint.idempotent_hint for hint in hints.values() if hint is not None)
        assert (await done(client, "who_am_i"))["user_id"] == "agent"
        (row,) = [
            row
            for row in (await done(client, "list_conversations"))["conversations"]
            if row["target_id"] == "alice"
        ]
        assert row["unread"] >= 1
        assert contents(await done(client, "read_messages", target_id="alice"))[-1] == f"what is the time? {mode}"
        said = await done(
            client, "send_message", target_id="alice", content="noon", reply_to=asked, idempotency_key=f"a-{mode}"
        )
        await done(
            client, "edit_message", message_id=said["message_id"], content="one", idempotency_key=f"e-{mode}"
        )
        await done(client, "react", message_id=asked, emoji="👍")
        await done(client, "mark_read", target_id="alice", up_to_seq=said["seq"])
        page = await done(client, "read_messages", target_id="alice")
        (edited,) = [row for row in page["messages"] if row["meta"]["message_id"] == said["message_id"]]
        assert (edited["payload"]["content"], edited["payload"]["reply_to"]) == ("one", asked)
        assert any(value["type"] == "reaction" for value in page["latest"])
        assert [found["user_id"] for found in (await done(client, "find_user", q="bo"))["users"]] == ["bob"]
        assert (await done(client, "list_members", group_id="team"))["name"] == "Team"
        found = await done(client, "search", q=f"time {mode}")
        assert [hit["message"]["meta"]["message_id"] for hit in found["results"]] == [asked]
        first = await done(client, "delete_message", message_id=said["message_id"])
        again = await done(client, "delete_message", message_id=said["message_id"])
        assert (first["message_id"], again["duplicate"]) == (again["message_id"], True)


async def test_a_write_is_done_once_over_a_kill_and_a_read_goes_on_from_its_cursor(place: Place) -> None:
    expected, seen, cursor = [], [], None
    async with place.agent() as client:
        while True:  # all that was there before
            page = await done(client, "read_new", **({"cursor": cursor} if cursor else {}))
            cursor = page["cursor"]
            if not page["has_more"]:
                break
        wanted = {"target_id": "team", "content": "deployed", "idempotency_key": "deploy-7"}
        first = await done(client, "send_message", **wanted)
        expected.append("deployed")
        for number in range(7):
            user, target = [("alice", "agent"), ("bob", "team"), ("bob", "agent")][number % 3]
            place.send(user, target, f"m{number}")
            expected.append(f"m{number}")
        page = await done(client, "read_new", cursor=cursor, limit=3)
        seen, cursor = contents(page), page["cursor"]
        place.restart()
        again = await done(client, "send_message", **wanted)
        assert again == {**first, "duplicate": True}
        other = await refused(client, "send_message", **{**wanted, "content": "rolled back"})
        assert (other["code"], other["retry"]) == ("conflict", False)
        place.send("alice", "team", "late")
        expected.append("late")
        while page["has_more"] or "late" not in seen:
            page = await done(client, "read_new", cursor=cursor, limit=3)
            seen += contents(page)
            cursor = page["cursor"]
    assert sorted(seen) == sorted(expected)


async def test_nobody_reads_or_touches_what_their_token_may_not_see(place: Place) -> None:
    secret = place.send("alice", "bob", "the secret of alice and bob")
    async with place.agent("carol") as client:
        assert contents(await done(client, "read_messages", target_id="alice")) == []
        assert (await done(client, "search", q="secret"))["results"] == []
        assert contents(await done(client, "read_new")) == []
        absent = await refused(client, "read_messages", target_id="nobody")
        hidden = await refused(client, "read_messages", target_id="team")
        assert hidden["message"].replace("team", "nobody") == absent["message"]
        touched = [
            await refused(client, "react", message_id=secret, emoji="👀"),
            await refused(client, "delete_message", message_id=secret),
            await refused(client, "edit_message", message_id=secret, content="x", idempotency_key="x"),
            await refused(client, "list_members", group_id="team"),
            await refused(client, "send_message", target_id="team", content="x", idempotency_key="y"),
        ]
        assert {problem["code"] for problem in touched} == {"not_found"}


async def test_a_request_without_a_good_token_is_refused_also_in_the_middle(place: Place) -> None:
    bare = place.ping(None)
    assert (bare.status_code, bare.headers["WWW-Authenticate"]) == (401, 'Bearer realm="relay"')
    place.server.relay("user", "add", "dave", "--password-stdin", stdin="correct horse\n")
    place.tokens["dave"] = place.login("dave", "correct horse")
    async with place.agent("dave") as client:
        assert (await done(client, "who_am_i"))["user_id"] == "dave"
        place.say("POST", "/api/logout", "dave")
        with pytest.raises(MCPError):
            await client.call_tool("who_am_i", {})
    assert place.ping("dave").status_code == 401


async def test_what_is_no_message_of_the_protocol_is_refused_in_its_own_words(place: Place) -> None:
    answer = place.ping("agent", [1, 2])
    assert (answer.status_code, answer.json()["jsonrpc"]) == (400, "2.0")
    assert place.ping("agent").headers["Cache-Control"] == "no-store"
