/** Text of any script inside the page's sentences and labels. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { direction, isolate, listed, localSeconds, localTime, moment, straight, upright } from "../../../relay/web/app/format.js";

test("a name in the page's direction stays as it is, any other one is isolated", () => {
  for (const name of ["Bob", "Zoé Laurent", "Ж", "日本", "é́", "1", ""]) assert.equal(isolate(name), name);
  assert.equal(isolate("بوب"), "\u2068بوب\u2069");
  assert.equal(isolate("שלום"), "\u2068שלום\u2069");
  assert.equal(isolate("𞤀𞤁"), "\u2068𞤀𞤁\u2069");
});

test("no name reorders the text after it, whatever controls it has", () => {
  for (const sign of ["\u202a", "\u202b", "\u202c", "\u202d", "\u202e", "\u2066", "\u2067", "\u2068", "\u2069"]) {
    assert.equal(straight(`B${sign}ob${sign}`), "Bob");
    assert.equal(isolate(`B${sign}ob`), "\u2068Bob\u2069");
  }
  assert.equal(listed(["Ann", "\u202eBob"]), `Ann and \u2068Bob\u2069`);
});

test("the direction of a text is that of its first letter", () => {
  for (const text of ["Hello عالم", "1. Hello", "", "123", "😀"]) assert.equal(direction(text), "ltr", text);
  for (const text of ["مرحبا Bob", "1. שלום", "😀 عالم", "\u202aعالم"]) assert.equal(direction(text), "rtl", text);
});

test("no text is shown in another order than it has, and other controls stay", () => {
  assert.equal(upright("gnp.\u202eexe\u202c"), "gnp.exe\u202c");
  assert.equal(upright("a\u2067ب\u2069"), "a\u2067ب\u2069");
});

test("a time goes into a field of the browser's own zone and comes back the same", () => {
  for (const seconds of [0, 1_700_000_040, 1_719_792_000]) {
    const shown = localTime(seconds);
    if (seconds) assert.match(shown, /^\d{4}-\d\d-\d\dT\d\d:\d\d$/);
    assert.equal(localSeconds(shown), seconds || undefined);
  }
  assert.equal(localTime(null), "");
});

test("a moment of another year has its year", () => {
  const now = new Date();
  const year = String(now.getFullYear() + 1);
  assert.ok(!moment(now.getTime() / 1000).includes(String(now.getFullYear())));
  assert.ok(moment(new Date(now.getFullYear() + 1, 0, 1, 12).getTime() / 1000).includes(year));
});
