"""The conversations of a Slack export: channels, private channels, groups of a few, and direct messages."""

from __future__ import annotations

from typing import Final

from relay.app.converting import mrkdwn
from relay.app.converting.archives import Archive
from relay.app.converting.model import Place, PlaceKind
from relay.app.converting.naming import Names
from relay.app.converting.people import LONGEST_NAME, People
from relay.app.converting.reading import read_list
from relay.app.converting.report import Report
from relay.app.converting.slack_people import meet
from relay.app.converting.slack_shapes import Channel

_LISTS: Final = ("channels.json", "groups.json", "mpims.json", "dms.json")


class Places:
    """All conversations, by the names of their folders; people's ids of relay's are put in by `settle`.

    Attributes:
        names: what people and channels are called, for texts.
    """

    def __init__(self, archive: Archive, top: str, people: People, report: Report) -> None:
        self._people = people
        self._report = report
        self._listed: dict[str, tuple[str, Channel]] = {}
        self._folders: dict[str, str] = {}
        self._authors: dict[str, dict[str, None]] = {}
        self._last: dict[str, float] = {}
        self._settled: dict[str, Place] = {}
        self.names = mrkdwn.Names(people.id_of, self.name_of)
        present = set(archive.names())
        for file in _LISTS:
            for channel in read_list(archive, top + file, Channel) if top + file in present else ():
                self._add(file, channel)

    def _add(self, file: str, channel: Channel) -> None:
        self._listed.setdefault(channel.id, (file, channel))
        for folder in (channel.id, channel.name):
            if folder:
                self._folders.setdefault(folder, channel.id)
        for user in (*(channel.members or ()), channel.creator):
            meet(self._people, user, f"{file} {channel.id}")

    def key_of(self, folder: str) -> str | None:
        """Return the id of the channel whose messages are in a folder."""
        return self._folders.get(folder)

    def met(self, key: str, author: str, at: float) -> None:
        """Note who wrote in a channel, whether or not they are still in it, and when."""
        self._authors.setdefault(key, {})[author] = None
        self._last[key] = max(at, self._last.get(key, 0))

    def name_of(self, key: str) -> str | None:
        """Return what a channel is called, as a message names it."""
        return self._listed[key][1].name if key in self._listed else None

    def place(self, key: str) -> Place | None:
        """Return a conversation; None for one that was left out."""
        return self._settled.get(key)

    def all(self) -> list[Place]:
        """Return all conversations, in the order of Slack's ids."""
        return list(self._settled.values())

    def pins(self, key: str) -> set[str]:
        """Return the times of a channel's pinned messages."""
        return {one.id for one in self._listed[key][1].pins or () if one.id}

    def settle(self, names: Names) -> None:
        """Give every conversation the ids of its people, and every group one of its own."""
        for key in sorted(self._listed):
            file, channel = self._listed[key]
            made = self._direct(channel) if file == "dms.json" else self._group(file, channel, names)
            if made is not None:
                self._settled[key] = made

    def _direct(self, channel: Channel) -> Place | None:
        members = self._people.ids_of(channel.members or ())
        if len(members) < 2:
            members = self._people.ids_of((*(channel.members or ()), *self._authors.get(channel.id, {})))
        if not 1 <= len(members) <= 2:
            self._report.note(
                "left_out_conversation", f"dms.json {channel.id}", f"{len(members)} people are in it"
            )
            return None
        kind = PlaceKind.SELF if len(members) == 1 else PlaceKind.DIRECT
        return Place(channel.id, kind, members, created_at=channel.created or 0)

    def _group(self, file: str, channel: Channel, names: Names) -> Place | None:
        key = channel.id
        members = self._people.ids_of(channel.members or ())
        creator = self._people.ids_of((channel.creator or "",))
        owner = self._people.owner([one for one in creator if one in members], members)
        owner = owner or self._people.owner(creator, self._people.ids_of(self._authors.get(key, ())))
        if owner is None:
            self._report.note("left_out_conversation", f"{file} {channel.id}", f"{channel.name}: nobody is in it")
            return None
        several = file == "mpims.json"
        name = self._people.named(members) if several else channel.name or key
        about = [one.value for one in (channel.topic, channel.purpose) if one is not None and one.value]
        texts = dict.fromkeys(mrkdwn.to_markdown(text, self.names).text for text in about)
        return Place(
            key,
            PlaceKind.GROUP,
            members if owner in members else [owner, *members],
            name=name[:LONGEST_NAME],
            group_id=names.chosen(key, f"#{channel.name}") or names.give(channel.name or key, key),
            owner=owner,
            description="" if several else "\n".join(text for text in texts if text),
            public=file == "channels.json",
            created_at=channel.created or 0,
            # Exports do not say when that was.
            closed_at=max(self._last.get(key, 1.0), channel.created or 0) if channel.is_archived else None,
        )
