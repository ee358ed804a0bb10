/** What a Store keeps from one visit to the next: shown at once and without a network, and never against the server's truth. */

import assert from "node:assert/strict";
import { afterEach, beforeEach, mock, test } from "node:test";

import { MessagingAPI, RestApiClient, Store } from "../../../relay/web/sdk/index.js";
import { World } from "../fakes/world.js";

/** REST of a server that has what the world's relay has, and one group. */
class Rest {
  /** @type {string[]} */
  asked = [];
  reachable = true;
  /** @type {Set<string>} */
  gone = new Set();

  /** @param {World} world */
  constructor(world) {
    this.log = /** @type {any} */ (world.relay).log;
  }

  /** @type {any} */
  fetch = async (/** @type {string} */ address, /** @type {any} */ init) => {
    const { pathname, searchParams } = new URL(address);
    this.asked.push(`${init.method} ${pathname}`);
    if (!this.reachable) throw new TypeError("fetch failed");
    return new Response(JSON.stringify(this.answer(pathname, searchParams)), { headers: { "Content-Type": "application/json" } });
  };

  /** @param {string} target */
  messages(target) {
    const edits = new Map(this.log.filter((/** @type {any} */ one) => one.type === "message_edit").map((/** @type {any} */ one) => [one.payload.message_id, one]));
    const ended = new Set(this.log.filter((/** @type {any} */ one) => one.type === "message_delete").map((/** @type {any} */ one) => one.payload.message_id));
    return this.log
      .filter(({ meta }) => meta.seq !== undefined && (meta.target_id === target || (meta.target_id === "alice" && meta.sender_id === target)))
      .map(({ type, payload, meta }) => {
        const edit = edits.get(meta.message_id);
        if (ended.has(meta.message_id)) return { type, payload: {}, meta: { ...meta, deleted_at: 9 } };
        if (!edit) return { type, payload, meta };
        return { type, payload: { ...payload, content: edit.payload.content }, meta: { ...meta, edited_at: 9, edit_id: edit.meta.message_id } };
      });
  }

  /** @param {string} path @param {URLSearchParams} query */
  answer(path, query) {
    if (path === "/api/users/me") return { user_id: "alice", display_name: "Alice" };
    if (path === "/api/conversations") return { conversations: ["bob", "team", "carol"].flatMap((target) => this.row(target)), has_more: false, next_cursor: null };
    if (path === "/api/messages/read") return { read: [{ target_id: "alice", up_to_seq: 0, unread: 0 }] };
    const target = path.match(/^\/api\/messages\/\w+\/(\w+)$/)?.[1];
    const all = target ? this.messages(target) : [];
    const messages = all.filter(({ meta }) => meta.seq < Number(query.get("before") ?? Infinity)).slice(-Number(query.get("limit")));
    return { messages, latest: [], has_more: messages.length > 0 && messages[0] !== all[0], next_before: null, next_after: null, unread: 0 };
  }

  /** @param {string} target */
  row(target) {
    const all = this.messages(target);
    if (all.length === 0 || this.gone.has(target)) return [];
    const kind = target === "team" ? "group" : "user";
    const last = all.filter(({ type }) => /_message$/.test(type)).at(-1);
    return [{ kind, target_id: target, name: target, role: "member", last_message: last, last_seq: all.at(-1).meta.seq, read_seq: 0, unread: all.length, unread_mentions: 0 }];
  }
}

/** @param {number} [seconds] */
async function pass(seconds = 0.1) {
  for (let step = 0; step < 20; step += 1) {
    for (let turn = 0; turn < 4; turn += 1) await new Promise((resolve) => setImmediate(resolve));
    mock.timers.tick((seconds * 1000) / 20);
  }
  for (let turn = 0; turn < 8; turn += 1) await new Promise((resolve) => setImmediate(resolve));
}

/** Visit a world, again. @param {World} world @param {Rest} rest @param {{ connect?: boolean, options?: any, socket?: any }} [more] */
async function visit(world, rest, { connect = true, options = { persist: true }, socket: more = {} } = {}) {
  const socket = world.client(more);
  const client = new RestApiClient("https://relay.test", "token", { fetch: rest.fetch, random: () => 0.5 });
  const messaging = new MessagingAPI(socket, client);
  const store = new Store(messaging, options);
  if (connect) socket.connect().catch(() => {});
  await pass();
  return {
    socket, messaging, store,
    leave: async () => {
      await pass(6); // what changed is written within that time
      store.close();
      await socket.disconnect();
    },
  };
}

/** @param {Store} store @param {string} [target] */
function contents(store, target = "bob") {
  return store.conversation(target).messages.map(({ payload, deletedAt }) => (deletedAt === null ? payload.content : "(deleted)"));
}

/** @param {World} world */
async function disk(world) {
  return JSON.stringify(await world.storage.getAll("")).replaceAll(/"(position|device)":.*?}/g, "");
}

