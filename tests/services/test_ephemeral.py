"""Indicators, by the clock alone; `tests/plugins/test_typing_indicator.py` has them through a whole server."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio
from msgspec.structs import replace

from relay.protocol.kinds import ConversationKind, Role
from relay.services.channels import Conversation
from relay.services.ephemeral import MAX_PER_USER, Indicators, Timeout
from relay.storage.conversations import ChannelRow
from tests.storage.books import message

TYPES = Timeout(6.0, "stopped")
STOPS = Timeout(6.0, None)
TYPING = replace(message(), client_id="phone")


def conversation(number: int = 1) -> Conversation:
    members = {"alice": Role.MEMBER, "bob": Role.MEMBER}
    return Conversation(ChannelRow(number, ConversationKind.USER, f"user:alice:{number}", "", members, "start"))


@asynccontextmanager
async def running() -> AsyncIterator[tuple[Indicators, list[tuple[float, str]]]]:
    ended: list[tuple[float, str]] = []
    indicators = Indicators(lambda entry, _conversation: ended.append((trio.current_time(), entry.payload)))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(indicators.run)
        yield indicators, ended
        nursery.cancel_scope.cancel()


async def test_one_that_is_repeated_ends_after_the_last_time() -> None:
    async with running() as (indicators, ended):
        for moment in (0, 4, 8):
            await trio.sleep_until(moment)
            assert indicators.note(TYPING, conversation(), TYPES)
        await trio.sleep(20)
        assert ended == [(14.0, "stopped")]
        assert len(indicators) == 0


async def test_one_that_began_again_has_a_whole_time_of_its_own() -> None:
    async with running() as (indicators, ended):
        indicators.note(TYPING, conversation(), TYPES)
        await trio.sleep_until(5)
        assert indicators.note(TYPING, conversation(), STOPS)
        assert indicators.note(TYPING, conversation(), TYPES)
        await trio.sleep(20)
        assert ended == [(11.0, "stopped")]


async def test_an_end_of_what_never_began_is_for_nobody() -> None:
    async with running() as (indicators, ended):
        assert indicators.note(TYPING, conversation(), STOPS) is False
        assert ended == []


async def test_a_message_ends_those_of_its_device_in_its_conversation() -> None:
    async with running() as (indicators, ended):
        for number in (1, 2):
            indicators.note(TYPING, conversation(number), TYPES)
        indicators.message_stored(replace(TYPING, client_id="laptop"), conversation(1))
        assert ended == []
        indicators.message_stored(TYPING, conversation(1))
        assert len(ended) == len(indicators) == 1


async def test_those_that_are_due_together_end_together_with_and_without_a_device() -> None:
    async with running() as (indicators, ended):
        for client_id in ("phone", None):
            indicators.note(replace(TYPING, client_id=client_id), conversation(), TYPES)
        await trio.sleep(20)
        assert [moment for moment, _ in ended] == [6.0, 6.0]


async def test_a_user_has_so_many_and_no_more() -> None:
    async with running() as (indicators, _):
        for number in range(MAX_PER_USER + 5):
            assert indicators.note(TYPING, conversation(number), TYPES), "it is passed on all the same"
        assert len(indicators) == MAX_PER_USER
