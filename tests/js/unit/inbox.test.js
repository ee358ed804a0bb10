/** What is handed over once, and how far the cursor goes. */

import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";

import { Inbox } from "../../../relay/web/sdk/inbox.js";
import { settle } from "../fakes/clock.js";

/** @type {string[]} what was handed over, as "type id" */
let given;
let moves = 0;
/** @type {Promise<unknown> | undefined} what the handlers return */
let work;
/** @type {Inbox} */
let inbox;

beforeEach(() => {
  [given, moves, work] = [[], 0, undefined];
  inbox = new Inbox(({ type, meta }) => (given.push(`${type} ${meta.message_id}`), work), () => (moves += 1));
});

const text = (id) => ({ type: "chat_message", payload: {}, meta: { message_id: id, seq: id, sender_id: "bob" } });
const status = (id) => ({ type: "status_update", payload: {}, meta: { message_id: id, sender_id: "bob" } });

/** Offer a live message, which moves the cursor. */
const live = (id) => inbox.offer(text(id), { position: id });

test("messages up to the cursor that an earlier page reached are not handed over again, and those after it are", () => {
  inbox.restore(3);
  for (const id of [2, 3, 4]) inbox.offer(text(id));
  assert.deepEqual(given, ["chat_message 4"]);
});

test("a status is handed over although it is older than the cursor: a hello brings the present ones", () => {
  inbox.restore(3);
  inbox.offer(status(1));
  assert.deepEqual(given, ["status_update 1"]);
});

test("what fills a gap is handed over although the cursor is past it, and once", () => {
  inbox.restore(3);
  inbox.offer(text(2), { filled: true });
  inbox.offer(text(2), { filled: true });
  assert.deepEqual(given, ["chat_message 2"]);
});

test("a message that comes a second time is not handed over, and still moves the cursor", () => {
  inbox.restore(0);
  inbox.offer(text(5));
  live(5);
  assert.deepEqual(given, ["chat_message 5"]);
  assert.equal(inbox.cursor, 5);
});

test("a late position does not move the cursor back", () => {
  inbox.restore(0);
  live(5);
  inbox.mark(4);
  assert.deepEqual([inbox.cursor, inbox.reached], [5, 5]);
});

test("after something was missed nothing is handed over and nothing moves, until a replay brings it", () => {
  inbox.restore(1);
  inbox.suspend();
  live(3);
  inbox.mark(4);
  inbox.acked({ message_id: 5, timestamp: 1, duplicate: false }, true);
  assert.deepEqual([given, inbox.cursor, inbox.reached], [[], 1, 1]);
  inbox.resume();
  for (const id of [2, 3, 5]) live(id);
  assert.deepEqual([given, inbox.cursor], [["chat_message 2", "chat_message 3", "chat_message 5"], 5]);
});

test("before the first message nothing can be missed", () => {
  inbox.suspend();
  live(1);
  assert.deepEqual(given, ["chat_message 1"]);
});

test("the cursor waits for what a message has to wait for besides its handlers", async () => {
  let filled;
  inbox.restore(0);
  inbox.offer(text(3), { position: 3, after: new Promise((resolve) => (filled = resolve)) });
  live(4);
  await settle();
  assert.deepEqual([inbox.cursor, inbox.reached], [0, 4]);
  filled();
  await settle();
  assert.equal(inbox.cursor, 4);
});

test("a handler that fails holds the cursor back no longer than it worked", async () => {
  inbox.restore(0);
  work = Promise.reject(new Error("mine"));
  live(1);
  await settle();
  assert.equal(inbox.cursor, 1);
});

test("a live ack moves the cursor; one during the replay, and that of a duplicate, do not", () => {
  inbox.restore(1);
  inbox.acked({ message_id: 5, timestamp: 1, duplicate: false }, false);
  inbox.acked({ message_id: 6, timestamp: 1, duplicate: true }, true);
  assert.equal(inbox.cursor, 1);
  inbox.acked({ message_id: 7, timestamp: 1, duplicate: false }, true);
  assert.equal(inbox.cursor, 7);
});

test("an own message that was acked is not handed over when a replay brings it", () => {
  inbox.restore(1);
  inbox.acked({ message_id: 5, timestamp: 1, duplicate: false }, false);
  inbox.offer(text(5));
  assert.deepEqual(given, []);
});

test("what is processed ahead of the cursor is known by its ids, which go when the cursor passes them", () => {
  inbox.restore(0);
  for (const id of [3, 1]) inbox.offer(text(id));
  assert.deepEqual([...inbox.taken], [3, 1]);
  inbox.mark(2);
  assert.deepEqual([...inbox.taken], [3]);
  inbox.mark(3);
  assert.deepEqual([...inbox.taken], []);
});

test("ids that an earlier page has processed ahead of its cursor are not handed over again", () => {
  inbox.restore(1, [3]);
  for (const id of [2, 3]) inbox.offer(text(id));
  assert.deepEqual(given, ["chat_message 2"]);
});

test("of another log nothing is known: neither its ids, nor what was under way from the old one", async () => {
  let finish;
  inbox.restore(0, [9]);
  inbox.offer(text(7));
  work = new Promise((resolve) => (finish = resolve));
  live(8);
  inbox.restart();
  assert.deepEqual([inbox.cursor, inbox.reached, [...inbox.taken]], [null, null, []]);
  finish();
  await settle();
  assert.deepEqual([inbox.cursor, [...inbox.taken]], [null, []], "an old message's end says nothing of the new log");
  work = undefined;
  given = [];
  for (const id of [7, 8, 9]) inbox.offer(text(id));
  assert.deepEqual(given, ["chat_message 7", "chat_message 8", "chat_message 9"]);
});

test("each step of what is processed is told, so that it is stored", () => {
  inbox.restore(0);
  live(1);
  inbox.offer(text(2));
  inbox.restart();
  assert.equal(moves, 3);
});
