"""From a clone to the first message between two browsers, by the page alone: `python -m benchmarks.first_message`.

It clones this repository, calls `make run`, opens the link that the server prints in Chromium, and does what a
person would: sets up, invites by the page's link, joins in another browser, and writes.
"""

import os
import re
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click
import trio

from tests.e2e.browser.cdp import CHROMIUM, Browser, Page, open_browser, run_browser
from tests.e2e.server import free_port

HERE = Path(__file__).parents[1]
START_SECONDS = 300.0
PASSWORD = "correct horse"
SAID = "The first message"


class Steps:
    """The seconds of each step, printed as they end."""

    def __init__(self) -> None:
        self._begun = self._last = time.monotonic()

    def done(self, what: str) -> None:
        """Print how long a step took, in seconds, and begin the next."""
        now = time.monotonic()
        print(f"  {what:<44}{now - self._last:6.1f} s", flush=True)
        self._last = now

    def installed(self) -> None:
        """Count from here on."""
        self._begun = time.monotonic()

    @property
    def seconds(self) -> float:
        """The time from the beginning to the last step."""
        return self._last - self._begun


@contextmanager
def run_server(folder: Path, steps: Steps) -> Iterator[str]:
    """Clone, install and run a server as a newcomer does; yield the link that it prints."""
    subprocess.run(["git", "clone", "--quiet", str(HERE), str(folder / "relay")], check=True)
    steps.done("git clone")
    subprocess.run(["make", "--silent", ".venv/.installed"], cwd=folder / "relay", check=True)
    steps.done("the install, the first part of `make run`")
    steps.installed()
    log = folder / "log"
    with log.open("wb") as out:
        environ = {**os.environ, "RELAY_SERVER__PORT": str(free_port())}
        process = subprocess.Popen(
            ["make", "run"], cwd=folder / "relay", env=environ, stdout=out, stderr=out, start_new_session=True
        )
    try:
        deadline = time.monotonic() + START_SECONDS
        while not (found := re.search(r"http://\S+/#setup=\S+", log.read_text())):
            if process.poll() is not None or time.monotonic() > deadline:
                raise click.ClickException(f"the server printed no link:\n{log.read_text()}")
            time.sleep(0.02)
        steps.done("`make run`, until the link is printed")
        yield found[0]
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait()


async def join(page: Page, name: str, submit: str) -> None:
    """Fill the form of the way in."""
    await page.write("Name", name)
    await page.write("Password", PASSWORD)
    await page.click(submit)
    await page.wait("document.querySelector('.me strong')")


async def talk(browser: Browser, link: str, steps: Steps) -> None:
    """Do what two people do with the page until one has read the other's first message."""
    alice = await browser.page(link, await browser.context())
    await join(alice, "alice", "Set up")
    steps.done("set up by the link")
    await alice.click("Invite people")
    await alice.click("Create link")
    invitation = await alice.wait(
        "[...document.querySelectorAll('dialog input')].find(({ value }) => value.includes('#invite='))?.value"
    )
    steps.done("an invitation by the page")
    bob = await browser.page(invitation, await browser.context())
    await join(bob, "bob", "Create account")
    steps.done("joined in another browser")
    await alice.press("Escape")
    await alice.click("New conversation")
    found = "[...document.querySelectorAll('dialog .person')].find((one) => one.textContent.includes('bob'))"
    await alice.wait(found)
    await alice.evaluate(f"{found}.click()")
    await alice.write("Message", SAID)
    await alice.press("Enter")
    await bob.wait("document.querySelector('.conversations a')")
    await bob.evaluate("document.querySelector('.conversations a').click()")
    await bob.wait(
        f"[...document.querySelectorAll('.message .content')].some((one) => one.textContent === '{SAID}')"
    )
    steps.done("written, and read by the other")


@click.command()
def main() -> None:
    """Print the seconds of each step."""
    if CHROMIUM is None:
        raise click.ClickException("chromium is not installed")
    steps = Steps()
    print("from a clone to the first message between two browsers:")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "browser").mkdir()
        with run_browser(folder / "browser") as address, run_server(folder, steps) as link:

            async def run() -> None:
                async with open_browser(address) as browser:
                    await talk(browser, link, steps)

            trio.run(run)
    print(f"  {'after the install':<44}{steps.seconds:6.1f} s")


if __name__ == "__main__":
    main()
