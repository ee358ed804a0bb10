/** The Store against a minimal server: loading, subscriptions, dropping of messages. */

import assert from "node:assert/strict";
import { afterEach, beforeEach, mock, test } from "node:test";

import { MessagingAPI, RestApiClient, Store } from "../../../relay/web/sdk/index.js";
import { World } from "../fakes/world.js";

/** A world with REST, and an earlier conversation of alice and bob. */
class Rest {
  /** @type {string[]} */
  asked = [];
  /** @type {any[]} */
  rows = [];
  /** @type {Record<string, any>} */
  pages = {};
  /** @type {any[]} */
  notifications = [];
  failing = 0;

  /** @type {any} */
  fetch = async (/** @type {string} */ address, /** @type {any} */ init) => {
    const { pathname, search } = new URL(address);
    this.asked.push(`${init.method} ${pathname}${search}`);
    if (this.failing > 0 && (this.failing -= 1) >= 0) throw new TypeError("fetch failed");
    return new Response(JSON.stringify(this.answer(pathname, search)), { headers: { "Content-Type": "application/json" } });
  };

  /** @param {string} path @param {string} search */
  answer(path, search) {
    if (path === "/api/users/me") return { user_id: "alice", display_name: "Alice" };
    if (path === "/api/conversations") return { conversations: this.rows, has_more: false, next_cursor: null };
    if (path === "/api/notifications") return page(this.notifications);
    if (path === "/api/messages/read") return { read: [{ target_id: "alice", up_to_seq: 0, unread: this.notifications.length }] };
    return this.pages[search] ?? page([]);
  }
}

/** @param {any[]} messages */
function page(messages, has_more = false) {
  const seqs = messages.map(({ meta }) => meta.seq);
  return { messages, latest: [], has_more, next_before: seqs[0] ?? null, next_after: seqs.at(-1) ?? null, unread: messages.length };
}

/** @param {number} seq @param {string} [content] @param {object} [meta] */
function message(seq, content = String(seq), meta = {}) {
  return { type: "chat_message", payload: { content }, meta: { message_id: seq, seq, sender_id: "bob", target_id: "alice", timestamp: seq, ...meta } };
}

/** @param {number} last @param {object} [more] */
function row(last, more = {}) {
  const last_message = message(last);
  return { kind: "user", target_id: "bob", name: "Bob", role: "member", last_message, last_seq: last, read_seq: 0, unread: last, unread_mentions: 0, ...more };
}

/** Let time pass, a step at a time, so that what is awaited in between goes on. @param {number} [seconds] */
async function pass(seconds = 0.1) {
  for (let step = 0; step < 20; step += 1) {
    for (let turn = 0; turn < 4; turn += 1) await new Promise((resolve) => setImmediate(resolve));
    mock.timers.tick((seconds * 1000) / 20);
  }
  for (let turn = 0; turn < 8; turn += 1) await new Promise((resolve) => setImmediate(resolve));
}

/** @param {{ rest?: Rest, connect?: boolean, options?: object }} [options] */
async function started({ rest = new Rest(), connect = true, options = {} } = {}) {
  const world = new World();
  const socket = world.client();
  const client = new RestApiClient("https://relay.test", "token", { fetch: rest.fetch, random: () => 0.5 });
  const messaging = new MessagingAPI(socket, client);
  const store = new Store(messaging, options);
  if (connect) socket.connect().catch(() => {});
  await pass();
  return { world, socket, messaging, store, rest };
}

/** @param {Store} store */
function contents(store) {
  return store.conversation("bob").messages.map(({ payload }) => payload.content);
}

beforeEach(() => mock.timers.enable({ apis: ["setTimeout", "Date"], now: 1_700_000_000_000 }));
afterEach(() => mock.timers.reset());

test("the list is there after one fetch, before there is a connection", async () => {
  const rest = new Rest();
  rest.rows = [row(3)];
  const { store } = await started({ rest, connect: false });
  await store.ready;
  assert.deepEqual(store.conversations.map(({ name, unread, lastMessage }) => [name, unread, lastMessage?.payload.content]), [["Bob", 3, "3"]]);
  assert.equal(store.me?.display_name, "Alice");
  assert.deepEqual(rest.asked, ["GET /api/users/me", "GET /api/conversations?limit=200", "GET /api/marks", "GET /api/notifications?limit=100"]);
});

