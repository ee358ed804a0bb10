/** Markdown in what people write: the part that the page shows, by CommonMark's examples where they apply. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { mentionsIn, readMarkdown, textOf } from "../../../relay/web/app/conversation/markdown.js";
import { work } from "../../../relay/web/app/conversation/markdown-inline.js";

const TAGS = { strong: "b", em: "i", strike: "s", code: "c" };

/** Write a tree in short: `<i>a</i>`; marks of text stand for themselves. */
function inline(children) {
  return children
    .map((one) => {
      if (one.type === "text") return one.text;
      if (one.type === "mention") return `<@${one.id}>`;
      if (one.type === "link") return `<a ${one.href}>${inline(one.children)}</a>`;
      return `<${TAGS[one.type]}>${one.type === "code" ? one.text : inline(one.children)}</${TAGS[one.type]}>`;
    })
    .join("");
}

function block(one) {
  if (one.type === "paragraph") return `p(${inline(one.children)})`;
  if (one.type === "code") return `code:${one.language}(${one.text})`;
  if (one.type === "quote") return `q(${one.children.map(block).join(" ")})`;
  return `${one.ordered ? "ol" : "ul"}(${one.items.map(({ value, children }) => `${one.ordered ? `${value}:` : "-"}${children.map(block).join(" ")}`).join(" ")})`;
}

const shown = (text, options) => readMarkdown(text, options).map(block).join(" ");
const para = (text, options) => inline(readMarkdown(text, options).flatMap((one) => one.children));

/** @param {[string, string][]} table */
function check(table, read = para) {
  for (const [text, wanted] of table) assert.equal(read(text), wanted, JSON.stringify(text));
}

test("emphasis is as CommonMark has it", () => {
  check([
    ["*foo bar*", "<i>foo bar</i>"], ["a * foo bar*", "a * foo bar*"], ['a*"foo"*', 'a*"foo"*'], ["foo*bar*", "foo<i>bar</i>"], ["5*6*78", "5<i>6</i>78"],
    ["_foo bar_", "<i>foo bar</i>"], ["_ foo bar_", "_ foo bar_"], ['a_"foo"_', 'a_"foo"_'], ["foo_bar_", "foo_bar_"], ["5_6_78", "5_6_78"],
    ["пристаням_стремятся_", "пристаням_стремятся_"], ['aa_"bb"_cc', 'aa_"bb"_cc'], ["foo-_(bar)_", "foo-<i>(bar)</i>"], ["_foo*", "_foo*"],
    ["*foo bar *", "*foo bar *"], ["*(*foo)", "*(*foo)"], ["*(*foo*)*", "<i>(<i>foo</i>)</i>"], ["*foo*bar", "<i>foo</i>bar"], ["_foo_bar", "_foo_bar"],
    ["_foo_bar_baz_", "<i>foo_bar_baz</i>"], ["_(bar)_.", "<i>(bar)</i>."], ["**foo bar**", "<b>foo bar</b>"], ["** foo bar**", "** foo bar**"],
    ['a**"foo"**', 'a**"foo"**'], ["foo**bar**", "foo<b>bar</b>"], ["__foo bar__", "<b>foo bar</b>"], ["foo__bar__", "foo__bar__"],
    ["5__6__78", "5__6__78"], ["__foo, __bar__, baz__", "<b>foo, <b>bar</b>, baz</b>"], ["**foo bar **", "**foo bar **"], ["**(**foo)", "**(**foo)"],
    ["*(**foo**)*", "<i>(<b>foo</b>)</i>"], ["**foo \"*bar*\" foo**", '<b>foo "<i>bar</i>" foo</b>'], ["*foo **bar** baz*", "<i>foo <b>bar</b> baz</i>"],
    ["*foo**bar**baz*", "<i>foo<b>bar</b>baz</i>"], ["*foo**bar*", "<i>foo**bar</i>"], ["***foo** bar*", "<i><b>foo</b> bar</i>"],
    ["*foo **bar***", "<i>foo <b>bar</b></i>"], ["foo***bar***baz", "foo<i><b>bar</b></i>baz"], ["foo******bar*********baz", "foo<b><b><b>bar</b></b></b>***baz"],
    ["** is not an empty emphasis", "** is not an empty emphasis"], ["**** is not", "**** is not"], ["foo *_*", "foo <i>_</i>"], ["foo **_**", "foo <b>_</b>"],
    ["**foo*", "*<i>foo</i>"], ["*foo**", "<i>foo</i>*"], ["***foo**", "*<b>foo</b>"], ["****foo*", "***<i>foo</i>"], ["**foo***", "<b>foo</b>*"],
    ["*foo****", "<i>foo</i>***"], ["__foo_", "_<i>foo</i>"], ["***foo***", "<i><b>foo</b></i>"], ["_____foo_____", "<i><b><b>foo</b></b></i>"],
    ["*foo _bar* baz_", "<i>foo _bar</i> baz_"], ["**foo **bar baz**", "**foo <b>bar baz</b>"], ["*foo *bar baz*", "*foo <i>bar baz</i>"],
    ["~~Hi~~ Hello, ~there~ world!", "<s>Hi</s> Hello, ~there~ world!"], ["This will ~~~not~~~ strike.", "This will ~~~not~~~ strike."],
    ["snake_case and _more_of_it_", "snake_case and <i>more_of_it</i>"], ["2 * 3 * 4", "2 * 3 * 4"], ["**👍** it is", "<b>👍</b> it is"], ["*foo\nbar*", "<i>foo\nbar</i>"],
  ]); // prettier-ignore
});

