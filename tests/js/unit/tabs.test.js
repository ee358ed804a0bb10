import assert from "node:assert/strict";
import { test } from "node:test";

import { memoryStorage } from "../../../relay/web/sdk/index.js";
import "../../../relay/web/sdk/tabs/shared-connection.js"; // loaded on demand; loaded here before, as a test on virtual time cannot wait for the disk
import "../../../relay/web/sdk/gap-fill.js";
import { settle } from "../fakes/clock.js";
import { FakeBrowser } from "../fakes/browser.js";
import { World } from "../fakes/world.js";

/** A world with a browser whose tabs share its storage. */
class Tabbed extends World {
  browser = new FakeBrowser();

  /** Open a tab and connect it; `tab.socket` is its manager. */
  async open({ visible = true, token = "token", prepare = () => {}, ...options } = {}) {
    const tab = this.browser.tab({ visible });
    const [clock, WebSocket] = [tab.clock(this.clock), tab.WebSocket(this.network)];
    tab.socket = this.client({ clock, WebSocket, ...tab.options, ...options }, token);
    prepare(tab.socket);
    tab.socket.connect().catch(() => {});
    await settle();
    return tab;
  }
}

const say = (tab, content, target = "bob") => tab.socket.sendMessage("chat_message", { content }, target);

test("ten tabs have one connection and one client id", async () => {
  const world = new Tabbed();
  const tabs = [];
  for (let number = 0; number < 10; number += 1) tabs.push(await world.open());
  assert.equal(world.network.sockets.length, 1);
  assert.deepEqual(tabs.map(({ socket }) => socket.connectionState), Array(10).fill("connected"));
  assert.equal(new Set(tabs.map(({ socket }) => socket.clientId)).size, 1);
  assert.deepEqual(tabs.map(({ socket }) => socket.isLeader), [true, ...Array(9).fill(false)]);
  assert.equal(tabs[0].socket.socket, world.network.last);
  assert.equal(tabs[1].socket.socket, null);
  assert.equal(tabs[3].socket.userId, "alice");
  assert.equal(tabs[3].socket.limits.in_flight, 256);
});

test("ten tabs that open at once have one connection as well", async () => {
  const world = new Tabbed();
  const tabs = await Promise.all(Array.from({ length: 10 }, () => world.open()));
  assert.equal(world.network.sockets.length, 1);
  assert.ok(tabs.every(({ socket }) => socket.connectionState === "connected"));
});

for (const [what, spoil] of Object.entries({
  "locks are refused": (tab) => (tab.locks = { request: async () => Promise.reject(new DOMException("denied", "SecurityError")) }),
  "locks are never given": (tab) => (tab.locks = { request: () => new Promise(() => {}) }),
  "channels are refused": (tab) =>
    (tab.BroadcastChannel = class {
      constructor() {
        throw new DOMException("denied", "SecurityError");
      }
    }),
})) {
  test(`a page where ${what} has a connection of its own`, async () => {
    const world = new Tabbed();
    const tab = world.browser.tab();
    spoil(tab);
    const socket = world.client(tab.options);
    socket.connect().catch(() => {});
    await world.clock.advance(6);
    assert.equal(socket.connectionState, "connected");
    assert.equal(socket.isLeader, true);
  });
}

test("tabs of different names have a connection each", async () => {
  const world = new Tabbed();
  const [one, two] = [await world.open({ name: "one" }), await world.open({ name: "two" })];
  assert.equal(world.network.sockets.length, 2);
  assert.notEqual(one.socket.clientId, two.socket.clientId);
});

test("a message reaches the handlers of every tab once", async () => {
  const world = new Tabbed();
  const tabs = [await world.open(), await world.open(), await world.open()];
  world.relay.write("one");
  world.relay.write("two");
  await settle();
  for (const { socket } of tabs) {
    assert.deepEqual(socket.contents, ["one", "two"]);
    assert.equal(socket.cursor, 2);
  }
  assert.deepEqual(new Set(world.relay.acks).size, world.relay.acks.length);
});

