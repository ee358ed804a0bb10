"""The pictures of the page in docs/pictures, taken anew: `make screenshots`."""

from __future__ import annotations

import base64
import sys
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import trio

from tests.e2e.browser import views
from tests.e2e.browser.cdp import CHROMIUM, Page, run_browser
from tests.e2e.browser.look import REDRAWN, Look, take_look
from tests.e2e.browser.people import Place
from tests.e2e.browser.team import open_team

FOLDER = Path(__file__).parents[3] / "docs" / "pictures"
QUALITY = 80
DESKTOP = {"width": 1120, "height": 720, "scale": 2}
PHONE = {"width": 390, "height": 760, "scale": 2}
# Names are known, pictures and plugins' icons are loaded.
WHOLE = """[...document.images].every((one) => one.complete) && !document.body.innerText.includes("…")
    && [...document.querySelectorAll(".composer use")].every((one) => one.getBBox().width > 0)"""
VIEWS = {view.name: view for view in views.ADMIN + views.MEMBER}


@dataclass(frozen=True)
class Picture:
    """One picture.

    Attributes:
        name: that of its file, without the ending.
        view: the name of the view that it shows.
        look: on which device, in which colours and language.
        who: whose page it is.
    """

    name: str
    view: str
    look: Look
    who: str = "alice"


# The looks in turn, as another language loads the page anew.
PICTURES = [
    Picture("conversation", "written", Look(**DESKTOP)),
    Picture("thread", "thread", Look(**DESKTOP)),
    Picture("switcher", "switcher", Look(**DESKTOP)),
    Picture("emoji", "emoji", Look(**DESKTOP)),
    Picture("gallery", "gallery", Look(**DESKTOP)),
    Picture("group", "members", Look(**DESKTOP)),
    Picture("settings", "settings-appearance", Look(**DESKTOP)),
    Picture("dark", "two", Look(**DESKTOP, dark=True)),
    Picture("phone-list", "list", Look(**PHONE)),
    Picture("phone-conversation", "two", Look(**PHONE)),
    Picture("phone-menu", "message-menu", Look(**PHONE, dark=True)),
    Picture("french", "group", Look(**DESKTOP, language="fr")),
    Picture("invitation", "invite-link", Look(**DESKTOP), who="dora"),
]


async def take(page: Page, picture: Picture) -> None:
    """Show what a picture is of, and write it."""
    view = VIEWS[picture.view]
    await page.send("Page.bringToFront")
    await take_look(page, picture.look)
    await views.calm(page)
    await views.open_view(page, view)
    await page.wait("[...document.images].every((one) => one.complete)")
    await page.evaluate(f"document.fonts.ready.then(() => {REDRAWN}).then(() => 1)")
    data = await page.send("Page.captureScreenshot", format="webp", quality=QUALITY)
    path = FOLDER / f"{picture.name}.webp"
    path.write_bytes(base64.b64decode(data["data"]))
    print(f"{path.relative_to(FOLDER.parents[1])}: {path.stat().st_size // 1024} KB", file=sys.stderr)
    await views.leave_view(page, view)


async def take_all(place: Place) -> None:
    """Take every picture; bob and zoe are online meanwhile."""
    for name in ("bob", "zoe"):
        await place.signed_in(name)
    for who in ("alice", "dora"):
        page = await place.signed_in(who)
        for picture in PICTURES:
            if picture.who == who:
                await take(page, picture)


async def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    with TemporaryDirectory() as folder:
        server = Path(folder) / "server"
        server.mkdir()
        with run_browser(Path(folder)) as address:
            async with open_team(address, server) as place:
                await take_all(place)


if __name__ == "__main__":
    if CHROMIUM is None:
        sys.exit("chromium is not installed (apt-get install chromium)")
    trio.run(main)
