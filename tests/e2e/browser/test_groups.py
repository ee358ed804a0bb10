"""Groups and people in a real browser: three people make, manage, leave and end groups."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.e2e.browser.cdp import Page
from tests.e2e.browser.people import Place, open_place, send, shows

pytestmark = pytest.mark.e2e

DIALOG = "[...document.querySelectorAll('dialog')].at(-1)"
TITLE = f"{DIALOG}?.querySelector('h2').textContent.replace(/[\\u2066-\\u2069]/g, '')"
END = "document.querySelector('.conversation .end:not([hidden])')?.textContent.replace(/[\\u2066-\\u2069]/g, '')"
ROLES = (
    "JSON.stringify([...document.querySelectorAll('.member')].map((one) =>"
    " [one.dataset.user, one.querySelector('.role')?.textContent ?? '']))"
)
CHOOSE_A_PICTURE = """(async () => {
    const canvas = Object.assign(document.createElement("canvas"), { width: 500, height: 400 });
    canvas.getContext("2d").fillRect(0, 0, 500, 400);
    const file = new File([await new Promise((resolve) => canvas.toBlob(resolve))], "us.png", { type: "image/png" });
    const chosen = new DataTransfer();
    chosen.items.add(file);
    const input = document.querySelector("dialog .portrait input[type=file]");
    input.files = chosen.files;
    input.dispatchEvent(new Event("change"));
})()"""


def named(place: Place, user: str, shown: str) -> None:
    with place.server.rest(place.tokens[user]) as rest:
        assert rest.patch("/api/users/me", json={"display_name": shown}).status_code == 200


def make_group(place: Place, owner: str, called: str, *members: str, **more: object) -> str:
    with place.server.rest(place.tokens[owner]) as rest:
        made: str = rest.post("/api/groups", json={"name": called, "members": members, **more}).json()["group_id"]
        return made


async def manage(page: Page, name: str, entry: str) -> None:
    """Choose from the menu of a member in a group's dialog."""
    button = f"[...document.querySelectorAll('.member button')].find((one) => one.ariaLabel?.includes({json.dumps(name)}))"
    await page.wait(button)
    await page.evaluate(f"{button}.click()")
    found = (
        f"[...document.querySelectorAll('[role=menuitem]')].find((one) => one.textContent === {json.dumps(entry)})"
    )
    await page.wait(found)
    await page.evaluate(f"{found}.click()")


async def answer(page: Page, title: str, choice: str) -> None:
    """Choose in the dialog of that title."""
    await page.wait(f"{TITLE} === {json.dumps(title)}")
    await page.evaluate(f"named({json.dumps(choice)}, {DIALOG}).click()")


async def roles(page: Page, **wanted: str) -> None:
    """Wait until a group's dialog shows these members with these roles, in this order."""
    told = json.dumps([list(one) for one in wanted.items()], separators=(",", ":"), ensure_ascii=False)
    await page.wait(f"{ROLES} === {json.dumps(told, ensure_ascii=False)}")


