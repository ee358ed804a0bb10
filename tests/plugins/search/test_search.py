"""Searching, as a user does: what is found, in what order, and by whom."""

import json
import sqlite3
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import trio
from hypothesis import HealthCheck, given
from hypothesis import settings as fewer
from hypothesis import strategies as some

from relay.testing import RelayWorld, World
from tests.plugins.search.asking import found, say, tables

TEXTS = [
    "Lunch on Friday?",
    "no lunch today, friday perhaps",
    "Das Mädchen aß Müsli",
    "今日は東京で会いましょう",
    "北京烤鸭很好吃",
    "message received, massaging the data",
    "ÜBER snake_case_name and v1.2.3",
    "\U0001d401\U0001d40e\U0001d40b\U0001d403 Claim™",
]


@pytest.mark.parametrize(
    ("q", "expected"),
    [
        ("lunch friday", {0, 1}),
        ('"on friday"', {0}),
        ("lunch -today", {0}),
        ("frid*", {0, 1}),
        ("*essag*", {5}),
        ("madchen", {2}),
        ("MÜSLI", {2}),
        ("ass", {2}),
        ("東京", {3}),
        ("東", {3}),
        ("京", {3, 4}),
        ("京東", set()),
        ("烤鸭", {4}),
        ("uber", {6}),
        ("snake_case", {6}),
        ("v1.2.3", {6}),
        ("bold claimtm", {7}),
        ("nothingofthesort", set()),
        ("*nothingofthesort*", set()),
        ("from:me lunch", {0, 1}),
        ("from:bob lunch", set()),
        ("in:bob lunch", {0, 1}),
        ("after:2023-11-01 lunch", {0, 1}),
        ("before:2023-11-01 lunch", set()),
        ("has:attachment", set()),
        ("", set(range(8))),
        ("-lunch", set(range(2, 8))),
    ],
)
async def test_what_is_found(relay_world: RelayWorld, q: str, expected: set[int]) -> None:
    async with relay_world(None, "alice", "bob") as world:
        alice = await world.connect("alice")
        await say(alice, "bob", *TEXTS)
        assert set(await found(world, "alice", q)) == {TEXTS[number] for number in expected}
        newest_first = [TEXTS[number] for number in sorted(expected, reverse=True)]
        assert await found(world, "alice", q, order="newest") == newest_first


async def test_only_what_the_caller_may_see(relay_world: RelayWorld) -> None:
    async with relay_world(None, "alice", "bob", "carol") as world:
        alice = await world.connect("alice")
        await say(alice, "bob", "the secret plan")
        assert await found(world, "alice", "secret") == await found(world, "bob", "secret") == ["the secret plan"]
        assert await found(world, "carol", "secret") == []
        made = {"group_id": "team", "name": "Team", "members": ["bob"]}
        assert (await world.rest("POST", "/api/groups", "alice", json_body=made)).status == 201
        await alice.request("group_message", {"content": "before carol"}, "team")
        joined = await world.rest("PUT", "/api/groups/team/members/carol", "alice", json_body={})
        assert joined.status in (200, 201, 204)
        await alice.request("group_message", {"content": "with carol"}, "team")
        await world.rest("DELETE", "/api/groups/team/members/carol", "alice")
        await alice.request("group_message", {"content": "after carol"}, "team")
        assert await found(world, "carol", "carol") == ["with carol"]
        assert len(await found(world, "bob", "carol", group="team")) == 3
        assert (await world.rest("GET", "/api/search?q=x&group=other", "bob")).status == 404


async def test_edited_and_deleted_messages(relay_world: RelayWorld) -> None:
    async with relay_world(None, "alice", "bob") as world:
        alice = await world.connect("alice")
        first, second = await say(alice, "bob", "apples", "oranges")
        await alice.request("message_edit", {"message_id": first, "content": "pears"}, "bob")
        await alice.request("message_delete", {"message_id": second}, "bob")
        assert await found(world, "bob", "apples") == await found(world, "bob", "oranges") == []
        assert await found(world, "bob", "pears") == ["pears"]


async def test_pages_neither_repeat_nor_leave_out(relay_world: RelayWorld) -> None:
    async with relay_world(None, "alice", "bob") as world:
        alice = await world.connect("alice")
        said = [f"word number {number}" for number in range(25)]
        await say(alice, "bob", *said)
        for order in ("best", "newest"):
            got: list[str] = []
            cursor = ""
            while True:
                page = await world.rest("GET", f"/api/search?q=word&limit=10&order={order}{cursor}", "bob")
                got += [one["message"]["payload"]["content"] for one in page.body["results"]]
                if not page.body["has_more"]:
                    break
                cursor = f"&cursor={page.body['next_cursor']}"
                await say(alice, "bob", f"word in between {len(got)} {order}")
            assert sorted(one for one in got if "number" in one) == sorted(said)
            assert len(got) == len(set(got))


