"""Mattermost's texts as relay shows them, by a table."""

from __future__ import annotations

import time

import pytest

from relay.app.converting.markdown import to_relay

USER = {"alice": "alice", "bob.x": "bob-2", "dot.": "dot"}.get


@pytest.mark.parametrize(
    ("mattermost", "relay", "mentions"),
    [
        ("**b** _i_ ~~s~~ [x](https://x.org)", "**b** _i_ ~~s~~ [x](https://x.org)", ()),
        ("@alice, @Alice! @alice. @alice...", "@alice, @alice! @alice. @alice...", ("alice",)),
        ("@bob.x. and @bob.x", "@bob-2. and @bob-2", ("bob-2",)),
        ("@nobody a@alice @", "@nobody a@alice @", ()),
        ("@all @channel @here.", "@all @all @all.", ("*",)),
        ("`@alice :tada:` ``a ` @alice``", "`@alice :tada:` ``a ` @alice``", ()),
        ("```py\n@alice\n:tada:\n```\n@alice", "```py\n@alice\n:tada:\n```\n@alice", ("alice",)),
        ("~~~\n@alice", "~~~\n@alice", ()),
        (":tada: :wave_medium_light_skin_tone: :own:", "🎉 👋🏼 :own:", ()),
        ("https://x.org/:tada:/@alice", "https://x.org/:tada:/@alice", ()),
        ('![cat](https://x.org/c.png "t") ![](https://x.org/d.png =100x)', "[cat](https://x.org/c.png) [https://x.org/d.png](https://x.org/d.png)", ()),
        ("# heading\n| a | b |", "# heading\n| a | b |", ()),
    ],
)  # fmt: skip
def test_a_text_stays_markdown_and_mentions_people_of_here(
    mattermost: str, relay: str, mentions: tuple[str, ...]
) -> None:
    assert to_relay(mattermost, USER) == (relay, mentions)


@pytest.mark.parametrize("part", ["`", "``", "```", "![", "@", "~~~\n", "`a``b", "![a](https://", ":"])
def test_no_text_takes_long(part: str) -> None:
    text = part * (40_000 // len(part))
    begun = time.process_time()
    to_relay(text, USER)
    assert time.process_time() - begun < 2