test("the tab with the connection sends the messages of all tabs, and all tabs see their states", async () => {
  const world = new Tabbed();
  const [leader, follower, third] = [await world.open(), await world.open(), await world.open()];
  const told = [];
  third.socket.on("sent", ({ envelope, state }) => told.push(`${envelope.payload.content} ${state}`));
  assert.equal((await say(follower, "from a follower")).message_id, 1);
  await say(leader, "from the leader");
  await settle();
  assert.deepEqual(world.relay.written("bob"), ["from a follower", "from the leader"]);
  assert.deepEqual(told, ["from a follower queued", "from a follower sent", "from the leader queued", "from the leader sent"]);
  for (const { socket } of [leader, follower, third]) {
    assert.deepEqual(socket.outbox.messages, []);
    assert.equal(socket.cursor, 2);
  }
  assert.equal(world.network.sockets.length, 1);
});

test("a refusal, a retry, a discard and a cancel count in all tabs", async () => {
  const world = new Tabbed();
  const [leader, follower] = [await world.open(), await world.open()];
  world.relay.refuse = () => ({ code: "forbidden", message: "no", retry: false });
  const messages = [say(follower, "one"), say(leader, "two")];
  await settle();
  for (const { socket } of [leader, follower]) {
    assert.deepEqual(socket.outbox.messages.map(({ state, error }) => [state, error.code]), Array(2).fill(["failed", "forbidden"]));
  }
  world.relay.refuse = () => null;
  leader.socket.outbox.retry(messages[0].id);
  follower.socket.outbox.discard(messages[1].id);
  await settle();
  assert.equal(messages[0].state, "sent");
  assert.deepEqual(leader.socket.outbox.messages, []);
  world.relay.answers = false;
  say(follower, "on its way");
  await settle();
  const waiting = say(follower, "still waiting");
  await settle();
  assert.equal(await waiting.cancel(), true);
  assert.deepEqual(leader.socket.outbox.messages.map(({ envelope }) => envelope.payload.content), ["on its way"]);
});

test("a cancel in a tab without the connection counts in the tab that will have it", async () => {
  const world = new Tabbed();
  const [leader, follower] = [await world.open({ random: () => 1 }), await world.open()];
  world.relay.cut(4404, "retry_after=60");
  await settle();
  const message = say(follower, "hi");
  await settle();
  assert.equal(leader.socket.outbox.messages.length, 1);
  assert.equal(await message.cancel(), true);
  await settle();
  assert.deepEqual(leader.socket.outbox.messages, []);
  await world.clock.advance(61);
  assert.deepEqual(world.relay.written("bob"), []);
});

test("typing of a follower is sent, and does not show in the other tabs", async () => {
  const world = new Tabbed();
  const [leader, follower] = [await world.open(), await world.open()];
  follower.socket.sendMessage("typing_indicator", { typing: true }, "bob");
  await settle();
  assert.equal(world.network.last.all("typing_indicator").length, 1);
  assert.deepEqual(leader.socket.outbox.messages, []);
});

test("when the tab with the connection is killed another one connects, from its own position", async () => {
  const world = new Tabbed();
  const [leader, follower] = [await world.open(), await world.open()];
  world.relay.write("one");
  await settle();
  leader.kill();
  world.network.last.end(1006);
  world.relay.write("two");
  await settle();
  assert.ok(follower.socket.isLeader);
  assert.equal(follower.socket.connectionState, "connected");
  assert.equal(world.relay.hellos.at(-1).cursor, 1);
  assert.equal(world.relay.hellos.at(-1).client_id, leader.socket.clientId);
  assert.deepEqual(follower.socket.contents, ["one", "two"]);
});

