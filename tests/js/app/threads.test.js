/** Threads and pins in the store: what a conversation shows, how its threads stand, and the list of those that the user follows. */

import assert from "node:assert/strict";
import { afterEach, beforeEach, mock, test } from "node:test";

import { State } from "../../../relay/web/sdk/store/state.js";
import { ThreadActions } from "../../../relay/web/sdk/store/thread-actions.js";

const KEY = "team";
let position = 0;
let seq = 0;

/** @param {string} type @param {string} sender @param {any} payload @param {object} [meta] */
function envelope(type, sender, payload, meta = {}) {
  position += 1;
  return { type, payload, meta: { message_id: position, sender_id: sender, target_id: KEY, timestamp: position, ...meta } };
}

/** @param {string} sender @param {string} content @param {any} [payload] @param {object} [meta] */
function say(sender, content, payload = {}, meta = {}) {
  seq += 1;
  return envelope("group_message", sender, { content, ...payload }, { seq, ...meta });
}

/** @param {any} message @param {string} sender */
function deleted(message, sender) {
  seq += 1;
  return envelope("message_delete", sender, { message_id: message.meta.message_id }, { seq });
}

function newState({ threads = true, keep = 300 } = {}) {
  const state = new State("me", () => {}, { echoed: ["group_message"], most: () => keep, threads });
  state.facts.set(KEY, { kind: "group", name: "Team", role: "member", seq: 0, roleSeq: 0 });
  return state;
}

/** @param {{ messages: readonly any[] }} view */
function contents({ messages }) {
  return messages.map(({ payload, deletedAt }) => (deletedAt === null ? payload.content : "†"));
}

/** @param {any} root @param {object} [more] */
function row(root, more = {}) {
  return {
    thread: root.meta.message_id, replies: 0, last_seq: 0, last_id: 0, last_at: 0, repliers: [], follows: false, read_seq: 0,
    unread: 0, mentions: 0, ...more,
  };
}

/** @param {State} state @param {any} root */
function thread(state, root) {
  return state.view(KEY).messages.find(({ messageId }) => messageId === root.meta.message_id)?.thread ?? null;
}

beforeEach(() => {
  position = seq = 0;
  mock.timers.enable({ apis: ["setTimeout", "Date"] });
});
afterEach(() => mock.timers.reset());

test("a conversation shows no replies but those that it is to show, and does not count them", () => {
  const state = newState();
  const root = say("ann", "Lunch?");
  const of = root.meta.message_id;
  for (const one of [root, say("ben", "Yes", { thread: of }), say("ben", "At noon", { thread: of, thread_shown: true })]) state.apply(one);
  assert.deepEqual(contents(state.view(KEY)), ["Lunch?", "At noon"]);
  assert.equal(state.view(KEY).unread, 2);
  assert.equal(state.view(KEY).lastMessage?.payload.content, "At noon");
  assert.deepEqual(contents(state.thread(KEY, of)), ["Lunch?", "Yes", "At noon"]);
});

test("without the option everything is shown and counted as by an application that knows no threads", () => {
  const state = newState({ threads: false });
  const root = say("ann", "Lunch?");
  for (const one of [root, say("ben", "Yes", { thread: root.meta.message_id })]) state.apply(one);
  assert.deepEqual(contents(state.view(KEY)), ["Lunch?", "Yes"]);
  assert.equal(state.view(KEY).unread, 2);
});

test("the server's row counts replies, and says how many of them to leave out", () => {
  const state = newState();
  const told = { kind: "group", target_id: KEY, name: "Team", role: "member", last_message: null, last_seq: 9, read_seq: 2 };
  state.row(/** @type {any} */ ({ ...told, unread: 5, unread_mentions: 2, in_threads: { unread: 3, mentions: 1 } }));
  assert.deepEqual([state.view(KEY).unread, state.view(KEY).unreadMentions], [2, 1]);
});

