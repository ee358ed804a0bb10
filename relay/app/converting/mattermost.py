"""Mattermost's bulk export: lines of JSON, read once for people and times, and again in the order of times."""

from __future__ import annotations

import heapq
from array import array
from collections.abc import Iterator
from itertools import count
from pathlib import PurePosixPath
from typing import IO, Final, NamedTuple

import msgspec

from relay.app.converting import markdown
from relay.app.converting.archives import Archive, ExportError
from relay.app.converting.mattermost_messages import (
    bot_of,
    event_of,
    files_of,
    is_system,
    person_of,
    reactions_of,
    spoken_as,
    text_of,
    time_of,
)
from relay.app.converting.mattermost_places import Places
from relay.app.converting.mattermost_shapes import Line, Post, Said
from relay.app.converting.model import Person, Place, PlaceKind
from relay.app.converting.model import Post as Written
from relay.app.converting.naming import Names, digest
from relay.app.converting.people import People
from relay.app.converting.reading import decoded, read_lines
from relay.app.converting.report import Report

_ENDS: Final = (".jsonl", ".ndjson", ".json")
_FOLDERS: Final = ("data/", "", "data/bulk-export-attachments/", "bulk-export-attachments/")
"""Where exports have had the files whose paths posts name."""

_decoder: Final = msgspec.json.Decoder(Line, strict=False)


class _Next(NamedTuple):
    """A post or a reply that comes next; `order` is its time, and its number where times are equal."""

    order: tuple[float, int]
    where: str
    said: Said
    post: Post
    root: str | None


