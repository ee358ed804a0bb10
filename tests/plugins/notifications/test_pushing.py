"""Messages that go out to people who are at no device: when they do, what they say, and how they go again."""

from __future__ import annotations

import trio

from tests.plugins.notifications.conftest import Notifying

SOON = 8
"""Seconds after which a message that nobody reads is out."""


async def test_a_message_goes_to_every_target_of_who_is_at_no_device(notifying: Notifying) -> None:
    async with notifying() as town:
        await town.ntfy("bob")
        await town.gotify("bob")
        browser = await town.browser("bob")
        await town.say("alice", "bob", "Lunch?")
        await trio.sleep(3)
        assert town.outside.ntfy.published == []
        await trio.sleep(SOON)
        expected = [("alice", "Lunch?")]
        assert town.outside.ntfy.texts == town.outside.gotify.texts == browser.texts == expected
