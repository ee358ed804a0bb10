import assert from "node:assert/strict";
import { test } from "node:test";

import { Backoff } from "../../../relay/web/sdk/backoff.js";

test("the longest wait doubles with each try, up to the cap", () => {
  const longest = new Backoff({ random: () => 1 });
  assert.deepEqual([0, 1, 2, 3, 4, 5, 6, 7].map((attempt) => longest.delay(attempt)), [0.5, 1, 2, 4, 8, 16, 30, 30]);
});

test("the jitter is full: a wait may be anything from zero up to the longest", () => {
  assert.equal(new Backoff({ random: () => 0 }).delay(9), 0);
  assert.equal(new Backoff({ random: () => 0.5 }).delay(1), 0.5);
});

test("a caller may ask for less than the cap, and for no more", () => {
  const longest = new Backoff({ random: () => 1 });
  assert.deepEqual([1, 4, 9].map((attempt) => longest.delay(attempt, 5)), [1, 5, 5]);
  assert.equal(longest.delay(9, 60), 30);
});

test("ten thousand tries do not overflow", () => {
  assert.equal(new Backoff({ random: () => 1 }).delay(10_000), 30);
});
