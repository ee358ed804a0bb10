"""What the log has of refused logins and tokens: enough to act on, and no more of a flood than of a trickle."""

from __future__ import annotations

import pytest

from relay.services.refusals import Refusals
from relay.testing import World
from tests.actors import OPERATOR


def told(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name == "relay.accounts"]


def test_of_a_flood_a_few_lines_are_written_and_then_how_many_more(caplog: pytest.LogCaptureFixture) -> None:
    now = 0.0
    refusals = Refusals(lambda: now)
    for number in range(1000):
        refusals.login(f"user{number}", "203.0.113.1", "wrong")
    assert len(told(caplog)) == 21
    assert told(caplog)[-1] == "further refusals within 60 s are counted and not told one by one"
    now = 60.0
    refusals.token(None, "", "wrong")
    assert told(caplog)[21:] == [
        "980 more logins and tokens were refused",
        "a token from nowhere was refused: wrong",
    ]


def test_a_line_stays_one_line_whatever_somebody_sends(caplog: pytest.LogCaptureFixture) -> None:
    Refusals(lambda: 0.0).login("a\nb\x1b[31m" + "x" * 500, "203.0.113.1", "no\nsuch\x1b thing")
    (line,) = told(caplog)
    assert line.isprintable()
    assert len(line) < 200


async def refuse_token(server: World, shown: str) -> None:
    assert (await server.rest("GET", "/api/users/me", shown)).status in (401, 403)
    device = await server.upgrade()
    await device.send(
        {"type": "connection_event", "payload": {"event": "hello", "token": server.tokens.get(shown, shown)}}
    )
    await device.closed()


@pytest.mark.world("alice")
async def test_refused_logins_and_tokens_are_told_with_whose_and_from_where_and_without_secrets(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    for body in ({"user_id": "alice", "password": "a-secret"}, {"user_id": "nobody", "password": "a-secret"}):
        assert (await world.rest("POST", "/api/login", json_body=body)).status == 403
    change = {"password": "another-secret", "current_password": "a-secret"}
    assert (await world.rest("PATCH", "/api/users/me", "alice", json_body=change)).status == 403
    register = {"user_id": "mallory", "password": "a-secret", "invite": "a-secret-code"}
    assert (await world.rest("POST", "/api/register", json_body=register)).status == 403
    assert (await world.rest("GET", "/api/users/me")).status == 401
    lines = told(caplog)
    assert [line.partition(": ")[0] for line in lines] == [
        f"a login from <local> was refused, of {name!r}" for name in ("alice", "nobody", "alice", "mallory")
    ]  # fmt: skip
    caplog.clear()
    await refuse_token(world, "rly_a-secret-token")
    await world.engine.administration.set_disabled(OPERATOR, "alice", True)
    await refuse_token(world, "alice")
    assert [line.partition(": ")[0] for line in told(caplog)] == [
        f"a token from {address} was refused{whose}"
        for whose in ("", ", of 'alice'")
        for address in ("<local>", "memory")
    ]
    assert "account disabled" in told(caplog)[-1]
    assert "secret" not in caplog.text
    assert world.tokens["alice"] not in caplog.text
