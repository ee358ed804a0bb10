/** What the page's composer computes from a text: mentions, marks of Markdown, which files are taken. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { admit } from "../../../relay/web/app/composer/chosen.js";
import { mentionsIn } from "../../../relay/web/app/composer/mentions.js";
import { wrapped } from "../../../relay/web/app/composer/typing.js";

test("a text mentions the members whose ids it holds, each once, and everybody by @all in a group", () => {
  const members = ["bob", "bob.smith", "zoe", "a@b.c", "-x-", "all-in"];
  for (const [text, expected] of /** @type {[string, string[]][]} */ ([
    ["@bob and @zoe, @bob!", ["bob", "zoe"]],
    ["ask @bob.", ["bob"]],
    ["ask @bob.smith. Now", ["bob.smith"]],
    ["(@bob) “@zoe” @bob's", ["bob", "zoe"]],
    ["mail me@bob or x.@zoe", []],
    ["@bobby @carol @", []],
    ["@a@b.c @-x-", ["a@b.c", "-x-"]],
    ["@all @all-in @all.", ["*", "all-in"]],
    ["@bob\n@zoe\t@all-in", ["bob", "zoe", "all-in"]],
  ])) assert.deepEqual(mentionsIn(text, members, true), expected, text);
  assert.deepEqual(mentionsIn("@all @bob", members, false), ["bob"]);
  assert.equal(mentionsIn(members.concat(Array.from({ length: 60 }, (_, at) => `u${at}`)).map((id) => `@${id}`).join(" "), Array.from({ length: 60 }, (_, at) => `u${at}`), false).length, 50);
});

test("marks are put around the words that are selected, and taken off again", () => {
  const press = (/** @type {string} */ marked, /** @type {string} */ mark) => {
    const from = marked.indexOf("[");
    const to = marked.indexOf("]") - 1;
    const before = marked.replace(/[[\]]/g, "");
    const { range, text, selected } = wrapped(before, { from, to }, mark);
    const after = before.slice(0, range.from) + text + before.slice(range.to);
    return `${after.slice(0, selected.from)}[${after.slice(selected.from, selected.to)}]${after.slice(selected.to)}`;
  };
  assert.equal(press("say [it] loud", "**"), "say **[it]** loud");
  assert.equal(press("say **[it]** loud", "**"), "say [it] loud");
  assert.equal(press("say **[it]** loud", "*"), "say ***[it]*** loud");
  assert.equal(press("say ***[it]*** loud", "*"), "say **[it]** loud");
  assert.equal(press("say[ it ]loud", "*"), "say *[it]* loud");
  assert.equal(press("say []", "`"), "say `[]`");
  assert.equal(press("say `[]`", "`"), "say []");
});

test("files that are too large, or too many, are refused by name when they are chosen", () => {
  const file = (/** @type {string} */ name, /** @type {number} */ size = 3) => new File([new Uint8Array(size)], name);
  const [small, large] = [file("small.txt"), file("large.bin", 3_500_000)];
  assert.deepEqual(admit([], [small, large], 2_000_000), { files: [small], refused: ["large.bin has 3.5 MB. A file has at most 2.0 MB."] });
  assert.deepEqual(admit([], [small, large], 0), { files: [small, large], refused: [] });
  const many = Array.from({ length: 19 }, (_, at) => file(`${at}`));
  assert.deepEqual(admit(many, [small, large]), { files: [...many, small], refused: ["A message has at most 20 files."] });
});
