"""docs/plugins/webhooks.md says what is so: its delivery, its answer, its code, its calls, commands and options."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest
import trio
from standardwebhooks import Webhook, WebhookVerificationError

from relay.http.paths import claims
from tests.docs.conversation import agrees, blocks
from tests.docs.test_docs import rows
from tests.plugins.webhooks.conftest import Run
from tests.plugins.webhooks.receiver import answering

PAGE = (Path(__file__).parents[3] / "docs" / "plugins" / "webhooks.md").read_text(encoding="utf-8")
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


def block(language: str, role: str) -> str:
    (found,) = [one.text for one in blocks(PAGE) if (one.language, one.role) == (language, role)]
    return found


async def test_a_delivery_looks_as_the_page_has_it_and_an_answer_is_posted(webhooks: Run) -> None:
    async with webhooks("alice", "bob") as world:
        alice = await world.world.connect("alice")
        _, receiver = await world.hook(reply_as="bob")
        receiver.behaviour = answering(200, json.loads(block("json", "answer")))
        await world.say(alice, "bob", "hello")
        await trio.sleep(1)
        assert agrees(json.loads(block("json", "delivery")), receiver.posted[0].json)
        said = await alice.next("chat_message")
        assert (said["payload"], said["meta"]["sender_id"]) == (json.loads(block("json", "answer")), "bob")


def signed(secrets: list[str], body: bytes, at: int) -> dict[str, str]:
    from relay_plugin_webhooks.signing import signed_headers  # type: ignore[import-not-found]

    headers: dict[str, str] = signed_headers(secrets, "msg_1", at, body)
    return headers


def cases() -> list[tuple[bool, dict[str, str], bytes]]:
    """Return deliveries, and whether each is genuine, as the library of Standard Webhooks sees it."""
    body, now, other = '{"content": "h\u00e9llo"}'.encode(), int(time.time()), "whsec_" + "b3RoZXI" * 6 + "cg=="
    given = [
        (signed([SECRET], body, now), body),
        (signed([other, SECRET], body, now), body),
        (signed([other], body, now), body),
        (signed([SECRET], body, now), body + b" "),
        (signed([SECRET], body, now - 1000), body),
        (signed([SECRET], body, now) | {"webhook-id": "msg_2"}, body),
        (signed([SECRET], body, now) | {"webhook-signature": "v1,"}, body),
    ]
    judged = []
    for headers, sent in given:
        try:
            Webhook(SECRET).verify(sent, headers)
            judged.append((True, headers, sent))
        except WebhookVerificationError:
            judged.append((False, headers, sent))
    assert [genuine for genuine, _, _ in judged] == [True, True, False, False, False, False, False]
    return judged


def test_the_python_code_judges_as_the_library_does() -> None:
    names: dict[str, Any] = {}
    exec(block("python", "verify"), names)
    for genuine, headers, body in cases():
        assert names["verify"](SECRET, headers, body) is genuine


@pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed")
def test_the_node_code_judges_as_the_library_does() -> None:
    judged = cases()
    given = json.dumps([[headers, body.decode()] for _, headers, body in judged])
    call = f"for (const [h, b] of {given}) console.log(verify({json.dumps(SECRET)}, h, Buffer.from(b)));"
    code = block("js", "verify") + "\n" + call
    done = subprocess.run(["node", "-e", code], capture_output=True, text=True, timeout=30, check=True)
    assert done.stdout.split() == ["true" if genuine else "false" for genuine, _, _ in judged]


def test_every_option_is_documented_with_its_default() -> None:
    from relay_plugin_webhooks.options import Options  # type: ignore[import-not-found]

    told = {row[0].strip("`"): row[1] for row in rows(PAGE, "`[plugins.webhooks]`")}
    options = msgspec.structs.asdict(Options())
    pauses = options["retry_seconds"]
    expected = {
        name: f"{value:g}" if type(value) in (int, float) else str(value).lower()
        for name, value in options.items()
    }
    assert told == expected | {"retry_seconds": f"{pauses[0]} … {pauses[-1]}", "incoming_bytes": "65536"}


def test_every_command_and_its_options_are_documented() -> None:
    from relay_plugin_webhooks.commands import make_commands  # type: ignore[import-not-found]
    from relay_plugin_webhooks.options import Options

    for command in make_commands(Options()):
        name = command.name.removeprefix("webhook ")
        assert re.search(rf"`(relay webhook )?{name}\b", PAGE) or f"    relay webhook {name} " in PAGE, name
        for option, value in command.run.__kwdefaults__.items() if command.run.__kwdefaults__ else ():
            flag = f"--{option.rstrip('_').replace('_', '-')}"
            assert flag in PAGE, (name, flag, value)


def test_every_call_is_documented() -> None:
    from relay_plugin_webhooks.options import Options  # type: ignore[import-not-found]
    from relay_plugin_webhooks.routes import make_routes  # type: ignore[import-not-found]

    told = set()
    for row in rows(PAGE, "REST"):
        method, base = "", ""
        for one in re.findall(r"`([^`]+)`", row[0]):
            *given, path = one.split(" ")
            method = given[0] if given else method
            base = base if not given else path.rpartition("/")[0]
            full = path if given else base + path
            told.add((method, re.sub(r"\{\w+\}", "<>", full)))
    wanted = claims([make_routes(Options()).blueprint], "webhooks")
    assert told == {call for call in wanted if call[1].startswith("/api")}