function begun() {
  const world = new World();
  const relay = /** @type {any} */ (world.relay);
  for (const content of ["one", "two", "three"]) relay.write(content);
  relay.write("hello team", { target: "team", type: "group_message" });
  return { world, relay, rest: new Rest(world) };
}

beforeEach(() => mock.timers.enable({ apis: ["setTimeout", "Date"], now: 1_700_000_000_000 }));
afterEach(() => mock.timers.reset());

test("the list and the messages of the last visit are there at once, without a network", async () => {
  const { world, rest } = begun();
  const first = await visit(world, rest);
  await first.store.loadOlder("bob");
  const list = first.store.conversations;
  await first.leave();

  rest.reachable = false;
  const second = await visit(world, rest, { connect: false });
  assert.deepEqual(second.store.conversations.map(({ target, name, unread, lastMessage }) => [target, name, unread, lastMessage?.payload]), list.map(({ target, name, unread, lastMessage }) => [target, name, unread, lastMessage?.payload]));
  assert.equal(second.store.me?.display_name, "Alice");
  const opened = second.store.loadOlder("bob").catch((error) => error);
  await pass(5);
  assert.equal((await opened).code, "offline");
  assert.deepEqual([contents(second.store), second.store.conversation("bob").source], [["one", "two", "three"], "kept"]);
});

test("of conversations at the top the newest messages are kept, even if nobody opened them", async () => {
  const { world, rest } = begun();
  await (await visit(world, rest)).leave();
  rest.reachable = false;
  const { store } = await visit(world, rest, { connect: false });
  store.loadOlder("team").catch(() => {});
  await pass();
  assert.deepEqual(contents(store, "team"), ["hello team"]);
});

test("what is not kept is said to be missing, and is loaded by itself once there is a network", async () => {
  const { world, rest } = begun();
  await (await visit(world, rest, { options: {} })).leave();
  await (await visit(world, rest, { options: { persist: { ahead: 0 } } })).leave();
  rest.reachable = false;
  const { store, socket } = await visit(world, rest, { connect: false });
  store.subscribe("conversation:bob", () => {});
  const failed = store.loadOlder("bob").catch((error) => error);
  await pass(5);
  assert.equal((await failed).code, "offline");
  assert.deepEqual([contents(store), store.conversation("bob").source], [[], null]);
  rest.reachable = true;
  socket.connect().catch(() => {});
  await pass(70);
  assert.deepEqual([contents(store), store.conversation("bob").source], [["one", "two", "three"], "server"]);
});

test("an edit and a deletion while away are applied by the resume, and erase the text on the disk", async () => {
  const { world, relay, rest } = begun();
  const first = await visit(world, rest);
  await first.store.loadOlder("bob");
  await first.leave();
  assert.match(await disk(world), /"two"/);
  relay.change({ message_id: 1, content: "uno" }, "message_edit");
  relay.change({ message_id: 2 }, "message_delete");

  const second = await visit(world, rest);
  await second.store.loadOlder("bob");
  assert.deepEqual(contents(second.store), ["uno", "(deleted)", "three"]);
  await second.leave();
  assert.doesNotMatch(await disk(world), /"(one|two)"/);
});

test("a deletion in a conversation that nobody opens erases the text on the disk as well", async () => {
  const { world, relay, rest } = begun();
  const first = await visit(world, rest);
  await first.store.loadOlder("bob");
  await first.leave();
  const second = await visit(world, rest);
  relay.change({ message_id: 2 }, "message_delete");
  await second.leave();
  assert.doesNotMatch(await disk(world), /"two"/);
  rest.reachable = false;
  const third = await visit(world, rest, { connect: false });
  third.store.loadOlder("bob").catch(() => {});
  await pass();
  assert.deepEqual(contents(third.store), ["one", "(deleted)", "three"]);
});

test("what is older than the place of the resume does not count once the server has told", async () => {
  const { world, relay, rest } = begun();
  const first = await visit(world, rest);
  await first.store.loadOlder("bob");
  await pass(6);
  const old = await world.storage.getAll("");
  relay.change({ message_id: 1, content: "uno" }, "message_edit");
  relay.write("four");
  await first.leave();
  const changes = /** @type {any[]} */ (old.filter(([key]) => key.includes("kept/")).map(([key, value]) => ["put", key, value]));
  await world.storage.apply(changes); // the page was killed before it could write

  const offline = await visit(world, rest, { connect: false });
  rest.reachable = false;
  offline.store.loadOlder("bob").catch(() => {});
  await pass();
  assert.deepEqual(contents(offline.store), ["one", "two", "three"]); // all that this browser knows
  offline.store.close();
  rest.reachable = true;
  const second = await visit(world, rest);
  await pass(3);
  await second.store.loadOlder("bob");
  assert.deepEqual(contents(second.store), ["uno", "two", "three", "four"]);
});

