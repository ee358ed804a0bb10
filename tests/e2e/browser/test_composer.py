"""The composer of relay's page in a real browser: it loses nothing, and sends what was meant."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio

from tests.e2e.browser.cdp import Page
from tests.e2e.browser.people import (
    SETTINGS,
    Place,
    account,
    load_anew,
    on_message,
    open_conversation,
    open_place,
    send,
    state,
    stored,
)
from tests.e2e.wire import PATIENCE

pytestmark = pytest.mark.e2e

TEXT = "field('Message').value"
ABOUT = "document.querySelector('.composer .about span')?.textContent"
CHOSEN = "[...document.querySelectorAll('.chosen .name')].map((one) => one.textContent).join()"
CHOICES = "[...document.querySelectorAll('.completion [role=option]')].map((one) => one.textContent).join('; ')"
ACTIVE = "document.getElementById(field('Message').getAttribute('aria-activedescendant'))?.textContent"
LIST = "document.querySelector('.conversations').textContent"


async def rewrite(page: Page, text: str) -> None:
    await page.evaluate("field('Message').value = ''")
    await page.write("Message", text)


async def key(page: Page, name: str, code: int, **more: object) -> None:
    base = {"key": name, "windowsVirtualKeyCode": code, **more}
    await page.send("Input.dispatchKeyEvent", type="keyDown", **base)
    await page.send("Input.dispatchKeyEvent", type="keyUp", **base)


def said(place: Place) -> list[str]:
    return [one["payload"]["content"] for one in place.history("alice", "bob") if one["payload"].get("content")]


async def drop(page: Page, selector: str, kind: str = "drop") -> bool:
    """Drag a file over an element, or drop it there; tell whether the page took it from the browser."""
    taken = await page.evaluate(f"""(() => {{
        const data = new DataTransfer();
        data.items.add(new File(["dropped"], "dropped.txt", {{ type: "text/plain" }}));
        const event = new DragEvent({kind!r}, {{ dataTransfer: data, bubbles: true, cancelable: true }});
        document.querySelector({selector!r}).dispatchEvent(event);
        return event.defaultPrevented;
    }})()""")
    return bool(taken)


async def test_drafts_edits_answers_and_files_are_lost_by_nothing(chromium: str, tmp_path: Path) -> None:
    settings = {**SETTINGS, "attachments": {"max_bytes": 2_000_000}}
    async with open_place(chromium, tmp_path, "alice", "bob", "carol", settings=settings) as place:
        long = "A longer message, which does not fit one line of the composer." * 5
        place.say("bob", "alice", long)
        alice = await place.signed_in("alice")
        assert await drop(
            alice, "main", "dragover"
        )  # nothing takes it, and the browser does not leave the page for it
        assert await drop(alice, "main")
        await open_conversation(alice, "bob")
        await alice.wait("document.querySelector('.message')")
        await _the_answer_is_one_line(alice, long)
        await _an_edit_is_beside_the_draft(alice)
        await _files_are_chosen_and_refused(alice, tmp_path)
        await _all_of_it_is_there_in_other_pages(place, alice)
        await _a_killed_tab_loses_nothing(place)
        await _signing_out_ends_drafts(place)


async def _the_answer_is_one_line(alice: Page, long: str) -> None:
    await on_message(alice, long, "Reply")
    await alice.wait(f"{ABOUT}?.startsWith('Answer to bob: A longer message')")
    for width, touch in ((1280, False), (390, True)):
        await alice.send(
            "Emulation.setDeviceMetricsOverride", width=width, height=800, deviceScaleFactor=1, mobile=touch
        )
        sizes = await alice.evaluate(
            "[document.querySelector('.composer .send, .composer .line button:last-of-type').getBoundingClientRect().right,"
            " document.querySelector('.composer .about').getBoundingClientRect().height, innerWidth]"
        )
        assert sizes[0] <= sizes[2] == width
        assert sizes[1] < 50
    await alice.send("Emulation.clearDeviceMetricsOverride")


async def _an_edit_is_beside_the_draft(alice: Page) -> None:
    await alice.press("Escape")
    await alice.wait(f"{ABOUT} === undefined")
    await send(alice, "First said")
    await state(alice, "First said", "sent")
    await alice.write("Message", "half-written")
    await on_message(alice, "First said", "Edit")
    await alice.wait(f"{TEXT} === 'First said' && {ABOUT} === 'Change this message'")
    await rewrite(alice, "Then said")
    await alice.press("Escape")
    await alice.wait(f"{TEXT} === 'half-written'")
    await on_message(alice, "First said", "Edit")
    await rewrite(alice, "Changed")
    await alice.press("Enter")
    await alice.wait(f"{TEXT} === 'half-written'")
    await alice.wait("document.querySelector('.messages').textContent.includes('Changed')")
    await state(alice, "Changed", "sent")
    await on_message(alice, "Changed", "Edit")
    await rewrite(alice, " ")
    await alice.press("Enter")
    await alice.wait("document.querySelector('dialog[open]')?.textContent.includes('Delete it for everybody?')")
    await alice.evaluate("document.querySelector('dialog .choice button').click()")
    await alice.wait(f"!document.querySelector('dialog') && {ABOUT} === 'Change this message'")
    await alice.press("Enter")
    await alice.wait("document.querySelector('dialog .danger')")
    await alice.evaluate("document.querySelector('dialog .danger').click()")
    await alice.wait(f"document.querySelector('.deleted') && {TEXT} === 'half-written'")


async def _files_are_chosen_and_refused(alice: Page, folder: Path) -> None:
    small, large, picture = folder / "small.txt", folder / "large.bin", folder / "picture.png"
    small.write_text("small")
    large.write_bytes(bytes(2_100_000))
    await alice.screenshot(picture)
    await alice.choose_files("Choose files", small, large, picture)
    await alice.wait(f"{CHOSEN} === 'small.txt,picture.png'")
    told = await alice.evaluate("document.querySelector('.composer .failure').textContent")
    assert told == "large.bin has 2.1 MB. A file has at most 2.0 MB."
    await alice.wait("document.querySelector('.chosen img').naturalWidth > 0")
    assert await drop(alice, ".sidebar, aside, nav", "dragover")
    assert await drop(alice, ".messages", "dragover")
    await alice.wait("document.querySelector('.conversation').dataset.drop")
    assert await drop(alice, ".messages")
    await alice.wait(f"{CHOSEN} === 'small.txt,picture.png,dropped.txt' && !document.querySelector('[data-drop]')")
    await alice.click("Remove picture.png")
    await alice.wait(f"{CHOSEN} === 'small.txt,dropped.txt'")


async def _all_of_it_is_there_in_other_pages(place: Place, alice: Page) -> None:
    message = await alice.evaluate("document.querySelector('.message .content').textContent.trim()")
    await on_message(alice, message, "Reply")
    await open_conversation(alice, "carol")
    await alice.wait(f"{TEXT} === '' && {CHOSEN} === '' && {ABOUT} === undefined")
    await open_conversation(alice, "bob")
    whole = f"{TEXT} === 'half-written' && {CHOSEN} === 'small.txt,dropped.txt' && {ABOUT}?.startsWith('Answer to bob: A longer')"
    await alice.wait(whole)
    await stored(alice, '"half-written"')
    await load_anew(alice)
    await alice.wait(whole)
    other = await place.tab("alice", "/#/bob")
    await other.wait(whole)
    await other.write("Message", ", and on")
    await alice.wait(f"{TEXT}.includes('half-written') && {TEXT}.includes(', and on')")
    await rewrite(other, "See these")
    await other.press("Enter")
    for page in (alice, other):
        await page.wait(f"{TEXT} === '' && {CHOSEN} === '' && {ABOUT} === undefined")
    await state(alice, "See these", "sent")
    sent = place.history("alice", "bob")[-1]["payload"]
    assert sent["reply_to"]
    assert [file["name"] for file in sent["files"]] == ["small.txt", "dropped.txt"]
    await other.close()


async def _a_killed_tab_loses_nothing(place: Place) -> None:
    """Whatever moment a tab ends at once a text is in the storage, it is sent once, or is a draft: never both, never neither."""
    before = said(place)
    for number, moment in enumerate(("a draft", "just sent", "at the server")):
        page = await place.tab("alice", "/#/bob")
        await page.wait(f"document.querySelector('.me strong') && named('Message') && {TEXT} === ''")
        text = f"said and gone {number}"
        await page.write("Message", text)
        if moment == "a draft":
            await stored(page, text)
        await page.press("Enter")
        await page.wait(f"{TEXT} === ''")
        if moment == "just sent":
            await stored(page, text)
        if moment == "at the server":
            with trio.fail_after(PATIENCE):
                while text not in said(place):
                    await trio.sleep(0.02)
        await page.crash()
        after = await place.tab("alice", "/#/bob")
        await after.wait("document.querySelector('.messages')?.textContent.includes('See these')")
        await after.wait(
            f"document.querySelector('.messages').textContent.includes({text!r}) !== ({TEXT} === {text!r})"
        )
        if await after.evaluate(TEXT):
            await after.focus("document.querySelector('.composer textarea')")
            await after.press("Enter")
        with trio.fail_after(PATIENCE):
            while said(place).count(text) != 1:
                await trio.sleep(0.05)
        await after.wait(f"{TEXT} === ''")
        await after.close()
    after_all = said(place)
    assert after_all == [*before, *(f"said and gone {number}" for number in range(3))]


async def _signing_out_ends_drafts(place: Place) -> None:
    page = await place.tab("alice", "/#/carol")
    await page.wait("document.querySelector('.me strong')")
    await page.write("Message", "a secret of alice's")
    await stored(page, "a secret of alice")
    await account(page, "Sign out")
    await page.wait("named('Sign in')")
    entries = await page.evaluate("""new Promise((resolve) => {
        const opening = indexedDB.open("relay-sdk");
        opening.onsuccess = () => {
            const reading = opening.result.transaction("entries").objectStore("entries").getAll();
            reading.onsuccess = () => { opening.result.close(); resolve(JSON.stringify(reading.result)); };
        };
    })""")
    assert "secret" not in entries


async def test_words_are_completed_and_sent_as_what_they_mean(chromium: str, tmp_path: Path) -> None:
    settings = {**SETTINGS, "limits": {"content_characters": 100}}
    async with open_place(chromium, tmp_path, "alice", "bob", "zoe", settings=settings) as place:
        with place.server.rest(place.tokens["alice"]) as rest:
            group = rest.post("/api/groups", json={"name": "Design", "members": ["bob", "zoe"]}).json()["group_id"]
            rest.patch("/api/users/me", json={"display_name": "Alice Liddell"})
        alice = await place.signed_in("alice")
        await alice.evaluate(f"location.hash = '#/{group}'")
        await alice.wait("document.querySelector('.conversation h2')?.textContent === 'Design'")
        await alice.write("Message", "Hi @")
        await alice.wait(
            f"{CHOICES}.includes('bob @bob') && {CHOICES}.includes('zoe @zoe') && {CHOICES}.includes('@all')"
        )
        await alice.wait(f"{ACTIVE} === {CHOICES}.split('; ')[0]")
        await alice.press("Escape")
        await alice.wait(f"{CHOICES} === '' && {TEXT} === 'Hi @'")
        await alice.write("Message", "z")
        await alice.wait(f"{ACTIVE}?.includes('zoe @zoe')")
        await alice.press("Enter")
        await alice.wait(f"{TEXT} === 'Hi @zoe ' && {CHOICES} === ''")
        await alice.write("Message", "and @bob, :tad")
        await alice.wait(f"{ACTIVE}?.includes(':tada:')")
        await alice.press("Tab")
        await alice.wait(f"{TEXT} === 'Hi @zoe and @bob, 🎉 '")
        await alice.press("Enter")
        await alice.wait(f"{TEXT} === ''")
        await _sent(place, group, {"content": "Hi @zoe and @bob, 🎉", "mentions": ["zoe", "bob"]})
        await alice.write("Message", "@all look, not at @carol")
        await alice.press("Enter")
        await _sent(place, group, {"content": "@all look, not at @carol", "mentions": ["*"]})

        await _an_input_method_sends_nothing(alice)
        await alice.press("Enter")
        await _sent(place, group, {"content": "すし"})

        await alice.write("Message", "bold")
        await alice.evaluate("field('Message').select()")
        await key(alice, "b", 66, modifiers=2)
        await alice.wait(f"{TEXT} === '**bold**'")
        await key(alice, "z", 90, modifiers=2, commands=["undo"])
        await alice.wait(f"{TEXT} === 'bold'")

        await rewrite(alice, "x" * 95)
        await alice.wait("document.querySelector('.count').textContent === '5 characters left'")
        await alice.write("Message", "y" * 10)
        await alice.wait("document.querySelector('.count').textContent === '5 characters too many'")
        await alice.press("Enter")
        await alice.wait(f"{TEXT}.length === 105")
        await rewrite(alice, "short again")
        await alice.press("Enter")
        await _sent(place, group, {"content": "short again"})
        await _an_upload_tells_how_far_it_is_and_can_be_stopped(place, alice, tmp_path)
        await _a_voice_message_is_heard_before_it_is_sent(place, alice, group)


async def _an_input_method_sends_nothing(alice: Page) -> None:
    """The Enter that ends a composition is the input method's; some browsers say so by the key's code alone."""
    await alice.focus("field('Message')")
    await alice.send("Input.imeSetComposition", text="すし", selectionStart=2, selectionEnd=2)
    await key(alice, "Process", 229)
    await alice.evaluate(
        "field('Message').dispatchEvent(new KeyboardEvent('keydown', { key: 'Enter', isComposing: true, bubbles: true }));"
        "field('Message').dispatchEvent(new KeyboardEvent('keydown', { key: 'Enter', keyCode: 229, bubbles: true }))"
    )
    await alice.send("Input.insertText", text="すし")
    await alice.wait(f"{TEXT} === 'すし'")


async def _an_upload_tells_how_far_it_is_and_can_be_stopped(place: Place, alice: Page, folder: Path) -> None:
    file = folder / "film.bin"
    file.write_bytes(bytes(300_000))
    await alice.choose_files("Choose files", file)
    place.network.hold()
    await alice.click("Send")
    await alice.wait("document.querySelector('.message .uploading').textContent === '0%'")
    await alice.click("Cancel the upload")
    await alice.wait("!document.querySelector('.uploading, .message .failure')")
    place.network.restore()
    await send(alice, "and on")


async def _a_voice_message_is_heard_before_it_is_sent(place: Place, alice: Page, group: str) -> None:
    await alice.wait("document.querySelector('.composer .send').hidden && named('Record a voice message')")
    await alice.evaluate("""
        globalThis.ask = navigator.mediaDevices.getUserMedia;
        navigator.mediaDevices.getUserMedia = () => Promise.reject(new DOMException("no", "NotAllowedError"))""")
    await alice.click("Record a voice message")
    await alice.wait(
        "document.querySelector('.composer .failure').textContent.startsWith('This page may not use the microphone')"
    )
    await alice.evaluate("navigator.mediaDevices.getUserMedia = ask")
    await alice.click("Record a voice message")
    await alice.wait(
        "document.querySelector('.composer .voice meter')?.value > 0 && document.querySelector('.composer .voice .time').textContent !== '0:00'"
    )
    await alice.click("Discard the recording")
    await alice.wait("!document.querySelector('.composer .voice') && document.activeElement === field('Message')")
    await alice.click("Record a voice message")
    await alice.wait("document.querySelector('.composer .voice .time')?.textContent === '0:01'")
    await alice.click("Stop recording")
    await alice.wait("document.querySelector('.composer .voice audio')?.readyState > 0")
    await alice.evaluate("document.querySelector('.composer .voice .send').click()")
    await alice.wait("!document.querySelector('.composer .voice')")
    with place.server.rest(place.tokens["zoe"]) as rest, trio.fail_after(PATIENCE):
        while not (
            ids := rest.get(f"/api/messages/group/{group}").json()["messages"][-1]["payload"].get("attachments")
        ):
            await trio.sleep(0.05)
        told = rest.head(f"/api/attachments/{ids[0]}").headers
        assert told["content-type"].startswith("audio/webm")
        assert "voice-" in told["content-disposition"]


async def _sent(place: Place, group: str, payload: dict[str, object]) -> None:
    with place.server.rest(place.tokens["zoe"]) as rest, trio.fail_after(PATIENCE):
        while (found := rest.get(f"/api/messages/group/{group}").json()["messages"][-1]["payload"]) != payload:
            assert found.get("content") != payload["content"], found
            await trio.sleep(0.05)
