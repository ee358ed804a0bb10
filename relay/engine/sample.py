"""The sample data: people, groups and a conversation to try a new server with; its removal leaves no rest."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncGenerator
from functools import partial
from typing import Any, Final, NamedTuple

import msgspec

from relay.engine.engine import Engine
from relay.engine.sample_picture import draw_png
from relay.engine.sample_texts import PEOPLE, STORIES, VOTES, WEEKEND, Language, Said, Story
from relay.engine.submitter import InternalSender
from relay.protocol.envelope import Envelope, Meta, encode_json
from relay.protocol.errors import ErrorCode, RelayError, not_found
from relay.protocol.kinds import ConversationKind, Role
from relay.services.acts import Act
from relay.services.audit import Actor
from relay.storage import conversations, sample, tombstones
from relay.storage.accounts import Identity
from relay.storage.sample import Parts

_AT_ONCE: Final = 100
_ASKED_AGO: Final = 1288.0
"""Minutes since the poll was asked."""


class State(NamedTuple):
    """The state of the sample: what it is made of, and whether it can be added."""

    there: bool
    users: tuple[str, ...]
    groups: tuple[str, ...]
    offered: bool


class SampleData:
    """Adds the sample data and removes it, for an admin or the operator."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def state(self) -> State:
        """Return whether the sample is there, or may be added."""

        def read(connection: sqlite3.Connection) -> tuple[Parts, list[str]]:
            return sample.parts(connection), sample.people(connection)

        found, people = await self._engine.runner.read(read)
        there = _is_there(found)
        return State(there, found.users, found.groups, not there and len(people) == 1)

    async def add(self, actor: Actor, language: Language) -> State:
        """Add the sample for the one account that there is, and return its state.

        The language is that of its texts.

        Raises:
            RelayError: `conflict` if the sample is there, if there is no account or more than one, or if a name of
                it is taken; or a plugin's refusal.
        """
        engine = self._engine
        await engine.runner.read(_check_not_there)
        you = await engine.runner.read(_only_account)
        began = False

        def noted(connection: sqlite3.Connection, user_id: str) -> None:
            if not began:
                _check_not_there(connection)
                engine.audit.write(connection, actor, Act.SAMPLE_ADDED, details={"language": language})
            sample.note(connection, "user", user_id)
            _only_account(connection)

        for user_id, name in PEOPLE.items():
            await engine.registration.add(user_id, name, then=partial(noted, user_id=user_id))
            began = True
        story = STORIES[language]
        for group_id in story.groups:
            await self._add_group(you, group_id, story)
        return await self.state()

    async def _add_group(self, you: str, group_id: str, story: Story) -> None:
        engine, now = self._engine, self._engine.now()
        name, description = story.groups[group_id]
        said = story.messages[group_id]
        await engine.runner.write(lambda connection: sample.note(connection, "group", group_id))
        await engine.groups.create(
            you,
            name,
            list(PEOPLE),
            group_id,
            "start",
            profile={"description": description},
            acquaint=True,
            at=now - (said[0].ago + 1) * 60,
        )
        known: dict[str, int] = {}
        for one in said[:-1]:
            await self._say(you, group_id, one, known, story)
        if group_id == WEEKEND and "poll" in engine.registry.types:
            await self._ask(group_id, story, now - _ASKED_AGO * 60)
        await self._say(you, group_id, said[-1], known, story)

    async def _say(self, you: str, group_id: str, said: Said, known: dict[str, int], story: Story) -> None:
        at = self._engine.now() - said.ago * 60
        payload: dict[str, Any] = {
            "content": said.text.format(you=you),
            "mentions": [one.format(you=you) for one in said.mentions],
        }
        if said.picture:
            stored = await self._engine.attachments.receive(said.sender, story.picture, _in_one(draw_png()))
            payload["attachments"] = [stored.attachment_id]
        if said.reply:
            payload["reply_to"] = known[said.reply]
        if said.thread:
            payload["thread"] = known[said.thread]
        message_id = await self._send(said.sender, "group_message", payload, group_id, at)
        if said.name:
            known[said.name] = message_id
        for user_id, emoji in said.reactions if "reaction" in self._engine.registry.types else ():
            reaction = {"message_id": message_id, "emoji": emoji, "on": True}
            await self._send(user_id, "reaction", reaction, group_id, at + 60)

    async def _ask(self, group_id: str, story: Story, at: float) -> None:
        poll = {"question": story.question, "options": list(story.options)}
        message_id = await self._send(next(iter(PEOPLE)), "poll", poll, group_id, at)
        for number, (user_id, choice) in enumerate(VOTES, 1):
            vote = {"poll": message_id, "choices": [choice]}
            await self._send(user_id, "poll_vote", vote, group_id, at + number * 60)

    async def _send(self, sender: str, type_: str, payload: dict[str, Any], group_id: str, at: float) -> int:
        """Send a message as everybody's are sent, but for when; return its id."""
        engine = self._engine
        envelope = Envelope(type_, msgspec.Raw(encode_json(payload)), Meta(target_id=group_id))
        submission = await engine.dispatcher.draft(
            InternalSender(Identity(user_id=sender, created_at=at)), envelope, paced=False
        )
        submission.entry.at = at
        stored = await engine.router.send(submission)
        assert stored.message_id is not None  # noqa: S101 - all these types are stored
        return stored.message_id

    async def remove(self, actor: Actor) -> State:
        """Remove the sample, with all that was said in its conversations, by whomever; return its state.

        A removal that was cut short goes on when it is asked for again.

        Raises:
            RelayError: `not_found` where there is none; `conflict` while messages of it are on legal hold.
        """
        engine = self._engine

        def begin(connection: sqlite3.Connection) -> Parts:
            found = sample.parts(connection)
            if not _is_there(found):
                raise not_found("sample data on this server")
            _check_not_held(connection, found)
            if not found.going:
                sample.note(connection, "going", "")
                engine.audit.write(connection, actor, Act.SAMPLE_REMOVED)
            return found

        found = await engine.runner.write(begin)
        for group_id in found.groups:
            group = await engine.channels.group(group_id)
            for owner in [one for one, role in group.members.items() if role is Role.OWNER] if group else ():
                await engine.groups.delete(owner, group_id)
        for user_id in found.users:
            await engine.leaving.erase(user_id)
        await self._erase_messages(found)
        await engine.attachments.collect()
        await engine.runner.write(self._drop)
        engine.accounts.forget()
        return await self.state()

    async def _erase_messages(self, found: Parts) -> None:
        """Erase what others said in the sample's conversations, which nobody can write to any more."""
        runner = self._engine.runner
        for address in await runner.read(partial(_addresses, found=found)):
            held = await self._engine.channels.at(address)
            if held is not None:
                self._engine.channels.forget(held)
        at, reached = self._engine.now(), 0
        channel_ids = await runner.read(partial(sample.channels, found=found))
        while said := await runner.read(
            partial(sample.said_in, channel_ids=channel_ids, after=reached, limit=_AT_ONCE)
        ):
            await runner.write(partial(tombstones.erase_messages, message_ids=said, at=at))
            reached = said[-1]

    def _drop(self, connection: sqlite3.Connection) -> None:
        found = sample.parts(connection)
        _check_not_held(connection, found)
        sample.drop(connection, found)