test("the own account is asked for again when it was changed", async () => {
  const rest = new Rest();
  const { store } = await started({ rest, connect: false });
  await store.ready;
  let told = 0;
  store.subscribe("me", () => (told += 1));
  rest.answer = () => ({ user_id: "alice", display_name: "Alice Liddell" });
  assert.equal((await store.refreshMe()).display_name, "Alice Liddell");
  await pass(1);
  assert.deepEqual([store.me?.display_name, told], ["Alice Liddell", 1]);
});

test("a server that cannot be reached is asked again", async () => {
  const rest = new Rest();
  rest.failing = 6;
  rest.rows = [row(1)];
  const { store } = await started({ rest, connect: false });
  await pass(10);
  await store.ready;
  assert.equal(store.conversations.length, 1);
  assert.equal(/** @type {any} */ (store.connection.error).code, "offline");
});

test("a conversation is loaded page by page, and two calls at once fetch once", async () => {
  const rest = new Rest();
  rest.rows = [row(5)];
  rest.pages = { "?limit=2": page([message(4), message(5)], true), "?before=4&limit=2": page([message(2), message(3)], true), "?before=2&limit=2": page([message(1)]) };
  const { store } = await started({ rest });
  const before = rest.asked.length;
  await Promise.all([store.loadOlder("bob", 2), store.loadOlder("bob", 2)]);
  assert.equal(rest.asked.length, before + 1);
  assert.deepEqual([contents(store), store.conversation("bob").hasOlder], [["4", "5"], true]);
  await store.loadOlder("bob", 2);
  await store.loadOlder("bob", 2);
  assert.deepEqual([contents(store), store.conversation("bob").hasOlder], [["1", "2", "3", "4", "5"], false]);
});

test("what came between the newest page and the connection is shown, as the server's list alone tells of it", async () => {
  const { store, rest, socket } = await started({ connect: false });
  await store.loadOlder("bob");
  assert.deepEqual(contents(store), []);
  rest.rows = [row(1)];
  rest.pages["?limit=20"] = page([message(1)]);
  socket.connect().catch(() => {});
  await pass(2);
  assert.deepEqual(contents(store), ["1"]);
  store.close();
});

test("who is in a group is fetched with its newest page, and again if somebody came meanwhile", async () => {
  const rest = new Rest();
  const said = (/** @type {number} */ seq, /** @type {string} */ type, /** @type {any} */ payload, sender_id = "alice") => ({
    type, payload, meta: { message_id: seq, seq, id: `i${seq}`, sender_id, target_id: "team", timestamp: seq },
  });
  const first = said(1, "group_message", { content: "1" });
  rest.rows = [row(1, { kind: "group", target_id: "team", name: "Team", last_message: first })];
  rest.pages = { "?limit=50": { ...page([first]), latest: [{ type: "read_receipt", payload: { up_to_seq: 1 }, meta: { sender_id: "bob", target_id: "team", message_id: 2 } }] } };
  const { store, world } = await started({ rest });
  const answer = rest.answer.bind(rest);
  const answers = [["alice", "bob"], ["alice", "bob", "carol"]];
  rest.answer = (path, search) => {
    if (path !== "/api/groups/team") return answer(path, search);
    if (answers.length === 2) {
      const { type, payload, meta } = said(3, "group_event", { event: "member_added", user_id: "carol" }, "bob");
      world.relay.socket.say(type, payload, meta);
    }
    return { group_id: "team", name: "Team", members: answers.shift()?.map((user_id) => ({ user_id, role: "member" })) };
  };
  await store.loadOlder("team");
  await pass();
  assert.deepEqual(answers, []);
  assert.equal(store.conversation("team").messages[0].state, "delivered"); // carol has not read it
});

