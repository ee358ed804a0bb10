"""relay's page in a real browser: coming in, two people who talk, and what is refused."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import trio

from tests.e2e.browser.people import (
    PASSWORD,
    SEARCH,
    account,
    elsewhere,
    on_message,
    open_conversation,
    open_place,
    send,
    shows,
    state,
)
from tests.e2e.test_proxy import NGINX, Proxy
from tests.e2e.wire import PATIENCE

pytestmark = pytest.mark.e2e

ABOUT = "document.querySelector('.conversation .about').textContent"


async def test_the_link_of_a_new_server_leads_to_the_first_message(chromium: str, tmp_path: Path) -> None:
    async with open_place(chromium, tmp_path) as place:
        with trio.fail_after(PATIENCE):
            while not (links := re.findall(r"http://\S+(/#setup=\S+)", place.server.log.read_text())):
                await trio.sleep(0.02)
        (link,) = links
        alice = await place.tab("alice", link)
        await alice.write("Name", "alice")
        await alice.write("Shown as", "Alice Liddell")
        await alice.write("Password", PASSWORD)
        await alice.click("Set up")
        await alice.wait("document.querySelector('.me strong')?.textContent === 'Alice Liddell'")
        assert "setup" not in await alice.evaluate("location.href + JSON.stringify(history.state)")
        code = place.server.relay("user", "invite").strip()
        bob = await place.tab("bob", f"/#invite={code}")
        await bob.write("Name", "bob")
        await bob.write("Password", PASSWORD)
        await bob.click("Create account")
        await bob.wait("document.querySelector('.me strong')?.textContent === 'bob'")
        await alice.click("New conversation")
        person = "[...document.querySelectorAll('dialog .person')].find((one) => one.textContent.includes('bob'))"
        await alice.wait(person)
        await alice.evaluate(f"{person}.click()")
        await send(alice, "The first message")
        await bob.wait("document.title === '(1) relay'")
        await bob.evaluate("location.hash = '#/alice'")
        await shows(bob, ["The first message"])
        token = await alice.evaluate("JSON.parse(localStorage.getItem('relay.session')).token")
        with place.server.rest(token) as rest:
            assert rest.get("/api/users/me").json()["admin"] is True
        used = await place.tab("mallory", link)
        await used.write("Name", "mallory")
        await used.write("Password", PASSWORD)
        await used.click("Set up")
        await used.wait("document.querySelector('.failure').textContent.includes('used up')")


async def test_two_people_talk_and_see_how_the_other_is(chromium: str, tmp_path: Path) -> None:
    async with open_place(chromium, tmp_path, "alice", "bob") as place:
        place.server.relay("user", "passwd", "alice", "--password-stdin", stdin=f"{PASSWORD}\n")
        alice = await place.tab("alice")
        await alice.write("Name", "alice")
        await alice.write("Password", "wrong horse")
        await alice.click("Sign in")
        await alice.wait("document.querySelector('.failure').textContent === 'The name or the password is wrong.'")
        await alice.evaluate("field('Password').value = ''")
        await alice.write("Password", PASSWORD)
        await alice.click("Sign in")
        await alice.wait("document.querySelector('.me strong')?.textContent === 'alice'")
        await open_conversation(alice, "bob")
        bob = await place.signed_in("bob")
        await alice.wait(f"{ABOUT} === 'Online'")
        await send(alice, "Hello <b>Bob</b>")
        await state(alice, "Hello <b>Bob</b>", "delivered")
        await open_conversation(bob, "alice")
        await shows(bob, ["Hello <b>Bob</b>"])
        await state(alice, "Hello <b>Bob</b>", "read")
        await bob.write("Message", "Hel")
        await alice.wait(f"{ABOUT} === 'typing …'")
        await bob.write("Message", "lo Alice")
        await bob.press("Enter")
        await shows(alice, ["Hello <b>Bob</b>", "Hello Alice"])
        await alice.wait(f"{ABOUT} === 'Online'")
        await bob.close()
        await alice.wait(f"{ABOUT}.startsWith('Last seen')")


async def test_messages_are_changed_answered_and_found_over_a_slow_network(chromium: str, tmp_path: Path) -> None:
    async with open_place(chromium, tmp_path, "alice", "bob") as place:
        alice, bob = await place.signed_in("alice", "bob"), await place.signed_in("bob", "alice")
        place.network.delay = 0.15
        await send(alice, "Lunch at noon")
        await shows(bob, ["Lunch at noon"])
        await on_message(bob, "Lunch at noon", "React")
        await bob.click("React 👍")
        await alice.wait("document.querySelector('.reaction')?.textContent === '👍 1'")
        await on_message(bob, "Lunch at noon", "Reply")
        await send(bob, "I am in")
        await alice.wait("document.querySelector('blockquote')?.textContent.endsWith('Lunch at noon')")
        await alice.press("ArrowUp")
        await alice.evaluate("document.querySelector('textarea').value = ''")
        await alice.write("Message", "Lunch at one")
        await alice.press("Enter")
        await shows(bob, ["Lunch at one", "I am in"])
        await bob.write(SEARCH, "from:alice lunch")
        await bob.wait("document.querySelector('.results mark')?.textContent === 'Lunch'")
        await bob.evaluate("document.querySelector('.found').click()")
        await bob.wait("document.activeElement.querySelector('.content')?.textContent === 'Lunch at one'")
        await on_message(alice, "Lunch at one", "Delete")
        await alice.wait("document.querySelector('dialog .danger')")
        await alice.evaluate("document.querySelector('dialog .danger').click()")
        await shows(bob, ["I am in"])
        await bob.wait("document.querySelector('.deleted')")


async def test_files_go_up_with_progress_and_come_down_as_they_were(chromium: str, tmp_path: Path) -> None:
    async with open_place(chromium, tmp_path, "alice", "bob") as place:
        alice, bob = await place.signed_in("alice", "bob"), await place.signed_in("bob", "alice")
        picture, data = tmp_path / "picture.png", tmp_path / "data.bin"
        await alice.screenshot(picture)
        data.write_bytes(bytes(range(256)) * 40_000)
        await alice.evaluate("""
            globalThis.progress = [];
            new MutationObserver(() => {
                const bar = document.querySelector(".message progress");
                if (bar) progress.push(bar.value);
            }).observe(document.body, { childList: true, subtree: true })""")
        await alice.choose_files("Choose files", picture, data)
        await send(alice, "Two files")
        await state(alice, "Two files", "read")
        seen = await alice.evaluate("progress")
        assert any(0 < part < 1 for part in seen)
        assert seen == sorted(seen)
        await bob.wait("document.querySelector('.tile img')?.naturalWidth > 0")
        (message,) = place.history("bob", "alice")
        with place.server.rest(place.tokens["bob"]) as rest:
            kept = [rest.get(f"/api/attachments/{one}").content for one in message["payload"]["attachments"]]
        assert kept == [picture.read_bytes(), data.read_bytes()]
        await place.browser.send(
            "Browser.setDownloadBehavior",
            browserContextId=place.contexts["bob"],
            behavior="allow",
            downloadPath=str(tmp_path / "down"),
        )
        await bob.click("Download data.bin")
        with trio.fail_after(PATIENCE):
            while not (tmp_path / "down" / "data.bin").exists():
                await trio.sleep(0.05)
            while (tmp_path / "down" / "data.bin").read_bytes() != data.read_bytes():
                await trio.sleep(0.05)


async def test_what_is_refused_or_told_is_shown(chromium: str, tmp_path: Path) -> None:
    async with open_place(chromium, tmp_path, "alice", "bob") as place:
        alice = await place.signed_in("alice", "bob")
        with place.server.rest(place.tokens["bob"]) as rest:
            assert rest.put("/api/users/alice/block").status_code == 204
        await send(alice, "Is anybody there?")
        await state(alice, "Is anybody there?", "failed")
        await alice.wait("document.querySelector('.message .failure').textContent.startsWith('Not sent. ')")
        await alice.click("Discard")
        await shows(alice, [])
        place.server.relay("notify", "alice", "Backup done", "--body", "All <i>well</i>", "--as", "bob")
        await alice.wait("document.querySelector('.notice p')?.textContent === 'All <i>well</i>'")
        await alice.click("Notifications, 1 unread")
        await alice.wait("document.querySelector('dialog .told-so-far p')?.textContent === 'All <i>well</i>'")
        await alice.wait("document.querySelector('.bell').getAttribute('aria-label') === 'Notifications'")
        place.server.relay("user", "disable", "alice")
        await alice.wait("named('Sign in')")
        assert "disabled" in await alice.evaluate("document.querySelector('.failure').textContent")


async def test_signing_out_revokes_the_token_in_all_tabs(chromium: str, tmp_path: Path) -> None:
    async with open_place(chromium, tmp_path, "alice", "bob") as place:
        first = await place.signed_in("alice", "bob")
        second = await place.tab("alice", "/#/bob")
        await second.wait("document.querySelector('.me strong')")
        token = await first.evaluate("JSON.parse(localStorage.getItem('relay.session')).token")
        await account(first, "Sign out")
        for tab in (first, second):
            await tab.wait("named('Sign in')")
        assert await first.evaluate("localStorage.getItem('relay.session')") is None
        with place.server.rest(token) as rest:
            assert rest.get("/api/users/me").status_code == 401


async def test_a_page_of_another_origin_imports_the_sdk_and_talks_where_it_is_allowed(
    chromium: str, tmp_path: Path
) -> None:
    async with open_place(chromium, tmp_path, "alice", "bob") as place:
        # No page of relay's own, whose policy lets nothing of other origins run.
        page = await place.browser.page(f"{elsewhere(place.server)}/healthz", await place.browser.context())
        await page.wait("location.hostname === 'localhost'")
        program = """(async () => {
            const { MessagingAPI, SocketManager } = await import(`${server}/sdk/index.js`);
            const socket = new SocketManager(server, token, { name: "elsewhere" });
            await socket.connect();
            await new MessagingAPI(socket).sendPrivateMessage("bob", "from elsewhere");
            await socket.disconnect();
            return true;
        })()"""
        given = f"const server = {json.dumps(place.server.url)}, token = {json.dumps(place.tokens['alice'])};"
        assert await page.evaluate(f"{given} {program}")
        assert place.said("bob", "alice") == ["from elsewhere"]


@pytest.mark.skipif(NGINX is None, reason="nginx is not installed (apt-get install nginx-light)")
async def test_the_page_works_below_a_prefix_that_a_proxy_takes_off(chromium: str, tmp_path: Path) -> None:
    async with open_place(chromium, tmp_path, "alice", "bob", service_worker=True) as place:
        proxy = Proxy(tmp_path, place.server.port, keepalive=4, prefix="/chat")
        try:
            place.url = f"http://127.0.0.1:{proxy.address[1]}/chat"
            alice = await place.signed_in("alice", "bob")
            await send(alice, "from below")
            await state(alice, "from below", "sent")
            await alice.wait("(await navigator.serviceWorker.ready).scope.endsWith('/chat/')")
            place.say("bob", "alice", "an answer")
            await shows(alice, ["from below", "an answer"])
        finally:
            proxy.end()


async def test_where_nothing_may_be_stored_one_signs_in_for_as_long_as_the_page(
    chromium: str, tmp_path: Path
) -> None:
    async with open_place(chromium, tmp_path, "bob") as place:
        code = place.server.relay("user", "invite").strip()
        alice = await place.tab("alice", f"/#invite={code}")
        await alice.wait("named('Create account')")
        await alice.evaluate(
            "(() => { const denied = () => { throw new DOMException('denied', 'SecurityError') };"
            " for (const name of ['localStorage', 'sessionStorage', 'indexedDB'])"
            " Object.defineProperty(window, name, { get: denied });"
            " LockManager.prototype.request = async () => denied(); })()"
        )
        await alice.write("Name", "alice")
        await alice.write("Password", PASSWORD)
        await alice.click("Create account")
        await alice.wait("document.querySelector('.me strong')?.textContent === 'alice'")
        await alice.wait("document.querySelector('.notices')?.textContent.includes('This browser keeps nothing')")
        await alice.evaluate("location.hash = '#/bob'")
        await send(alice, "All the same")
        await state(alice, "All the same", "sent")
        assert [error for error in alice.errors if "denied" not in error] == []
        assert len(alice.errors) <= 1, alice.errors  # said once
        alice.errors.clear()