test("replies count on from what the server said, a deleted one counts off, and one that is read is not new", () => {
  const state = newState();
  const root = say("ann", "Lunch?");
  const first = say("ben", "Yes", { thread: root.meta.message_id });
  state.page(KEY, {
    messages: [root, first], has_more: false,
    threads: [row(root, { replies: 1, last_seq: 2, last_id: 2, last_at: 2, repliers: ["ben"], unread: 1, follows: true })],
  });
  assert.equal(thread(state, root)?.replies, 1, "a reply of the page is counted once");
  const second = say("cat", "No", { thread: root.meta.message_id, mentions: ["me"] });
  state.apply(second);
  state.apply({ ...second, meta: { ...second.meta, replay: true } });
  assert.deepEqual({ ...thread(state, root) }, {
    rootId: 1, replies: 2, lastSeq: 3, lastId: 3, lastAt: 3, repliers: ["cat", "ben"], follows: true, readSeq: 0, unread: 2, mentions: 1,
  });
  const before = thread(state, root);
  state.apply(say("cat", "Something else"));
  assert.equal(thread(state, root), before, "the same object as long as nothing changes");
  state.apply(deleted(first, "ben"));
  assert.deepEqual([thread(state, root)?.replies, thread(state, root)?.unread], [1, 1]);
  assert.deepEqual(contents(state.thread(KEY, 1)), ["Lunch?", "No"]);
  state.apply(envelope("thread_read", "me", { thread: 1, up_to_seq: 3 }, { about: 1, only_for: "me" }));
  assert.deepEqual([thread(state, root)?.unread, thread(state, root)?.mentions], [0, 0]);
  assert.deepEqual(state.view(KEY).messages[0]?.latest, [], "it is no value for plugins to draw");
});

test("who begins a thread, replies or is mentioned follows it; what they chose themselves counts until they reply", () => {
  const state = newState();
  const [mine, other] = [say("me", "Mine"), say("ann", "Hers")];
  for (const one of [mine, other]) state.apply(one);
  state.apply(say("ann", "a", { thread: mine.meta.message_id }));
  assert.equal(thread(state, mine)?.follows, true);
  state.apply(say("ben", "b", { thread: other.meta.message_id, mentions: ["*"] }));
  assert.equal(thread(state, other)?.follows, false, "a call to all is none to this user");
  state.apply(say("ben", "c", { thread: other.meta.message_id, mentions: ["me"] }));
  assert.equal(thread(state, other)?.follows, true);
  state.apply(envelope("thread_follow", "me", { thread: other.meta.message_id, on: false }, { about: 2, only_for: "me" }));
  state.apply(say("ben", "d", { thread: other.meta.message_id, mentions: ["me"] }));
  assert.equal(thread(state, other)?.follows, false);
  state.apply(say("me", "e", { thread: other.meta.message_id }));
  assert.deepEqual([thread(state, other)?.follows, thread(state, other)?.unread], [true, 0]);
});

test("one's own reply is in its thread at once, and once when it is stored", () => {
  const state = newState();
  const root = say("ann", "Lunch?");
  state.apply(root);
  const payload = { content: "Yes", thread: 1 };
  const written = { type: "group_message", payload, meta: { id: "x1", target_id: KEY, timestamp: 5 } };
  state.sent(/** @type {any} */ ({ id: "x1", envelope: written, state: "queued", ack: null, error: null }), false);
  assert.deepEqual(contents(state.view(KEY)), ["Lunch?"]);
  assert.deepEqual(state.thread(KEY, 1).messages.map(({ key, state: how }) => [key, how]), [["m:1", "sent"], ["i:x1", "queued"]]);
  const ack = { message_id: 9, seq: 2, timestamp: 6, duplicate: false };
  state.sent(/** @type {any} */ ({ id: "x1", envelope: written, state: "sent", ack, error: null }), false);
  assert.deepEqual(state.thread(KEY, 1).messages.map(({ key, state: how }) => [key, how]), [["m:1", "sent"], ["i:x1", "sent"]]);
  assert.equal(thread(state, root)?.replies, 1);
});

test("an old thread is read without a gap in its conversation, and goes when it is closed", () => {
  const state = newState();
  const [root, first, second] = [say("ann", "Old"), say("ben", "One", { thread: 1 }), say("ben", "Two", { thread: 1 })];
  seq = 100;
  const newest = say("ann", "Newest");
  state.page(KEY, { messages: [newest], has_more: true }, { older: true });
  const conversation = state.mirror.conversation(KEY);
  conversation.openThread(1, true);
  assert.equal(state.thread(KEY, 1).loaded, false);
  state.threadPage(KEY, /** @type {any} */ ({
    root, messages: [second], latest: [], has_more: true,
    thread: row(root, { replies: 2, last_seq: 3, last_id: 3, unread: 2 }),
  }));
  assert.deepEqual(contents(state.thread(KEY, 1)), ["Old", "Two"]);
  assert.deepEqual(state.thread(KEY, 1).gaps, [{ fromSeq: 2, toSeq: 2 }], "older replies are to be loaded");
  state.threadPage(KEY, /** @type {any} */ ({ root, messages: [first], latest: [], has_more: false, thread: null }));
  assert.deepEqual(contents(state.thread(KEY, 1)), ["Old", "One", "Two"]);
  assert.deepEqual([state.thread(KEY, 1).gaps, state.thread(KEY, 1).thread?.replies], [[], 2]);
  assert.deepEqual([contents(state.view(KEY)), state.view(KEY).gaps, state.oldestSeq(KEY)], [["Newest"], [], 101]);
  conversation.openThread(1, false);
  assert.deepEqual([...conversation.messages.keys()], [101]);
});