test("missing messages are a gap, and are loaded as one", async () => {
  const rest = new Rest();
  rest.rows = [row(9)];
  rest.pages = { "?limit=1": page([message(9)], true), "?around=2&limit=3": page([message(1), message(2), message(3)], true), "?before=9&limit=5": page([4, 5, 6, 7, 8].map((seq) => message(seq)), true) };
  const { store } = await started({ rest });
  await store.loadOlder("bob", 1);
  await store.loadAround("bob", 2, 3);
  assert.deepEqual(store.conversation("bob").gaps, [{ fromSeq: 4, toSeq: 8 }]);
  await store.loadGap("bob", { fromSeq: 4, toSeq: 8 });
  assert.deepEqual([contents(store).length, store.conversation("bob").gaps], [9, []]);
});

test("a gap is filled from its beginning, too, and what was deleted of it is no gap", async () => {
  const rest = new Rest();
  rest.rows = [row(9)];
  rest.pages = {
    "?limit=1": page([message(9)], true), "?around=1&limit=1": page([message(1)], true),
    "?after=1&limit=2": page([message(2), message(3)], true), "?before=9&limit=5": page([message(3)], true),
  };
  const { store } = await started({ rest });
  await store.loadOlder("bob", 1);
  await store.loadAround("bob", 1, 1);
  await store.loadGap("bob", { fromSeq: 2, toSeq: 8 }, 2, { oldestFirst: true });
  assert.deepEqual(store.conversation("bob").gaps, [{ fromSeq: 4, toSeq: 8 }]);
  await store.loadGap("bob", { fromSeq: 4, toSeq: 8 });
  assert.deepEqual(store.conversation("bob").gaps, []);
});

test("a time leads to a seq, and an id to a message that is not kept", async () => {
  const rest = new Rest();
  rest.rows = [row(9)];
  rest.pages = { "?after=0&limit=1&since=100&until=200": page([message(4)]) };
  const answer = rest.answer.bind(rest);
  rest.answer = (path, search) => (path === "/api/messages/4" ? message(4, "four") : answer(path, search));
  const { store } = await started({ rest });
  assert.deepEqual([await store.seqAt("bob", 100, 200), await store.seqAt("bob", 300)], [4, null]);
  const found = await store.fetchMessage(4);
  assert.deepEqual([found?.payload.content, found?.conversation, found?.seq, store.message("bob", 4)], ["four", "bob", 4, undefined]);
  assert.equal(store.message("bob", 9)?.seq, 9);
});

test("subscribers are called once for many changes, for their own path, until they unsubscribe", async () => {
  const { world, store } = await started();
  /** @type {string[]} */
  const told = [];
  const stop = store.subscribe("conversation:bob", () => told.push("bob"));
  store.subscribe("conversations", () => told.push("list"));
  store.subscribe("message:bob/m:2", () => told.push("second"));
  store.subscribe("conversation:carol", () => told.push("carol"));
  for (const content of ["1", "2", "3"]) world.relay.write(content);
  await new Promise((resolve) => setImmediate(resolve));
  assert.deepEqual(told.sort(), ["bob", "list", "second"]);
  stop();
  world.relay.write("4");
  await new Promise((resolve) => setImmediate(resolve));
  assert.equal(told.filter((one) => one === "bob").length, 1);
});

test("a subscriber that throws does not stop the others", async () => {
  const { world, store } = await started();
  const errors = mock.method(console, "error", () => {});
  let told = 0;
  store.subscribe("conversations", () => {
    throw new Error("a fault of the application's");
  });
  store.subscribe("conversations", () => (told += 1));
  world.relay.write("1");
  await pass();
  assert.ok(told > 0);
  assert.match(String(errors.mock.calls[0]?.arguments[0]), /subscriber failed/);
  errors.mock.restore();
});

test("views are the same objects until something in them changes", async () => {
  const rest = new Rest();
  rest.rows = [row(1)];
  const { world, store } = await started({ rest });
  const [list, conversation, notifications] = [store.conversations, store.conversation("carol"), store.notifications];
  assert.equal(store.conversations, list);
  world.relay.write("2");
  assert.notEqual(store.conversations, list);
  assert.equal(store.conversation("carol"), conversation);
  assert.equal(store.notifications, notifications);
  assert.ok(Object.isFrozen(store.conversations) && Object.isFrozen(store.conversation("bob").messages));
});