test("code is as CommonMark has it, and nothing in it is read", () => {
  check([
    ["`foo`", "<c>foo</c>"], ["`` foo ` bar ``", "<c>foo ` bar</c>"], ["` `` `", "<c>``</c>"], ["`  ``  `", "<c> `` </c>"], ["` a`", "<c> a</c>"], ["`  `", "<c>  </c>"],
    ["``\nfoo\nbar\n``", "<c>foo bar</c>"], ["`foo\\`bar`", "<c>foo\\</c>bar`"], ["``foo`bar``", "<c>foo`bar</c>"], ["*foo`*`", "*foo<c>*</c>"],
    ["[not a `link](https://x.org)`", "[not a <c>link](https://x.org)</c>"], ["```foo``", "```foo``"], ["`foo", "`foo"], ["`foo``bar``", "`foo<c>bar</c>"],
    ["`https://x.org`", "<c>https://x.org</c>"], ["`@bob`", "<c>@bob</c>"], ["``` a ``` b", "<c>a</c> b"],
  ]); // prettier-ignore
});

test("what is escaped is as it was typed, and so is a backslash before anything else", () => {
  check([
    ["\\*not\\* \\_it\\_ \\`a\\` \\~~b~~", "*not* _it_ `a` ~~b~~"], ["C:\\new\\[x]", "C:\\new\\[x]"], ["\\\\server\\share", "\\\\server\\share"], ["¯\\_(ツ)_/¯", "¯\\_(ツ)_/¯"],
    ["# a heading", "# a heading"], ["<b>a</b> &amp; ![x](https://x.org)", "<b>a</b> &amp; !<a https://x.org>x</a>"], ["---", "---"], ["a\\", "a\\"],
  ]); // prettier-ignore
});

