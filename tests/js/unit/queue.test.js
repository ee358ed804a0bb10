/** The order of messages on the wire, and how many are there at once. */

import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";

import { Backoff } from "../../../relay/web/sdk/backoff.js";
import { RelayError } from "../../../relay/web/sdk/errors.js";
import { Queue } from "../../../relay/web/sdk/queue.js";
import { SentMessage } from "../../../relay/web/sdk/sent-message.js";
import { FakeClock } from "../fakes/clock.js";

let clock;
let wire;
/** @type {Queue} */
let queue;

beforeEach(() => {
  clock = new FakeClock();
  wire = [];
  queue = new Queue({ clock, backoff: new Backoff({ random: () => 1 }), inFlight: 1 }, () => {});
});

const connect = (limits = {}) => queue.begin(({ meta }) => wire.push(meta.id), limits);
const acked = (id) => queue.acked(id, { timestamp: 1, duplicate: false });
const busy = (id, code = "rate_limited") => queue.refused(id, new RelayError(code, "later", { retry: true, retryAfter: 1 }));

let number = 0;

/** Add a message to a target of its own, or to one that is named. */
function add(id, target = id, options = {}) {
  number += 1;
  const message = new SentMessage({ type: "chat_message", payload: {}, meta: { id, target_id: target } }, async () => false);
  message.heeded = true;
  const entry = { message, number, keep: true, saved: true, ...options };
  queue.add(entry);
  return entry;
}

/** Empty the wire, and return what was on it. */
const taken = () => wire.splice(0);

test("over a new connection as many messages are sent as over the first", () => {
  connect({ in_flight: 2 });
  for (const id of ["a", "b", "c"]) add(id);
  assert.deepEqual(taken(), ["a", "b"]);
  connect({ in_flight: 2 });
  assert.deepEqual(taken(), ["a", "b"]);
  acked("a");
  assert.deepEqual(taken(), ["c"]);
});

test("a refusal that may pass holds messages to all targets", async () => {
  connect();
  add("a");
  taken();
  busy("a");
  add("b");
  assert.deepEqual(taken(), []);
  await clock.advance(1);
  assert.deepEqual(taken(), ["a"], "and then one goes first");
});

test("after a refusal one message is sent at a time, and twice as many with each ack", async () => {
  connect();
  for (const id of ["a", "b", "c", "d", "e", "f", "g"]) add(id);
  for (const id of taken()) busy(id);
  await clock.advance(1);
  assert.deepEqual(taken(), ["a"]);
  acked("a");
  assert.deepEqual(taken(), ["b", "c"]);
  acked("b");
  assert.deepEqual(taken(), ["d", "e", "f"]);
});

test("as long as the server is busy a message is tried, and after another error five times more", async () => {
  connect();
  add("a");
  for (let tries = 0; tries < 9; tries += 1) {
    assert.deepEqual(taken(), ["a"]);
    busy("a");
    await clock.advance(1);
  }
  acked("a");
  taken();
  const entry = add("b");
  for (let tries = 0; tries < 6; tries += 1) {
    assert.deepEqual(taken(), ["b"]);
    busy("b", "plugin_failed");
    await clock.advance(1);
  }
  assert.deepEqual([taken(), entry.message.state], [[], "failed"]);
});

test("a message that was written earlier goes first, also when it is added later", () => {
  add("second", "bob", { number: 1002 });
  add("first", "bob", { number: 1001 });
  connect();
  assert.deepEqual(taken(), ["first"]);
  acked("first");
  assert.deepEqual(taken(), ["second"]);
});

test("a message that is not stored yet holds back those behind it to the same target, and no others", () => {
  connect();
  const unsaved = add("first", "bob", { saved: false });
  add("second", "bob");
  add("elsewhere");
  assert.deepEqual(taken(), ["elsewhere"]);
  queue.ready(unsaved);
  assert.deepEqual(taken(), ["first"]);
});
