"""Backups at the page: made and downloaded in the administration, and a restored server under pages that are open."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e.browser.people import SAID, open_place, send, shows, state
from tests.e2e.browser.test_administration import go, open_administration

pytestmark = pytest.mark.e2e


async def test_open_pages_begin_anew_with_a_restored_server_and_show_nothing_twice(
    chromium: str, tmp_path: Path
) -> None:
    async with open_place(chromium, tmp_path, "alice", "bob") as place:
        alice, bob = await place.signed_in("alice", "bob"), await place.signed_in("bob", "alice")
        for number in range(3):
            await send(alice if number % 2 else bob, f"message {number}")
        await shows(alice, ["message 0", "message 1", "message 2"])
        place.server.relay("backup", str(tmp_path / "backup.db"))
        await send(alice, "after the backup")
        await shows(bob, ["message 0", "message 1", "message 2", "after the backup"])
        place.server.stop()
        await bob.write("Message", "waits for the server")
        await bob.press("Enter")
        await bob.wait(f"{SAID}.includes('waits for the server')")
        place.server.relay("restore", str(tmp_path / "backup.db"))
        place.server.start()
        await state(bob, "waits for the server", "sent")
        await send(alice, "and on")
        await state(alice, "and on", "sent")
        said = ["message 0", "message 1", "message 2", "waits for the server", "and on"]
        assert place.said("bob", "alice") == said
        await shows(alice, said)
        await shows(bob, said)


async def test_an_owner_makes_a_backup_and_downloads_it(chromium: str, tmp_path: Path) -> None:
    async with open_place(chromium, tmp_path, "alice", "bob") as place:
        place.server.relay("user", "role", "alice", "owner")
        place.server.relay("user", "role", "bob", "admin")
        page = await open_administration(place, "alice")
        await go(page, "backups")
        await page.wait("document.querySelector('.admin-main').textContent.includes('No backup was made yet.')")
        await page.click("Make a backup")
        await page.wait("document.querySelector('.admin-table .admin-chip.good')")
        (file,) = (tmp_path / "backups").iterdir()
        await page.evaluate("void (URL.createObjectURL = (blob) => ((globalThis.size = blob.size), 'blob:none'))")
        await page.evaluate(
            "void (HTMLAnchorElement.prototype.click = function () { globalThis.saved = this.download; })"
        )
        await page.click("Download")
        await page.evaluate("document.querySelector('dialog .primary').click()")
        assert await page.wait("globalThis.saved") == file.name
        assert await page.evaluate("globalThis.size") == file.stat().st_size
        admin = await open_administration(place, "bob")
        await go(admin, "backups")
        await admin.wait("document.querySelector('.admin-table .admin-chip.good') && !named('Download')")