class MattermostExport:
    """An export of Mattermost's.

    Posts stand in an export in no order, so their lines are copied to a temporary file, where they can be found.

    Args:
        copy: an empty file for them.
        now: Unix seconds; nothing was said later.

    Raises:
        ExportError: it is none.
    """

    source = "mattermost"

    def __init__(self, archive: Archive, copy: IO[bytes], names: Names, report: Report, now: float) -> None:
        self._archive = archive
        self._report = report
        self._now = now
        self._name = _lines_of(archive)
        self._people = People(names, report)
        self._places = Places(self._people, report)
        # For each post its time, its line in the file, and where the line begins in the copy.
        self._times, self._lines, self._starts = array("d"), array("q"), array("q")
        self._copy = copy
        self._survey()
        self._people.settle()
        self._places.settle(names)
        self._present = self._find_files()
        self._made: dict[str, list[str]] = {}
        self._made_at = 0.0
        self._numbers = count(len(self._times))

    def people(self) -> list[Person]:
        """Return everybody, in the order of their ids."""
        return self._people.all()

    def places(self) -> list[Place]:
        """Return all conversations."""
        return self._places.all()

    def posts(self) -> Iterator[Written]:
        """Yield all posts and replies in the order of their times; only replies that wait are in memory."""
        waiting: list[_Next] = []
        for number in sorted(range(len(self._times)), key=self._times.__getitem__):
            order = (self._times[number], number)
            while waiting and waiting[0].order < order:
                yield from self._write(heapq.heappop(waiting), waiting)
            self._copy.seek(self._starts[number])
            post = _post_of(_decoder.decode(self._copy.readline()))
            if post is not None:
                where = f"{self._name}:{self._lines[number]}"
                yield from self._write(_Next(order, where, post, post, None), waiting)
        while waiting:
            yield from self._write(heapq.heappop(waiting), waiting)

    def _survey(self) -> None:
        """Read all lines once: people and channels, and when and where each post was written."""
        version = False
        for number, line in read_lines(self._archive, self._name):
            where = f"{self._name}:{number}"
            read = decoded(where, line, _decoder, self._report)
            version = version or (read is not None and read.type == "version")
            if not version:
                text = "the first line of an export of Mattermost's is its version"
                raise ExportError(where, f'{text}, {{"type": "version", "version": 1}}')
            if read is not None:
                self._add(read, where, number, line)
        if not version:
            raise ExportError(self._name, "nothing is in it")

    def _add(self, line: Line, where: str, number: int, text: bytes) -> None:
        if line.team is not None:
            self._places.add_team(line.team)
        elif line.channel is not None:
            self._places.add_channel(line.channel)
        elif line.user is not None:
            self._people.add(person_of(line.user))
            self._places.add_memberships(line.user)
        elif line.bot is not None:
            self._people.add(bot_of(line.bot))
        elif line.direct_channel is not None:
            self._places.add_direct(line.direct_channel, where)
        elif line.type == "emoji":
            self._report.note("left_out_emoji", where, "an emoji of one's own")
        elif (post := _post_of(line)) is not None:
            self._add_post(post, where, number, text)

    def _add_post(self, post: Post, where: str, number: int, text: bytes) -> None:
        at = time_of(post.create_at, self._now)
        if not self._places.met(post, where, at):
            self._report.note("unreadable_message", where, "neither team and channel nor channel_members")
            return
        if at is None:
            self._report.note("bad_time", where, f"create_at is {post.create_at}")
            return
        for said in (post, *(post.replies or ())):
            self._people.meet(said.user, where)
        self._times.append(at)
        self._lines.append(number)
        self._starts.append(self._copy.seek(0, 2))
        self._copy.write(text if text.endswith(b"\n") else text + b"\n")

    def _find_files(self) -> dict[str, str]:
        """Return the names in the archive by the paths that posts have."""
        top = self._name.removesuffix(PurePosixPath(self._name).name)
        found: dict[str, str] = {}
        for folder in reversed(_FOLDERS):
            found |= {n.removeprefix(top + folder): n for n in self._archive.names() if n.startswith(top + folder)}
        return found

    def _write(self, one: _Next, waiting: list[_Next]) -> Iterator[Written]:
        """Yield what becomes of a post or a reply, if anything does, and have its replies wait for their time."""
        place = self._places.place(one.post)
        if place is None:
            return
        made = self._made_of(one, place)
        if one.root is None:
            root = made.key if made is not None and made.event is None else None
            for at, said in self._replies(one):
                order = (at, next(self._numbers))
                heapq.heappush(waiting, _Next(order, one.where, said, one.post, root or ""))
        if made is not None:
            yield made

    def _replies(self, one: _Next) -> Iterator[tuple[float, Said]]:
        for said in one.post.replies or ():
            at = time_of(said.create_at, self._now)
            if at is None:
                self._report.note("bad_time", one.where, f"create_at of a reply is {said.create_at}")
            else:
                yield max(at, one.order[0]), said

    def _made_of(self, one: _Next, place: Place) -> Written | None:
        said = one.said
        user_id = self._people.id_of(said.user)
        if user_id is None or (place.kind is not PlaceKind.GROUP and user_id not in place.members):
            self._report.note("no_author", one.where, f"{said.user}: {said.message}")
            return None
        event = event_of(said, self._people, user_id) if place.kind is PlaceKind.GROUP else None
        if is_system(said) and event is None:
            self._report.note("left_out_notice", one.where, said.type)
            return None
        key = self._key(one, place)
        if key is None:
            return None
        made = Written(key, place, user_id, one.order[0], "", one.where, event=event)
        if event is None:
            self._fill(made, one)
            if not made.text and not made.files:
                self._report.note("empty", one.where, said.type or "")
                made.deleted = bool(one.post.replies) and one.root is None
                return made if made.deleted else None
        return made

    def _fill(self, made: Written, one: _Next) -> None:
        """Put in what a post says, and what belongs to it."""
        said = one.said
        made.text, made.mentions = markdown.to_relay(text_of(said), self._people.id_of)
        if made.text and (name := spoken_as(said)):
            made.text = f"**{name}**: {made.text}"
        made.files, lines = files_of(said, self._present, self._report, one.where)
        made.text = "\n".join(part for part in (made.text, *lines) if part)
        made.reactions = reactions_of(said.reactions, self._people, self._report, one.where)
        made.edited_at = time_of(said.edit_at or None, self._now)
        made.saved_by = self._people.ids_of(said.flagged_by or ())
        if one.root is None:
            made.pinned = bool(one.post.is_pinned)
            made.followers = self._people.ids_of(
                follower.user or "" for follower in one.post.thread_followers or ()
            )
        elif one.root:
            made.thread = one.root
        else:
            self._report.note("thread_without_root", one.where, made.text)

    def _key(self, one: _Next, place: Place) -> str | None:
        """Return the id of a post: posts have none there, but an author, and a time to the millisecond."""
        at, said = one.order[0], one.said
        if at != self._made_at:
            self._made, self._made_at = {}, at
        key = digest(place.key, one.root or "", said.user, str(said.create_at))
        texts = self._made.setdefault(key, [])
        if (said.message or "") in texts:
            self._report.note("twice", one.where, said.message)
            return None
        texts.append(said.message or "")
        return key if len(texts) == 1 else f"{key}-{len(texts)}"


def _post_of(line: Line) -> Post | None:
    return line.post or line.direct_post


def _lines_of(archive: Archive) -> str:
    """Return the name of the one file of lines.

    Raises:
        ExportError: there is none, or more than one.
    """
    found = [name for name in archive.names() if name.endswith(_ENDS) and name.count("/") <= 1]
    lines = [name for name in found if name.endswith(".jsonl")] or found
    if len(lines) != 1:
        names = f": {', '.join(lines[:3])}" if lines else ""
        text = f"{len(lines)} files of lines are in it{names}; an export of Mattermost's has one, import.jsonl"
        raise ExportError(archive.label, text)
    return lines[0]
