"""The views of the page, each by its name: how one gets there from the page as it opens, in any language."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from tests.e2e.browser.cdp import Page
from tests.e2e.browser.people import Place
from tests.e2e.browser.steps import (
    WORDS,
    Step,
    at_message,
    choose_files,
    choose_picture,
    click,
    key,
    press,
    run,
    until,
    word,
    write,
)
from tests.e2e.browser.team import TEAM

CALM = "!document.querySelector('dialog, .float, .conversation, .completion:not([hidden])')"


@dataclass(frozen=True)
class View:
    """One view.

    Attributes:
        name: what it is called, in pictures and failures.
        conversation: the one that is open; empty for none.
        steps: what leads there.
        ready: an expression that is true once it is there.
        main: whether it is looked at in every look.
        after: what leads away, where going back to the list is not enough.
    """

    name: str
    conversation: str
    steps: Sequence[Step]
    ready: str
    main: bool = False
    after: Sequence[Step] = ()


LAST = "document.querySelector('.messages .message')"
DIALOG = "document.querySelector('dialog[open]')"
RESTRICTING = "document.querySelector('dialog:last-of-type .danger')"
MENU = "document.querySelector('.float .menu, .sheet .menu')"
MESSAGE = "See you at the lunch"


TO_END = "document.querySelector('.messages').scrollTop = 1e9"


def own_menu(path: str) -> list[Step]:
    return [click(".account"), press(path)]


def letter(name: str) -> Step:
    """Press a letter on the message with the focus."""
    return run(
        f"document.activeElement.dispatchEvent(new KeyboardEvent('keydown', {{key: {name!r}, bubbles: true, cancelable: true}}))"
    )


def conversation_menu(path: str) -> list[Step]:
    return [press("conversation.menu"), press(path)]


def section(name: str) -> View:
    """Return the view of a section of the settings."""
    steps = [*own_menu("settings.title"), click(f"[data-section={name}]")]
    ready = "document.querySelector('.settings .page h3') && !document.querySelector('.settings .loaded > .told')"
    return View(f"settings-{name}", "", steps, ready, main=name == "profile")


STRANGER = [
    View("sign-in", "", [], "document.querySelector('.card:not(.early .card) h1')", main=True),
    View(
        "sign-in-refused", "",
        [write("[name=user_id]", "nobody"), write("[name=password]", "not the password"), click(".card .primary")],
        "document.querySelector('.failure').textContent",
    ),
    View("join", "", [run("location.hash = '#invite=abc'")], "document.querySelector('[name=display_name]')"),
    View("set-up", "", [run("location.hash = '#setup=abc'")], "document.querySelector('[name=display_name]')", main=True),
    View("new-password", "", [run("location.hash = '#reset=abc'")], "document.querySelector('.card [name=password][autocomplete=new-password]')"),
    View("verify", "", [run("location.hash = '#mail=abc'")], "document.querySelector('.card h1') && !document.querySelector('.card input')"),
]  # fmt: skip
"""What somebody sees who is not signed in."""

ADMIN = [
    View("empty", "", [], "document.querySelector('.empty-place h2, .conversations .empty button')", main=True),
    View("invite", "", own_menu("invite.title"), "document.querySelector('dialog .inviting')"),
    View("invite-link", "", [*own_menu("invite.title"), press("invite.make")], "document.querySelector('.qr svg path')", main=True),
    View("empty-conversation", "henri", [], "document.querySelector('.composer textarea')"),
    View("empty-gallery", "henri", conversation_menu("files.gallery"), "document.querySelector('.gallery .more')?.textContent"),
    View("empty-threads", "", [click(".place")], "document.querySelector('.threads-dialog .note').textContent.length > 20"),
    View("empty-saved", "", own_menu("sidebar.saved"), DIALOG),
]  # fmt: skip
"""What an admin sees who has talked with nobody yet."""

MEMBER = [
    View("list", "", [], "document.querySelectorAll('.line').length > 6", main=True),
    View("list-groups", "", [press("sidebar.groups")], "document.querySelectorAll('.line').length === 3"),
    View("list-archived", "", [press("sidebar.archived")], "document.querySelectorAll('.line').length === 1"),
    View("line-menu", "", [run("document.querySelector('.line a').dispatchEvent(new MouseEvent('contextmenu', {bubbles: true, cancelable: true, button: 2, clientX: 120, clientY: 200}))")], MENU),
    View("own-menu", "", [click(".account")], MENU, main=True),
    View("search", "", [write("[type=search]", "lunch")], "document.querySelector('.found mark')", main=True),
    View("search-nothing", "", [write("[type=search]", "xyzzy")], "document.querySelector('.below-search .told').textContent.includes('xyzzy')"),
    View("switcher", "", [key("k", modifiers=2)], "document.querySelector('.switcher [role=option]')", main=True),
    View("shortcuts", "", [run("document.activeElement.blur()"), key("?", modifiers=8)], "document.querySelector('.shortcuts')"),
    View("new-conversation", "", [press("sidebar.newConversation")], "document.querySelectorAll('dialog .person').length > 4", main=True),
    View(
        "new-group", "",
        [
            press("sidebar.newConversation"), press("people.newGroup"),
            until("document.querySelectorAll('dialog .person [type=checkbox]').length > 5"),
            run("[...document.querySelectorAll('dialog .person [type=checkbox]')].slice(0, 3).forEach((one) => one.click())"),
            press("people.create"),
        ],
        "document.querySelector('#group-name-problem')?.textContent && document.querySelectorAll('dialog .chip').length === 3",
    ),
    View("draft", "lunch", [run("document.querySelector('.composer textarea').select()"), write(".composer textarea", "Shall I book a"), run("location.hash = ''")], "document.querySelector('.gist.draft')"),
    View("public-groups", "", [press("sidebar.newConversation"), press("groups.browse")], "document.querySelectorAll('.public-groups .person').length === 2"),
    View("public-group", "", [press("sidebar.newConversation"), press("groups.browse"), click(".public-groups .person")], "document.querySelector('.preview')"),
    View("notice", "", [run("location.hash = '#invite=abc'")], "document.querySelector('.notice')"),
    View("notifications", "", [click(".bell")], "document.querySelector('.told-so-far li')"),
    View("saved", "", own_menu("sidebar.saved"), "document.querySelector('.saved .found')"),
    View("settings", "", own_menu("settings.title"), "document.querySelector('.settings [data-section]')"),
    *(section(name) for name in ("profile", "status", "appearance", "notifications", "privacy", "password", "second-factor", "devices", "data", "about")),
    View("picture", "", [*own_menu("settings.title"), click("[data-section=profile]"), choose_picture()], "document.querySelector('.crop canvas')"),
    View("two", "bob", [run(TO_END)], "document.querySelectorAll('.tile img').length === 3", main=True),
    View("group", TEAM, [], "document.querySelector('.offer button')", main=True),
    View("written", TEAM, [run("document.querySelector('.messages').scrollTop = 0")], "document.querySelector('pre')", main=True),
    View("right-to-left", "yusuf", [], LAST),
    View("toolbar", "zoe", [at_message(MESSAGE), key("Enter")], "document.activeElement.closest('.toolbar')", main=True),
    View("message-menu", "zoe", [at_message(MESSAGE), key("ContextMenu")], MENU, main=True),
    View("answering", "zoe", [at_message(MESSAGE), letter("r")], "document.querySelector('.composer .about button')"),
    View("editing", "bob", [at_message("Very much"), letter("e")], "document.querySelector('.composer.editing')"),
    View("deleting", "bob", [at_message("Very much"), letter("Delete")], "document.querySelector('dialog .danger')"),
    View("emoji", "zoe", [press("composer.emoji")], "document.querySelectorAll('[role=gridcell], .emoji-picker .grid button').length > 50", main=True),
    View("completion", TEAM, [write(".composer textarea", "@")], "document.querySelectorAll('.completion [role=option]').length > 2"),
    View("commands", TEAM, [write(".composer textarea", "/")], "document.querySelector('.completion [role=option]')"),
    View("files-chosen", "marguerite", [choose_files()], "document.querySelectorAll('.chosen .name').length === 2"),
    View("thread", TEAM, [click(".thread-line, .thread-mark")], "document.querySelectorAll('.panel.thread .message').length > 3", main=True),
    View("threads", "", [click(".place")], "document.querySelector('.threads li')", main=True),
    View("pins", TEAM, [click(".pin-bar .link")], "document.querySelector('.pins li')"),
    View("conversation-menu", TEAM, [press("conversation.menu")], MENU),
    View("lightbox", "bob", [run(TO_END), click(".tile")], "document.querySelector('.stage img')?.complete", main=True),
    View("gallery", "bob", conversation_menu("files.gallery"), "document.querySelectorAll('.gallery .tile img').length === 3"),
    View("gallery-files", "bob", [*conversation_menu("files.gallery"), press("files.tabs.files")], "document.querySelectorAll('.gallery .file').length === 2"),
    View("day", "bob", conversation_menu("conversation.toDate"), DIALOG),
    View("level", "bob", conversation_menu("notifications.title"), "document.querySelector('dialog.levels')"),
    View("person", "bob", [click(".conversation > header .name")], "document.querySelector('.common .person')", main=True),
    View("person-timeout", "bob", [click(".conversation > header .name"), press("moderation.timeout.short")], f"{RESTRICTING} && document.querySelector('dialog textarea, dialog select')"),
    View("person-block", "bob", [click(".conversation > header .name"), press("moderation.block")], RESTRICTING),
    View("report", "zoe", [at_message(MESSAGE), key("ContextMenu"), press("moderation.report")], "document.querySelector('dialog textarea')", main=True),
    View("recording", "bob", [press("composer.record")], "document.querySelector('.voice .recording')", after=[press("composer.dropRecording")]),
    View("members", TEAM, [press("conversation.members")], "document.querySelector('dialog .person')", main=True),
    View("member-menu", TEAM, [press("conversation.members"), click(".member [aria-haspopup]")], MENU),
    View("member-ban", TEAM, [press("conversation.members"), click(".member [aria-haspopup]"), press("moderation.ban.entry")], RESTRICTING),
    View("group-form", TEAM, [press("conversation.members"), press("groups.edit")], "document.querySelector('.group-form')"),
    View("add-people", TEAM, [press("conversation.members"), press("groups.add")], "document.querySelectorAll('dialog:last-of-type li:not([hidden]) .person').length > 2"),
    View("owner-leaves", TEAM, conversation_menu("groups.leave"), "document.querySelector('dialog .danger')"),
    View("hand-on", TEAM, [press("conversation.members"), press("groups.handOn")], "document.querySelector('dialog:last-of-type .directory .person')"),
    View("delete-group", TEAM, [press("conversation.members"), press("groups.delete")], "document.querySelector('dialog:last-of-type > .choice .danger')"),
    View("leave-group", "old", conversation_menu("groups.leave"), "document.querySelector('dialog .danger')"),
    View("reactions", TEAM, [at_message("Which colours"), letter("ContextMenu"), press("message.whoReacted")], "document.querySelectorAll('dialog .given').length > 5"),
    View("task-panel", TEAM, [click(".conversation > header .tools .link")], "document.querySelector('.panel:not([hidden])')"),
    View("poll-form", TEAM, [click(".composer .plugin-buttons button:first-child")], DIALOG),
    View("search-here", "bob", [*conversation_menu("sidebar.searchHere"), write("[type=search]", "point")], "document.querySelectorAll('.found mark').length > 5"),
    View("earlier", "bob", [run("document.querySelector('.messages').scrollTop -= 1500")], "!document.querySelector('.jump:last-child').hidden"),
    View("unknown", "nobody.here", [], "document.querySelector('.conversation .told, .conversation h2')"),
]  # fmt: skip
"""What somebody sees who has talked for a while."""


REPORT_BUTTON = "document.querySelector('.report-acts button:nth-of-type({})').click()"
MODERATOR = [
    View("moderators-list", "", [], "document.querySelector('.conversations .line .gist')?.textContent"),
    View("report-card", "moderators", [], "document.querySelector('.report-card .said')"),
    View("report-removal", "moderators", [until("document.querySelector('.report-acts button')"), run(REPORT_BUTTON.format(1))], "document.querySelector('dialog[open] .danger')"),
    View("report-timeout", "moderators", [until("document.querySelector('.report-acts button')"), run(REPORT_BUTTON.format(2))], "document.querySelector('dialog[open] select')"),
]  # fmt: skip
"""What a moderator sees to whom a message was reported."""


def with_others(place: Place) -> list[View]:
    """Return the views that others and the network have a part in."""

    async def remove(page: Page) -> None:
        await page.evaluate("location.hash = '#/old'")
        await page.wait("document.querySelector('.conversation .composer')")
        with place.server.rest(place.tokens["bob"]) as bob:
            assert bob.delete("/api/groups/old/members/alice").is_success

    async def add_again(page: Page) -> None:
        with place.server.rest(place.tokens["bob"]) as bob:
            assert bob.put("/api/groups/old/members/alice", json={}).is_success

    async def hold(page: Page) -> None:
        await page.send("Fetch.enable", patterns=[{"urlPattern": "*/api/*"}])

    async def cut(page: Page) -> None:
        place.network.cut()

    async def restore(page: Page) -> None:
        place.network.restore()
        now = f"control({word('notices.tryNow')})"
        await page.evaluate(f"(async () => {now}?.click())()")  # it may have come back by itself
        await page.wait("!document.querySelector('.banner').textContent")

    async def let_go(page: Page) -> None:
        await page.send("Fetch.disable")

    # Nobody of whom the page does not know that, as long as nothing answers.
    ghost = run("location.hash = `#/ghost-${document.documentElement.lang}-${innerWidth}`")
    other = run("location.hash = `#/other-${document.documentElement.lang}-${innerWidth}`")
    send = [write(".composer textarea", "Is anybody there?"), press("composer.send")]
    return [
        View("removed", "", [remove], "document.querySelector('.end:not([hidden])')", after=[add_again]),
        View("failed", "", [hold, ghost, *send], "document.querySelector('.message .failure')", after=[press("message.discard"), let_go]),
        View("queued", "zoe", [cut, *send], "document.querySelector('.is-queued') && document.querySelector('.banner span')"),
        View("not-here", "", [other], "document.querySelector('.end:not([hidden])')", after=[restore]),
    ]  # fmt: skip


async def calm(page: Page) -> None:
    """Go back to the page as it opens: nothing floats, nothing is open, nothing was typed."""
    await page.evaluate("""(async () => {
        for (const float of document.querySelectorAll(":popover-open")) float.hidePopover();
        for (const dialog of document.querySelectorAll("dialog")) dialog.close();
        const text = document.querySelector(".composer textarea");
        if (text && document.querySelector(".composer.editing")) document.querySelector(".composer .about button").click();
        document.querySelector(".composer .about button")?.click();
        for (const one of document.querySelectorAll(".chosen button")) one.click();
        if (text) { text.value = ""; text.dispatchEvent(new Event("input", { bubbles: true })); }
        document.querySelector("search .clear:not([hidden])")?.click();
        document.querySelector(".filters button")?.click();
        for (const one of document.querySelectorAll(".notice .dismiss")) one.click();
        document.activeElement?.blur?.();
        location.hash = "";
    })()""")
    await page.wait(CALM)


async def open_view(page: Page, view: View) -> None:
    """Open a view on a page that is calm."""
    if not await page.evaluate("Boolean(globalThis.word)"):
        await page.evaluate(WORDS)
    if view.conversation:
        await page.evaluate(f"location.hash = {json.dumps('#/' + view.conversation)}")
        await page.wait("document.querySelector('.conversation h2')?.textContent")
        await page.wait("!document.querySelector('.history.opening, .messages[aria-busy=true]')")
    for step in view.steps:
        await step(page)
    await page.wait(view.ready)


async def leave_view(page: Page, view: View) -> None:
    """Leave a view: the page is calm after that."""
    for step in view.after:
        await step(page)
    await calm(page)
