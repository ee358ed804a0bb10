/** Texts of any script in sentences and labels of ours. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { direction, isolate, listed, straight, upright } from "../../../relay/web/app/format.js";

test("a name that is read as the page is stands as it is, any other one by itself", () => {
  for (const name of ["Bob", "Zoé Laurent", "Ж", "日本", "é́", "1", ""]) assert.equal(isolate(name), name);
  assert.equal(isolate("بوب"), "\u2068بوب\u2069");
  assert.equal(isolate("שלום"), "\u2068שלום\u2069");
  assert.equal(isolate("𞤀𞤁"), "\u2068𞤀𞤁\u2069");
});

test("no name turns what stands after it, whatever signs it has", () => {
  for (const sign of ["\u202a", "\u202b", "\u202c", "\u202d", "\u202e", "\u2066", "\u2067", "\u2068", "\u2069"]) {
    assert.equal(straight(`B${sign}ob${sign}`), "Bob");
    assert.equal(isolate(`B${sign}ob`), "\u2068Bob\u2069");
  }
  assert.equal(listed(["Ann", "\u202eBob"]), `Ann and \u2068Bob\u2069`);
});

test("a text is read as its first letter is", () => {
  for (const text of ["Hello عالم", "1. Hello", "", "123", "😀"]) assert.equal(direction(text), "ltr", text);
  for (const text of ["مرحبا Bob", "1. שלום", "😀 عالم", "\u202aعالم"]) assert.equal(direction(text), "rtl", text);
});

test("nothing is shown in another order than it has, and what other signs say stays", () => {
  assert.equal(upright("gnp.\u202eexe\u202c"), "gnp.exe\u202c");
  assert.equal(upright("a\u2067ب\u2069"), "a\u2067ب\u2069");
});