test("links lead where they say, to the web and to mail only", () => {
  check([
    ["[a](https://x.org/b_c_d)", "<a https://x.org/b_c_d>a</a>"], ["[**a** `b`](http://x.org)", "<a http://x.org><b>a</b> <c>b</c></a>"], ["[a](mailto:b@x.org)", "<a mailto:b@x.org>a</a>"],
    ["[a](https://x.org/w_(b))!", "<a https://x.org/w_(b)>a</a>!"], ["*[a*](https://x.org)", "*<a https://x.org>a*</a>"], ["*a [b](https://x.org) c*", "<i>a <a https://x.org>b</a> c</i>"],
    ["[a [b](https://x.org)](https://y.org)", "[a <a https://x.org>b</a>](<a https://y.org>https://y.org</a>)"], ["[a [b] c](https://x.org)", "<a https://x.org>a [b] c</a>"],
    ["[a](javascript:alert(1))", "[a](javascript:alert(1))"], ["[a](data:text/html,x)", "[a](data:text/html,x)"], ["[a](/b)", "[a](/b)"], ["[a](#b)", "[a](#b)"], ["[a](//x.org)", "[a](//x.org)"],
    ["[a]( https://x.org)", "[a]( <a https://x.org>https://x.org</a>)"], ["[](https://x.org)", "[](<a https://x.org>https://x.org</a>)"], ["[a] (b)", "[a] (b)"], ["]([", "]("  + "["],
    ["[https://x.org](https://evil.example)", "[<a https://x.org>https://x.org</a>](<a https://evil.example>https://evil.example</a>)"],
    ["[https://x.org](https://x.org/a)", "<a https://x.org/a>https://x.org</a>"], ["[www.x.org](https://evil.example/x)", "[<a https://www.x.org>www.x.org</a>](<a https://evil.example/x>https://evil.example/x</a>)"],
    ["see www.x.org/a_b_, or a.b@x.org.", "see <a https://www.x.org/a_b_>www.x.org/a_b_</a>, or <a mailto:a.b@x.org>a.b@x.org</a>."], ["**https://x.org/a**", "<b><a https://x.org/a>https://x.org/a</a></b>"],
    ["https://x.org/_a_*b*", "<a https://x.org/_a_*b>https://x.org/_a_*b</a>*"], ["awww.x.org www. a@b a@b.c1", "awww.x.org www. a@b a@b.c1"], ["javascript:alert(1) ftp://x.org", "javascript:alert(1) ftp://x.org"],
  ]); // prettier-ignore
});

test("paragraphs keep their lines", () => {
  check([
    ["a\nb", "p(a\nb)"], ["a\n\nb\n\n\nc", "p(a) p(b) p(c)"], ["  a\r\n    b", "p(  a\n    b)"], ["", ""], [" \n ", ""],
    ["```js\nlet a;\n\n**b**\n```\nafter", "code:js(let a;\n\n**b**) p(after)"], ["a\n~~~\nb\n```\n~~~", "p(a) code:(b\n```)"], ["````\n```\n````", "code:(```)"], ["```\nopen", "code:(open)"],
    ["```c++ x\na\n```", "code:c++(a)"], ["``` a`b\nc", "p(``` a`b\nc)"], ["```", "code:()"],
    ["> a\n> b\nc", "q(p(a\nb)) p(c)"], ["> a\n>\n> b", "q(p(a) p(b))"], ["> > a", "q(q(p(a)))"], [">> a", "q(q(p(a)))"], [">:(", "p(>:()"], [">_<", "p(>_<)"], ["a\n> b", "p(a) q(p(b))"],
    ["> - a\n> ```\n> b\n> ```", "q(ul(-p(a)) code:(b))"],
    ["- a\n- b", "ul(-p(a) -p(b))"], ["* a\n* b", "ul(-p(a) -p(b))"], ["Do:\n- a\n- b\n\nThen", "p(Do:) ul(-p(a) -p(b)) p(Then)"], ["1. a\n2. b", "ol(1:p(a) 2:p(b))"], ["1. a\n1. b", "ol(1:p(a) 2:p(b))"],
    ["2) a\n5) b", "ol(2:p(a) 5:p(b))"], ["in\n1986. What a year", "p(in\n1986. What a year)"], ["-a\n-", "p(-a\n-)"], ["- a\n  - b\n  - c\n- d", "ul(-p(a) ul(-p(b) -p(c)) -p(d))"],
    ["1. a\n   - b\n2. c", "ol(1:p(a) ul(-p(b)) 2:p(c))"], ["- a\n  b\n\n  c", "ul(-p(a\nb) p(c))"], ["- a\n  - b\n    - c", "ul(-p(a) ul(-p(b\n- c)))"], ["- a\n  ```\n  b\n  ```", "ul(-p(a) code:(b))"],
    ["   - a\n   - b", "ul(-p(a) -p(b))"], ["+ a", "p(+ a)"], ["- a\n1. b", "ul(-p(a)) ol(1:p(b))"],
  ], shown); // prettier-ignore
});

