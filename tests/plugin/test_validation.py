"""What a plugin registers is looked at: a slip is told at the start, with the plugin, the place and what is right."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from relay.app.plugin_admin import checked
from relay.engine.loader import load_plugins
from relay.settings import load

HEAD = """\
from relay.plugin import *

class P(Payload):
    text: str = ""

async def waits(*arguments): ...
def plain(*arguments): ...
def one(draft): ...
"""
TYPE = '@hookimpl\ndef relay_message_types(): return [MessageType(name="odd", payload=P, {})]'
HOOK = "@hookimpl\ndef relay_message_hooks(): return [MessageHook({})]"
SCHEDULE = '@hookimpl\ndef relay_schedules(): return [Schedule(name="odd", run=plain, {})]'

SLIPS = {
    "kind as text": (TYPE.format('kind="stream"'), "kind is 'stream'; write Kind.STREAM"),
    "prepare waits": (
        TYPE.format("kind=Kind.STREAM, prepare=waits"),
        "message type 'odd': prepare is called and not awaited: write it with def, not async def;"
        " what waits is `handle`",
    ),
    **{
        f"{name} waits": (
            TYPE.format(f"kind=Kind.{kind}, {name}=waits{more}"),
            f"{name} is called and not awaited",
        )
        for name, kind, more in (
            ("key", "LATEST", ""),
            ("collapse", "STREAM", ""),
            ("about", "LATEST", ""),
            ("search_text", "STREAM", ""),
            ("over", "TRANSIENT", ", lasts_seconds=5"),
        )
    },
    **{
        f"{name} waits": (
            HOOK.format(f"{name}=waits"),
            f"MessageHook: {name} is called and not awaited: write it with def, not async def;"
            " what waits is `committed`, or a background task",
        )
        for name in ("stored", "edited", "keeps", "erased")
    },
    "a migration waits": (
        '@hookimpl\ndef relay_migrations(): return [Migration(name="one", sql=waits)]',
        "Migration 'one': sql is called and not awaited",
    ),
    "a cron with four fields": (
        SCHEDULE.format('when=cron("0 9 * *")'),
        "cron('0 9 * *'): write five fields, minute hour day month weekday, as \"0 9 * * 1-5\"",
    ),
    "a zone that is not there": (
        SCHEDULE.format('when=cron("0 9 * * *", zone="Europe/Berln")'),
        'there is no such time zone here; write it as "Europe/Berlin"',
    ),
    "an interval in words": (
        SCHEDULE.format('when=every("10 min")'),
        'every(\'10 min\'): write the interval as "30s", "10m", "1h30m" or "2d"',
    ),
    "a rule as text": (SCHEDULE.format('when="10m"'), "when is '10m'; write every(\"10m\") or cron("),
    "a run without the job": (
        '@hookimpl\ndef relay_schedules(): return [Schedule(name="odd", run=one)]',
        "it is called as run(server, job), but this takes (draft)",
    ),
    "a run of a day": (SCHEDULE.format("seconds=86400"), "a run may take 3600 s at most"),
    "a schedule twice": (
        '@hookimpl\ndef relay_schedules(): return [Schedule(name="odd", run=plain)] * 2',
        "relay_schedules returned 'odd' twice",
    ),
    "no function": (HOOK.format("stored=5"), "stored is 5; it is a function of server, connection, entries"),
    "too few parameters": (
        HOOK.format("stored=one"),
        "MessageHook: it is called as stored(server, connection, entries), but this takes (draft)",
    ),
    "types as text": (HOOK.format('types="chat_message"'), """write frozenset({"chat_message"})"""),
    "types of no texts": (HOOK.format("types={5}"), "types has 5 in it; each is a str"),
    "targets as text": (TYPE.format('kind=Kind.STREAM, targets="user"'), "write frozenset({ConversationKind})"),
    "targets as texts": (
        TYPE.format('kind=Kind.STREAM, targets={"user"}'),
        "one of targets is 'user'; write ConversationKind.USER",
    ),
    "roles as texts": (
        TYPE.format('kind=Kind.STREAM, roles=["owner"]'),
        "one of roles is 'owner'; write Role.OWNER",
    ),
    "roles without a group": (
        TYPE.format("kind=Kind.STREAM, roles={Role.OWNER}, targets={ConversationKind.USER}"),
        "roles are for groups, and its targets have no GROUP",
    ),
    "a number as text": (
        TYPE.format('kind=Kind.STREAM, ttl_seconds="5"'),
        "ttl_seconds is '5'; it is a number, 0 at least",
    ),
    "no hookimpl": (
        "def relay_message_types(): return []",
        "odd.py:9: relay_message_types would never be asked: write @hookimpl above it",
    ),
    "no hookimpl, and no hook's name": (
        "def relay_mesage_types(): return []",
        "odd.py:9: relay_mesage_types is no hook, and would never be asked; did you mean relay_message_types?",
    ),
    "a hook that waits": (
        "@hookimpl\nasync def relay_message_types(): return []",
        "odd.py:9: relay_message_types is called and not awaited: write it with def, not async def",
    ),
    "a hook of something else": (
        "@hookimpl\ndef relay_message_types(settings): return []",
        "odd.py:9: relay_message_types has the parameter 'settings'; it takes options or nothing",
    ),
    "a hook that returns something else": (
        "@hookimpl\ndef relay_message_types(): return [7]",
        "odd.py:9: relay_message_types returned 7 in its list; return a list of MessageType",
    ),
    "a taken type": (
        "@hookimpl\ndef relay_message_types(): return [MessageType(name='answers', payload=P, kind=Kind.STREAM),"
        " MessageType(name='reaction', payload=P, kind=Kind.STREAM)]",
        "odd.py:9: message type 'reaction' is taken by plugin 'reaction'",
    ),
    "purge waits": (HOOK.format("purge=waits"), "MessageHook: purge is called and not awaited"),
    "left waits": (
        "@hookimpl\ndef relay_session_hooks(): return [SessionHook(left=waits)]",
        "SessionHook: left is called and not awaited",
    ),
    "a hook for a type that nobody adds": (
        HOOK.format('types={"chat_mesage"}, before=one'),
        "odd.py:8: a hook of it is for the message type 'chat_mesage', which no plugin adds;"
        " did you mean chat_message?",
    ),
    "a hook for recipients of a type that nobody adds": (
        "def shown(server, delivery, user_id): return None\n"
        + HOOK.format('types={"chat_mesage"}, for_recipient=shown'),
        "odd.py:9: a hook of it is for the message type 'chat_mesage', which no plugin adds;",
    ),
    **{
        f"{name} of what no client sends": (
            TYPE.format(f"kind=Kind.STREAM, from_clients=False, {name}={value}"),
            f"message type 'odd': {name} is for what clients send, and from_clients is False",
        )
        for name, value in (("roles", "{Role.OWNER}"), ("scope", '"x"'), ("prepare", "one"), ("handle", "waits"))
    },
    "for everybody's requests": (
        "from relay.http.views import Blueprint\nb = Blueprint('b', __name__)\nb.before_app_request(waits)\n"
        "@hookimpl\ndef relay_routes(): return [Routes(blueprint=b)]",
        "plugin 'odd': before_app_request would run for everybody's requests; use before_request",
    ),
    "a command of four words": (
        '@hookimpl\ndef relay_commands(): return [Command(name="a b c d", run=waits)]',
        "Command 'a b c d': name is one word to three",
    ),
}


def rows(folder: Path, code: str) -> list[dict[str, str]]:
    folder.mkdir(exist_ok=True)
    (folder / "odd.py").write_text(HEAD + code)
    return checked(load(None, {"RELAY_PLUGINS__DIRECTORIES": str(folder)}), ("odd",))


@pytest.mark.parametrize("slip", SLIPS)
def test_a_slip_leaves_the_plugin_out_with_the_place_and_what_is_right(
    tmp_path: Path, slip: str, caplog: pytest.LogCaptureFixture
) -> None:
    code, reason = SLIPS[slip]
    (row,) = rows(tmp_path / "p", code)
    assert reason in row["reason"]
    assert re.match(r"odd\.py:\d+: ", row["reason"])
    assert row["reason"].count(reason) == 1
    load_plugins(load(None, {"RELAY_PLUGINS__DIRECTORIES": str(tmp_path / "p")}), {})
    (told,) = [record.getMessage() for record in caplog.records]
    assert told == f"plugin 'odd' ({tmp_path / 'p' / 'odd.py'}) is left out: {row['reason']}"


def test_what_works_is_taken_as_it_is(tmp_path: Path) -> None:
    code = (
        TYPE.format(
            "kind=Kind.STREAM, targets=[ConversationKind.GROUP], roles={Role.OWNER}, handle=waits, prepare=plain"
        )
        + "\n"
        + HOOK.format(
            'types=["odd"], before=waits, stored=plain, keeps=lambda *a: (i for i in a[2]), committed=waits'
        )
    )
    (row,) = rows(tmp_path / "p", code)
    assert (row["reason"], "remark" in row) == ("", False)


def test_a_type_that_nobody_adds_beside_others_is_remarked_on(tmp_path: Path) -> None:
    (row,) = rows(tmp_path / "p", HOOK.format('types={"chat_mesage", "group_message"}, before=one'))
    assert row["reason"] == ""
    assert row["remark"] == (
        "plugin 'odd': a hook of it is for the message type 'chat_mesage', which no plugin adds;"
        " did you mean chat_message?"
    )


def test_a_helper_whose_name_is_like_no_hook_is_left_alone(tmp_path: Path) -> None:
    (row,) = rows(tmp_path / "p", "def relay_race(): ...\n" + TYPE.format("kind=Kind.STREAM"))
    assert row["reason"] == ""


def test_a_slip_in_a_package_is_told_with_the_file_in_it(tmp_path: Path) -> None:
    package = tmp_path / "p" / "pack"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("\nfrom . import inner\n")
    for code, told in {
        "\n\n1 / 0\n": "pack/inner.py:3: ZeroDivisionError: division by zero",
        "\ndef x(:\n": "pack/inner.py:2: SyntaxError: invalid syntax",
    }.items():
        (package / "inner.py").write_text(code)
        (row,) = checked(load(None, {"RELAY_PLUGINS__DIRECTORIES": str(tmp_path / "p")}), ("pack",))
        assert row["reason"] == told
