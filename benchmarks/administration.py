"""What the administration costs on a large server: `python -m benchmarks.administration`, in Chromium.

It fills a server with 10,000 users and much besides, connects 5,000 devices to it, opens every view of `/admin`,
each several times, and then times every call that a view made. What two users say meanwhile is timed,
too.
"""

import json
import re
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click
import httpx
import trio

from benchmarks.crowd import Crowd, gathered
from benchmarks.frames import MismatchError
from benchmarks.machine import describe, process_seconds
from benchmarks.page import busy
from benchmarks.populated import ADMIN, TALKERS, Amounts, Found, Maker, devices, users
from benchmarks.report import percentile
from benchmarks.server import Server, running, scratch
from tests.e2e.browser.cdp import CHROMIUM, Page, open_browser, run_browser
from tests.e2e.browser.look import Look, take_look, violations

FILES = 16_384
MOST_VIEW, MOST_MESSAGE = 200.0, 50.0
QUIET_SECONDS = 10.0
LOOKS = (Look(), Look(width=390, height=844, dark=True, language="fr", scale=2))
CONFIG = '[plugins]\nalso = ["webhooks", "bots", "retention", "tasks", "polls"]\n'

# What a view asks for is noted; it is drawn with the last change before a quarter of a second of silence.
PREPARE = """(() => {
    const asked = fetch;
    Object.assign(globalThis, { calls: [], waiting: 0 });
    globalThis.fetch = async (...given) => {
        const { pathname, search } = new URL(given[0]?.url ?? given[0], location.href);
        calls.push(pathname + search);
        waiting += 1;
        try { return await asked(...given); } finally { waiting -= 1; }
    };
})()"""

OPEN = """(async () => {
    const begun = performance.now();
    let changed = begun, drawn = begun;
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = () => (drawn = performance.now());
    const seen = new MutationObserver(() => {
        changed = performance.now();
        requestAnimationFrame(() => port2.postMessage(0));
    });
    seen.observe(document.querySelector(".admin-main"), { childList: true, subtree: true, characterData: true });
    calls.length = 0;
    location.hash = HASH;
    do await new Promise((resolve) => setTimeout(resolve, 20));
    while (waiting > 0 || drawn < changed || drawn === begun || performance.now() - drawn < 250);
    seen.disconnect();
    const failures = [...document.querySelectorAll(".admin-main .failure, .notices .failure")];
    const wrong = failures.map((one) => one.textContent).filter(Boolean).join(" ");
    return { milliseconds: drawn - begun, calls, wrong };
})()"""
SECTIONS = "[...document.querySelectorAll('.admin-nav a')].map((one) => one.dataset.section)"
WIDE = "document.documentElement.scrollWidth > innerWidth"


@dataclass
class Measured:
    """All that was measured, in milliseconds.

    Attributes:
        views, calls: how long each took, every time; of a call with its whole path.
        costs: the processor time of each view, all times together, of the server and of the page's main thread.
        wrong: what is wrong with the views.
        looking, calling: from when until when that was.
    """

    views: dict[str, list[float]] = field(default_factory=dict)
    calls: dict[str, tuple[str, list[float]]] = field(default_factory=dict)
    costs: dict[str, tuple[float, float]] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)
    looking: tuple[float, float] = (0.0, 0.0)
    calling: tuple[float, float] = (0.0, 0.0)


def views(sections: Sequence[str], found: Found) -> list[str]:
    """Return the addresses of all views: each section, and what one opens or looks for in them."""
    user, group = found.user, found.group
    return [
        *sections,
        *(f"overview?span={span}" for span in ("hour", "month", "year")),
        f"users/{user}",
        *(f"users?{query}" for query in ("q=user09", "q=nobody", "role=moderator", "disabled=true")),
        *(f"reports?state={state}" for state in ("open", "dismissed", "resolved")),
        f"audit?by={ADMIN}",
        *(f"audit?{query}" for query in ("act=user.changed", f"about=user:{user}", "q=2999", "q=nothing like it")),
        "plugins/pin",
        *(f"trace/{message}" for message in found.messages.values()),
        f"rights?user={user}&act=write&target={group}",
    ]