async def test_a_group_is_managed_handed_on_left_and_deleted(chromium: str, tmp_path: Path) -> None:
    async with open_place(chromium, tmp_path, "alice", "bob", "carol", "dave") as place:
        for user, shown in (("alice", "Alice Martin"), ("bob", "Bob Nguyen"), ("carol", "Carol Diaz")):
            named(place, user, shown)
        group = make_group(place, "alice", "Design", "bob", "carol")
        alice, bob, carol = [await place.signed_in(one) for one in ("alice", "bob", "carol")]
        for page in (alice, bob, carol):
            await page.evaluate(f"location.hash = '#/{group}'")
            await page.wait("document.querySelector('.conversation h2')?.textContent === 'Design'")

        # What it is: name, description and picture.
        await alice.click("Members")
        await roles(alice, alice="Owner", bob="", carol="")
        await alice.click("Edit name and description")
        await alice.evaluate("field('Name').select()")
        await alice.insert(" ")
        await alice.click("Save")
        await alice.wait("document.activeElement === field('Name') && field('Name').ariaInvalid === 'true'")
        await alice.insert("Design review")
        await alice.write("Description", "What we show on Thursdays")
        await alice.evaluate(CHOOSE_A_PICTURE)
        await alice.click("Use this picture")
        await alice.wait("document.querySelector('.portrait .avatar img')?.naturalWidth === 384")
        await alice.click("Save")
        await alice.wait("document.querySelector('.description')?.textContent === 'What we show on Thursdays'")
        await alice.wait("document.querySelector('.group-face .avatar img')")
        await bob.wait("document.querySelector('.conversation h2')?.textContent === 'Design review'")

        # Roles, and what each may do; another's open dialog follows.
        await bob.click("Members")
        await roles(bob, alice="Owner", bob="", carol="")
        assert (
            await bob.evaluate("document.querySelector('.member [aria-haspopup]') ?? named('Add people')") is None
        )
        await manage(alice, "Bob Nguyen", "Make administrator")
        await roles(alice, alice="Owner", bob="Administrator", carol="")
        await alice.wait("document.activeElement.ariaLabel?.includes('Bob Nguyen')")
        await roles(bob, alice="Owner", bob="Administrator", carol="")
        await manage(alice, "Bob Nguyen", "Take administration back")
        await roles(bob, alice="Owner", bob="", carol="")
        await alice.click("Add people")
        await alice.wait(
            f"named('davedave', {DIALOG}) ?? [...{DIALOG}.querySelectorAll('.person')].some((one) => one.textContent.includes('dave'))"
        )
        await alice.evaluate(
            f"[...{DIALOG}.querySelectorAll('.person')].find((one) => one.textContent.includes('dave')).click()"
        )
        await alice.wait(f"{DIALOG}.textContent.includes('Added')")
        await alice.press("Escape")
        await roles(alice, alice="Owner", bob="", carol="", dave="")

        # Who is removed is asked about by name, and told by whom.
        await manage(alice, "Carol Diaz", "Remove from the group")
        await answer(alice, "Remove Carol Diaz from Design review?", "Cancel")
        await roles(alice, alice="Owner", bob="", carol="", dave="")
        await manage(alice, "Carol Diaz", "Remove from the group")
        await answer(alice, "Remove Carol Diaz from Design review?", "Remove")
        await roles(alice, alice="Owner", bob="", dave="")
        await carol.wait(f"{END}?.startsWith('Alice Martin removed you from Design review.')")
        assert await carol.evaluate("Boolean(field('Message') ?? named('Send'))") is False

        # An owner does not just leave.
        await alice.click("Leave group")
        await answer(alice, "You own Design review", "Hand the group on")
        await alice.wait(f"{TITLE} === 'Who is to own Design review?'")
        await alice.evaluate(
            f"[...{DIALOG}.querySelectorAll('.person')].find((one) => one.textContent.includes('Bob')).click()"
        )
        await answer(alice, "Make Bob Nguyen the owner of Design review?", "Hand on")
        await roles(alice, bob="Owner", alice="Administrator", dave="")
        await alice.click("Leave group")
        await answer(alice, "Leave Design review?", "Leave")
        await alice.wait(f"{END}?.startsWith('You left Design review.')")
        await alice.wait("!document.querySelector('dialog')")
        await roles(bob, bob="Owner", dave="")
        await bob.click("Delete group")
        await answer(bob, "Delete Design review for everybody?", "Delete group")
        await bob.wait(f"{END}?.startsWith('You deleted Design review.')")
        await bob.wait("!document.querySelector('dialog')")


async def test_a_person_is_looked_at_from_wherever_they_are_seen(chromium: str, tmp_path: Path) -> None:
    async with open_place(chromium, tmp_path, "alice", "bob") as place:
        named(place, "bob", "Bob Nguyen")
        group = make_group(place, "alice", "Design", "bob")
        bob = await place.signed_in("bob")
        await bob.evaluate(f"location.hash = '#/{group}'")
        await bob.wait("document.querySelector('.conversation h2')?.textContent === 'Design'")
        await send(bob, "Good morning")
        alice = await place.signed_in("alice")
        await alice.evaluate(f"location.hash = '#/{group}'")
        await alice.wait("document.querySelector('.message .sender')")
        await alice.evaluate("document.querySelector('.message .sender').click()")
        await alice.wait(f"{TITLE} === 'Person' && {DIALOG}.textContent.includes('Online')")
        await alice.wait(f"{DIALOG}.querySelector('h3').textContent === 'Bob Nguyen'")
        assert await alice.evaluate(f"{DIALOG}.querySelector('output').textContent") == "bob"
        await alice.wait("document.querySelector('.common li')?.textContent.includes('Design')")
        await alice.evaluate(f"named('Message', {DIALOG}).click()")
        await alice.wait(
            "document.querySelector('.conversation h2')?.textContent === 'Bob Nguyen' && !document.querySelector('dialog')"
        )
        await send(alice, "Hello")
        await alice.wait("!document.querySelector('.conversation h2 button').disabled")
        await alice.evaluate("document.querySelector('.conversation h2 button').click()")
        await alice.wait(f"{TITLE} === 'Person'")
        await alice.press("Escape")
        await alice.wait("!document.querySelector('dialog')")


