"""Search over much that was said, in several languages, and what indexing it costs a message."""

import http.client
import re
import unicodedata
from collections import deque
from collections.abc import Iterator, Sequence
from random import Random
from time import perf_counter
from typing import Any, NamedTuple
from urllib.parse import quote

import msgspec

from benchmarks.frames import Frame, MismatchError, masked
from benchmarks.languages import Language, languages
from benchmarks.load import Client, connect_all
from benchmarks.loop import Loop
from benchmarks.machine import Reading, Usage
from benchmarks.report import Result, Target, milliseconds, percentile
from benchmarks.server import Server, running
from benchmarks.workloads import Scale

USERS, GROUPS, GROUP_SIZE, IN_FLIGHT = 30, 8, 10, 32
MESSAGES, TURN, TURNS, COST_ROUNDS = 200_000, 4_000, 6, 9
WITHOUT = '[plugins]\nenabled = ["chat_message", "group_message", "group_event", "connection_event", "answers"]\n'
SEED = 20_261


class Said(NamedTuple):
    """A message that was sent: who may see it, and what it says."""

    sender: str
    target: str
    group: bool
    text: str

    def seen_by(self, user: str, groups: dict[str, list[str]]) -> bool:
        """Tell whether a user may see it."""
        return user in groups[self.target] if self.group else user in (self.sender, self.target)


class Question(NamedTuple):
    """A search, and how a reader without an index would know what it finds."""

    kind: str
    user: str
    q: str
    words: tuple[str, ...] = ()
    phrase: str | None = None
    sender: str | None = None
    target: str | None = None

    def finds(self, said: Said) -> bool:
        """Tell, by reading it, whether a message that the user may see is found."""
        if self.sender not in (None, said.sender):
            return False
        if self.target is not None and (said.target != self.target or not said.group):
            return False
        plain = _plain(said.text)
        spoken = re.findall(r"[^\W_]+", plain)
        if self.phrase is not None:
            return f" {self.phrase} " in f" {' '.join(spoken)} "
        return all(_has(word, plain, spoken) for word in self.words)


def _has(word: str, plain: str, spoken: list[str]) -> bool:
    if not word.isascii() and any("\u3040" <= letter <= "\u9fff" for letter in word):
        return word in plain
    if word.startswith("*"):
        return any(word.strip("*") in one for one in spoken)
    if word.endswith("*"):
        return any(one.startswith(word[:-1]) for one in spoken)
    return word in spoken


def _plain(text: str) -> str:
    parted = unicodedata.normalize("NFKD", text.casefold())
    return unicodedata.normalize("NFC", re.sub("[\u0300-\u036f]", "", parted))