test("an own message is shown exactly once, from its writing to its ack", async () => {
  const { store, messaging } = await started();
  /** @type {string[]} */
  const seen = [];
  store.subscribe("conversation:bob", () => seen.push(store.conversation("bob").messages.map(({ key, state }) => `${key} ${state}`).join()));
  messaging.sendPrivateMessage("bob", "Hello", [], { id: "x" });
  assert.deepEqual(contents(store), ["Hello"]);
  await pass();
  assert.deepEqual(seen, ["i:x queued", "i:x sent"]);
});

test("messages in the outbox are shown after a restart, before there is a connection", async () => {
  const { world, socket, messaging } = await started();
  await socket.disconnect();
  messaging.sendPrivateMessage("bob", "Later", [], { id: "x" });
  await pass();
  const next = world.client();
  const store = new Store(new MessagingAPI(next, new RestApiClient("https://relay.test", "token", { fetch: new Rest().fetch })));
  await pass();
  assert.deepEqual(store.conversation("bob").messages.map(({ key, state, mine }) => [key, state, mine]), [["i:x", "queued", true]]);
  next.connect().catch(() => {});
  await pass(2);
  assert.deepEqual(store.conversation("bob").messages.map(({ key, state }) => [key, state]), [["i:x", "sent"]]);
});

test("a failed message stays until it is discarded or retried", async () => {
  const { world, store, messaging } = await started();
  const allow = world.relay.refuse;
  world.relay.refuse = () => ({ code: "forbidden", message: "no", retry: false });
  messaging.sendPrivateMessage("bob", "1", [], { id: "a" }).catch(() => {});
  messaging.sendPrivateMessage("bob", "2", [], { id: "b" }).catch(() => {});
  await pass();
  assert.deepEqual(store.conversation("bob").messages.map(({ state }) => state), ["failed", "failed"]);
  await messaging.discardMessage("a");
  assert.deepEqual(contents(store), ["2"]);
  world.relay.refuse = allow;
  await messaging.retryMessage("b");
  await pass();
  assert.deepEqual(store.conversation("bob").messages.map(({ state, error }) => [state, error]), [["sent", null]]);
});

test("a message that the server cannot take yet says why it waits, and is sent by itself once it can", async () => {
  const { world, store, messaging } = await started();
  const allow = world.relay.refuse;
  world.relay.refuse = () => ({ code: "overloaded", message: "the filter is set aside", retry: true, retry_after: 2 });
  const sent = messaging.sendPrivateMessage("bob", "1", [], { id: "a" });
  const seen = () => store.conversation("bob").messages.map(({ state, error }) => [state, error?.message ?? null]);
  await pass();
  assert.deepEqual(seen(), [["queued", "the filter is set aside"]]);
  world.relay.refuse = allow;
  await world.clock.advance(3);
  await pass();
  assert.deepEqual(seen(), [["sent", null]]);
  assert.equal((await sent).duplicate, false);
});

test("what is whispered, stored or not, is with its message or with its conversation", async () => {
  const { world, store } = await started();
  world.relay.write("hello");
  await pass();
  const position = store.conversation("bob").messages[0].messageId ?? 0;
  const note = (/** @type {string} */ text, /** @type {object} */ meta) =>
    world.relay.socket.say("note", { text }, { sender_id: "bob", target_id: "alice", timestamp: 9, only_for: "alice", ...meta });
  note("about it", { message_id: position + 1, about: position });
  note("stored", { message_id: position + 2, key: "k" });
  note("replaced", { message_id: position + 3, key: "k" });
  note("now", { timestamp: 10 });
  await pass();
  const view = store.conversation("bob");
  assert.deepEqual(view.messages[0].latest.map(({ payload, whispered }) => [payload.text, whispered]), [["about it", true]]);
  assert.deepEqual(view.whispers.map(({ payload }) => payload.text), ["replaced", "now"]);
});

