/** Links in what people write. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { findLinks } from "../../../relay/web/app/conversation/links.js";

/** @param {string} text */
const links = (text) => findLinks(text).map(({ from, to }) => text.slice(from, to));

test("a link keeps its own brackets, and none of those around it", () => {
  const wiki = "https://x.org/Foo_(bar)";
  for (const text of [wiki, `(${wiki})`, `see ${wiki}.`, `[${wiki}]`, `(see ${wiki}), and`, `${wiki}) then`, `([a](${wiki}))`]) {
    assert.deepEqual(links(text), [wiki], text);
  }
  assert.deepEqual(links("http://[::1]:8484/#/a"), ["http://[::1]:8484/#/a"]);
  assert.deepEqual(links("https://x.org/a("), ["https://x.org/a"]);
});

test("no closing punctuation of any script belongs to a link", () => {
  for (const closing of [".", ",", ";", ":", "!", "?", "'", "*", "…", "。", "、", "，", "！", "？", "：", "；", "）", "」", "』", "】", "》", "〉", "。然后", "؟", "،", "؛", "।", "॥", "։", "።", "’", "”", "»", "›", "—", "–", "...", "?!", ").", "”。"]) {
    assert.deepEqual(links(`https://x.org/a${closing}`), ["https://x.org/a"], closing);
    assert.deepEqual(links(`https://x.org/a${closing} and`), ["https://x.org/a"], closing);
  }
});

test("a link in quotation marks or angle brackets ends with them", () => {
  for (const [open, close] of ["<>", '""', "''", "``", "“”", "„“", "‚‘", "«»", "»«", "‹›", "「」", "『』", "《》", "【】", "（）"]) {
    assert.deepEqual(links(`a ${open}https://x.org/b${close} c`), ["https://x.org/b"], open + close);
    assert.deepEqual(links(`a${open}https://x.org/b${close}c`), ["https://x.org/b"], open + close);
  }
});

test("characters that addresses do end with stay", () => {
  for (const address of ["https://x.org/", "https://x.org/a/", "https://x.org/a?b=c&d=%20", "https://x.org/#", "https://x.org/Foo_", "https://x.org/a-", "https://x.org/ж/日本", "https://x.org/it's", "https://x.org/a=", "https://münchen.example/ä", "HTTPS://X.org/a", "https://x.org/a,b;c:d@e!f"]) {
    assert.deepEqual(links(`${address} b`), [address]);
    assert.deepEqual(links(`请看${address}`), [address]);
  }
});

test("text that is not a link stays text", () => {
  for (const text of ["", "https://", "http://.", "https://)", "xhttps://x.org", "javascript:alert(1)", "ftp://x.org", "https:x.org", "https://[x"]) {
    assert.deepEqual(links(text), [], text);
  }
  assert.deepEqual(links("https://x.org,https://y.org"), ["https://x.org,https://y.org"]);
});

test("a very long link takes time in proportion to its length", () => {
  for (const run of ["(", ")", ".", "[", "https://"]) findLinks(`https://x.org/${run.repeat(50_000)}`);
});

test("addresses without https:// are found, and mail addresses", () => {
  const hrefs = (/** @type {string} */ text) => findLinks(text).map(({ href }) => href);
  assert.deepEqual(hrefs("www.x.org, (WWW.x.org/a) www.x.org."), ["https://www.x.org", "https://WWW.x.org/a", "https://www.x.org"]);
  assert.deepEqual(hrefs("a.b+c@x.example.org, <d@x.org>. \"e_f@x.co.uk\"!"), ["mailto:a.b+c@x.example.org", "mailto:d@x.org", "mailto:e_f@x.co.uk"]);
  assert.deepEqual(hrefs("https://a@x.org/b@y.org"), ["https://a@x.org/b@y.org"]);
  for (const text of ["www.", "www.x", "xwww.x.org", "a@b", "a@b.c", "@a.org", "a@-b.org", "x/a@b.org", "www..org"]) assert.deepEqual(hrefs(text), [], text);
});