async def test_the_best_comes_first_and_is_shown_marked(relay_world: RelayWorld) -> None:
    async with relay_world(None, "alice", "bob") as world:
        alice = await world.connect("alice")
        filler = " ".join(f"filler{number}" for number in range(60))
        await say(alice, "bob", "relay relay", f"{filler} relay <b> {filler}")
        answer = await world.rest("GET", "/api/search?q=relay", "bob")
        first, second = (one["snippet"] for one in answer.body["results"])
        assert first == "<mark>relay</mark> <mark>relay</mark>"
        assert (second[0], second[-1]) == ("…", "…")
        assert "<mark>relay</mark> &lt;b&gt;" in second


async def test_the_socket_answers_in_the_ack(relay_world: RelayWorld) -> None:
    async with relay_world(None, "alice", "bob") as world:
        alice, bob = await world.connect("alice"), await world.connect("bob")
        await say(alice, "bob", "find me")
        answer = await bob.request("search", {"q": "find"})
        assert answer["type"] == "ack"
        assert answer["payload"]["results"][0]["message"]["payload"] == {"content": "find me"}
        refused = await bob.request("search", {"q": "find", "order": "oldest"})
        assert refused["payload"]["code"] == "invalid_payload"


async def test_what_was_stored_while_search_was_off_is_found_later(tmp_path: Path) -> None:
    from relay.settings.model import BUNDLED_PLUGINS
    from relay.testing import world as running

    off = json.dumps([name for name in BUNDLED_PLUGINS if name != "search"])
    async with running(tmp_path, "alice", "bob", RELAY_PLUGINS__ENABLED=off) as world:
        alice = await world.connect("alice")
        (first,) = await say(alice, "bob", "early bird")
        assert (await world.rest("GET", "/api/search?q=early", "bob")).status == 404
        tokens = world.tokens
    async with running(tmp_path) as world:
        world.tokens = tokens
        await trio.sleep(1)
        assert await found(world, "bob", "early") == ["early bird"]
    async with running(tmp_path, RELAY_PLUGINS__ENABLED=off) as world:
        world.tokens = tokens
        alice = await world.connect("alice")
        edit = await alice.request("message_edit", {"message_id": first, "content": "late bird"}, "bob")
        assert edit["type"] == "ack", edit
    async with running(tmp_path) as world:
        world.tokens = tokens
        await trio.sleep(1)
        assert await found(world, "bob", "early") == []
        assert await found(world, "bob", "late") == ["late bird"]
        from relay.app.plugin_admin import run_command

        assert await run_command(world.engine, "search rebuild", {}) == "1 messages can be found"
        assert await found(world, "bob", "late") == ["late bird"]


def written(world: World) -> bytes:
    return Path(f"{world.engine.settings.storage.path}-wal").read_bytes()


async def test_nothing_is_written_while_nothing_is_said(relay_world: RelayWorld) -> None:
    async with relay_world(None, "alice", "bob") as world:
        alice = await world.connect("alice")
        await say(alice, "bob", "good night")
        await alice.cut()
        await trio.sleep(3600)
        before = written(world)
        await trio.sleep(30 * 86400)
        assert written(world) == before