test("the messages of a killed tab are sent by the next one, once and in order", async () => {
  const world = new Tabbed();
  const [leader, follower] = [await world.open(), await world.open()];
  world.relay.answers = false;
  for (const content of ["one", "two"]) say(leader, content);
  await settle();
  const own = say(follower, "three");
  await settle();
  leader.kill();
  world.relay.answers = true;
  await settle();
  assert.deepEqual(world.relay.written("bob"), ["one", "two", "three"]);
  assert.equal(own.state, "sent");
});

test("a message whose answer only the killed tab had is sent again", async () => {
  const world = new Tabbed();
  const [leader, follower] = [await world.open(), await world.open()];
  follower.frozen = true; // the word that it is sent gets lost
  const message = say(follower, "hi");
  await settle();
  assert.equal(message.state, "queued");
  assert.deepEqual(await world.storage.getAll("relay.test/ws:default/outbox/"), []);
  follower.thaw();
  leader.kill();
  await settle();
  assert.equal(message.state, "sent");
  assert.deepEqual(world.relay.written("bob"), ["hi"]);
});

test("only the last tab that closes sends a goodbye", async () => {
  const world = new Tabbed();
  const [one, two] = [await world.open(), await world.open()];
  await one.socket.disconnect();
  await settle();
  assert.equal(world.network.sockets[0].closed.code, 4000);
  assert.equal(world.network.sockets[0].all("goodbye").length, 0);
  assert.ok(two.socket.isLeader);
  assert.equal(two.socket.connectionState, "connected");
  await two.socket.disconnect();
  assert.equal(world.network.last.all("goodbye").length, 1);
});

test("a frozen tab that missed news notices it by the next news, and gets it", async () => {
  const world = new Tabbed();
  const [leader, follower, third] = [await world.open(), await world.open(), await world.open()];
  world.relay.write("one");
  await settle();
  follower.frozen = true;
  world.relay.write("two");
  const own = say(leader, "own");
  await own;
  await settle();
  follower.thaw();
  world.relay.write("three");
  await world.clock.advance(1);
  assert.deepEqual(follower.socket.contents, ["one", "two", "own", "three"]);
  assert.deepEqual(third.socket.contents, ["one", "two", "three"]);
  assert.deepEqual(leader.socket.contents, ["one", "two", "three"]);
  assert.ok([leader, follower, third].every(({ socket }) => socket.cursor === 4));
});

test("of two tabs that missed something the replay serves both, and the next connection begins at its own cursor", async () => {
  const world = new Tabbed();
  const [leader, one, two] = [await world.open(), await world.open(), await world.open()];
  const write = async (content) => (world.relay.write(content), await settle());
  await write("1");
  one.frozen = true;
  await write("2");
  two.frozen = true;
  await write("3");
  for (const tab of [two, one]) tab.thaw();
  await write("4");
  await world.clock.advance(1);
  assert.deepEqual(world.relay.hellos.slice(1).map(({ cursor }) => cursor), [1], "one new connection serves them all");
  for (const { socket } of [leader, one, two]) assert.deepEqual(socket.contents, ["1", "2", "3", "4"]);
  world.relay.cut();
  await world.clock.advance(2);
  assert.equal(world.relay.hellos.at(-1).cursor, 4);
});

test("while the first handlers work, a new connection resets no tab, and a tab that missed messages gets them", async () => {
  const world = new Tabbed();
  world.relay.write("one");
  const leader = await world.open({ prepare: (socket) => socket.registerHandler("chat_message", () => new Promise(() => {})) });
  const follower = await world.open();
  world.relay.cut();
  let resets = 0;
  for (const { socket } of [leader, follower]) socket.on("reset", () => (resets += 1));
  await world.clock.advance(1);
  follower.frozen = true;
  world.relay.write("two");
  await settle();
  follower.thaw();
  world.relay.cut();
  await world.clock.advance(2);
  world.relay.write("three");
  await world.clock.advance(1);
  assert.equal(resets, 0);
  assert.deepEqual(leader.socket.contents, ["one", "two", "three"]);
  assert.deepEqual(follower.socket.contents.slice(-2), ["two", "three"]);
  assert.equal(new Set(follower.socket.contents).size, follower.socket.contents.length);
});

