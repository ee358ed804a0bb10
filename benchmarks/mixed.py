"""All that people do in a chat, at a fixed rate: an open loop, whose times count from the planned moment."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from random import Random
from time import perf_counter

from benchmarks.frames import MismatchError
from benchmarks.history import write_history
from benchmarks.load import connect_all
from benchmarks.loop import Loop
from benchmarks.machine import Reading, Usage
from benchmarks.people import ACK, Book, Person, Said
from benchmarks.populated import WORDS
from benchmarks.report import Curve, Result, Target, percentile
from benchmarks.server import Server, prepared, serving
from benchmarks.web import Web
from benchmarks.workloads import Scale

PEOPLE, GROUPS, MEMBERS, RATE, WINDOWS = 300, 30, 20, 200, 5
STORED = 50_000
RATES = (50, 100, 200, 400)
ONE, GROUP, EDIT, REACTION = "a message to one", "a message to a group", "an edit", "a reaction"
TYPING, RECEIPT, BACK = "typing", "a read receipt's ack", "coming back"
HISTORY, SEARCH = "a page of history", "a search"
SHARES = {ONE: 42, GROUP: 12, RECEIPT: 14, TYPING: 12, REACTION: 6, EDIT: 3, HISTORY: 6, SEARCH: 4, BACK: 1}
"""Of a hundred things that are done."""


class Crowd:
    """People, their groups, and what they do."""

    def __init__(self, server: Server, loop: Loop, random: Random) -> None:
        self.book = Book()
        self._server, self._loop, self._random = server, loop, random
        self._web = Web(loop, server.port)
        users = [f"user{n:03d}" for n in range(PEOPLE)]
        self._groups = {f"group{n:02d}": random.sample(users, MEMBERS) for n in range(GROUPS)}
        for name, members in self._groups.items():
            body = {"name": name, "group_id": name, "members": members}
            server.rest(members[0], "POST", "/api/groups", body)
        self._people = [Person(user, server.client(loop, user), self.book) for user in users]
        self._by_name = {one.user: one for one in self._people}
        self._next_ack = 0
        self._does: Mapping[str, Callable[[Person, float], None]] = {
            ONE: self._say_to_one,
            GROUP: self._say_to_group,
            EDIT: self._edit,
            REACTION: self._react,
            TYPING: self._type,
            RECEIPT: self._read,
            HISTORY: self._look_back,
            SEARCH: self._search,
            BACK: self._come_back,
        }
        connect_all(loop, [one.client for one in self._people], server.port)
        for one in self._people:
            one.client.replay.clear()  # their groups
            one.listen()

    def act(self, rate: float, seconds: float) -> None:
        """Do so many things a second, evenly spaced, whatever comes back."""
        kinds, weights = list(SHARES), list(SHARES.values())
        start = perf_counter()
        for number in range(int(rate * seconds)):
            due = start + number / rate
            self._loop.run_to(due)
            (kind,) = self._random.choices(kinds, weights)
            self._does[kind](self._anybody(), due)
            self._people[self._next_ack].ack_cursor()
            self._next_ack = (self._next_ack + 1) % PEOPLE
        self._loop.run_to(start + seconds)

    def settle(self) -> None:
        """Wait until everybody has got everything, and a little longer for what should not come.

        Raises:
            MismatchError: something is missing, or came twice.
        """
        try:
            self._loop.run_until(lambda: not self.book.missing(), "end of the traffic")
        except MismatchError as error:
            error.add_note(f"still due: {list(self.book.missing().items())[:5]}")
            raise
        self._loop.run_for(0.2)

    def _anybody(self, but: str = "") -> Person:
        here = [one for one in self._people if one.here and one.user != but]
        if not here:
            raise MismatchError("nobody is connected")
        return self._random.choice(here)

    def _say(self, person: Person, due: float, said: Said, kind: str, type_: str) -> None:
        name = self.book.name()
        self.book.said[name] = said
        self.book.expect(name, kind, due, self._audience(said, person))
        self.book.expect(f"ack of {name}", ACK, due, [person.user])
        content = " ".join(self._random.choices(WORDS, k=self._random.randint(2, 40)))
        person.send(type_, said.target, {"content": content}, name, said)

    def _say_to_one(self, person: Person, due: float) -> None:
        other = self._random.choice(self._people).user
        if other == person.user:
            other = self._anybody(person.user).user
        self._say(person, due, Said(person.user, other, False), ONE, "chat_message")

    def _say_to_group(self, _: Person, due: float) -> None:
        name, members = self._random.choice(list(self._groups.items()))
        here = [self._by_name[user] for user in members if self._by_name[user].here]
        if not here:
            return self._say_to_one(self._anybody(), due)
        person = self._random.choice(here)
        self._say(person, due, Said(person.user, name, True), GROUP, "group_message")

    def _audience(self, said: Said, by: Person) -> set[str]:
        """Return who is sent what `by` does to this message, themselves left out."""
        return {*(self._groups[said.target] if said.in_group else (said.sender, said.target))} - {by.user}

    def _edit(self, person: Person, due: float) -> None:
        if not person.own:
            return self._say_to_one(person, due)
        message_id, said = person.own.pop()  # once: a later edit would make a tombstone of this one
        name = self.book.name()
        self.book.expect(name, EDIT, due, self._audience(said, person))
        self.book.expect(f"ack of {name}", ACK, due, [person.user])
        person.send("message_edit", said.target, {"message_id": message_id, "content": f"Edited: {name}"}, name)

    def _react(self, person: Person, due: float) -> None:
        if not person.heard:
            return self._say_to_one(person, due)
        message_id, said = self._random.choice(person.heard)
        name = self.book.name()
        self.book.expect(name, REACTION, due, self._audience(said, person))
        self.book.expect(f"ack of {name}", ACK, due, [person.user])
        payload = {"message_id": message_id, "emoji": f":{name}:", "on": True}
        person.send("reaction", said.target if said.in_group else said.sender, payload, name)

    def _read(self, person: Person, due: float) -> None:
        if not person.heard:
            return self._say_to_one(person, due)
        message_id, said = person.heard[-1]
        name = self.book.name()
        self.book.expect(f"ack of {name}", RECEIPT, due, [person.user])
        target = said.target if said.in_group else said.sender
        person.send("read_receipt", target, {"message_ids": [message_id]}, name)

    def _type(self, person: Person, due: float) -> None:
        other, name = self._anybody(person.user), self.book.name()
        self.book.expect(name, TYPING, due, [other.user])
        self.book.expect(f"ack of {name}", ACK, due, [person.user])
        person.send("typing_indicator", other.user, {"typing": True}, name)

    def _look_back(self, person: Person, due: float) -> None:
        if not person.heard:
            return self._say_to_one(person, due)
        one = self._random.choice(person.heard)[1]
        path = f"group/{one.target}" if one.in_group else f"user/{one.sender}"
        self._ask(person, due, HISTORY, f"/api/messages/{path}?limit=50")

    def _search(self, person: Person, due: float) -> None:
        self._ask(person, due, SEARCH, f"/api/search?q={self._random.choice(WORDS)}")

    def _ask(self, person: Person, due: float, kind: str, path: str) -> None:
        name = self.book.name()
        self.book.expect(name, kind, due, [person.user])
        answered = partial(self.book.came, name, person.user)
        self._web.get(path, person.user, self._server.tokens[person.user], answered)

    def _come_back(self, _: Person, due: float) -> None:
        """Have somebody come back who waits for nothing that only their old connection brings."""
        typed_to = {user for one in self.book.missing().values() if one.kind == TYPING for user in one.users}
        quiet = [one for one in self._people if one.here and not one.waiting and one.user not in typed_to]
        if not quiet:
            return self._say_to_one(self._anybody(), due)
        person, name = self._random.choice(quiet), self.book.name()
        self.book.expect(name, BACK, due, [person.user])
        person.come_back(self._server, self._loop, name)


@contextmanager
def gathered(scale: Scale) -> Iterator[tuple[Server, Crowd]]:
    """Start a server that has some history, and bring everybody together."""
    users = [f"user{n:03d}" for n in range(PEOPLE)]
    with prepared(users) as (folder, tokens):
        with serving(folder, tokens) as server:
            server.command("import", str(write_history(folder, users, STORED if scale.large else STORED // 10)))
        with serving(folder, tokens, scale.profile_of("mixed")) as server:
            loop = Loop()
            yield server, Crowd(server, loop, Random(7))
            loop.close()


def mixed(scale: Scale) -> Result:
    """Do everything at once at a fixed rate, and then verify that each message reached each of its receivers."""
    with gathered(scale) as (server, crowd):
        crowd.act(RATE, scale.warm_up)
        crowd.settle()
        crowd.book.taken.clear()
        before = Reading.take(server.pid)
        crowd.act(RATE, WINDOWS * scale.seconds)
        usage = Usage.between(before, Reading.take(server.pid))
        crowd.settle()
    taken = crowd.book.taken
    done = int(RATE * WINDOWS * scale.seconds)
    late = percentile(sorted(taken[ONE]), 0.999) * 1000
    return Result(
        f"mixed traffic of {PEOPLE}, {RATE} things/s",
        f"{done / usage.wall:,.1f} things/s",
        taken[ONE],
        f"{usage.server / done * 1e6:.0f} µs/thing",
        usage,
        [Target("p99.9 of a message to one in mixed traffic", late, 50, "ms")],
        parts={kind: taken[kind] for kind in (*SHARES, ACK) if kind in taken},
    )


def rates(scale: Scale) -> Result:
    """Raise the rate of mixed traffic, step by step."""
    points: dict[int, dict[str, float]] = {}
    with gathered(scale) as (server, crowd):
        for rate in RATES:
            crowd.act(rate, scale.warm_up)
            crowd.settle()
            crowd.book.taken.clear()
            before = Reading.take(server.pid)
            crowd.act(rate, scale.seconds)
            usage = Usage.between(before, Reading.take(server.pid))
            crowd.settle()
            ordered = sorted(crowd.book.taken[ONE])
            points[rate] = {
                "a message to one, p50, ms": percentile(ordered, 0.5) * 1000,
                "a message to one, p99, ms": percentile(ordered, 0.99) * 1000,
                "share of a core, %": 100 * usage.server / usage.wall,
            }
    return Curve("mixed traffic", "things done a second", points).result(usage)
