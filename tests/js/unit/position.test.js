/** The client's position in the server's log, over connections and logs: what `Receiver` does with what it hears. */

import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";

import "../../../relay/web/sdk/gap-fill.js"; // loaded on demand; loaded here before, as a test on virtual time cannot wait for the disk
import { Receiver } from "../../../relay/web/sdk/receiver.js";
import { FakeClock, settle } from "../fakes/clock.js";

/** @type {Receiver} */
let receiver;
let clock;
let given;
let resets;
let acks;
let reports;
let faults;
/** Answers a page of REST: the seqs of its messages. */
let page;

beforeEach(() => {
  clock = new FakeClock();
  [given, resets, acks, reports, faults] = [[], 0, [], [], []];
  page = async () => [];
  const getUserMessages = async (user, query) => ({ messages: (await page(user, query)).map((seq) => message(seq, user)) });
  const host = {
    rest: { getUserMessages },
    hand: ({ meta }) => void given.push(meta.seq),
    onSynced: (report) => reports.push(report),
    onReset: () => (resets += 1),
    onFault: (fault) => faults.push(fault.message),
  };
  const callbacks = { userId: () => "alice", save: () => {}, acknowledge: (cursor) => acks.push(cursor) };
  receiver = new Receiver(host, { clock, fillLimit: 100, ackSeconds: 1 }, callbacks);
});

const message = (seq, sender = "bob") => ({ type: "chat_message", payload: {}, meta: { message_id: seq, seq, sender_id: sender, target_id: "alice" } });
const synced = (cursor, gaps = []) => receiver.synced({ type: "connection_event", payload: { event: "synced", cursor, gaps }, meta: {} });
const gap = (user, from_seq, to_seq) => ({ kind: "user", target_id: user, from_seq, to_seq });

/** Connect, and be live at a position. */
function connect(cursor, epoch = "one", { resumed = true, resumes = true } = {}) {
  receiver.begin({ epoch, resumed }, resumes);
  synced(cursor);
}

test("another log begins anew, even where the server takes the cursor", () => {
  connect(5);
  connect(3, "two");
  assert.deepEqual([resets, receiver.cursor, receiver.epoch], [1, 3, "two"]);
});

test("a cursor that the server refuses begins anew, even in the same log", () => {
  connect(5);
  connect(3, "one", { resumed: false });
  assert.deepEqual([resets, receiver.cursor], [1, 3]);
});

test("a first hello, which has no cursor, is no reason to begin anew", () => {
  connect(5, "one", { resumed: false, resumes: false });
  assert.deepEqual([resets, receiver.cursor], [0, 5]);
});

test("from a new hello to its synced no message moves the cursor", () => {
  connect(5);
  receiver.begin({ epoch: "one", resumed: true }, true);
  receiver.take(message(9));
  assert.equal(receiver.cursor, 5);
});

test("the cursor does not pass a live message before the gap that it shows is filled", async () => {
  connect(1);
  receiver.take(message(1));
  let answer;
  page = () => new Promise((resolve) => (answer = resolve));
  receiver.take(message(4));
  await settle();
  assert.deepEqual([given, receiver.cursor], [[undefined, 4], 1]);
  answer([2, 3]);
  await settle();
  assert.deepEqual([given, receiver.cursor], [[undefined, 4, 2, 3], 4]);
});

test("a gap that cannot be fetched is told of, and the others are filled", async () => {
  receiver.begin({ epoch: "one", resumed: true }, true);
  page = async (user) => {
    if (user === "bob") throw new Error("no");
    return [1, 2];
  };
  synced(9, [gap("bob", 1, 2), gap("carol", 1, 2)]);
  await settle();
  assert.deepEqual(faults, ["no"]);
  assert.deepEqual(reports, [{ gaps: [gap("bob", 1, 2)], filled: [gap("carol", 1, 2)], replayed: 0, limited: false }]);
});

test("after a reconnect the server is told the cursor again, though it is the same", async () => {
  connect(5);
  assert.deepEqual(acks, [5]);
  receiver.end();
  connect(5);
  assert.deepEqual(acks, [5, 5]);
});

test("a tab that follows the one with the connection knows by its position whether something was missed", () => {
  const follow = (reached, epoch = "one", replaying = false) => receiver.join({ epoch, reached, live: true }, replaying);
  assert.equal(follow(5), false, "nothing was there before");
  assert.equal(follow(5), false);
  assert.equal(follow(6), true);
  assert.equal(follow(5, "one", true), true, "what a replay has brought so far is not known");
  assert.equal(follow(7, "two"), false, "another log begins anew");
  assert.deepEqual([resets, receiver.cursor], [1, 7]);
});