def deep(found: Found) -> list[str]:
    """Return calls that a view makes once one has gone on for long."""
    pages = (
        "users?cursor=user05000",
        "groups?cursor=group0250",
        "invites?ended=true&limit=50",
        "audit?cursor=1000",
    )
    return [f"/api/admin/{page}" for page in pages] + [
        f"/api/admin/trace/{found.messages['everybody']}?after=user05000"
    ]


async def _look(server: Server, found: Found, rounds: int, pictures: Path | None, measured: Measured) -> None:
    """Open every view, once and then in some rounds; then look at each for what is wrong with it."""
    with tempfile.TemporaryDirectory() as name, run_browser(Path(name)) as address:
        async with open_browser(address) as browser:
            page = await browser.page(f"http://127.0.0.1:{server.port}/", await browser.context())
            await page.wait("named('Sign in')")
            session = json.dumps({"token": server.tokens[ADMIN], "userId": ADMIN})
            await page.evaluate(f"localStorage.setItem('relay.session', {json.dumps(session)})")
            await take_look(page, LOOKS[0])
            await page.go(f"http://127.0.0.1:{server.port}/admin")
            await page.wait("document.querySelector('.admin-nav a') && document.querySelector('.admin-main h2')")
            await trio.sleep(2)
            await page.evaluate(PREPARE)
            await page.send("Performance.enable", timeDomain="threadTicks")
            all_views = views(await page.evaluate(SECTIONS), found)
            begun = time.perf_counter()
            for _ in range(rounds + 1):
                for view in all_views:
                    await _measure(server, page, view, measured)
            measured.looking = (begun, time.perf_counter())
            await _inspect(page, all_views, pictures, measured)
            measured.wrong += page.errors


async def _measure(server: Server, page: Page, view: str, measured: Measured) -> None:
    """Open a view, and note what that cost besides time: the machine may have other work."""
    before = process_seconds(server.pid), await busy(page)
    await _open(page, view, measured)
    after = process_seconds(server.pid), await busy(page)
    known = measured.costs.get(view, (0.0, 0.0))
    ours, theirs = (1000 * (later - earlier) for later, earlier in zip(after, before, strict=True))
    measured.costs[view] = known[0] + ours, known[1] + theirs


async def _open(page: Page, view: str, measured: Measured) -> None:
    # From another view than the one that is shown: of the same address nothing would be drawn.
    told: dict[str, Any] = await page.evaluate(OPEN.replace("HASH", json.dumps(f"#/{view}")))
    measured.views.setdefault(view, []).append(float(told["milliseconds"]))
    for call in told["calls"]:
        measured.calls.setdefault(_undated(call), (call, []))
    if told["wrong"]:
        measured.wrong.append(f"{view}: {told['wrong']}")


def _undated(call: str) -> str:
    """Return a call with how far back it goes in the place of the moment: it is the same one a minute later."""
    return re.sub(r"(?<=from=)\d+", lambda found: f"-{(time.time() - int(found[0])) / 3600:.0f}h", call)


async def _inspect(page: Page, all_views: Sequence[str], pictures: Path | None, measured: Measured) -> None:
    """Look at each view with axe and by its width, on a desktop and on a phone; take its picture."""
    for look in LOOKS:
        await take_look(page, look)
        await page.evaluate(PREPARE)
        aside = Measured()
        for number, view in enumerate(all_views):
            await _open(page, view, aside)
            measured.wrong += [f"{look.name} {view}: {one}" for one in await violations(page)]
            if await page.evaluate(WIDE):
                measured.wrong.append(f"{look.name} {view} is wider than the window")
            if pictures is not None:
                name = "".join(sign if sign.isalnum() else "-" for sign in view)
                await page.screenshot(pictures / f"{look.name}-{number:02d}-{name}.png")


def _call(server: Server, rounds: int, measured: Measured) -> None:
    """Time every call, from the question to the whole answer."""
    headers = {"Authorization": f"Bearer {server.tokens[ADMIN]}"}
    begun = time.perf_counter()
    with httpx.Client(base_url=f"http://127.0.0.1:{server.port}", headers=headers, trust_env=False) as rest:
        for _ in range(rounds):
            for path, took in measured.calls.values():
                at = time.perf_counter()
                answer = rest.get(path, timeout=60)
                took.append((time.perf_counter() - at) * 1000)
                if not answer.is_success:
                    raise MismatchError(f"GET {path}: {answer.status_code} {answer.text[:300]}")
    measured.calling = (begun, time.perf_counter())