test("a frozen tab that hears nothing more notices it when it is visible again", async () => {
  const world = new Tabbed();
  await world.open();
  const follower = await world.open({ visible: false });
  follower.frozen = true;
  world.relay.write("one");
  await settle();
  follower.thaw();
  follower.show(true);
  await world.clock.advance(1);
  assert.deepEqual(follower.socket.contents, ["one"]);
});

test("a tab that comes back from the page cache gets the messages it missed", async () => {
  const world = new Tabbed();
  const [leader, follower] = [await world.open(), await world.open()];
  follower.fire("pagehide");
  world.relay.write("one");
  await settle();
  follower.fire("pageshow", { persisted: true });
  await world.clock.advance(1);
  assert.deepEqual(follower.socket.contents, ["one"]);
  assert.deepEqual(leader.socket.contents, ["one"]);
});

test("a leader that comes back from the page cache follows the tab that took its place", async () => {
  const world = new Tabbed();
  const [one, two] = [await world.open(), await world.open()];
  one.fire("pagehide");
  await settle();
  assert.ok(two.socket.isLeader);
  world.relay.write("one");
  await settle();
  one.fire("pageshow", { persisted: true });
  await world.clock.advance(1);
  assert.ok(!one.socket.isLeader);
  assert.deepEqual(one.socket.contents, ["one"]);
  assert.equal(world.relay.connections.size, 1);
});

test("a leader that does not answer (suspended with its lock) is replaced by a visible tab", async () => {
  const world = new Tabbed();
  const [leader, follower] = [await world.open(), await world.open()];
  leader.suspended = true;
  world.network.sockets[0].onFrame = () => {};
  await world.clock.advance(9);
  assert.ok(!follower.socket.isLeader);
  await world.clock.advance(10);
  assert.ok(follower.socket.isLeader);
  assert.equal(follower.socket.connectionState, "connected");
  leader.thaw();
  world.relay.write("one");
  await world.clock.advance(30);
  assert.ok(!leader.socket.isLeader);
  assert.equal(leader.socket.connectionState, "connected");
  assert.deepEqual(leader.socket.contents, ["one"]);
  assert.equal(world.relay.connections.size, 1);
});

test("a hidden tab does not replace a silent leader", async () => {
  const world = new Tabbed();
  const leader = await world.open();
  const follower = await world.open({ visible: false });
  leader.suspended = true;
  await world.clock.advance(60);
  assert.ok(!follower.socket.isLeader);
});

test("all tabs are closed together, and connect in any of them connects all", async () => {
  const world = new Tabbed();
  const [leader, follower, third] = [await world.open(), await world.open(), await world.open()];
  world.relay.cut(4503, "session revoked");
  await settle();
  for (const { socket } of [leader, follower, third]) {
    assert.equal(socket.connectionState, "closed");
    assert.equal(socket.lastError.code, 4503);
    assert.equal(socket.lastError.name, "ConnectionClosed");
  }
  await follower.socket.connect();
  await settle();
  for (const { socket } of [leader, follower, third]) assert.equal(socket.connectionState, "connected");
  assert.ok(follower.socket.isLeader);
  assert.equal(world.relay.connections.size, 1);
});

test("a tab that opens when the others are closed connects by itself", async () => {
  const world = new Tabbed();
  const leader = await world.open();
  world.relay.cut(4503, "session revoked");
  await settle();
  const next = await world.open();
  assert.ok(next.socket.isLeader);
  assert.equal(next.socket.connectionState, "connected");
  assert.equal(leader.socket.connectionState, "connected");
  world.relay.tokens.clear();
  world.relay.cut(4501, "token missing or wrong");
  await settle();
  const last = await world.open();
  assert.equal(last.socket.lastError.code, 4501);
  assert.equal(last.socket.connectionState, "closed");
});

