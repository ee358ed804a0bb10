"""The conversations of a Mattermost export: channels of teams, and direct ones of two or of a few."""

from __future__ import annotations

from collections.abc import Iterable

from relay.app.converting.mattermost_shapes import Channel, DirectChannel, Post, Team, User
from relay.app.converting.model import Place, PlaceKind
from relay.app.converting.naming import Names, digest
from relay.app.converting.people import LONGEST_NAME, People
from relay.app.converting.report import Report


class Places:
    """All conversations; people's ids are put in by `settle`."""

    def __init__(self, people: People, report: Report) -> None:
        self._people = people
        self._report = report
        self._teams: dict[str, str] = {}
        self._channels: dict[tuple[str, str], Channel] = {}
        self._members: dict[tuple[str, str], dict[str, bool]] = {}
        self._direct: dict[tuple[str, ...], str] = {}
        self._began: dict[object, float] = {}
        self._authors: dict[object, dict[str, None]] = {}
        self._settled: dict[object, Place] = {}

    def add_team(self, team: Team) -> None:
        """Add a team."""
        self._teams[team.name] = team.display_name or team.name

    def add_channel(self, channel: Channel) -> None:
        """Add a channel."""
        self._channels.setdefault((channel.team, channel.name), channel)

    def add_memberships(self, user: User) -> None:
        """Add the channels that a user is in."""
        for team in user.teams or ():
            for one in team.channels or ():
                admin = "channel_admin" in (one.roles or "").split()
                self._members.setdefault((team.name, one.name), {})[user.username] = admin

    def add_direct(self, channel: DirectChannel, where: str) -> None:
        """Add a direct conversation."""
        named = channel.members or [one.username for one in channel.participants or () if one.username]
        self._direct[_key(named)] = channel.header or ""
        for name in named:
            self._people.meet(name, where)

    def met(self, post: Post, where: str, at: float | None) -> bool:
        """Note a post; return whether it says where it was written."""
        key = self._key_of(post)
        if key is None:
            return False
        if post.channel_members:
            self._direct.setdefault(key, "")
            for name in post.channel_members:
                self._people.meet(name, where)
        elif key not in self._channels:
            self._report.note("unknown_channel", where, "/".join(key))
            self._channels[key[0], key[1]] = Channel(key[0], key[1], type="P")
        if at is not None:
            self._began[key] = min(at, self._began.get(key, at))
            self._authors.setdefault(key, {})[post.user] = None
        return True

    def place(self, post: Post) -> Place | None:
        """Return where a post was written; None for what was left out."""
        key = self._key_of(post)
        return self._settled.get(key) if key is not None else None

    def all(self) -> list[Place]:
        """Return all conversations: channels, then direct ones."""
        return list(self._settled.values())

    def settle(self, names: Names) -> None:
        """Give every conversation the ids of its people, and every group one of its own."""
        for key in sorted(self._channels):
            self._settle_channel(key, names)
        for members in sorted(self._direct):
            self._settle_direct(members, names)

    def _settle_channel(self, key: tuple[str, str], names: Names) -> None:
        channel = self._channels[key]
        listed = self._members.get(key, {})
        members = self._people.ids_of(listed)
        admins = self._people.ids_of(name for name, admin in listed.items() if admin)
        owner = self._people.owner(admins, members) or self._people.owner(
            self._people.ids_of(self._authors.get(key, ()))
        )
        if owner is None:
            self._report.note("left_out_conversation", "/".join(key), "nobody is in it")
            return
        several = len(self._teams) > 1
        # With the team's name even where there is one team: with a second one, ids stay as they are.
        called = f"{channel.team}-{channel.name}"
        shown = channel.display_name or channel.name
        about = dict.fromkeys(
            text for text in ((channel.header or "").strip(), (channel.purpose or "").strip()) if text
        )
        self._settled[key] = Place(
            "/".join(key),
            PlaceKind.GROUP,
            members if owner in members else [owner, *members],
            name=(f"{shown} ({self._teams.get(channel.team, channel.team)})" if several else shown)[:LONGEST_NAME],
            group_id=names.chosen("/".join(key), f"#{channel.name}") or names.give(called, "-".join(key)),
            owner=owner,
            admins=[one for one in admins if one != owner],
            description="\n".join(about),
            public=channel.type == "O",
            created_at=self._began.get(key, 0),
            closed_at=channel.deleted_at / 1000 if channel.deleted_at else None,
        )

    def _settle_direct(self, key: tuple[str, ...], names: Names) -> None:
        members = self._people.ids_of(key)
        began = self._began.get(key, 0)
        if len(members) <= 2:
            kind = PlaceKind.DIRECT if len(members) == 2 else PlaceKind.SELF
            self._settled[key] = Place(":".join(key), kind, members, created_at=began)
            return
        owner = self._people.owner(members)
        if owner is None:
            self._report.note("left_out_conversation", ", ".join(key), "all of them are guests")
            return
        self._settled[key] = Place(
            digest(*key),
            PlaceKind.GROUP,
            members,
            name=self._people.named(members),
            group_id=names.give("-".join(key), digest(*key)),
            owner=owner,
            description=self._direct[key],
            created_at=began,
        )

    @staticmethod
    def _key_of(post: Post) -> tuple[str, ...] | None:
        if post.channel_members:
            return _key(post.channel_members)
        return (post.team, post.channel) if post.team and post.channel else None


def _key(members: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(set(members)))
