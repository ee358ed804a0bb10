/** Which live messages show that some before them are missing. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { fetchGap } from "../../../relay/web/sdk/gap-fill.js";
import { GapDetector } from "../../../relay/web/sdk/gaps.js";

const from = (sender, seq, meta = {}) => ({ type: "chat_message", payload: {}, meta: { seq, sender_id: sender, target_id: "alice", ...meta } });

const gaps = (...envelopes) => {
  const detector = new GapDetector();
  return envelopes.map((envelope) => detector.note(envelope, "alice")).filter(Boolean);
};

test("one lost message is a gap of one, and several are one gap", () => {
  const gap = { kind: "user", target_id: "bob" };
  assert.deepEqual(gaps(from("bob", 4), from("bob", 6)), [{ ...gap, from_seq: 5, to_seq: 5 }]);
  assert.deepEqual(gaps(from("bob", 4), from("bob", 9)), [{ ...gap, from_seq: 5, to_seq: 8 }]);
});

test("the first message of a conversation, the next one, and one that comes late show none", () => {
  assert.deepEqual(gaps(from("bob", 4), from("bob", 5), from("bob", 2), from("bob", 6)), []);
});

test("a replay shows no gap, as it comes by priority, and is counted all the same", () => {
  assert.deepEqual(gaps(from("bob", 4, { replay: true }), from("bob", 9, { replay: true }), from("bob", 10)), []);
});

test("each conversation is counted by itself", () => {
  assert.deepEqual(gaps(from("bob", 4), from("carol", 9), from("bob", 5), from("carol", 10)), []);
});

/** A REST client that has messages with some seqs, by pages; `asked` has the positions of its calls. */
function rest(seqs, page) {
  const asked = [];
  const getUserMessages = async (_user, { after, limit }) => {
    asked.push(after);
    return { messages: seqs.filter((seq) => seq > after).slice(0, Math.min(page, limit)).map((seq) => from("bob", seq)) };
  };
  return { asked, getUserMessages };
}

test("a gap is fetched page by page, whatever the pages hold", async () => {
  const server = rest([1, 2, 3, 4, 5, 6, 7, 8], 2);
  const found = await fetchGap(server, { kind: "user", target_id: "bob", from_seq: 3, to_seq: 7 });
  assert.deepEqual(found.map(({ meta }) => meta.seq), [3, 4, 5, 6, 7]);
  assert.deepEqual(server.asked, [2, 4, 6]);
});

test("a gap whose messages are gone is asked for once", async () => {
  const server = rest([1, 2], 2);
  assert.deepEqual(await fetchGap(server, { kind: "user", target_id: "bob", from_seq: 3, to_seq: 7 }), []);
  assert.deepEqual(server.asked, [2]);
});

test("a gap of notifications is looked for page by page, from the newest back", async () => {
  const asked = [];
  const getNotifications = async ({ before = 10 }) => {
    asked.push(before);
    const messages = [before - 3, before - 2, before - 1].map((seq) => ({ type: "notification", payload: {}, meta: { seq, target_id: "alice" } }));
    return { messages, has_more: true, next_before: before - 3 };
  };
  const found = await fetchGap({ getNotifications }, { kind: "self", target_id: "alice", from_seq: 5, to_seq: 8 });
  assert.deepEqual(found.map(({ meta }) => meta.seq), [5, 6, 7, 8]);
  assert.deepEqual(asked, [10, 7]);
});
