"""Slack's export, read twice: once for its people and threads, and once, day by day, for its messages."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Any, Final

from relay.app.converting import mrkdwn
from relay.app.converting.archives import Archive, ExportError, below
from relay.app.converting.model import Person, Place, PlaceKind, Post
from relay.app.converting.naming import Names
from relay.app.converting.people import People
from relay.app.converting.reading import read_each, read_list
from relay.app.converting.report import Report
from relay.app.converting.slack_messages import (
    LEFT_OUT,
    SAID,
    event_of,
    files_of,
    reactions_of,
    text_of,
    time_of,
)
from relay.app.converting.slack_people import author_of, meet, person_of
from relay.app.converting.slack_places import Places
from relay.app.converting.slack_shapes import Message, User

_DAY: Final = re.compile(r"\d{4}-\d{2}-\d{2}\.json")
_FILE_ID: Final = re.compile(r"(F[A-Z0-9]{5,})(?:[-_. ].*)?")
_USERS: Final = ("users.json", "org_users.json")
_LONGEST_TS: Final = 40


class SlackExport:
    """An export of Slack's.

    Args:
        now: Unix seconds; nothing was said later.

    Raises:
        ExportError: it is none.
    """

    def __init__(self, archive: Archive, names: Names, report: Report, now: float) -> None:
        self._archive = archive
        self._report = report
        self._now = now
        self._people = People(names, report)
        present = set(archive.names())
        listed = [name for one in _USERS if (name := below(archive, one) + one) in present]
        if not listed:
            raise ExportError(
                archive.label, "there is no users.json in it, as an export of Slack's has at its top"
            )
        self._top = listed[0].removesuffix(PurePosixPath(listed[0]).name)
        users = [user for name in listed for user in read_list(archive, name, User)]
        for user in users:
            self._people.add(person_of(user))
        team = next((user.team_id for user in users if user.team_id), None)
        self.source = f"slack:{team}" if team else "slack"
        self._places = Places(archive, self._top, self._people, report)
        self._days: dict[str, list[tuple[str, str]]] = defaultdict(list)
        self._stored: dict[str, str] = {}
        self._roots: dict[tuple[str, str], str] = {}
        self._sort_files(present)
        self._survey()
        self._people.settle()
        self._places.settle(names)
        self._pins = {place.key: self._places.pins(place.key) for place in self._places.all()}

    def people(self) -> list[Person]:
        """Return everybody, in the order of their ids."""
        return self._people.all()

    def places(self) -> list[Place]:
        """Return all conversations."""
        return self._places.all()

    def posts(self) -> Iterator[Post]:
        """Yield all messages in the order of their times; only those of a day are in memory."""
        written: set[tuple[str, str]] = set()
        for day in sorted(self._days):
            for _, key, where, message in self._read_day(day):
                place = self._places.place(key)
                post = self._post(message, place, where) if place is not None else None
                if post is None:
                    continue
                if (key, message.ts) in self._roots:
                    written.add((key, message.ts))
                if post.thread is not None and (key, message.thread_ts or "") not in written:
                    self._report.note("thread_without_root", where, post.text)
                    post.thread, post.shown = None, False
                yield post

    def _sort_files(self, present: set[str]) -> None:
        """Find the days of each channel, and the files that people shared, where some program has put them in."""
        unknown: dict[str, int] = defaultdict(int)
        for name in sorted(present):
            path = PurePosixPath(name.removeprefix(self._top))
            if len(path.parts) == 2 and _DAY.fullmatch(path.name):
                key = self._places.key_of(path.parts[0])
                if key is None:
                    unknown[path.parts[0]] += 1
                else:
                    self._days[path.name].append((key, name))
                continue
            file_id = next((match[1] for part in path.parts if (match := _FILE_ID.fullmatch(part))), None)
            if file_id is not None:
                self._stored.setdefault(file_id, name)
        for folder, days in unknown.items():
            self._report.note("unknown_folder", folder, f"{days} days of a channel that no list names")

    def _survey(self) -> None:
        """Read all messages once: who wrote them, and which of them are roots of threads."""
        for day in sorted(self._days):
            for key, name in self._days[day]:
                for where, message in read_each(self._archive, name, Message, self._report):
                    author, called, bot = author_of(message)
                    if message.subtype not in LEFT_OUT:
                        self._people.meet(author, where, called, bot=bot)
                    meet(self._people, message.parent_user_id, where)
                    if author is not None and (message.subtype or "") in SAID:
                        self._places.met(key, author, time_of(message.ts, self._now) or 0)
                    if message.thread_ts is not None and message.thread_ts != message.ts:
                        self._roots[key, message.thread_ts] = message.parent_user_id or ""

    def _read_day(self, day: str) -> list[tuple[float, str, str, Message]]:
        """Return a day's messages of all channels in their order, each with time, channel and place."""
        found: list[tuple[float, str, str, Message]] = []
        seen: dict[tuple[str, str], bytes] = {}
        for key, name in self._days[day]:
            for where, message in read_each(self._archive, name, Message, Report()):
                at = time_of(message.ts, self._now)
                if at is None:
                    self._report.note("bad_time", where, f"ts is {message.ts[:_LONGEST_TS]!r}")
                elif self._is_new(seen, key, message, where):
                    found.append((at, key, where, message))
        found.sort(key=lambda one: one[0])
        return found

    def _is_new(self, seen: dict[tuple[str, str], bytes], key: str, message: Message, where: str) -> bool:
        """Tell whether a message is no copy of one before; another one of the same time gets a time of its own."""
        about = f"{message.user}\0{message.bot_id}\0{message.subtype}\0{message.text}".encode(
            "utf-8", "surrogatepass"
        )
        ts, number = message.ts, 1
        while (before := seen.setdefault((key, message.ts), about)) is not about:
            if before == about:
                self._report.note("twice", where, message.text)
                return False
            number += 1
            message.ts = f"{ts}#{number}"
            if message.thread_ts == ts:
                message.thread_ts = None
        return True

    def _post(self, message: Message, place: Place, where: str) -> Post | None:
        """Return what becomes of a message; None for one that is left out, of which the report is told."""
        subtype = message.subtype or ""
        is_root = (place.key, message.ts) in self._roots
        gone = subtype == "tombstone" and is_root
        event = event_of(message, self._people.id_of(message.user) or "")
        if (subtype in LEFT_OUT and not gone) or (event is not None and place.kind is not PlaceKind.GROUP):
            self._report.note(LEFT_OUT.get(subtype, "left_out_notice"), where, subtype)
            return None
        user_id = self._author(message, gone=gone, root_of=self._roots.get((place.key, message.ts)), event=event)
        if user_id is None or (place.kind is not PlaceKind.GROUP and user_id not in place.members):
            self._report.note("no_author", where, f"{author_of(message)[0]}: {message.text}")
            return None
        post = Post(self._key(place, message.ts), place, user_id, self._at(message), "", where)
        if gone or event is not None:
            post.deleted, post.event = gone, event
            if event is not None and "description" in event:
                event["description"] = mrkdwn.to_markdown(event["description"], self._places.names).text
            return post
        if subtype not in SAID:
            self._report.note("unknown_subtype", where, subtype)
        self._fill(post, message)
        if not post.text and not post.files:
            self._report.note("empty", where, subtype)
            post.deleted = is_root
            return post if is_root else None
        return post

    def _fill(self, post: Post, message: Message) -> None:
        """Put in what a message says, and what belongs to it."""
        files, lines = files_of(message, self._stored, self._report, post.where)
        written = "\n".join((text_of(message, self._report, post.where), *lines)).strip("\n")
        post.text, post.mentions = mrkdwn.to_markdown(written, self._places.names)
        name = message.username if author_of(message)[2] or message.bot_id else None
        if post.text and name and name != self._people.shown(post.user_id):
            post.text = f"**{name}**: {post.text}"
        post.files = files
        post.reactions = reactions_of(message.reactions, self._people, self._report, post.where)
        post.edited_at = time_of(message.edited.ts, self._now) if message.edited is not None else None
        post.pinned = message.ts in self._pins[post.place.key]
        if message.thread_ts is not None and message.thread_ts != message.ts:
            post.thread = self._key(post.place, message.thread_ts)
            post.shown = message.subtype == "thread_broadcast"

    def _author(
        self, message: Message, *, gone: bool, root_of: str | None, event: dict[str, Any] | None
    ) -> str | None:
        """Return who said it: of a deleted root its replies tell that, and of an invitation it is the inviter."""
        key = author_of(message)[0]
        if gone:
            key = root_of or key
        elif event is not None and message.inviter:
            key = message.inviter
        return self._people.id_of(key) or self._people.id_of(author_of(message)[0])

    def _at(self, message: Message) -> float:
        return float(message.ts.partition("#")[0])

    @staticmethod
    def _key(place: Place, ts: str) -> str:
        return f"{place.key}-{ts[:_LONGEST_TS]}"
