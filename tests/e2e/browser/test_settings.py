"""The settings, pictures of people, and invitations, in a real browser."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import trio

from tests.e2e.browser.cdp import Page
from tests.e2e.browser.people import PASSWORD, open_place, send
from tests.e2e.wire import PATIENCE

pytestmark = pytest.mark.e2e

PAGE = "document.querySelector('dialog.settings .page')"
KEPT = "document.querySelector('.settings .kept')?.textContent"
CHOOSE_A_PICTURE = """(async () => {
    const canvas = Object.assign(document.createElement("canvas"), { width: 900, height: 600 });
    canvas.getContext("2d").fillRect(0, 0, 900, 600);
    const file = new File([await new Promise((resolve) => canvas.toBlob(resolve))], "me.png", { type: "image/png" });
    const chosen = new DataTransfer();
    chosen.items.add(file);
    const input = document.querySelector(".portrait input[type=file]");
    input.files = chosen.files;
    input.dispatchEvent(new Event("change"));
})()"""


async def section(page: Page, name: str) -> None:
    """Open the settings at a section, and wait until it is there."""
    await page.evaluate("""
        document.querySelector("dialog") ?? dispatchEvent(new KeyboardEvent("keydown", { key: ",", ctrlKey: true }))
    """)
    await page.wait(f"document.querySelector('[data-section={name}]')")
    await page.evaluate(f"document.querySelector('[data-section={name}]').click()")
    title = f"document.querySelector('[data-section={name}]').textContent"
    await page.wait(
        f"{PAGE}?.querySelector('h3')?.textContent === {title} && !{PAGE}.querySelector('.loaded > .told')"
    )


async def choose(page: Page, label: str, value: str) -> None:
    """Choose from the list of that label, as a mouse does."""
    await page.evaluate(f"""
        [...document.querySelectorAll("label")].find((one) => one.textContent === {json.dumps(label)}).control.value =
            {json.dumps(value)}
    """)
    await page.evaluate(f"""
        [...document.querySelectorAll("label")].find((one) => one.textContent === {json.dumps(label)}).control
            .dispatchEvent(new Event("change", {{ bubbles: true }}))
    """)


async def fill_in(page: Page, label: str, text: str) -> None:
    """Write into the field of that label in place of what it has."""
    await page.evaluate(f"""
        (() => {{
            const found = [...document.querySelectorAll("label")].find((one) => one.textContent === {json.dumps(label)});
            found.control.focus();
            found.control.select();
        }})()
    """)
    await page.send("Input.insertText", text=text)


async def test_what_one_chooses_is_kept_and_seen_by_others(chromium: str, tmp_path: Path) -> None:
    async with open_place(chromium, tmp_path, "alice", "bob") as place:
        alice, bob = await place.signed_in("alice"), await place.signed_in("bob", "alice")
        await send(bob, "Hello")
        with place.server.rest(place.tokens["alice"]) as rest:
            await section(alice, "profile")
            await fill_in(alice, "Shown as", "Alice Liddell")
            await alice.click("Save")
            await alice.wait("[...document.querySelectorAll('.kept')].some((one) => one.textContent === 'Saved')")
            assert rest.get("/api/users/me").json()["display_name"] == "Alice Liddell"
            await alice.evaluate(CHOOSE_A_PICTURE)
            await alice.click("Use this picture")
            await alice.wait("document.querySelector('.portrait .avatar img')?.naturalWidth === 384")
            await alice.wait("document.querySelector('.me .avatar img')")
            picture = rest.get("/api/users/me").json()["picture"]
            assert rest.head(f"/api/attachments/{picture}").headers["Content-Type"] == "image/webp"

            await section(alice, "status")
            await choose(alice, "How you are", "busy")
            await fill_in(alice, "Text", "At lunch")
            await choose(alice, "Until", "hour")
            await alice.click("Set status")
            await alice.wait(f"{KEPT} === 'Saved'")
            me = rest.get("/api/users/me").json()
            assert (me["status"], me["status_text"]) == ("busy", "At lunch")
            await bob.wait("document.querySelector('.conversation .about').textContent.includes('At lunch')")
            rest.post("/api/messages", json={"type": "status_update", "payload": {"status": "offline"}})
            await section(alice, "status")
            await alice.wait("document.querySelector('.settings select').value === 'offline'")
            assert "offline" in await alice.evaluate(
                "document.querySelector('.settings form > .note').textContent"
            )

            await section(alice, "privacy")
            await choose(alice, "Who may add you to groups", "nobody")
            await alice.wait("[...document.querySelectorAll('.kept')].some((one) => one.textContent === 'Saved')")
            await alice.evaluate("document.querySelector('[role=switch]').click()")
            await alice.wait("[...document.querySelectorAll('.kept')].at(-1).textContent === 'Saved'")
            me = rest.get("/api/users/me").json()
            assert (me["groups_from"], me["receipts"]) == ("nobody", False)

        await section(alice, "appearance")
        await alice.evaluate("document.querySelector('[type=radio][value=dark]').click()")
        assert await alice.evaluate("getComputedStyle(document.documentElement).colorScheme") == "dark"
        await alice.evaluate("document.querySelector('[type=radio][value=large]').click()")
        await choose(alice, "Language", "fr")
        await alice.wait("document.documentElement.lang === 'fr' && document.querySelector('.me strong')")
        assert await alice.evaluate("getComputedStyle(document.documentElement).colorScheme") == "dark"
        assert await alice.evaluate("getComputedStyle(document.documentElement).fontSize") == "17px"
        await section(alice, "devices")
        assert await alice.evaluate(f"{PAGE}.querySelector('.this').textContent") == "Cet appareil"
        await alice.press("Escape")
        await alice.wait("!document.querySelector('dialog')")

        await bob.reload()
        await bob.wait("document.querySelector('.conversations .avatar img')?.naturalWidth === 384")
        await bob.wait("document.querySelector('.conversation h2')?.textContent === 'Alice Liddell'")
        await section(bob, "privacy")
        place.network.cut()
        await choose(bob, "Who sees your status", "nobody")
        await bob.wait(f"{PAGE}.querySelector('.failure')?.textContent.includes('cannot be reached')")
        assert await bob.evaluate(f"{PAGE}.querySelector('select').value") == "everyone"


async def test_a_password_and_devices_end_what_is_signed_in_elsewhere(chromium: str, tmp_path: Path) -> None:
    async with open_place(chromium, tmp_path, "alice") as place:
        place.server.relay("user", "passwd", "alice", "--password-stdin", stdin=f"{PASSWORD}\n")
        pages = []
        for where in ("desk", "phone", "tablet"):
            page = await place.tab(where)
            await page.write("Name", "alice")
            await page.write("Password", PASSWORD)
            await page.click("Sign in")
            await page.wait("document.querySelector('.me strong')")
            place.tokens["alice"] = await page.evaluate("JSON.parse(localStorage.getItem('relay.session')).token")
            pages.append(page)
            with trio.fail_after(PATIENCE):
                while place.connected("alice") < len(pages):
                    await trio.sleep(0.05)
        desk, phone, tablet = pages
        await section(desk, "devices")
        assert await desk.evaluate(f"{PAGE}.querySelector('.devices').querySelectorAll('li').length") == 3
        assert await desk.evaluate(f"{PAGE}.querySelector('.devices li .this') !== null")
        assert "on Linux" in await desk.evaluate(f"{PAGE}.querySelector('.devices strong').textContent")
        # The last one to come is the first of the others.
        await desk.evaluate(f"{PAGE}.querySelector('.devices li:nth-child(2) button').click()")
        await desk.wait("document.querySelector('dialog .danger')")
        await desk.evaluate("[...document.querySelectorAll('dialog .danger')].at(-1).click()")
        await desk.wait(f"{PAGE}.querySelector('.devices').querySelectorAll('li').length === 2")
        said = "document.querySelector('.way-in .failure')?.textContent"
        await tablet.wait(f"{said}?.startsWith('You were signed out')")
        place.server.relay("token", "create", "alice", "--label", "Builds")
        await section(desk, "devices")
        names = f"[...{PAGE}.querySelectorAll('.tokens strong')].map((one) => one.textContent)"
        await desk.wait(f"{names}.includes('Builds')")
        about = str(await desk.evaluate(f"{PAGE}.querySelector('.tokens small').textContent"))
        assert about.startswith("Made ")
        assert about.endswith("no connection yet")
        await desk.evaluate(f"{PAGE}.querySelector('.tokens li button').click()")
        await desk.wait("[...document.querySelectorAll('dialog .danger')].at(-1)?.textContent === 'Revoke'")
        await desk.evaluate("[...document.querySelectorAll('dialog .danger')].at(-1).click()")
        await desk.wait(
            f"!{names}.includes('Builds') && {PAGE}.querySelector('.tokens .told').textContent === 'Revoked.'"
        )

        await section(desk, "password")
        await fill_in(desk, "Current password", "wrong horse")
        await fill_in(desk, "New password", "short")
        await desk.click("Change password")
        wrong = "[...document.querySelectorAll('.settings .wrong')].map((one) => one.textContent)"
        assert await desk.evaluate(wrong) == ["", "At least 8 characters.", "The two are not the same."]
        await fill_in(desk, "New password", "a better horse")
        await fill_in(desk, "New password, again", "a better horse")
        await desk.click("Change password")
        await desk.wait(f"{wrong}[0] === 'The current password is wrong.'")
        assert await desk.evaluate("document.activeElement.name") == "current_password"
        await fill_in(desk, "Current password", PASSWORD)
        await desk.click("Change password")
        await desk.wait(f"{PAGE}.querySelector('.told').textContent.startsWith('Your password is changed')")
        await phone.wait(f"{said}?.startsWith('You were signed out')")
        with place.server.rest(None) as rest:
            login = {"user_id": "alice", "password": "a better horse"}
            assert rest.post("/api/login", json=login).status_code == 200


async def test_the_first_admin_invites_somebody_who_comes_by_the_link(chromium: str, tmp_path: Path) -> None:
    async with open_place(chromium, tmp_path, "bob") as place:
        place.server.relay("user", "add", "alice", "--admin")
        place.tokens["alice"] = place.server.relay("token", "create", "alice").strip()
        alice, bob = await place.signed_in("alice"), await place.signed_in("bob")
        await bob.wait("document.querySelector('.empty-place h2')")
        assert await bob.evaluate("named('Invite people') === undefined")
        await alice.click("Invite people")
        await alice.click("Create link")
        await alice.wait("document.querySelector('.qr svg path')")
        link = await alice.evaluate("document.querySelector('.inviting input[readonly]').value")
        assert link.startswith(f"{place.url}/#invite=")
        await alice.click("Create another link")
        await alice.wait("document.querySelector('.open-ones li')?.textContent.includes('For 10 people')")
        carol = await place.tab("carol", "/")
        await carol.wait("named('I have an invitation')")
        await carol.click("I have an invitation")
        await carol.write("Name", "carol")
        await carol.write("Password", PASSWORD)
        await carol.write("Invitation", link)
        await carol.click("Create account")
        await carol.wait("document.querySelector('.me strong')?.textContent === 'carol'")
        await alice.click("Close")
        await alice.click("Invite people")
        await alice.wait("document.querySelector('.open-ones li')?.textContent.includes('For 9 people')")
        await alice.evaluate("document.querySelector('.open-ones button').click()")
        await alice.wait("!document.querySelector('.open-ones')")
        dave = await place.tab("dave", link.removeprefix(place.url))
        await dave.write("Name", "dave")
        await dave.write("Password", PASSWORD)
        await dave.click("Create account")
        await dave.wait("document.querySelector('.way-in').textContent.includes('wrong, used up or expired')")
