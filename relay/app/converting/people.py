"""The people of an export: those of its lists, and those whom messages alone name. Each gets an id of relay's."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from relay.app.converting.model import Person
from relay.app.converting.naming import Names
from relay.app.converting.report import Report

LONGEST_NAME: Final = 100
_MAIL: Final = re.compile(r"(?=.{3,254}$)[^@\s]+@[^@\s]+")
_NAMED: Final = 5
"""The most people who are in the name of a group that had none."""


class People:
    """Everybody by their ids elsewhere; ids of relay's are given out by `settle`, once all are known."""

    def __init__(self, names: Names, report: Report) -> None:
        self._names = names
        self._report = report
        self._listed: dict[str, Person] = {}
        self._met: dict[str, Person] = {}
        self._by_id: dict[str, Person] = {}

    def add(self, person: Person) -> None:
        """Add somebody who is in a list."""
        self._listed.setdefault(person.key, person)

    def meet(self, key: str | None, where: str, called: str = "", *, bot: bool = False) -> None:
        """Note somebody who is named by a message or a channel, and may be in no list."""
        if not key or key in self._listed:
            return
        if key not in self._met:
            self._report.note("bot_made_up" if bot else "user_made_up", where, f"{key} {called}")
            self._met[key] = Person(key, "", bot=bot, disabled=not bot)
        if called and not self._met[key].called:
            self._met[key].called = called

    def settle(self) -> None:
        """Give everybody an id: first those of the lists, then the others, in the order of their ids elsewhere."""
        for people in (self._listed, self._met):
            for key in sorted(people):
                one = people[key]
                called = one.called or key
                one.user_id = self._names.chosen(key, called, one.email or "") or self._names.give(called, key)
                one.display_name = " ".join((one.display_name or called).split())[:LONGEST_NAME] or one.user_id
                one.email = one.email if one.email and _MAIL.fullmatch(one.email) else None
                self._by_id.setdefault(one.user_id, one)

    def all(self) -> list[Person]:
        """Return everybody, in the order of their ids here; two of elsewhere may be one person here."""
        return [self._by_id[user_id] for user_id in sorted(self._by_id)]

    def id_of(self, key: str | None) -> str | None:
        """Return somebody's id here; None for one who is not known."""
        found = self._listed.get(key or "") or self._met.get(key or "")
        return found.user_id if found is not None else None

    def ids_of(self, keys: Iterable[str]) -> list[str]:
        """Return the ids here of those who are known, each once."""
        return list(dict.fromkeys(found for key in keys if (found := self.id_of(key)) is not None))

    def shown(self, user_id: str) -> str:
        """Return somebody's display name."""
        return self._by_id[user_id].display_name

    def owner(self, *candidates: Iterable[str]) -> str | None:
        """Return who owns a group: the first who may, no guest, and no closed account where there is another."""
        able = [one for some in candidates for one in some if not self._by_id[one].guest]
        return next((one for one in able if not self._by_id[one].disabled), next(iter(able), None))

    def named(self, members: list[str]) -> str:
        """Return a name for a group of a few: theirs."""
        named = ", ".join(self.shown(one) for one in members[:_NAMED])
        return (named + (", …" if len(members) > _NAMED else ""))[:LONGEST_NAME]