@fewer(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(q=some.text(max_size=60) | some.text(alphabet='ab"*-:^()+ NEAR{}~\x00', max_size=40))
def test_raw_garbage_is_read_or_refused_by_name(q: str) -> None:
    from relay.plugin import RelayError

    connection = tables()
    from relay_plugin_search.query import parse  # type: ignore[import-not-found]
    from relay_plugin_search.results import Asked, _match  # type: ignore[import-not-found]
    from relay_plugin_search.snippets import Snippets  # type: ignore[import-not-found]

    try:
        query = parse(q, "alice")
    except RelayError:
        return
    match = _match(connection, query, ["c1"], Asked(10, newest=True))
    if match is not None:
        for expression in match.steps:
            connection.execute("SELECT rowid FROM search_index WHERE search_index MATCH ?", (expression,))
    Snippets(query).of(q)


_SAID = some.text(alphabet="abAÄ\u00e9e\u0301 東京-_.ⓐ\ufb01", min_size=1, max_size=12)
_SOUGHT = some.builds(
    "".join, some.tuples(some.sampled_from(["", "-", '"', "*"]), _SAID, some.sampled_from(["", '"', "*"]))
)


@fewer(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(said=some.lists(_SAID, max_size=8), q=some.lists(_SOUGHT, min_size=1, max_size=3).map(" ".join))
def test_the_index_finds_what_reading_finds(said: list[str], q: str) -> None:
    from relay.plugin import RelayError
    from relay.storage.history import View

    connection = tables()
    from relay_plugin_search.query import parse
    from relay_plugin_search.results import Asked, _candidates, _match
    from relay_plugin_search.snippets import matches
    from relay_plugin_search.times import Span  # type: ignore[import-not-found]
    from relay_plugin_search.vocabulary import Vocabulary
    from relay_plugin_search.words import words

    vocabulary = Vocabulary()
    for number, text in enumerate(said):
        spoken = words(text)
        connection.execute(
            "INSERT INTO search_index (rowid, words, marks) VALUES (?, ?, 'c1 t')", (number, " ".join(spoken))
        )
        vocabulary.add(connection, set(spoken))
    try:
        query = parse(q, "alice")
    except RelayError:
        assert not words(q)
        return
    match = _match(connection, query, ["c1"], Asked(10, newest=True))
    views = {"c1": View(1, "group:team", "group", 1, None)}
    found = _candidates(connection, match, Span(0, len(said)), views, 100).rows if match else []
    read = [number for number, text in enumerate(said) if matches(text, query)]
    assert [number for number, _ in found] == read[::-1]


async def test_a_part_of_a_word_is_found_though_its_first_writing_was_undone(relay_world: RelayWorld) -> None:
    async with relay_world(None, "alice", "bob") as world:
        from relay_plugin_search.index import put  # type: ignore[import-not-found]

        alice = await world.connect("alice")
        server = world.engine.server_of("search")
        entry = await server.send("alice", "chat_message", {"content": "plain"}, "bob")
        entry.payload, entry.message_id = '{"content": "extraordinary"}', 1000

        def undone(connection: Any) -> None:
            put(server, connection, [entry])
            raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            await server.write(undone)
        await say(alice, "bob", "how extraordinary")
        assert await found(world, "bob", "*aordin*") == ["how extraordinary"]


async def test_a_part_of_very_many_words_is_found_page_by_page(
    relay_world: RelayWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with relay_world(None, "alice", "bob") as world:
        from relay_plugin_search import results

        monkeypatch.setattr(results, "READ", 100)
        alice = await world.connect("alice")
        said = [f"{'kee' if number % 50 else 'mix'}per{number}" for number in range(500)]
        for text in said:
            await alice.say("bob", text)
        await world.engine.router.wait_idle()
        expected = [text for text in reversed(said) if text.startswith("mix")]
        for q, wanted in (("*ixpe*", expected), ("*per* mix*", expected), ("*per* -kee*", expected)):
            got, cursor, pages = [], "", 0
            while True:
                page = await world.rest("GET", f"/api/search?q={quote(q)}&limit=4&order=newest{cursor}", "bob")
                got += [one["message"]["payload"]["content"] for one in page.body["results"]]
                pages += 1
                if not page.body["has_more"]:
                    break
                cursor = f"&cursor={page.body['next_cursor']}"
            assert got == wanted
        assert len(await found(world, "bob", "*per*", limit=200)) == 50
        assert await found(world, "bob", "-*per*") == []


def lots(connection: sqlite3.Connection) -> list[list[str]]:
    return [sorted(lot.split()) for (lot,) in connection.execute("SELECT words FROM search_lots ORDER BY rowid")]


def test_words_are_listed_once_also_after_a_start() -> None:
    connection = tables()
    from relay_plugin_search.vocabulary import Vocabulary  # type: ignore[import-not-found]

    vocabulary = Vocabulary()
    vocabulary.add(connection, {"to", "be"})
    vocabulary.add(connection, {"or", "not", "to", "be"})
    vocabulary.add(connection, {"be"})
    assert lots(connection) == [["be", "to"], ["not", "or"]]
    Vocabulary().add(connection, {"that", "not"})
    vocabulary.add(connection, {"that", "is"})
    assert lots(connection) == [["be", "to"], ["not", "or"], ["that"], ["is"]]


def test_lots_of_words_become_one_and_all_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    connection = tables()
    from relay_plugin_search import vocabulary

    monkeypatch.setattr(vocabulary, "_JOINED", 4)
    listing = vocabulary.Vocabulary()
    said = [f"{letter}{number}" for number in range(5) for letter in "abc"]
    for start in range(10):
        listing.add(connection, {said[start], said[start + 5]})
    assert [len(lot) for lot in lots(connection)] == [8, 5, 1, 1]
    listed = [word for lot in lots(connection) for word in lot]
    assert sorted(listed) == sorted(said)
    assert vocabulary.words_within(connection, "a", 100) == {"a0", "a1", "a2", "a3", "a4"}
    assert vocabulary.words_within(connection, "4", 100) == {"a4", "b4", "c4"}
    assert vocabulary.words_within(connection, "d", 100) == set()
    assert vocabulary.words_within(connection, "a", 2) is None


def test_a_word_that_was_forgotten_is_listed_twice_and_found_once(monkeypatch: pytest.MonkeyPatch) -> None:
    connection = tables()
    from relay_plugin_search import vocabulary

    monkeypatch.setattr(vocabulary, "_MOST_KNOWN", 1)
    listing = vocabulary.Vocabulary()
    for said in ({"one", "two"}, {"three"}, {"one"}):
        listing.add(connection, said)
    assert lots(connection) == [["one", "two"], ["three"], ["one"]]
    assert vocabulary.words_within(connection, "o", 100) == {"one", "two"}


def test_words_of_an_older_list_move() -> None:
    connection = tables()
    from relay_plugin_search.vocabulary import LOTS, words_within

    connection.executescript("DROP TABLE search_lots; CREATE TABLE search_words (word TEXT PRIMARY KEY)")
    connection.executemany("INSERT INTO search_words VALUES (?)", [("early",), ("bird",)])
    connection.executescript(LOTS)
    assert lots(connection) == [["bird", "early"]]
    assert words_within(connection, "ir", 100) == {"bird"}


async def test_a_rebuild_forgets_what_is_no_message(relay_world: RelayWorld) -> None:
    from relay.app.plugin_admin import run_command

    async with relay_world(None, "alice", "bob") as world:
        alice = await world.connect("alice")
        (gone, _) = await say(alice, "bob", "early bird", "late bird")
        await alice.request("message_delete", {"message_id": gone}, "bob")
        row = "INSERT INTO search_index (rowid, words, marks) VALUES (?, 'early bird', '')"
        await world.engine.server_of("search").write(lambda connection: connection.execute(row, (gone,)).rowcount)
        assert await run_command(world.engine, "search rebuild", {}) == "1 messages can be found"
        assert await found(world, "bob", "bird") == ["late bird"]


async def test_somebody_in_very_many_conversations_finds_by_no_word_at_all(
    relay_world: RelayWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with relay_world(None, "alice", "bob", "carol") as world:
        from relay_plugin_search import results

        monkeypatch.setattr(results, "_PLACES", 1)
        alice = await world.connect("alice")
        await say(alice, "bob", "one")
        await say(alice, "carol", "two")
        await say(await world.connect("bob"), "carol", "three")
        for q, expected in (
            ("", ["two", "one"]),
            ("-one", ["two"]),
            ("one", ["one"]),
            ("from:me", ["two", "one"]),
        ):
            assert await found(world, "alice", q, order="newest") == expected


async def test_where_few_matches_are_the_users_to_see_all_of_those_are_found(
    relay_world: RelayWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with relay_world(None, "alice", "bob", "carol") as world:
        from relay_plugin_search import results

        monkeypatch.setattr(results, "PROBED", 8)
        alice, carol = await world.connect("alice"), await world.connect("carol")
        expected = []
        for number in range(45):
            await say(carol, "carol", f"note {number} to myself")
            if number % 20 == 0 or 30 < number < 40:
                await say(alice, "bob", f"note {number} to bob")
                expected.insert(0, f"note {number} to bob")
        for q in ("note", "note to", "not* from:me", "note -myself"):
            assert await found(world, "alice", q, order="newest", limit=100) == expected
        assert set(await found(world, "alice", "note", limit=100)) == set(expected)
        assert len(await found(world, "carol", "note", limit=100)) == 45


async def test_an_accent_of_its_own_is_marked_with_its_word(relay_world: RelayWorld) -> None:
    async with relay_world(None, "alice", "bob") as world:
        await say(await world.connect("alice"), "bob", "my re\u0301sume\u0301, please")
        answer = await world.rest("GET", "/api/search?q=resume", "bob")
        assert answer.body["results"][0]["snippet"] == "my <mark>re\u0301sume\u0301</mark>, please"


def test_a_list_that_is_too_long_is_not_read_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    connection = tables()
    from relay_plugin_search import vocabulary

    monkeypatch.setattr(vocabulary, "_LOT", 20)
    vocabulary.Vocabulary().add(connection, {f"word{number}" for number in range(100)})
    assert all(len(" ".join(lot)) < 40 for lot in lots(connection))
    assert vocabulary.words_within(connection, "word99", 100) == {"word99"}
    monkeypatch.setattr(vocabulary, "_READ", 100)
    assert vocabulary.words_within(connection, "word99", 100) is None
