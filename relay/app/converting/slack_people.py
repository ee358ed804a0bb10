"""The people of a Slack export: of users.json, programs that post, and whoever is named by messages alone."""

from __future__ import annotations

from collections.abc import Iterable

from relay.app.converting.model import Person
from relay.app.converting.naming import Names
from relay.app.converting.report import Report
from relay.app.converting.slack_shapes import Message, Profile, User

SLACKBOT = "USLACKBOT"


class People:
    """Everybody by their ids of Slack's; ids of relay's are given out by `settle`, once all are known."""

    def __init__(self, names: Names, report: Report) -> None:
        self.team = ""
        self._names = names
        self._report = report
        self._listed: dict[str, User] = {}
        self._met: dict[str, tuple[str, bool]] = {}
        self._found: dict[str, Person] = {}
        self._by_id: dict[str, Person] = {}

    def add(self, users: Iterable[User]) -> None:
        """Add the people of a list."""
        for user in users:
            self._listed.setdefault(user.id, user)
            self.team = self.team or user.team_id or ""

    def meet(self, key: str | None, where: str, called: str = "", *, bot: bool = False) -> None:
        """Note somebody who is named by a message or a channel, and may be in no list."""
        if not key or key in self._listed:
            return
        if key not in self._met:
            self._report.note("unknown_bot" if bot else "unknown_user", where, f"{key} {called}")
        if called or key not in self._met:
            self._met[key] = (called or self._met.get(key, ("", bot))[0], bot)

    def settle(self) -> None:
        """Give everybody an id of relay's: first the listed ones, then the others, in the order of Slack's ids."""
        for key in sorted(self._listed):
            self._found[key] = self._person(self._listed[key])
        for key in sorted(self._met):
            called, bot = self._met[key]
            bot = bot or key == SLACKBOT
            name = called or ("Slackbot" if key == SLACKBOT else key)
            user_id = self._names.chosen(key, called) or self._names.give(name, key)
            self._found[key] = Person(user_id, key, name[:100], bot=bot, disabled=not bot)
        for one in self._found.values():
            self._by_id.setdefault(one.user_id, one)

    def all(self) -> list[Person]:
        """Return everybody, in the order of their ids here; two of Slack's may be one person here."""
        return [self._by_id[user_id] for user_id in sorted(self._by_id)]

    def id_of(self, key: str | None) -> str | None:
        """Return somebody's id here."""
        found = self._found.get(key or "")
        return found.user_id if found is not None else None

    def able(self, user_id: str) -> bool:
        """Tell whether somebody can own a group: no guest can, and a closed account should not."""
        person = self._by_id[user_id]
        return not (person.guest or person.disabled)

    def shown(self, user_id: str) -> str:
        """Return somebody's display name."""
        return self._by_id[user_id].display_name

    def _person(self, user: User) -> Person:
        profile = user.profile or Profile()
        name = user.name or profile.display_name or user.real_name or profile.real_name or user.id
        shown = profile.display_name or profile.real_name or user.real_name or name
        email = profile.email or None
        chosen = self._names.chosen(user.id, name, email or "")
        return Person(
            user_id=chosen or self._names.give(name, user.id),
            key=user.id,
            display_name=" ".join(shown.split())[:100] or user.id,
            email=email,
            bot=bool(user.is_bot or user.is_app_user) or user.id == SLACKBOT,
            guest=bool(user.is_restricted or user.is_ultra_restricted),
            disabled=bool(user.deleted),
        )


def author_of(message: Message) -> tuple[str | None, str, bool]:
    """Return who wrote a message: an id of Slack's, a name where the message has one, whether it is a program."""
    if message.subtype == "file_comment" and message.comment is not None and message.comment.user:
        return message.comment.user, "", False
    if message.user:
        return message.user, _called(message.user_profile), False
    if message.bot_id:
        return message.bot_id, _called(message.bot_profile) or message.username or "", True
    if message.username:  # of a webhook, long ago
        return f"B-{message.username}", message.username, True
    return None, "", False


def _called(profile: Profile | None) -> str:
    return (profile.name or profile.display_name or profile.real_name or "") if profile is not None else ""
