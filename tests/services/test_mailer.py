"""The outbox of mails: sent once, tried again with growing pauses, kept over a restart, given up in time."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio

from relay.http.smtp import SmtpClient
from relay.services.mailer import Mailer
from relay.storage import mails
from relay.storage.database import open_runner
from relay.storage.jobs import Runner
from tests.http.test_smtp import settings
from tests.smtp import Postbox, postbox

pytestmark = pytest.mark.real_time


class Clock:
    at = 1000.0

    def __call__(self) -> float:
        return self.at


async def put(runner: Runner, clock: Clock, recipient: str = "a@example.org", seconds: float = 3600.0) -> None:
    await runner.write(lambda c: mails.put(c, recipient, "S", "B", clock.at, clock.at + seconds))


async def wait_for(what: object, seconds: float = 10.0) -> None:
    with trio.fail_after(seconds):
        while not what():  # type: ignore[operator]
            await trio.sleep(0.01)


def mailer(runner: Runner, clock: Clock, box: Postbox) -> Mailer:
    return Mailer(runner, clock, SmtpClient(settings(box.port)).send)


async def test_a_mail_is_sent_once_and_what_is_refused_again_with_growing_pauses(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    clock = Clock()
    with postbox() as box:
        async with (
            open_runner(tmp_path / "relay.db", on_rollback=lambda: None) as runner,
            trio.open_nursery() as tasks,
        ):
            box.refusals = ["451 later", "451 later"]
            await put(runner, clock)
            sends = mailer(runner, clock, box)
            tasks.start_soon(sends.run)
            for pause, tried in ((5, 2), (20, 3)):
                await wait_for(lambda before=tried - 1: sends.refused == before)
                await trio.sleep(0.05)
                clock.at += pause - 1
                sends.wake()
                await trio.sleep(0.1)
                assert box.tried == tried - 1
                clock.at += 1
                sends.wake()
                await wait_for(lambda after=tried: box.tried == after)
            await wait_for(lambda: sends.sent == 1)
            await wait_for(lambda: sends.waiting == 0)
            assert len(box.mails) == 1
            assert await runner.read(mails.count) == 0
            tasks.cancel_scope.cancel()
        assert "a…@example.org: not taken, tried again in 5 s" in caplog.text
        assert not any(
            "a@example.org" in one.getMessage() for one in caplog.records if one.name.startswith("relay")
        )


async def test_a_mail_waits_over_a_restart_and_is_given_up_once_it_is_of_no_use(tmp_path: Path) -> None:
    clock = Clock()
    with postbox() as box:
        async with open_runner(tmp_path / "relay.db", on_rollback=lambda: None) as runner:
            await put(runner, clock)
            await put(runner, clock, "nobody@example.org")
            await put(runner, clock, "late@example.org", seconds=0)
        async with (
            open_runner(tmp_path / "relay.db", on_rollback=lambda: None) as runner,
            trio.open_nursery() as tasks,
        ):
            box.refusals = ["550 nobody of that name"]
            sends = mailer(runner, clock, box)
            tasks.start_soon(sends.run)
            await wait_for(lambda: sends.sent + sends.failed == 3)
            await wait_for(lambda: box.recipients == ["nobody@example.org"])
            tasks.cancel_scope.cancel()
        assert (sends.sent, sends.failed, sends.refused) == (1, 2, 1)


async def test_mails_wait_until_a_server_is_named_and_again_when_it_is_not(tmp_path: Path) -> None:
    clock = Clock()
    with postbox() as box:
        async with (
            open_runner(tmp_path / "relay.db", on_rollback=lambda: None) as runner,
            trio.open_nursery() as tasks,
        ):
            await put(runner, clock)
            sends = Mailer(runner, clock, None)
            tasks.start_soon(sends.run)
            sends.use(SmtpClient(settings(box.port)).send)
            await wait_for(lambda: sends.sent == 1)
            sends.use(None)
            await put(runner, clock, "b@example.org")
            sends.wake()
            await trio.sleep(0.1)
            assert (sends.sent, sends.failed, await runner.read(mails.count)) == (1, 0, 1)
            sends.use(SmtpClient(settings(box.port)).send)
            await wait_for(lambda: sends.sent == 2)
            tasks.cancel_scope.cancel()
