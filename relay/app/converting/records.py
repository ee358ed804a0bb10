"""An export of another system as the lines that `relay import` reads."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import SpooledTemporaryFile
from typing import IO, Any, Final

import msgspec

from relay.app.converting.archives import Archive, open_archive, reading
from relay.app.converting.mattermost import MattermostExport
from relay.app.converting.model import Export, File, Place, PlaceKind, Post
from relay.app.converting.naming import Names, digest
from relay.app.converting.report import Report
from relay.app.converting.slack import SlackExport
from relay.protocol import records
from relay.protocol.kinds import Role, ServerRole

SYSTEMS: Final = ("slack", "mattermost")
_IN_MEMORY: Final = 16 * 1024 * 1024
"""A temporary file that is smaller is not on the disk."""

_LONGEST_TEXT: Final = 150_000
"""The most characters of a message; a line has 1,000,000 bytes, and a character up to six in JSON."""

_LONGEST_DESCRIPTION: Final = 10_000

_MOST_MENTIONS: Final = 50
_PIN_LIMIT: Final = 50
"""The most pinned messages of a conversation."""


@contextmanager
def open_export(
    system: str, path: Path, report: Report, now: float, *, people: dict[str, str] | None = None
) -> Iterator[Conversion]:
    """Read an export through once, so that it is known what can be made of it.

    Args:
        people: user ids here, by the ids or names of people there.
        now: Unix seconds.

    Raises:
        ExportError: it is no export of this system's, or does harm.
    """
    names = Names(people)
    with open_archive(path) as archive:
        if system == "slack":
            yield Conversion(archive, SlackExport(archive, names, report, now), report)
            return
        with SpooledTemporaryFile(_IN_MEMORY) as copy:
            yield Conversion(archive, MattermostExport(archive, copy, names, report, now), report)


class Conversion:
    """Makes the records of an export. What is referred to comes first.

    Args:
        report: is told of what does not fit, and counts what does.
    """

    def __init__(self, archive: Archive, export: Export, report: Report) -> None:
        self._archive = archive
        self._export = export
        self._report = report
        self._files: dict[str, str] = {}
        self._pinned: dict[str, int] = {}
        self._members: dict[str, frozenset[str]] = {}

    def people(self) -> list[tuple[str, str, str]]:
        """Return everybody: the id here, the id there, the name."""
        return [(one.user_id, one.key, one.display_name) for one in self._export.people()]

    def lines(self, source: str | None = None) -> Iterator[bytes]:
        """Yield the lines.

        Args:
            source: names the system that the export is of, in the place of what the export says.
        """
        number = 0
        for record in self._records(source or self._export.source):
            yield msgspec.json.encode(record)
            number += 1
        yield msgspec.json.encode(records.End(lines=number))

    @contextmanager
    def open_file(self, path: str) -> Iterator[IO[bytes]]:
        """Open a file by the path that its record names.

        Raises:
            ExportError: it is damaged.
        """
        inside = self._files[path]
        with reading(inside), self._archive.open(inside) as file:
            yield file

    def _records(self, source: str) -> Iterator[records.Record]:
        yield records.Export(version=records.VERSION, source=source, reading="all")
        yield from self._people()
        for place in self._export.places():
            self._members[place.key] = frozenset(place.members)
            if place.kind is PlaceKind.GROUP:
                yield self._group(place)
        for post in self._export.posts():
            yield from self._post(post)

    def _people(self) -> Iterator[records.Record]:
        for person in self._export.people():
            self._report.made["bots" if person.bot else "users"] += 1
            yield records.User(
                user_id=person.user_id,
                name=person.display_name,
                role=ServerRole.GUEST if person.guest else ServerRole.MEMBER,
                disabled=person.disabled,
                mail=person.email,
            )

    def _group(self, place: Place) -> records.Record:
        self._report.made["groups"] += 1
        roles = {place.owner: Role.OWNER} | dict.fromkeys(place.admins, Role.ADMIN)
        members = [records.Member(user_id=one, role=roles.get(one, Role.MEMBER)) for one in place.members]
        return records.Group(
            group_id=place.group_id,
            name=" ".join(place.name.split()) or place.group_id,
            description=place.description[:_LONGEST_DESCRIPTION],
            public=place.public,
            created_at=place.created_at or None,
            made_by=place.owner,
            closed_at=place.closed_at,
            members=members,
        )

    def _post(self, post: Post) -> Iterator[records.Record]:
        """Yield a message, its files before it, and what was made of it behind it."""
        for file in post.files:
            yield from self._file(file, post)
        self._report.made["messages"] += 1
        yield records.Message(
            id=post.key,
            conversation=_address(post.place),
            type=_type(post),
            by=post.user_id,
            at=post.at,
            payload=msgspec.UNSET if post.deleted else self._payload(post),
            edited_at=post.edited_at,
            deleted_at=post.at if post.deleted else None,
        )
        if not post.deleted and post.event is None:
            yield from self._values(post)

    def _payload(self, post: Post) -> dict[str, Any]:
        if post.event is not None:
            return {name: _short(value) for name, value in post.event.items()}
        text = post.text
        if len(text) > _LONGEST_TEXT:
            self._report.note("text_cut", post.where, f"{len(text):,} characters")
            text = text[:_LONGEST_TEXT]
        payload: dict[str, Any] = {"content": text}
        members = self._members[post.place.key]
        called = [one for one in post.mentions if one in members or (one == "*" and post.place.group_id)]
        if called:
            payload["mentions"] = called[:_MOST_MENTIONS]
        if post.files:
            payload["attachments"] = [_file_id(file) for file in post.files]
        if post.thread is not None:
            payload |= {"thread": post.thread} | ({"thread_shown": True} if post.shown else {})
        return payload

    def _values(self, post: Post) -> Iterator[records.Record]:
        """Yield reactions, the pin, and who saved it or follows its thread."""
        target = {"message_id": post.key}
        for one in post.reactions:
            self._report.made["reactions"] += 1
            payload = {**target, "emoji": one.emoji, "on": True}
            yield _value(post, "reaction", one.user_id, max(one.at, post.at), payload, one.emoji)
        if post.pinned and self._pinned.setdefault(post.place.key, 0) < _PIN_LIMIT:
            self._pinned[post.place.key] += 1
            yield _value(post, "pin", post.place.owner or post.user_id, post.at, {**target, "on": True})
        elif post.pinned:
            self._report.note("pin_left_out", post.where, f"{_PIN_LIMIT} are pinned there already")
        for user_id in post.saved_by:
            yield _value(post, "saved_message", user_id, post.at, {**target, "on": True})
        for user_id in post.followers:
            yield records.Thread(root=post.key, user_id=user_id)

    def _file(self, file: File, post: Post) -> Iterator[records.Record]:
        """Yield a file's description, unless it was with an earlier message; `open_file` has its bytes."""
        attachment_id = _file_id(file)
        if attachment_id in self._files:
            return
        self._files[attachment_id] = file.inside
        self._report.made["files"] += 1
        yield records.Attachment(
            attachment_id=attachment_id,
            user_id=post.user_id,
            name="".join(one if one.isprintable() and one not in "/\\" else "_" for one in file.name)[:255]
            or "file",
            size=self._archive.size(file.inside),
            created_at=post.at,
            path=attachment_id,
        )


def _short(value: Any) -> Any:
    return value[:_LONGEST_DESCRIPTION] if isinstance(value, str) else value


def _file_id(file: File) -> str:
    return digest(file.inside)


def _value(
    post: Post, type_name: str, user_id: str, at: float, payload: dict[str, Any], more: str = ""
) -> records.Record:
    own = digest(post.key, type_name, user_id, more)
    return records.Value(
        id=own, conversation=_address(post.place), type=type_name, by=user_id, at=at, payload=payload
    )


def _type(post: Post) -> str:
    if post.event is not None:
        return "group_event"
    return "group_message" if post.place.kind is PlaceKind.GROUP else "chat_message"


def _address(place: Place) -> str:
    """Return a conversation as records name it."""
    if place.kind is PlaceKind.GROUP:
        return f"group:{place.group_id}"
    return ":".join(("user", *place.members))
