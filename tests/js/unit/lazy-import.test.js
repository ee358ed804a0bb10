import assert from "node:assert/strict";
import { test } from "node:test";

import { Backoff } from "../../../relay/web/sdk/backoff.js";
import { lazyImport } from "../../../relay/web/sdk/lazy-import.js";
import { FakeClock } from "../fakes/clock.js";

test("a module that cannot be loaded is tried again with growing waits, and each failure is reported", async () => {
  const clock = new FakeClock();
  const backoff = new Backoff({ base: 1, cap: 4, random: () => 1 });
  /** @type {unknown[]} */
  const faults = [];
  /** @type {number[]} */
  const tried = [];
  const begun = clock.now();
  const load = async () => {
    tried.push((clock.now() - begun) / 1000);
    if (tried.length < 5) throw new TypeError("Failed to fetch dynamically imported module");
    return { answer: 42 };
  };
  const module = lazyImport(load, { clock, backoff }, (fault) => faults.push(fault));
  await clock.advance(60);
  assert.deepEqual(await module, { answer: 42 });
  assert.deepEqual(tried, [0, 1, 3, 7, 11]);
  assert.equal(faults.length, 4);
});
