"""One's own data on the page: it is saved to the disk, and the account is deleted for good."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import pytest
import trio

from tests.e2e.browser.cdp import Page
from tests.e2e.browser.people import PASSWORD, SAID, open_conversation, open_place, send
from tests.e2e.browser.test_accounts import sign_in, sound
from tests.e2e.browser.test_settings import fill_in, section
from tests.e2e.wire import PATIENCE

pytestmark = [pytest.mark.e2e, pytest.mark.long]

WRONG = "document.querySelector('.settings .page .wrong:not(:empty)')?.textContent"


async def test_a_user_takes_their_data_along_and_deletes_the_account(chromium: str, tmp_path: Path) -> None:
    async with open_place(chromium, tmp_path, "alice", "bob") as place:
        place.server.relay("user", "passwd", "alice", "--password-stdin", stdin=f"{PASSWORD}\n")
        alice, bob = await place.signed_in("alice", "bob"), await place.signed_in("bob", "alice")
        await send(alice, "Good bye, Bob")
        await bob.wait(f"{SAID}.includes('Good bye, Bob')")
        saved = tmp_path / "saved"
        saved.mkdir()
        await place.browser.send(
            "Browser.setDownloadBehavior",
            behavior="allow",
            downloadPath=str(saved),
            browserContextId=place.contexts["alice"],
        )
        await section(alice, "data")
        await sound(alice, tmp_path, "own-data")
        await alice.click("Export my data")
        await alice.wait("document.querySelector('.settings .page .told')?.textContent.startsWith('Done:')")
        with trio.fail_after(PATIENCE):
            while not (found := list(saved.glob("relay-alice-*.zip"))):
                await trio.sleep(0.05)
        with zipfile.ZipFile(found[0]) as archive:
            messages = [json.loads(line) for line in archive.read("messages.ndjson").splitlines()]
        assert [one["payload"]["content"] for one in messages] == ["Good bye, Bob"]

        await alice.click("Delete my account")
        await alice.wait(f"{WRONG}?.length > 0")
        await fill_in(alice, "Your password", "wrong")
        await delete(alice)
        await alice.wait(f"{WRONG} === 'The current password is wrong.'")
        await fill_in(alice, "Your password", PASSWORD)
        await delete(alice)
        await alice.wait("document.querySelector('.card')?.textContent.includes('Your account is deleted')")
        await sign_in(alice, "alice", PASSWORD)
        await alice.wait("document.querySelector('.card .failure')?.textContent.length > 0")
        await bob.reload()
        await open_conversation(bob, "alice")
        await bob.wait("document.querySelector('.messages .message')")
        await bob.wait("!document.body.textContent.includes('Good bye')")  # what was kept here gives way as well


async def delete(page: Page) -> None:
    """Press the button, and agree."""
    await page.click("Delete my account")
    agree = "[...document.querySelectorAll('dialog[open] .choice .danger')].at(-1)"
    await page.wait(agree)
    await page.evaluate(f"{agree}.click()")