test("when the tab of a closed leader is closed, the next one does not connect by itself", async () => {
  const world = new Tabbed();
  const [leader, follower] = [await world.open(), await world.open()];
  world.relay.cut(4502, "account disabled");
  await settle();
  leader.kill();
  await world.clock.advance(60);
  assert.equal(follower.socket.connectionState, "closed");
  assert.equal(world.network.sockets.length, 1);
});

test("the device is active while any tab is visible, over kills as well", async () => {
  const world = new Tabbed();
  const [leader, follower] = [await world.open(), await world.open()];
  const { last } = world.network;
  leader.show(false);
  await settle();
  assert.equal(last.all("inactive").length, 0);
  follower.show(false);
  await settle();
  assert.equal(last.all("inactive").length, 1);
  follower.show(true);
  await settle();
  assert.equal(last.all("active").length, 1);
  follower.kill();
  await settle();
  assert.equal(last.all("inactive").length, 2);
});

test("exactly one tab shows notifications: the one visible last, else the one with the connection", async () => {
  const world = new Tabbed();
  const tabs = [await world.open(), await world.open(), await world.open({ visible: false })];
  const notifiers = () => tabs.filter(({ dead }) => !dead).map(({ socket }) => socket.isNotifier());
  await settle();
  assert.deepEqual(notifiers(), [false, true, false]);
  tabs[2].show(true);
  await settle();
  assert.deepEqual(notifiers(), [false, false, true]);
  for (const tab of tabs) tab.show(false);
  await settle();
  assert.deepEqual(notifiers(), [true, false, false]);
  tabs[0].kill();
  await settle();
  assert.equal(notifiers().filter(Boolean).length, 1);
});

test("a tab with another user's token and no name of its own hears nothing of the first, and its error says what to do", async () => {
  const world = new Tabbed();
  const alice = await world.open();
  world.relay.user = "carol";
  world.relay.tokens.add("carol's");
  const carol = await world.open({ token: "carol's" });
  world.network.sockets[0].say("chat_message", { content: "for alice" }, { message_id: 1, seq: 1, sender_id: "bob", target_id: "alice" });
  await settle();
  assert.equal(carol.socket.connectionState, "closed");
  assert.match(carol.socket.lastError.message, /is of alice, the token of carol; give each account a name/);
  assert.deepEqual(carol.socket.contents, []);
  assert.deepEqual(alice.socket.contents, ["for alice"]);
});

test("a follower learns from the leader's snapshot that it is of another user", async () => {
  const world = new Tabbed();
  const provider = async () => "token";
  await world.open({ token: provider });
  const own = memoryStorage();
  await own.apply([["put", "relay.test/ws:default/device", { clientId: "c", sessionId: null, userId: "carol" }]]);
  const carol = await world.open({ token: provider, storage: own });
  assert.equal(carol.socket.connectionState, "closed");
  assert.equal(carol.socket.lastError.code, "wrong_user");
});

test("a visible follower reminds the leader, whose timers may be slowed down, that the wait is over", async () => {
  const world = new Tabbed();
  const slow = { ...world.clock, setTimeout: (callback, ms) => world.clock.setTimeout(callback, ms + 60_000) };
  const throttled = await world.open({ visible: false, clock: slow });
  const follower = await world.open();
  world.relay.cut();
  await world.clock.advance(2);
  assert.ok(throttled.socket.isLeader);
  assert.equal(follower.socket.connectionState, "connected");
});

test("forget in one tab forgets in all", async () => {
  const world = new Tabbed();
  const [leader, follower] = [await world.open(), await world.open()];
  await follower.socket.forget();
  await settle();
  assert.deepEqual([leader, follower].map(({ socket }) => socket.connectionState), ["disconnected", "disconnected"]);
  assert.deepEqual([leader, follower].map(({ socket }) => socket.userId), [null, null]);
});