test("a thread that is being read stays when its conversation drops old messages", () => {
  const state = newState({ keep: 10 });
  const root = say("ann", "Old");
  for (const one of [root, say("ben", "Reply", { thread: 1 })]) state.apply(one);
  state.mirror.conversation(KEY).openThread(1, true);
  for (let number = 0; number < 100; number += 1) state.apply(say("ann", String(number)));
  assert.deepEqual(contents(state.thread(KEY, 1)), ["Old", "Reply"]);
  assert.ok(!contents(state.view(KEY)).includes("Old"));
});

test("after a gap threads count anew what is held, until the server tells", () => {
  const state = newState();
  const root = say("ann", "Lunch?");
  state.page(KEY, { messages: [root], has_more: false, threads: [row(root, { replies: 7, last_seq: 8, last_id: 8, unread: 7 })] });
  state.missed({ kind: "group", target_id: KEY, to_seq: 1 });
  state.page(KEY, { messages: [root], has_more: false, threads: [row(root, { replies: 4, last_seq: 9, last_id: 9, unread: 4 })] });
  assert.equal(thread(state, root)?.replies, 4);
});

test("the newest value says whether a message is pinned, whoever sent it, and one's own counts at once", () => {
  const state = newState();
  const root = say("ann", "Rules");
  state.apply(root);
  const pinned = () => state.view(KEY).messages[0]?.pinned;
  state.apply(envelope("pin", "ann", { message_id: 1, on: true }, { about: 1 }));
  assert.equal(pinned(), true);
  state.apply(envelope("pin", "ben", { message_id: 1, on: false }, { about: 1 }));
  assert.equal(pinned(), false);
  const written = { type: "pin", payload: { message_id: 1, on: true }, meta: { id: "p1", target_id: KEY, timestamp: 5 } };
  state.sent(/** @type {any} */ ({ id: "p1", envelope: written, state: "queued", ack: null, error: null }), false);
  assert.deepEqual([pinned(), state.view(KEY).messages[0]?.pending], [true, false]);
  state.apply(deleted(root, "ann"));
  assert.equal(pinned(), false);
});

test("the list of threads has the newest reply first, and asks the server only for what it does not know", async () => {
  const state = newState();
  /** @type {string[]} */
  const asked = [];
  const [one, two] = [say("me", "One"), say("ann", "Two")];
  /** @type {any[]} */
  let rows = [{ ...row(one, { replies: 1, last_seq: 3, last_id: 3, follows: true, unread: 1 }), kind: "group", target_id: KEY, root: one }];
  seq = position = 3;
  const request = async (/** @type {string} */ _method, /** @type {string} */ path) => {
    asked.push(path);
    return { threads: rows, unread: 1, has_more: false, next_cursor: null };
  };
  const messaging = /** @type {any} */ ({ restApi: { request }, socketManager: {} });
  const threads = new ThreadActions(messaging, { state: () => state, ready: async () => {}, touch: () => {}, failed: assert.fail });
  await threads.loadFollowed();
  assert.deepEqual(threads.followed.threads.map(({ root, thread: { unread } }) => [root.payload.content, unread]), [["One", 1]]);
  /** @param {any} reply */
  const came = (reply) => {
    state.apply(reply);
    threads.came(reply);
    threads.changed();
  };
  came(say("ann", "Reply", { thread: one.meta.message_id }));
  mock.timers.tick(5_000);
  assert.deepEqual([threads.followed.threads[0]?.thread.unread, asked.length], [2, 1]);
  const reply = say("ann", "Unknown", { thread: two.meta.message_id });
  rows = [{ ...row(two, { replies: 3, last_seq: reply.meta.seq, last_id: reply.meta.message_id, follows: true, unread: 1 }), kind: "group", target_id: KEY, root: two }, ...rows];
  came(reply);
  assert.equal(threads.rootOf(KEY, reply.meta.seq), two.meta.message_id);
  assert.deepEqual([threads.rootOf(KEY, 900), threads.rootOf("nobody", 1)], [null, null]);
  came(say("ann", "Again", { thread: two.meta.message_id }));
  mock.timers.tick(5_000);
  for (let turn = 0; turn < 10; turn += 1) await Promise.resolve();
  assert.equal(asked.length, 2);
  assert.deepEqual(threads.followed.threads.map(({ root, thread: { replies } }) => [root.payload.content, replies]), [["Two", 4], ["One", 2]]);
});