def _print(measured: Measured, crowd: Crowd, quiet: tuple[float, float]) -> None:
    calls = {name: took for name, (_, took) in measured.calls.items()}
    for title, rows in (("view, from the press until it is drawn", measured.views), ("GET", calls)):
        costs = f"{'server':>10}{'page':>10}" if rows is measured.views else ""
        click.echo(f"\n{title:90}{'first':>10}{'p50':>10}{'max':>10}{costs}   ms")
        for name, (first, *others) in rows.items():
            worst = max(others, default=first)
            missed = f"   NOT MET: at most {MOST_VIEW:g}" if max(first, worst) > MOST_VIEW else ""
            middle, cost = statistics.median(others or [first]), ""
            if rows is measured.views:
                cost = "".join(f"{one / len(rows[name]):10,.1f}" for one in measured.costs[name])
            click.echo(f"{name:90}{first:10,.1f}{middle:10,.1f}{worst:10,.1f}{cost}{missed}")
    click.echo(f"\n{'a message of two others meanwhile':90}{'p50':>10}{'p99':>10}{'max':>10}   ms")
    windows = {
        "while nobody looks": quiet,
        "while the views are opened": measured.looking,
        "during the calls": measured.calling,
    }
    for name, window in windows.items():
        took = [1000 * one for one in crowd.between(*window)]
        if not took:
            click.echo(f"{name:90}{'none was sent: more rounds take longer':>30}")
            continue
        late = percentile(took, 0.99)
        missed = f"   NOT MET: at most {MOST_MESSAGE:g}" if late > MOST_MESSAGE else ""
        click.echo(f"{name:90}{percentile(took, 0.5):10.1f}{late:10.1f}{took[-1]:10.1f}{missed}")
    wrong = (
        "\n".join(dict.fromkeys(measured.wrong)) or "nothing (axe, the width, the console, and what a view says)"
    )
    click.echo(f"\nwrong with the views: {wrong}")


@click.command()
@click.option(
    "--users", "user_count", default=10_000, show_default=True, type=click.IntRange(2_000), help="Accounts."
)
@click.option("--connections", default=5_000, show_default=True, help="Connected devices, two to a user.")
@click.option("--messages", default=100_000, show_default=True, help="Messages of a year.")
@click.option("--rounds", default=5, show_default=True, help="How often each view is opened after the first time.")
@click.option(
    "--pictures", type=click.Path(file_okay=False, path_type=Path), help="A folder for pictures of the views."
)
def main(user_count: int, connections: int, messages: int, rounds: int, pictures: Path | None) -> None:
    """Measure the administration of a large server."""
    if CHROMIUM is None:
        raise click.ClickException("chromium is not installed (apt-get install chromium)")
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(FILES, most), most))
    if pictures is not None:
        pictures.mkdir(parents=True, exist_ok=True)
    amounts = Amounts(users=user_count, connections=connections, messages=messages)
    measured = Measured()
    with scratch() as folder:
        click.echo(describe(folder))
    try:
        with running([ADMIN, *TALKERS, *users(amounts)], config=CONFIG) as server:
            found = Maker(server, amounts).fill()
            with gathered(server, TALKERS, devices(amounts)) as crowd:
                click.echo(f"{user_count:,} users, {connections:,} devices, {messages:,} messages of a year")
                begun = time.perf_counter()
                time.sleep(QUIET_SECONDS)
                quiet = (begun, time.perf_counter())
                trio.run(_look, server, found, rounds, pictures, measured)
                measured.calls |= {call: (call, []) for call in deep(found)}
                _call(server, rounds + 1, measured)
                crowd.end()
            _print(measured, crowd, quiet)
    except MismatchError as error:
        raise click.ClickException("\n".join([str(error), *getattr(error, "__notes__", [])])) from error
    sys.exit(1 if measured.wrong else 0)


if __name__ == "__main__":
    main()