test("of a group that one is no longer in nothing stays, once the server has told", async () => {
  const { world, rest } = begun();
  const first = await visit(world, rest);
  await first.store.loadOlder("team");
  await first.leave();
  assert.match(await disk(world), /hello team/);
  rest.gone.add("team");
  const second = await visit(world, rest);
  assert.deepEqual(second.store.conversations.map(({ target }) => target), ["bob"]);
  await second.leave();
  assert.doesNotMatch(await disk(world), /hello team/);
});

test("a database that was exchanged leaves nothing of the one before", async () => {
  const { world, relay, rest } = begun();
  const first = await visit(world, rest);
  await first.store.loadOlder("bob");
  await first.leave();
  relay.epoch = "epoch-2";
  relay.log.length = 0;
  relay.write("anew");
  const second = await visit(world, rest);
  await pass(3);
  await second.store.loadOlder("bob");
  assert.deepEqual(contents(second.store), ["anew"]);
  await second.leave();
  assert.doesNotMatch(await disk(world), /"(one|two|three)"|hello team/);
});

test("what was still being read from the disk when the database was exchanged is not shown with the new one", async () => {
  const { world, relay, rest } = begun();
  const first = await visit(world, rest);
  await first.store.loadOlder("bob");
  await first.leave();

  const second = await visit(world, rest, { connect: false });
  const get = second.socket.storage.get.bind(second.socket.storage);
  /** @type {(() => void)[]} */
  const held = [];
  second.socket.storage.get = async (/** @type {string} */ key) => {
    const found = await get(key);
    if (key.includes("bob")) await new Promise((resolve) => held.push(() => resolve(undefined)));
    return /** @type {any} */ (found);
  };
  rest.reachable = false;
  void second.store.loadOlder("bob").catch(() => {});
  await pass();
  assert.notEqual(held.length, 0);

  rest.reachable = true;
  relay.epoch = "epoch-2";
  relay.log.length = 0;
  for (const content of ["one", "another", "third"]) relay.write(content);
  second.socket.connect().catch(() => {});
  await pass(9); // and what changed is written within that time
  for (const release of held) release();
  await pass(3);
  await second.store.loadOlder("bob").catch(() => {});
  assert.deepEqual(contents(second.store), ["one", "another", "third"]);
});

test("signing out, or the end of the session alone, leaves nothing", async () => {
  const { world, rest } = begun();
  const first = await visit(world, rest);
  await first.store.loadOlder("bob");
  await pass(6);
  await first.store.forget();
  assert.doesNotMatch(await disk(world), /kept\/|"two"/);
  await first.socket.disconnect();
  const second = await visit(world, rest);
  await pass(4);
  await pass(6);
  assert.match(await disk(world), /"two"/);
  second.store.close();
  await second.socket.forget();
  assert.deepEqual(await world.storage.getAll(""), []);
});

test("a storage without room costs nothing but this", async () => {
  const { world, relay, rest } = begun();
  const { storage } = world;
  const apply = storage.apply.bind(storage);
  storage.apply = async (batch) => {
    if (batch.some(([kind, key]) => kind === "put" && key.includes("kept/"))) throw new DOMException("full", "QuotaExceededError");
    await apply(batch);
  };
  const info = mock.method(console, "info", () => {});
  const { store, messaging, socket } = await visit(world, rest);
  await store.loadOlder("bob");
  await pass(6);
  messaging.sendPrivateMessage("bob", "still here");
  await pass();
  relay.write("and back");
  await pass();
  assert.deepEqual(contents(store).slice(-2), ["still here", "and back"]);
  assert.deepEqual([info.mock.callCount(), socket.errors], [1, []]);
  info.mock.restore();
});

test("many changes are written together, and only by the tab with the connection", async () => {
  const { world, relay, rest } = begun();
  let writes = 0;
  const apply = world.storage.apply.bind(world.storage);
  world.storage.apply = async (batch) => {
    if (batch.some(([, key]) => key.endsWith("kept/list"))) writes += 1;
    await apply(batch);
  };
  const { store } = await visit(world, rest);
  await store.loadOlder("bob");
  await pass(6);
  const before = writes;
  for (let count = 0; count < 100; count += 1) {
    relay.write(String(count));
    await pass(0.02);
  }
  await pass(4);
  assert.ok(writes - before <= 4, `${writes - before} writes`);
});

test("at most so many conversations are kept, those that were used last", async () => {
  const { world, relay, rest } = begun();
  relay.write("hi", { sender: "carol" });
  const first = await visit(world, rest, { options: { persist: { conversations: 1, ahead: 0 } } });
  await first.store.loadOlder("team");
  await pass(3);
  await first.store.loadOlder("bob");
  await first.leave();
  const kept = (await world.storage.getAll("")).map(([key]) => key).filter((key) => key.includes("kept/page/"));
  assert.deepEqual(kept.map((key) => key.split("/").at(-1)), ["bob"]);
});
