"""Slack's markup as relay's Markdown, by a table."""

from __future__ import annotations

import time

import pytest

from relay.app.converting.mrkdwn import Names, to_markdown

NAMES = Names({"U1": "alice", "U2": "bob"}.get, {"C1": "general"}.get)

TEXTS = [
    ("plain", "plain"),
    ("", ""),
    ("*bold* and *two words*", "**bold** and **two words**"),
    ("_it_ and ~gone~", "*it* and ~~gone~~"),
    ("_*both*_ *_both_*", "***both*** ***both***"),
    ("2*3*4 snake_case a~b~c", "2*3*4 snake_case a~b~c"),
    ("* a list\n* of two", "* a list\n* of two"),
    ("*not\nover lines*", "*not\nover lines*"),
    ("__init__ and a__b", r"\_\_init__ and a__b"),
    ("**typed as Markdown**", "**typed as Markdown**"),
    ("&lt;tag&gt; &amp;amp; R&amp;D", "<tag> &amp; R&D"),
    ("&gt; one\n&gt;two\nthree", "> one\n> two\nthree"),
    ("&gt;&gt;&gt; one\ntwo\n\nthree", "> one\n> two\n> \n> three"),
    ("a &gt; b", "a > b"),
    ("`code *x* &lt;`", "`code *x* <`"),
    ("`<https://x.org|x.org> <@U1>`", "`x.org @alice`"),
    ("see ```a\n*b* &amp; <@U1>``` end", "see \n```\na\n*b* & @alice\n```\n end"),
    ("```one``` ```two```", "```\none\n```\n \n```\ntwo\n```"),
    ("<https://x.org>", "https://x.org"),
    ("<https://x.org/a_b_c|the *page*>", "[the *page*](https://x.org/a_b_c)"),
    ("<http://x.org|x.org>", "http://x.org"),
    ("<https://x.org/a(b)?q=1&amp;r=2|a [b]>", "[a (b)](https://x.org/a%28b%29?q=1&r=2)"),
    ("*see <https://x_y.org|this_one>*", "**see [this_one](https://x_y.org)**"),
    ("<mailto:a@b.org|a@b.org> <tel:+123|+123> <mailto:a@b.org>", "a@b.org +123 a@b.org"),
    ("<slack://x|open it> <whatever>", "open it whatever"),
    ("<#C1|old-name> <#C1> <#C9|gone> <#C9>", "#general #general #gone #C9"),
    ("<!subteam^S1|@devs> <!date^1^{date}|13 Sep> <!subteam^S2>", "@devs 13 Sep subteam"),
    (":tada: :+1: :wave::skin-tone-3: :nothing_such: 10:30:45", "🎉 👍 👋🏼 :nothing_such: 10:30:45"),
    ("`:tada:`", "`:tada:`"),
    ("\ufffc and <@U9|zoe> and <@U9>", "\ufffc and @zoe and @U9"),
    ("a <> b < c", "a <> b < c"),
    ("```", "```"),
    ("tail  \n\n", "tail"),
]  # fmt: skip


@pytest.mark.parametrize(("slack", "relay"), TEXTS)
def test_a_text_is_written_as_relay_shows_it(slack: str, relay: str) -> None:
    assert to_markdown(slack, NAMES) == (relay, ())


@pytest.mark.parametrize(
    ("slack", "relay", "mentions"),
    [
        ("<@U1>", "@alice", ("alice",)),
        ("<@U1|al> and <@U2>, <@U1>.", "@alice and @bob, @alice.", ("alice", "bob")),
        ("x<@U1>y", "x @alice y", ("alice",)),
        ("<@U1>-san <@U1>'s <@U1>... <@U1>_x", "@alice -san @alice's @alice... @alice _x", ("alice",)),
        ("_<@U1>_ *<@U2>*", "*@alice* **@bob**", ("alice", "bob")),
        ("<!here> <!channel|channel> <!everyone>", "@all @all @all", ("*",)),
        ("&gt; <@U1>", "> @alice", ("alice",)),
        ("`<@U1>`", "`@alice`", ()),
    ],
)
def test_a_mention_calls_the_person_of_here(slack: str, relay: str, mentions: tuple[str, ...]) -> None:
    assert to_markdown(slack, NAMES) == (relay, mentions)


@pytest.mark.parametrize(
    "part", ["*", "_", "~", "`", "<", "<@U1>", "&gt;", ":", "*a ", "<a|", "```", "_*~`<", "__a"]
)
def test_no_text_takes_long(part: str) -> None:
    text = part * (40_000 // len(part))
    begun = time.process_time()
    to_markdown(text, NAMES)
    assert time.process_time() - begun < 2