test("of a conversation without subscribers only the newest messages are held; with one, those loaded by scrolling stay", async () => {
  const rest = new Rest();
  rest.rows = [row(1)];
  const { world, store } = await started({ rest, options: { keep: 10 } });
  const stop = store.subscribe("conversation:bob", () => {});
  rest.pages = { "?limit=100": page([message(1)]) };
  await store.loadOlder("bob", 100);
  for (let count = 0; count < 200; count += 1) world.relay.write(String(count));
  const held = contents(store).length;
  assert.ok(held <= 61, `${held} messages are held`);
  stop();
  assert.equal(contents(store).length, 10);
  assert.equal(store.conversation("bob").unread, 200);
});

test("an expired notification is no longer unread, without an event of the server", async () => {
  const rest = new Rest();
  const notice = { type: "notification", payload: { title: "Soon over" }, meta: { message_id: 1, seq: 1, sender_id: "root", target_id: "*", timestamp: 1, expires_at: 1_700_000_060 } };
  rest.notifications = [notice];
  const { store } = await started({ rest });
  let told = 0;
  store.subscribe("notifications", () => (told += 1));
  assert.equal(store.notifications.unread, 1);
  await pass(61);
  assert.deepEqual([store.notifications.unread, store.notifications.messages[0]?.payload], [0, {}]);
  assert.ok(told > 0);
});

test("after a reset everything is loaded anew", async () => {
  const rest = new Rest();
  rest.rows = [row(1)];
  rest.pages = { "?limit=50": page([message(1, "before")]) };
  const { world, store } = await started({ rest });
  store.subscribe("conversation:bob", () => {});
  await store.loadOlder("bob");
  assert.deepEqual(contents(store), ["before"]);
  world.relay.epoch = "epoch-2";
  rest.rows = [row(1, { last_message: message(1, "restored") })];
  rest.pages = { "?limit=50": page([message(1, "restored")]) };
  world.relay.cut();
  await world.clock.advance(60);
  await pass(3);
  assert.deepEqual(contents(store), ["restored"], "what is looked at is loaded again");
});

test("users that the application follows are followed again after a reset", async () => {
  const { world, messaging } = await started();
  messaging.subscribeToUserStatus(["bob", "carol"], () => {});
  await pass();
  world.relay.write("1");
  world.relay.epoch = "epoch-2";
  world.relay.cut();
  await world.clock.advance(60);
  await pass();
  const follows = world.relay.log.filter(({ type }) => type === "follow").map(({ payload }) => payload.user_ids);
  assert.deepEqual(follows, [["bob", "carol"], ["bob", "carol"]]);
});

test("typing ends when the connection is lost", async () => {
  const { world, socket, store } = await started();
  world.relay.socket.say("typing_indicator", { typing: true }, { sender_id: "bob", target_id: "alice", client_id: "1" });
  await pass(0.01);
  assert.deepEqual(store.typing("bob"), ["bob"]);
  await socket.disconnect();
  await pass(0.01);
  assert.deepEqual([store.typing("bob"), store.connection.state], [[], "disconnected"]);
});

test("markRead sends nothing where everything is read", async () => {
  const { world, store } = await started();
  store.markRead("bob");
  world.relay.write("1");
  store.markRead("bob");
  store.markRead("bob");
  await pass();
  assert.equal(store.conversation("bob").unread, 0);
  assert.equal(world.relay.log.filter(({ type }) => type === "read_receipt").length, 1);
});

test("markRead goes as far as was seen", async () => {
  const { world, store } = await started();
  for (const content of ["1", "2", "3"]) world.relay.write(content);
  store.markRead("bob", { upTo: 2 });
  assert.equal(store.conversation("bob").unread, 1);
  store.markRead("bob", { upTo: 1 });
  store.markRead("bob", { upTo: 99 });
  await pass();
  const receipts = world.relay.log.filter(({ type }) => type === "read_receipt");
  assert.deepEqual(receipts.map(({ payload }) => payload.up_to_seq), [2, 3]);
});

test("a closed store no longer follows the server", async () => {
  const { world, store } = await started();
  store.close();
  world.relay.write("1");
  await pass();
  assert.deepEqual(contents(store), []);
});