test("only those who are mentioned are called", () => {
  const known = ["alice", "bob.b", "bob"];
  const mention = (written) => known.filter((id) => written.startsWith(id) && !/\w/.test(written[id.length] ?? "")).sort((a, b) => b.length - a.length)[0] ?? null;
  check([
    ["@alice, @bob.b and @bob.", "<@alice>, <@bob.b> and <@bob>."], ["@alicesmith a@alice @eve", "@alicesmith a@alice @eve"], ["**@alice** (@bob)", "<b><@alice></b> (<@bob>)"],
  ], (text) => para(text, { mention }));
  assert.deepEqual(mentionsIn("@alice: hi @bob.b. `@eve` x@y.org\n> @snake_case_ @all @alice"), ["alice", "bob.b", "snake_case_", "all"]);
  assert.deepEqual(mentionsIn("@a@b.org, *@c*"), ["a@b.org", "c"]);
});

test("a text in one line is without its marks", () => {
  assert.equal(textOf("**Hi** _you_ `x`\n\n- a\n- [b](https://x.org)\n\n```js\nlet c;\n```\n> d"), "Hi you x • a • b let c; > d");
  assert.equal(textOf("1. a\n2. b\n"), "1. a 2. b");
  assert.equal(textOf("@bob hi", (id) => `${id}!`, { mention: () => "bob" }), "@bob! hi");
  assert.equal(textOf(""), "");
});

test("the work grows with the length of a text, whatever it is", () => {
  const length = 20_000;
  const parts = [
    "*", "**", "_", "~~", "`", "``` ", "[", "]", "(", ")", "](", "[](", "[a](", "[a](https://x.org)", "![", "*a_ ", "*a **a ", "a* ", "**a", "_a_*", "*_[`", "`` ` ", "@a", "@alice ", "a@b.", "www.", "https://", "https://x.org/(", "\\*",
    "> ", ">", "- ", "- a\n", "  ", "\n", "```\n", "~~~\n> ", "> - ", "1. ", "\t", "*a\n", "[a](https://x.org/[a](", "[https://x.org](https://y.org)[", "[[a](https://y.org)", "***a** ", "¯\\_", "😀*",
  ]; // prettier-ignore
  let seed = 7;
  const random = (below) => (seed = (seed * 48_271) % 2_147_483_647) % below;
  const made = parts.map((part) => part.repeat(Math.ceil(length / part.length)));
  made.push(`${"*a ".repeat(length / 6)}${"a* ".repeat(length / 6)}`, `${"[".repeat(length / 2)}${"](https://x.org)".repeat(length / 32)}`, `${"**_".repeat(length / 6)}a${"_**".repeat(length / 6)}`);
  for (let round = 0; round < 60; round += 1) {
    made.push(Array.from({ length: length / 4 }, () => parts[random(parts.length)]).join("").slice(0, length));
  }
  for (const text of made) {
    const before = work.steps;
    readMarkdown(text, { mention: (written) => (written.startsWith("alice") ? "alice" : null) });
    assert.ok(work.steps - before < 60 * text.length, `${work.steps - before} steps for ${text.length} of ${JSON.stringify(text.slice(0, 40))}`);
  }
});

test("no text nests without an end", () => {
  const deep = (children) => 1 + Math.max(0, ...children.map((one) => (one.children ? deep(one.children) : one.items ? deep(one.items) : 0)));
  for (const text of ["*a ".repeat(5_000) + "a* ".repeat(5_000), "**_".repeat(3_000) + "a" + "_**".repeat(3_000), "> ".repeat(5_000) + "a", "- ".repeat(5_000) + "a", "[".repeat(5_000) + "](https://x.org)".repeat(500)]) {
    assert.ok(deep(readMarkdown(text)) < 24, text.slice(0, 20));
  }
});