async def _in_one(data: bytes) -> AsyncGenerator[bytes, None]:
    yield data


def _is_there(found: Parts) -> bool:
    return bool(found.users or found.groups)


def _check_not_there(connection: sqlite3.Connection) -> None:
    """Refuse to add the sample twice.

    Raises:
        RelayError: `conflict`.
    """
    if _is_there(sample.parts(connection)):
        text = "the sample data is there already; remove it to add it anew"
        raise RelayError(ErrorCode.CONFLICT, text, details={"reason": "sample_there"})


def _only_account(connection: sqlite3.Connection) -> str:
    """Return the one account that there is besides the sample's.

    Raises:
        RelayError: `conflict` where there are more or none.
    """
    people = sample.people(connection)
    if len(people) != 1:
        text = (
            "there are other people here already, who would meet the sample's; it is for a server with one account"
        )
        if not people:
            text = "the sample data is made for the first account, and there is none yet"
        raise RelayError(ErrorCode.CONFLICT, text, details={"reason": "sample_not_alone"})
    return people[0]


def _check_not_held(connection: sqlite3.Connection, found: Parts) -> None:
    """Refuse the removal while a legal hold keeps a message of it.

    Raises:
        RelayError: `conflict`.
    """
    channel_ids, reached, kept = sample.channels(connection, found), 0, 0
    while channel_ids and (said := sample.said_in(connection, channel_ids, reached, _AT_ONCE)):
        kept += sample.held(connection, said)
        reached = said[-1]
    if kept:
        text = f"{kept} messages in the sample's conversations are on legal hold; release it first"
        raise RelayError(ErrorCode.CONFLICT, text, details={"reason": "legal_hold", "messages": kept})


def _addresses(connection: sqlite3.Connection, found: Parts) -> list[str]:
    """Return the addresses of the sample's conversations of two."""
    made = (conversations.address_of(connection, one) for one in sample.channels(connection, found))
    return [one for one in made if one is not None and one.startswith(f"{ConversationKind.USER}:")]
