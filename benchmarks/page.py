"""What relay's page costs with a long conversation: `python -m benchmarks.page`, in Chromium.

With `--tree` twice, two versions of relay are measured in turns on this machine, and stand side by side.
"""

import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
import trio

from tests.e2e.browser.cdp import CHROMIUM, Page, open_browser, run_browser
from tests.e2e.server import RELAY, Server

MOST_SECONDS = 400.0
HERE = Path(__file__).parents[1]
WINDOW = {"width": 1180, "height": 800, "deviceScaleFactor": 1, "mobile": False}
LIMITS = {
    "open": (500.0, "ms from the press to the messages"),
    "frame p50": (0.0, "ms, scrolling back"),
    "frame p99": (50.0, "ms, scrolling back"),
    "frame max": (0.0, "ms, scrolling back"),
    "typing max": (50.0, "ms from a key to the frame, while scrolling"),
    "cpu a frame": (
        0.0,
        "ms of the main thread's own clock, scrolling back",
    ),
    "elements": (3000.0, "in the document, at most"),
    "heap": (0.0, "MB of JavaScript, at the end"),
    "seconds": (0.0, "s until so many messages are loaded"),
}

OPEN = """(async () => {
    const frame = () => new Promise(requestAnimationFrame);
    const begun = performance.now();
    location.hash = "#/bob";
    while (document.querySelectorAll(".message .content").length < 3) await frame();
    await frame();
    return performance.now() - begun;
})()"""

# The list goes back by 600 pixels a frame, with a key in each twelfth. What is loaded shows in the requests.
SCROLL = """(async () => {
    const list = document.querySelector(".messages");
    const text = document.querySelector(".composer textarea");
    const frames = [], typed = [];
    let elements = 0, pages = 0, last = 0;
    const asked = fetch;
    globalThis.fetch = (...given) => {
        const found = String(given[0]?.url ?? given[0]).match(/messages\\/user.*limit=(\\d+)/);
        return asked(...given).then((answer) => ((pages += found ? Number(found[1]) : 0), answer));
    };
    const begun = performance.now();
    text.focus();
    for (let number = 0; pages < COUNT && performance.now() - begun < 300_000; number += 1) {
        const at = await new Promise(requestAnimationFrame);
        if (last) frames.push(at - last);
        last = at;
        list.scrollTop -= 600;
        if (number % 12 === 0) {
            const pressed = performance.now();
            document.execCommand("insertText", false, "x");
            requestAnimationFrame(() => {
                const { port1, port2 } = new MessageChannel();
                port1.onmessage = () => typed.push(performance.now() - pressed);
                port2.postMessage(0);
            });
        }
        if (number % 10 === 0) elements = Math.max(elements, document.querySelectorAll("*").length);
    }
    globalThis.fetch = asked;
    return { frames, typed, elements, pages, seconds: (performance.now() - begun) / 1000 };
})()"""


def _messages(count: int) -> Iterator[str]:
    for number in range(count):
        sender, target = ("alice", "bob") if number // 3 % 2 else ("bob", "alice")
        content = f"message {number}" + " with some words" * (number * 7 % 13)
        meta = {"id": f"old-{number}", "sender_id": sender, "target_id": target, "timestamp": 1.7e9 + number * 300}
        yield json.dumps({"type": "chat_message", "payload": {"content": content}, "meta": meta})


@contextmanager
def _serving(tree: Path, folder: Path) -> Iterator[Server]:
    """Run the server of a working tree, with its own page."""
    server = Server(folder, root=tree, command=RELAY)
    server.start()
    try:
        yield server
    finally:
        server.kill()


async def _measure(tree: Path, count: int, back: int) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "browser").mkdir()
        (folder / "server").mkdir()
        with _serving(tree, folder / "server") as server, run_browser(folder / "browser") as address:
            tokens = server.import_users(["alice", "bob"])
            file = folder / "old.ndjson"
            file.write_text("\n".join(_messages(count)))
            server.relay("import", str(file))
            async with open_browser(address) as browser:
                page = await browser.page(server.url, await browser.context())
                return await _walk(page, tokens["alice"], back)


async def _walk(page: Page, token: str, back: int) -> dict[str, float]:
    await page.send("Emulation.setDeviceMetricsOverride", **WINDOW)
    await page.wait("named('Sign in')")
    session = json.dumps({"token": token, "userId": "alice"})
    await page.evaluate(f"localStorage.setItem('relay.session', {json.dumps(session)})")
    await page.reload()
    await page.wait("document.querySelector('.me strong')")
    await trio.sleep(2)  # what a start does besides
    opened = await page.evaluate(OPEN)
    await trio.sleep(1)
    await page.send("Performance.enable", timeDomain="threadTicks")
    before = await busy(page)
    await page.evaluate(f"void {SCROLL.replace('COUNT', str(back))}.then((told) => (globalThis.walked = told))")
    await page.wait("Boolean(globalThis.walked)", MOST_SECONDS)
    told: dict[str, Any] = await page.evaluate("walked")
    frames = sorted(told["frames"])
    heap = await page.send("Runtime.getHeapUsage")
    spent = await busy(page) - before
    return {
        "open": float(opened),
        "frame p50": statistics.median(frames),
        "frame p99": frames[int(len(frames) * 0.99)],
        "frame max": frames[-1],
        "typing max": max(told["typed"]),
        "cpu a frame": spent * 1000 / len(frames),
        "elements": float(told["elements"]),
        "heap": heap["usedSize"] / 1e6,
        "seconds": told["seconds"],
    }


async def busy(page: Page) -> float:
    """Return how long the page's main thread worked so far, in seconds of its own clock."""
    metrics = (await page.send("Performance.getMetrics"))["metrics"]
    return next(float(one["value"]) for one in metrics if one["name"] == "TaskDuration")


@click.command()
@click.option(
    "--tree",
    "trees",
    multiple=True,
    type=click.Path(exists=True, path_type=Path),
    help="A working tree; once or twice.",
)
@click.option("--messages", default=100_000, show_default=True, help="Messages in the conversation.")
@click.option("--back", default=5_000, show_default=True, help="Messages to scroll back over.")
@click.option(
    "--rounds", default=1, show_default=True, help="How often each is measured, in turns; medians are printed."
)
def main(trees: tuple[Path, ...], messages: int, back: int, rounds: int) -> None:
    """Measure the page with a long conversation."""
    if CHROMIUM is None:
        raise click.ClickException("chromium is not installed (apt-get install chromium)")
    chosen = [tree.resolve() for tree in trees] or [HERE]
    measured: list[list[dict[str, float]]] = [[] for _ in chosen]
    for _ in range(rounds):
        for tree, found in zip(chosen, measured, strict=True):
            found.append(trio.run(_measure, tree, messages, back))
    names = [_commit(tree) for tree in chosen]
    click.echo(f"{messages:,} messages, {back:,} back\n\n{'':12}" + "".join(f"{name:>14}" for name in names))
    for figure, (limit, unit) in LIMITS.items():
        values = [statistics.median(one[figure] for one in found) for found in measured]
        wanted = f"; at most {limit:,.0f}" if limit else ""
        click.echo(f"{figure:12}" + "".join(f"{value:14,.1f}" for value in values) + f"   {unit}{wanted}")


def _commit(tree: Path) -> str:
    done = subprocess.run(["git", "-C", str(tree), "rev-parse", "--short", "HEAD"], capture_output=True, text=True)
    return done.stdout.strip() or tree.name


if __name__ == "__main__":
    sys.exit(main())