for (const seed of seeds()) {
  test(`whatever is killed, frozen, hidden or cut, nothing is lost, doubled or out of order (seed ${seed})`, async () => {
    await turmoil(seed, 150);
  });
}

/** RELAY_TURMOIL=400 runs that many other seeds. */
function seeds() {
  const count = Number(process.env.RELAY_TURMOIL ?? 12);
  const first = count > 12 ? 1000 : 1;
  return Array.from({ length: count }, (_, number) => first + number);
}

async function turmoil(seed, steps) {
  const random = randomOf(seed);
  const world = new Tabbed();
  const tabs = [];
  const expected = new Map([["bob", []], ["carol", []]]);
  let written = 0;
  const pick = (list) => list[Math.floor(random() * list.length)];
  const living = () => tabs.filter(({ dead }) => !dead);
  const acts = {
    open: async () => {
      if (living().length === 5) return;
      const tab = await world.open({ random });
      tabs.push(tab);
      const begin = () => (tab.since ??= world.relay.log.length); // what came before it was connected it need not get
      if (tab.socket.connectionState === "connected") begin();
      else void tab.socket.ready().then(begin);
    },
    kill: () => living().length > 1 && pick(living()).kill(),
    freeze: () => {
      const tab = pick(living());
      if (tab.socket.isLeader) tab.suspended = true; // a page with a lock never gets into the page cache
      else tab.frozen = true;
    },
    thaw: () => living().forEach((tab) => tab.thaw()),
    show: () => living().length && pick(living()).show(random() < 0.5),
    cut: () => world.relay.cut(),
    deaf: () => (world.relay.answers = false),
    hear: () => ((world.relay.answers = true), random() < 0.5 && world.relay.cut()),
    write: () => world.relay.write(`in ${(written += 1)}`),
    say: async () => {
      const awake = living().filter(({ frozen, suspended }) => !frozen && !suspended);
      if (!awake.length) return;
      const target = pick(["bob", "carol"]);
      const content = `out ${(written += 1)}`;
      await world.clock.advance(0.001); // nobody writes in two tabs in the same millisecond
      expected.get(target).push(content);
      say(pick(awake), content, target);
      await settle(); // stored: what comes after may kill whatever it likes
    },
    wait: () => world.clock.advance(random() * 8),
  };
  await acts.open();
  for (let step = 0; step < steps; step += 1) {
    await acts[pick(["open", "kill", "freeze", "thaw", "show", "cut", "deaf", "hear", "write", "write", "say", "say", "say", "wait", "wait"])]();
    if (random() < 0.7) await settle();
  }
  acts.thaw();
  world.relay.answers = true;
  world.relay.cut();
  for (const tab of living()) tab.show(true);
  await world.clock.advance(120);
  for (const [target, contents] of expected) assert.deepEqual(world.relay.written(target), contents, `to ${target}`);
  const incoming = world.relay.log.filter(({ meta }) => meta.sender_id === "bob").map(({ payload }) => payload.content);
  for (const { socket, since } of living()) {
    assert.equal(socket.connectionState, "connected");
    assert.equal(socket.cursor, world.relay.log.length);
    assert.deepEqual(socket.outbox.messages, []);
    const own = socket.contents.filter((content) => content.startsWith("in"));
    const due = incoming.filter((content) => world.relay.log.findIndex(({ payload }) => payload.content === content) >= since);
    assert.equal(new Set(socket.contents).size, socket.contents.length, "each is given once");
    for (const content of due) assert.ok(own.includes(content), `${content} was lost`);
  }
  assert.equal(living().filter(({ socket }) => socket.isLeader).length, 1);
  assert.equal(world.relay.connections.size, 1);
}

/** The same numbers for the same seed (mulberry32). */
function randomOf(seed) {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
}