class Talk:
    """People who talk as fast as the server takes it, and the book of what they said."""

    def __init__(self, server: Server, loop: Loop, spoken: Sequence[Language], random: Random) -> None:
        self.book: dict[int, Said] = {}
        self.groups = {
            f"group{number}": [f"user{(number * 3 + member) % USERS:02d}" for member in range(GROUP_SIZE)]
            for number in range(GROUPS)
        }
        for name, members in self.groups.items():
            body = {"name": name, "group_id": name, "members": members}
            server.rest(members[0], "POST", "/api/groups", body)
        self._random, self._languages = random, spoken
        self._weights = [len(spoken), *(1 for _ in spoken[1:])]
        self.clients = [server.client(loop, f"user{number:02d}") for number in range(USERS)]
        self._open: dict[Client, deque[tuple[str, Said]]] = {client: deque() for client in self.clients}
        self._left = self._count = 0
        connect_all(loop, self.clients, server.port)
        for client in self.clients:
            client.handle(self._receive)

    def go_on(self, loop: Loop, count: int) -> None:
        """Say so many messages more and wait until all are acked.

        Raises:
            MismatchError: one is refused, or not acked in time.
        """
        self._left = count
        for client in self.clients:
            self._fill(client)
        loop.run_until(lambda: not self._left and not any(self._open.values()), "end of the talk", timeout=300)

    def _fill(self, client: Client) -> None:
        parts = []
        while self._left and len(self._open[client]) < IN_FLIGHT:
            self._left -= 1
            self._count += 1
            name, said = f"m{self._count}", self._next(client.user)
            self._open[client].append((name, said))
            envelope = {
                "type": "group_message" if said.group else "chat_message",
                "payload": {"content": said.text},
                "meta": {"id": name, "target_id": said.target},
            }
            parts.append(masked(msgspec.json.encode(envelope)))
        if parts:
            client.write(b"".join(parts))

    def _next(self, user: str) -> Said:
        mine = [name for name, members in self.groups.items() if user in members]
        in_group = bool(mine) and self._random.random() < 0.6
        target = self._random.choice(mine) if in_group else f"user{self._random.randrange(USERS):02d}"
        (language,) = self._random.choices(self._languages, self._weights)
        return Said(user, target, in_group, language.sentence(self._random))

    def _receive(self, client: Client, frames: list[Frame], _now: float) -> None:
        for frame in frames:
            if frame.type == "ack":
                name, said = self._open[client].popleft()
                if frame.meta.ref != name:
                    raise MismatchError(f"{client.user}: an ack for {frame.meta.ref}, not for {name}")
                self.book[frame.payload.message_id] = said
            elif frame.type == "error":
                raise MismatchError(f"{client.user}: {frame.payload.code}: {frame.payload.message}")
        self._fill(client)


def questions(talk: Talk, spoken: Sequence[Language], random: Random, each: int) -> Iterator[Question]:
    """Yield searches of every kind, by people picked at random."""
    kept = list(talk.book.values())
    *spaced, unspaced = spoken
    for _ in range(each):
        user, language = f"user{random.randrange(USERS):02d}", random.choice(spaced)
        common, rare = _plain(random.choice(language.words[:8])), _plain(random.choice(language.words[6000:]))
        yield Question("common word", user, common, (common,))
        yield Question("rare word", user, rare, (rare,))
        other = _plain(random.choice(language.words[:40]))
        yield Question("two common words", user, f"{common} {other}", (common, other))
        said = random.choice(kept)
        start = re.findall(r"[^\W_]+", _plain(said.text))
        if said.text.isascii() and len(start) > 3:
            phrase = " ".join(start[1:3])
            yield Question("phrase", user, f'"{phrase}"', phrase=phrase)
        begun = f"{rare[:4]}*"
        yield Question("beginning", user, begun, (begun,))
        inside = f"*{rare[1:5]}*"
        yield Question("inside", user, inside, (inside,))
        yield Question("word, from:", user, f"from:{said.sender} {common}", (common,), sender=said.sender)
        group = next((name for name, members in talk.groups.items() if user in members), None)
        if group:
            yield Question("word, in:", user, f"in:{group} {common}", (common,), target=group)
        one, two = random.choice(unspaced.words[10:200])[0], random.choice(unspaced.words[50:4000])[:2]
        yield Question("one character", user, one, (one,))
        yield Question("two characters", user, two, (two,))


def ask(connection: http.client.HTTPConnection, token: str, question: Question, **more: object) -> Any:
    """Search over HTTP and return the answer.

    Raises:
        MismatchError: it is not a success.
    """
    extra = "".join(f"&{name}={value}" for name, value in more.items())
    headers = {"Authorization": f"Bearer {token}"}
    connection.request("GET", f"/api/search?q={quote(question.q, safe='')}{extra}", headers=headers)
    answer = connection.getresponse()
    body = answer.read()
    if answer.status != 200:
        raise MismatchError(f"{question.q!r}: {answer.status} {body[:300]!r}")
    return msgspec.json.decode(body)


