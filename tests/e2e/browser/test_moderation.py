"""A required filter that fails, and a whisper, on the page: the reason at the message, and a line for one alone."""

from __future__ import annotations

import json
import re
from pathlib import Path

import httpx
import pytest

from tests.docs.conversation import blocks
from tests.docs.test_docs import read
from tests.e2e.browser.people import Place, load_anew, open_conversation, open_place, send, shows

pytestmark = [pytest.mark.e2e, pytest.mark.long]

BUG = "\n".join(
    (
        "import relay.plugin as plugin",
        "def before(draft):",
        "    first = draft.payload.content.split()[0]",
        "    if first == 'no':",
        "        raise plugin.RelayError(plugin.ErrorCode.FORBIDDEN, 'this word is not used here')",
        "@plugin.hookimpl",
        "def relay_message_hooks():",
        "    return [plugin.MessageHook(types=frozenset({'chat_message'}), before=before, required=True)]",
        "",
    )
)
REASON = "(document.querySelector('.message .failure')?.textContent ?? '')"
WHISPERS = "[...document.querySelectorAll('.whisper')].map((one) => one.firstChild.textContent)"
NOTE = "Some people here do not like that word."


async def test_a_whisper_is_for_one_alone_and_what_a_filter_set_aside_must_check_waits_with_the_reason(
    chromium: str, tmp_path: Path
) -> None:
    (plugin,) = [block for block in blocks(read("docs/plugins/moderation.md")) if block.role == "plugin"]
    (tmp_path / "plugins.d").mkdir()
    (tmp_path / "plugins.d" / "word_filter.py").write_text(plugin.text)
    (tmp_path / "plugins.d" / "strict_filter.py").write_text(BUG)
    async with open_place(chromium, tmp_path, "alice", "bob") as place:
        alice, bob = await place.signed_in("alice", "bob"), await place.signed_in("bob", "alice")
        await send(alice, "darn it")
        there = f"JSON.stringify({WHISPERS}) === {json.dumps(json.dumps([NOTE]))}"
        await alice.wait(there)
        assert "Only you can see this" in str(
            await alice.evaluate("document.querySelector('.whisper').textContent")
        )
        await shows(bob, ["darn it"])
        assert await bob.evaluate(WHISPERS) == []
        await load_anew(alice)
        await open_conversation(alice, "bob")
        await alice.wait(there)
        await alice.click("Dismiss")
        await alice.wait(f"{WHISPERS}.length === 0")
        await load_anew(alice)
        await shows(alice, ["darn it"])
        assert await alice.evaluate(WHISPERS) == []

        break_the_filter(place)
        await send(alice, "no frak it all")
        await alice.wait(f"{REASON}.includes('strict_filter')")
        said = str(await alice.evaluate(REASON))
        assert said.startswith("Not sent yet. The plugin “strict_filter” must check this")
        assert said.endswith("It is sent again by itself.")
        assert place.said("bob", "alice") == ["darn it"]
        the_server_says_why(place)
        place.server.relay("plugins", "resume", "strict_filter")
        await alice.wait(f"{REASON}.startsWith('Not sent. This word is not used here.')")
        assert place.said("bob", "alice") == ["darn it"]


def break_the_filter(place: Place) -> None:
    """Send what the filter fails at, until it is set aside."""
    body = {"type": "chat_message", "payload": {"content": " "}, "meta": {"target_id": "alice"}}
    with place.server.rest(place.tokens["bob"]) as rest:
        for _ in range(11):
            assert rest.post("/api/messages", json=body).json()["code"] == "overloaded"


def the_server_says_why(place: Place) -> None:
    """Check what those who watch the server see."""
    ready = httpx.get(f"{place.server.url}/readyz").json()
    assert (ready["status"], ready["checks"]["required_plugins"]) == ("degraded", False)
    metrics = httpx.get(f"{place.server.url}/metrics").text
    assert 'relay_required_plugin_lacking{plugin="strict_filter"} 1.0' in metrics
    refused = re.search(r'relay_required_refusals_total\{plugin="strict_filter"\} (\d+)', metrics)
    assert refused is not None
    assert int(refused[1]) >= 12
    assert "required, so what it must check is refused" in place.server.relay("plugins", "list")
