/** Changes on their way to a storage, in batches. */

import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";

import { Persistence } from "../../../relay/web/sdk/persistence.js";
import { settle } from "../fakes/clock.js";

let batches;
let faults;
/** @type {(() => void)[]} each ends one write */
let ends;
/** @type {Persistence} */
let persistence;

beforeEach(() => {
  [batches, faults, ends] = [[], [], []];
  const apply = (batch) => (batches.push(batch.map((change) => change.join(" "))), new Promise((resolve) => ends.push(resolve)));
  persistence = new Persistence({ apply }, (fault) => faults.push(fault.message));
});

async function end() {
  await settle();
  ends.shift()();
  await settle();
}

test("what changes during a write goes together into the next, each change once", async () => {
  persistence.put("a", 1);
  await settle();
  persistence.put("b", 2);
  persistence.put("c", 3);
  await end();
  await end();
  persistence.put("d", 4);
  await end();
  assert.deepEqual(batches, [["put a 1"], ["put b 2", "put c 3"], ["put d 4"]]);
});

test("of several changes of one key the last one counts", async () => {
  persistence.put("a", 1);
  persistence.delete("a");
  persistence.put("b", 1);
  persistence.delete("c");
  persistence.put("c", 2);
  await end();
  assert.deepEqual(batches, [["delete a ", "put b 1", "put c 2"].map((change) => change.trim())]);
});

test("a change is done when it is written, and flush waits for everything", async () => {
  const done = [];
  persistence.put("a", 1).then(() => done.push("a"));
  persistence.flush().then(() => done.push("flush"));
  await settle();
  assert.deepEqual(done, []);
  await end();
  assert.deepEqual(done, ["a", "flush"]);
});

test("a write that fails is told of, and the next one is made all the same", async () => {
  const failing = new Persistence({ apply: async (batch) => {
    if (batch[0][1] === "bad") throw new Error("full");
    batches.push(batch);
  } }, (fault) => faults.push(fault.message));
  await failing.put("bad", 1);
  await failing.put("good", 2);
  assert.deepEqual([faults, batches], [["full"], [[["put", "good", 2]]]]);
});
