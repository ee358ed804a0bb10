"""Hostile texts in every field of the page: nothing of them runs, becomes an element, or makes the page wider than a phone."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.e2e.browser import media, views
from tests.e2e.browser.cdp import Page
from tests.e2e.browser.look import Look, take_look
from tests.e2e.browser.people import PASSWORD, Place, open_place
from tests.e2e.browser.steps import click, press, write
from tests.e2e.browser.team import PLUGINS, Writer, writers
from tests.e2e.browser.views import View, own_menu

pytestmark = [pytest.mark.e2e, pytest.mark.long]

PHONE = Look(390, 844)
SHORT = "<img/src=x/onerror=pwned=1>"
HOSTILE = [
    "\"'><img src=x onerror=pwned=1><script>pwned=1</script>",
    "</script></title></textarea></style><svg/onload=pwned=1><iframe srcdoc='<script>parent.pwned=1</script>'>",
    "[a](javascript:pwned=1) [b](data:text/html,<script>parent.pwned=1</script>) <javascript:pwned=1> [c](  JaVaScRiPt:pwned=1)",
    '![x](x"onerror="pwned=1) https://x.example/"onmouseover="pwned=1 [d](https://x.example "\'><img src=x onerror=pwned=1>")',
    "{{constructor.constructor('pwned=1')()}} ${pwned=1} #{pwned=1} <%= pwned=1 %> [[pwned=1]]",
    "`<b onclick=pwned=1>` ```<script>pwned=1</script>```",
    "\u202eevil\u202c \u2066\u2067left\u2069 \u200b\u200d\ufeff\u200f\u061c \u2028\u2029",
    "W" * 300,
    "👩‍👩‍👧‍👦" * 20 + "e" + "\u0301" * 60,
    "NUL \x00 \x01 \x1b[31m \ud7ff \uffff",
    "../../etc/passwd%00 %3Cscript%3Epwned=1%3C/script%3E &lt;img src=x onerror=pwned=1&gt;",
    "__proto__ constructor toString hasOwnProperty",
]
MADE = (
    "[...document.querySelectorAll('[onerror], [onload], [onclick], [onmouseover], body script, iframe, object, embed, base, body style,"
    ' img[src=x], a[href^="javascript" i], a[href^="data" i]\')].map((one) => one.outerHTML.slice(0, 200))'
)
RAN = "globalThis.pwned ?? null"
WIDE = "document.documentElement.scrollWidth - innerWidth"
SAVED = "[...document.querySelectorAll('.settings :is(.kept, .wrong, .failure, .note[role=alert])')].some((one) => one.textContent)"
SPY = "for (const name of ['alert', 'confirm', 'prompt']) globalThis[name] = () => { globalThis.pwned = name; };"


async def assert_harmless(page: Page, where: str) -> None:
    assert await page.evaluate(RAN) is None, where
    assert await page.evaluate(MADE) == [], where
    assert await page.evaluate(WIDE) <= 0, f"{where}: wider than the window"


def attack(mallory: Writer, alice: Writer) -> None:
    """Have mallory write every hostile text into everything, as far as the server takes it: refused or kept, but no fault."""

    def send(target: str | None, type_: str, **payload: object) -> int | None:
        meta = {} if target is None else {"target_id": target}
        answer = mallory.rest.post("/api/messages", json={"type": type_, "payload": payload, "meta": meta})
        assert answer.status_code < 500, answer.text
        return int(answer.json()["message_id"]) if answer.is_success else None

    root = alice.say("evil", "Root", "group_message")
    for text in HOSTILE:
        for body in ({"display_name": text[:100]}, {"status_text": text[:200]}):
            assert mallory.rest.patch("/api/users/me", json=body).status_code < 500
        assert mallory.rest.patch("/api/groups/evil", json={"name": text[:100]}).status_code < 500
        assert mallory.rest.patch("/api/groups/evil", json={"description": text[:100]}).status_code < 500
        for target, type_ in (("alice", "chat_message"), ("evil", "group_message")):
            said = send(target, type_, content=text)
            send(target, type_, content=f"**{text}** _{text}_ > {text}", reply_to=said)
            send(target, type_, content=f"```{text[:30]}\n{text}\n```\n> {text}\n- {text}")
            send(target, "poll", question=text[:300], options=[text[:100], text[:99] + "2"])
            send(target, "task", title=text[:300])
            send(target, "remind", text=text, when="in 3 days")
        send("evil", "group_message", content=text, thread=root, thread_shown=True)
        send("evil", "reaction", message_id=root, emoji=text[:32], on=True)
        told = {"title": text[:200], "body": text, "level": "error"}
        body = {"type": "notification", "payload": told, "meta": {"target_id": "alice"}}
        assert alice.rest.post("/api/messages", json=body).status_code < 500  # an admin may
        send(None, "status_update", status="busy", text=text[:200])
        for name, data in (
            (f"{text[:60]}.png", media.png(30, 20, (9, 9, 9))), (f"voice {text[:60]}.wav", media.wav(0.2)),
            (f"{text[:60]}.svg", b"<svg xmlns='http://www.w3.org/2000/svg' onload='parent.pwned=1'/>"),
            (f"{text[:60]}.html", b"<script>top.pwned=1</script>"),
        ):  # fmt: skip
            kept = mallory.rest.post("/api/attachments", params={"name": name}, content=data)
            assert kept.status_code < 500, kept.text
            if kept.is_success:
                send("alice", "chat_message", content="", attachments=[kept.json()["attachment_id"]])
    send("evil", "reaction", message_id=root, emoji=SHORT, on=True)
    pinned = send("evil", "group_message", content=HOSTILE[0])
    send("evil", "pin", message_id=pinned, on=True)
    mallory.rest.patch("/api/users/me", json={"display_name": HOSTILE[0]})
    mallory.rest.patch("/api/groups/evil", json={"name": HOSTILE[1][:100]})


SEEN = [
    View("list", "", [], "document.querySelector('.line')"),
    View("two", "mallory", [], views.LAST),
    View("group", "evil", [], views.LAST),
    View("middle", "evil", [views.run("document.querySelector('.messages').scrollTop -= 3000")], views.LAST),
    View("gallery", "mallory", views.conversation_menu("files.gallery"), "document.querySelector('.gallery .tile')"),
    View("lightbox", "mallory", [views.run("document.querySelector('.tile').click()")], "document.querySelector('.stage')"),
    View("threads", "", [click(".place")], "document.querySelector('.threads')"),
    View("members", "evil", [press("conversation.members")], "document.querySelector('dialog .person')"),
    View("notifications", "", [click(".bell")], "document.querySelector('.told-so-far li')"),
    View("line-menu", "", views.MEMBER[3].steps, views.MENU),
]  # fmt: skip

TYPED = [
    View("search", "", [write("[type=search]", "TEXT")], "document.querySelector('.below-search .told').textContent"),
    View("switcher", "", [views.key("k", modifiers=2), write(".switcher input", "TEXT")], "document.querySelector('.switcher')"),
    View("directory", "", [press("sidebar.newConversation"), write("dialog input", "TEXT")], "document.querySelector('dialog .told')"),
    View("emoji", "mallory", [press("composer.emoji"), write(".emoji-picker input", "TEXT")], "document.querySelector('.emoji-picker')"),
]  # fmt: skip


async def type_everywhere(page: Page, text: str) -> None:
    """Write a text into the fields that look for something, and into the composer: as a draft, a command, and sent."""
    for view in TYPED:
        await views.calm(page)
        if view.conversation:
            await page.evaluate(f"location.hash = '#/{view.conversation}'")
        for step in view.steps[:-1]:
            await step(page)
        field = {"search": "[type=search]", "switcher": ".switcher input", "emoji": ".emoji-picker input"}.get(
            view.name, "dialog input"
        )
        await write(field, text)(page)
        await page.wait(view.ready)
        await assert_harmless(page, f"{view.name} {text!r}")
    await views.calm(page)
    await page.evaluate("location.hash = '#/mallory'")
    for beginning in ("/", "@", ":", "") if text in HOSTILE[:3] else ("",):
        await page.wait("document.querySelector('.composer textarea')")
        await page.evaluate("document.querySelector('.composer textarea').value = ''")
        await write(".composer textarea", beginning + text)(page)
        await assert_harmless(page, f"composer {beginning}{text!r}")
    await page.evaluate("document.querySelector('.composer').requestSubmit()")
    await page.wait("document.querySelector('.composer textarea').value === ''")
    await assert_harmless(page, f"sent {text!r}")


async def name_oneself(place: Place, page: Page, text: str) -> None:
    """Write a text into one's own name and status, by the settings, and into a new group's name."""
    for section, field in (("profile", "[name=display_name]"), ("status", "[name=text]")):
        await views.calm(page)
        for step in (*own_menu("settings.title"), click(f"[data-section={section}]")):
            await step(page)
        await page.wait(f"document.querySelector('.settings {field}')")
        await page.evaluate(f"document.querySelector('.settings {field}').select()")
        await page.insert(text)
        await page.evaluate(f"document.querySelector('.settings {field}').form.requestSubmit()")
        await page.wait(SAVED)
        await assert_harmless(page, f"{section} {text!r}")


async def test_hostile_texts_run_nowhere_and_break_no_page(chromium: str, tmp_path: Path) -> None:
    async with open_place(chromium, tmp_path, "mallory", settings=PLUGINS) as place:
        for name in ("alice", "mallory"):
            if name not in place.tokens:
                place.server.relay("user", "add", name, "--admin")
            place.tokens[name] = place.server.relay("token", "create", name).strip()
        people = writers(place)
        group = {"group_id": "evil", "name": "Evil", "members": ["alice"]}
        assert people["mallory"].rest.post("/api/groups", json=group).is_success
        attack(people["mallory"], people["alice"])
        page = await place.signed_in("alice")
        await page.evaluate(SPY)
        await take_look(page, PHONE)
        for view in SEEN:
            await views.calm(page)
            await views.open_view(page, view)
            await assert_harmless(page, view.name)
        for text in HOSTILE:
            await type_everywhere(page, text)
        for text in (HOSTILE[0], HOSTILE[7]):
            await name_oneself(place, page, text)
        for text in (*HOSTILE[:2], SHORT):
            await views.calm(page)
            await page.evaluate(f"location.hash = '#/' + encodeURIComponent({json.dumps(text)})")
            await page.wait("document.querySelector('.conversation h2')")
            await assert_harmless(page, f"address {text!r}")
        await _at_the_door(place)
        for one in people.values():
            one.rest.close()


async def _at_the_door(place: Place) -> None:
    """Names, passwords and invitations of somebody who is not signed in."""
    page = await place.tab("stranger")
    await page.wait("document.querySelector('.card:not(.early .card)')")
    await page.evaluate(SPY)
    await take_look(page, PHONE)
    for text in (*HOSTILE[:2], HOSTILE[7][:64]):
        await page.evaluate("document.querySelector('[name=user_id]').select()")
        await write("[name=user_id]", text)(page)
        await write("[name=password]", PASSWORD)(page)
        await page.evaluate("document.querySelector('form').requestSubmit()")
        await page.wait(
            "document.querySelector('.failure').textContent || document.querySelector('.card [aria-invalid=true]')"
        )
        await assert_harmless(page, f"sign-in {text!r}")
    await page.evaluate(f"location.hash = '#invite=' + {json.dumps(SHORT)}")
    await assert_harmless(page, "invitation")