def compare(talk: Talk, connection: http.client.HTTPConnection, server: Server, question: Question) -> None:
    """Hold a search's newest results against reading everything that the user may see.

    Raises:
        MismatchError: they differ.
    """
    answer = ask(connection, server.tokens[question.user], question, order="newest", limit=200)
    found = [one["message"]["meta"]["message_id"] for one in answer["results"]]
    newest = sorted(talk.book, reverse=True)
    read = (
        message_id
        for message_id in newest
        if question.finds(talk.book[message_id]) and talk.book[message_id].seen_by(question.user, talk.groups)
    )
    expected = [message_id for message_id, _ in zip(read, range(len(found) + 1), strict=False)]
    if found != expected[: len(found)] or (len(expected) > len(found) and not answer["has_more"]):
        raise MismatchError(f"{question}: found {found[:5]}…, by reading {expected[:5]}…")


def search(scale: Scale) -> Result:
    """Search what was said, by all kinds of questions; then measure what the index costs."""
    count = MESSAGES if scale.seconds > 1 else MESSAGES // 20
    random = Random(SEED)  # the same talk each time
    spoken = languages(random)
    taken: dict[str, list[float]] = {}
    with running([f"user{number:02d}" for number in range(USERS)], scale.profile_of("search")) as server:
        loop = Loop()
        talk = Talk(server, loop, spoken, random)
        talk.go_on(loop, count)
        loop.close()
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
        asked = list(questions(talk, spoken, random, 60))
        for question in asked[:20]:
            ask(connection, server.tokens[question.user], question)
        before = Reading.take(server.pid)
        for question in asked:
            start = perf_counter()
            ask(connection, server.tokens[question.user], question)
            taken.setdefault(question.kind, []).append(perf_counter() - start)
        usage = Usage.between(before, Reading.take(server.pid))
        for question in random.sample(asked, 100):
            compare(talk, connection, server, question)
        connection.close()
    latencies = [one for times in taken.values() for one in times]
    targets = []
    for kind, times in taken.items():
        ordered = sorted(times)
        middle, late = percentile(ordered, 0.5) * 1000, percentile(ordered, 0.99) * 1000
        targets += [Target(f"median of: {kind}", middle, 10, "ms"), Target(f"p99 of: {kind}", late, 50, "ms")]
    targets.append(Target("CPU that indexing adds to a message", index_cost(spoken, scale), 25, "µs"))
    return Result(
        f"search over {count:,} messages",
        f"{len(latencies) / usage.wall:,.0f} searches/s",
        latencies,
        f"{milliseconds(usage.server / len(latencies))}/search",
        usage,
        targets,
    )


def index_cost(spoken: Sequence[Language], scale: Scale) -> float:
    """Return the microseconds of CPU a message costs more with the index, the median of several talks."""
    turns = TURNS if scale.seconds > 1 else TURNS // 5
    costs = sorted(talk_cost(spoken, turns, seed) for seed in range(COST_ROUNDS))
    return costs[COST_ROUNDS // 2] * 1e6


def talk_cost(spoken: Sequence[Language], turns: int, seed: int) -> float:
    """Return the seconds of CPU that a message costs a server with the index more than one without it.

    The same is said on both, turn by turn, so that a machine whose speed changes changes it for both.
    """
    people = [f"user{number:02d}" for number in range(USERS)]
    with running(people) as indexed, running(people, config=WITHOUT) as plain:
        loop, servers = Loop(), (indexed, plain)
        talks = [Talk(server, loop, spoken, Random(seed)) for server in servers]
        for talk in talks:
            talk.go_on(loop, TURN)  # to be warm
        before = [Reading.take(server.pid) for server in servers]
        for _ in range(turns):
            for talk in talks:
                talk.go_on(loop, TURN)
        after = [Reading.take(server.pid) for server in servers]
        loop.close()
    with_index, without = (Usage.between(*both).server for both in zip(before, after, strict=True))
    return (with_index - without) / (turns * TURN)