async def test_a_public_group_is_made_found_and_joined_also_in_french(chromium: str, tmp_path: Path) -> None:
    async with open_place(chromium, tmp_path, "alice", "bob") as place:
        alice, bob = await place.signed_in("alice"), await place.signed_in("bob")
        await alice.click("New conversation")
        await alice.click("New group")
        await alice.write("Name of the group", "Café")
        await alice.evaluate(CHOOSE_A_PICTURE)
        await alice.click("Use this picture")
        await alice.wait(f"{DIALOG}.querySelector('.avatar img')?.naturalWidth === 384")
        await alice.evaluate(f"{DIALOG}.querySelector('details').open = true")
        await alice.write("Description", "Cakes and tea")
        await alice.evaluate(f"{DIALOG}.querySelector('[role=switch]').click()")
        await alice.click("Create group")
        await alice.wait("document.querySelector('.conversation header .avatar img')")
        await send(alice, "Who brings what?")

        await bob.evaluate("localStorage.setItem('relay.language', 'fr')")
        await bob.reload()
        await bob.wait("document.documentElement.lang === 'fr' && document.querySelector('.me strong')")
        await bob.click("Nouvelle conversation")
        await bob.click("Groupes publics")
        await bob.wait(f"{DIALOG}.querySelector('.people li .avatar img')")
        await bob.write("Rechercher un groupe", "thé")
        await bob.wait(f"{DIALOG}.textContent.includes('Aucun groupe public ne s\\u2019appelle « thé ».')")
        await bob.evaluate("field('Rechercher un groupe').select()")
        await bob.insert("CAKE")
        await bob.wait(f"{DIALOG}.querySelector('.people li')")
        await bob.evaluate(f"{DIALOG}.querySelector('.people button').click()")
        await bob.wait(
            f"{TITLE} === 'À propos de Café' && {DIALOG}.textContent.includes('1 membre · Groupe public')"
        )
        await bob.evaluate(f"{DIALOG}.querySelector('button.primary').click()")
        await bob.wait(
            "document.querySelector('.conversation h2')?.textContent === 'Café' && !document.querySelector('dialog')"
        )
        await send(bob, "Du thé")
        await alice.wait("document.body.textContent.includes('bob joined')")

        await alice.click("Members")
        await roles(alice, alice="Owner", bob="")
        await alice.evaluate("document.querySelector('.group-settings [role=switch]').click()")
        await alice.wait("document.querySelector('.group-settings .kept').textContent === 'Saved'")
        with place.server.rest(place.tokens["alice"]) as rest:
            (group,) = rest.get("/api/groups").json()["groups"]
            assert rest.get(f"/api/groups/{group['group_id']}").json()["public"] is False
        await bob.click("Membres")
        await bob.click("Quitter le groupe")
        await answer(bob, "Quitter Café\u00a0?", "Quitter")
        await bob.wait("document.querySelector('.conversation .end:not([hidden])')")


async def test_a_link_to_a_public_group_shows_it_with_the_button_that_joins_it(
    chromium: str, tmp_path: Path
) -> None:
    async with open_place(chromium, tmp_path, "alice", "bob") as place:
        made = make_group(place, "alice", "Café", public=True, description="Cakes and tea", history="start")
        with place.server.rest(place.tokens["alice"]) as rest:
            body = {
                "type": "group_message",
                "payload": {"content": "Who brings what?"},
                "meta": {"target_id": made},
            }
            assert rest.post("/api/messages", json=body).status_code == 201
        bob = await place.signed_in("bob")
        await bob.evaluate(f"location.hash = '#/{made}'")
        end = "document.querySelector('.end:not([hidden])')"
        await bob.wait(f"{end}?.textContent.includes('Cakes and tea')")
        await bob.wait("document.querySelector('.conversation h2').textContent === 'Café'")
        assert "nobody" not in str(await bob.evaluate(f"{end}.textContent"))
        assert await bob.evaluate("Boolean(field('Message'))") is False
        await bob.evaluate(f"{end}.querySelector('button.primary').click()")
        await shows(bob, ["Who brings what?"])
        await bob.wait(f"!{end}")
        await send(bob, "Scones")
