import assert from "node:assert/strict";
import { test } from "node:test";

import { SentMessage } from "../../../relay/web/sdk/index.js";
import { settle } from "../fakes/clock.js";
import { World } from "../fakes/world.js";

const say = (socket, content, target = "bob", options = {}) => socket.sendMessage("chat_message", { content }, target, options);

const wire = (world) => world.network.last.all("chat_message").map(({ payload }) => payload.content);

test("a message can be awaited, and resolves with its ack", async () => {
  const world = new World();
  const socket = await world.connected();
  const states = [];
  const message = say(socket, "hi");
  message.onChange(({ state }) => states.push(state));
  assert.ok(message instanceof SentMessage);
  assert.equal(message.state, "queued");
  assert.deepEqual(await message, { message_id: 1, seq: 1, timestamp: 1, duplicate: false });
  assert.deepEqual(states, ["sent"]);
  assert.deepEqual(socket.outbox.messages, []);
  const [frame] = world.network.last.all("chat_message");
  assert.deepEqual(frame, { type: "chat_message", payload: { content: "hi" }, meta: { id: message.id, target_id: "bob", timestamp: 1_700_000_000 } });
});

test("a message is in the storage before it is on the wire", async () => {
  const world = new World();
  const socket = await world.connected();
  let stored = 0;
  let release;
  world.storage.apply = () => new Promise((resolve) => ((stored += 1), (release = resolve)));
  say(socket, "hi");
  await settle();
  assert.equal(stored, 1);
  assert.deepEqual(wire(world), []);
  release();
  await settle();
  assert.deepEqual(wire(world), ["hi"]);
});

test("messages written without a connection are sent in order once there is one", async () => {
  const world = new World();
  const socket = world.client();
  for (const content of ["one", "two", "three"]) say(socket, content);
  await socket.connect();
  await socket.outbox.flush();
  assert.deepEqual(world.relay.written("bob"), ["one", "two", "three"]);
});

test("the next message to a target waits for the answer, messages to other targets do not", async () => {
  const world = new World();
  const socket = await world.connected();
  world.relay.answers = false;
  for (const [content, target] of [["b1", "bob"], ["b2", "bob"], ["c1", "carol"], ["b3", "bob"]]) say(socket, content, target);
  await settle();
  assert.deepEqual(wire(world), ["b1", "c1"]);
});

test("inFlight lets more messages to one target be sent at once", async () => {
  const world = new World();
  const socket = await world.connected({ inFlight: 3 });
  world.relay.answers = false;
  for (const content of ["1", "2", "3", "4"]) say(socket, content);
  await settle();
  assert.deepEqual(wire(world), ["1", "2", "3"]);
});

test("the server's own limit of unanswered messages counts when it is the lower one", async () => {
  const world = new World();
  world.relay.limits.in_flight = 2;
  const socket = await world.connected();
  world.relay.answers = false;
  for (const target of ["bob", "carol", "dave"]) say(socket, "hi", target);
  await settle();
  assert.equal(wire(world).length, 2);
});

test("a message without an answer is sent again over the next connection, with its id, and is stored once", async () => {
  const world = new World();
  const socket = await world.connected();
  world.relay.answers = false;
  const message = say(socket, "hi");
  await settle();
  world.relay.cut();
  world.relay.answers = true;
  await world.clock.advance(1);
  assert.equal((await message).duplicate, true);
  assert.deepEqual(world.relay.written("bob"), ["hi"]);
});

test("after a reload or a kill the next process sends the message, with its id", async () => {
  const world = new World();
  const first = await world.connected();
  world.relay.answers = false;
  for (const content of ["one", "two", "three"]) say(first, content);
  await settle();
  const second = world.client(); // the first is killed with no word
  world.relay.answers = true;
  const told = [];
  second.on("sent", ({ envelope, state }) => told.push(`${envelope.payload.content} ${state}`));
  await second.opened;
  assert.deepEqual(second.outbox.messages.map(({ envelope }) => envelope.payload.content), ["one", "two", "three"]);
  say(second, "four");
  await second.connect();
  await second.outbox.flush();
  assert.deepEqual(world.relay.written("bob"), ["one", "two", "three", "four"]);
  assert.deepEqual(told.slice(0, 3), ["one queued", "two queued", "three queued"]);
  await settle();
  assert.deepEqual(await world.storage.getAll("relay.test/ws:default/outbox/"), []);
});

test("the order holds when the clock is set back", async () => {
  const world = new World();
  const first = world.client();
  say(first, "one");
  await settle();
  world.clock.now = () => 1_000_000_000_000;
  const second = world.client({ clock: { ...world.clock, now: () => 1_000_000_000_000 } });
  say(second, "two");
  await second.opened;
  say(second, "three");
  assert.deepEqual(second.outbox.messages.map(({ envelope }) => envelope.payload.content), ["one", "two", "three"]);
});

test("rate_limited holds all messages as long as the server says, and the oldest goes first then", async () => {
  const world = new World();
  const socket = await world.connected();
  let refusals = 3;
  world.relay.refuse = () => (refusals-- > 0 ? { code: "rate_limited", message: "too fast", retry: true, retry_after: 2 } : null);
  const messages = ["one", "two", "three"].map((content) => say(socket, content));
  messages.push(say(socket, "elsewhere", "carol"));
  await world.clock.advance(1.9);
  assert.equal(world.relay.log.length, 0);
  assert.equal(messages[0].state, "queued");
  await world.clock.advance(10);
  assert.deepEqual(world.relay.written("bob"), ["one", "two", "three"]);
  assert.deepEqual(world.relay.written("carol"), ["elsewhere"]);
  assert.ok(messages.every(({ state }) => state === "sent"));
});

test("after another error that says retry, a message is tried five times more and then fails", async () => {
  const world = new World();
  const socket = await world.connected();
  let tries = 0;
  world.relay.refuse = () => ((tries += 1), { code: "internal", message: "a fault", retry: true });
  const message = say(socket, "hi");
  await world.clock.advance(120);
  assert.equal(tries, 6);
  assert.equal(message.state, "failed");
  await assert.rejects(message, { name: "RelayError", code: "internal" });
});

test("a final refusal fails the message, which stays visible, and the next one is sent", async () => {
  const world = new World();
  const socket = await world.connected();
  world.relay.refuse = ({ payload }) => (payload.content === "bad" ? { code: "forbidden", message: "no", retry: false } : null);
  const [bad, good] = [say(socket, "bad"), say(socket, "good")];
  await good;
  assert.equal(bad.state, "failed");
  assert.equal(bad.error.code, "forbidden");
  assert.deepEqual(socket.outbox.messages, [bad]);
  const next = world.client();
  await next.opened;
  assert.equal(next.outbox.get(bad.id).state, "failed");
  assert.equal(next.outbox.get(bad.id).error.code, "forbidden");
});

test("a failed message can be retried, with its id, or discarded", async () => {
  const world = new World();
  const socket = await world.connected();
  world.relay.refuse = () => ({ code: "forbidden", message: "no", retry: false });
  const [one, two] = [say(socket, "one"), say(socket, "two")];
  await settle();
  world.relay.refuse = () => null;
  socket.outbox.retry(one.id);
  assert.equal(one.state, "queued");
  assert.equal((await one).message_id, 1);
  const told = [];
  socket.on("sent", (message) => told.push(message));
  socket.outbox.discard(two.id);
  assert.deepEqual(told, [two]);
  assert.deepEqual(socket.outbox.messages, []);
  await settle();
  assert.deepEqual(await world.storage.getAll("relay.test/ws:default/outbox/"), []);
});

test("a message that is retried by hand has all its tries again", async () => {
  const world = new World();
  const socket = await world.connected();
  world.relay.refuse = () => ({ code: "plugin_failed", message: "later", retry: true, retry_after: 1 });
  const message = say(socket, "hi");
  message.catch(() => {});
  for (const tries of [6, 12]) {
    await world.clock.advance(60);
    assert.deepEqual([message.state, wire(world).length], ["failed", tries]);
    socket.outbox.retry(message.id);
  }
});

test("a message that is told of twice, by the storage and by another tab, is sent once", async () => {
  const world = new World();
  const socket = world.client();
  const record = { number: 1, keep: true, envelope: { type: "chat_message", payload: { content: "hi" }, meta: { id: "1", target_id: "bob" } } };
  for (let times = 0; times < 2; times += 1) socket.outbox.restore(record, false);
  await socket.connect();
  await socket.outbox.flush();
  say(socket, "next");
  await settle();
  assert.deepEqual(wire(world), ["hi", "next"]);
});

test("the same id is the same message; with other content it is a conflict", async () => {
  const world = new World();
  const socket = world.client();
  const first = say(socket, "hi", "bob", { id: "m-1" });
  assert.equal(say(socket, "hi", "bob", { id: "m-1" }), first);
  const other = say(socket, "ho", "bob", { id: "m-1" });
  assert.equal(other.state, "failed");
  await assert.rejects(other, { code: "conflict" });
  assert.equal(socket.outbox.messages.length, 1);
});

test("an empty or too long id, and a payload that is not JSON, are refused at once", () => {
  const socket = new World().client();
  assert.throws(() => say(socket, "hi", "bob", { id: "" }), RangeError);
  assert.throws(() => say(socket, "hi", "bob", { id: "x".repeat(65) }), RangeError);
  const round = {};
  round.round = round;
  assert.throws(() => socket.sendMessage("note", round, "bob"), TypeError);
});

test("changes of the caller's object do not change the message", async () => {
  const world = new World();
  const socket = world.client();
  const payload = { content: "hi" };
  socket.sendMessage("chat_message", payload, "bob");
  payload.content = "something else";
  await socket.connect();
  await socket.outbox.flush();
  assert.deepEqual(world.relay.written("bob"), ["hi"]);
});

test("typing is not kept: without a connection it fails, and a lost connection ends it", async () => {
  const world = new World();
  const socket = world.client();
  const early = socket.sendMessage("typing_indicator", { typing: true }, "bob");
  await assert.rejects(early, { code: "offline" });
  await socket.connect();
  world.relay.refuse = () => null;
  world.relay.answers = false;
  const late = socket.sendMessage("typing_indicator", { typing: true }, "bob");
  world.relay.cut();
  await assert.rejects(late, { code: "offline" });
  await world.clock.advance(5);
  assert.equal(world.network.last.all("typing_indicator").length, 0);
  assert.deepEqual(socket.outbox.messages, []);
});

test("typing does not wait behind messages without an answer", async () => {
  const world = new World();
  const socket = await world.connected();
  world.relay.answers = false;
  say(socket, "one");
  say(socket, "two");
  socket.sendMessage("typing_indicator", { typing: true }, "bob");
  await settle();
  assert.equal(world.network.last.all("typing_indicator").length, 1);
});

test("a message that was not sent can be cancelled, also by a signal", async () => {
  const world = new World();
  const socket = world.client();
  const abort = new AbortController();
  const [one, two] = [say(socket, "one"), say(socket, "two", "bob", { signal: abort.signal })];
  assert.equal(await one.cancel(), true);
  abort.abort();
  await assert.rejects(one, { name: "AbortError" });
  await assert.rejects(two, { name: "AbortError" });
  await socket.connect();
  await settle();
  assert.deepEqual(world.relay.log, []);
  assert.deepEqual(await world.storage.getAll("relay.test/ws:default/outbox/"), []);
});

test("a message that may have reached the server cannot be cancelled", async () => {
  const world = new World();
  const socket = await world.connected();
  world.relay.answers = false;
  const message = say(socket, "hi");
  await settle();
  const cancelled = message.cancel();
  world.relay.cut();
  world.relay.answers = true;
  await world.clock.advance(1);
  assert.equal(await cancelled, false);
  assert.equal(message.state, "sent");
});

test("a full outbox refuses messages with outbox_full", async () => {
  const socket = new World().client({ outboxLimit: 2 });
  const messages = ["one", "two", "three"].map((content) => say(socket, content));
  await assert.rejects(messages[2], { code: "outbox_full" });
  assert.equal(socket.outbox.messages.length, 2);
});

test("failed messages do not fill the outbox; the oldest of too many are dropped, over restarts as well", async () => {
  const world = new World();
  const socket = await world.connected({ outboxLimit: 5 });
  world.relay.refuse = ({ payload }) => (payload.content.startsWith("bad") ? { code: "forbidden", message: "no", retry: false } : null);
  const bad = Array.from({ length: 8 }, (_, number) => say(socket, `bad ${number}`));
  await settle();
  for (const refused of [...bad, ...bad.slice(0, 4).map(() => say(socket, "bad again"))]) await refused.catch(() => {});
  assert.equal((await say(socket, "good")).message_id, 1);
  const kept = ["bad 4", "bad again", "bad again", "bad again", "bad again"]; // of the first eight, three found it full
  assert.deepEqual(socket.outbox.messages.map(({ envelope }) => envelope.payload.content), kept);
  await settle();
  assert.equal((await world.storage.getAll("relay.test/ws:default/outbox/")).length, 5);
  await socket.disconnect();
  const next = await world.connected({ outboxLimit: 3 });
  assert.equal(next.outbox.messages.length, 3);
  assert.equal((await say(next, "good")).message_id, 2);
  await settle();
  assert.equal((await world.storage.getAll("relay.test/ws:default/outbox/")).length, 3);
});

test("a refusal goes to the console only if nobody waits for it or listens", async (context) => {
  const written = context.mock.method(console, "warn", () => {});
  const world = new World();
  const socket = await world.connected();
  world.relay.refuse = () => ({ code: "not_found", message: "there is no user 'nobody'", retry: false });
  say(socket, "lost", "nobody");
  say(socket, "awaited", "nobody").catch(() => {});
  say(socket, "listened to", "nobody").onChange(() => {});
  const late = say(socket, "cancelled", "nobody");
  await late.cancel();
  await settle();
  await world.clock.advance(1);
  assert.equal(written.mock.callCount(), 1);
  assert.match(written.mock.calls[0].arguments.join(" "), /failed: .*there is no user 'nobody'.* chat_message nobody/);
  socket.on("sent", () => {});
  say(socket, "seen", "nobody");
  await settle();
  await world.clock.advance(1);
  assert.equal(written.mock.callCount(), 1);
});

test("a frame over the server's limit fails at once and is not sent", async () => {
  const world = new World();
  world.relay.limits.frame_bytes = 200;
  const socket = await world.connected();
  const [long, short] = [say(socket, "é".repeat(90)), say(socket, "short")];
  await assert.rejects(long, { code: "too_large" });
  await short;
  assert.deepEqual(wire(world), ["short"]);
});

test("when the server closes with 1009 the largest message on the wire fails, and the others are sent", async () => {
  const world = new World();
  const socket = await world.connected();
  world.relay.answers = false;
  const [large, small] = [say(socket, "x".repeat(500)), say(socket, "small", "carol")];
  await settle();
  world.relay.answers = true;
  world.relay.log.length = 0;
  world.relay.cut(1009, "frame over the limit");
  await world.clock.advance(1);
  assert.equal(large.error.code, "too_large");
  assert.equal((await small).message_id, 1);
});

test("in a conversation of two the other user's receipts make a message delivered and read", async () => {
  const world = new World();
  const socket = await world.connected();
  const told = [];
  socket.on("sent", ({ envelope, state }) => told.push(`${envelope.payload.content} ${state}`));
  const [one, two] = [say(socket, "one"), say(socket, "two")];
  await Promise.all([one, two]);
  const receipt = (state, up_to_seq, sender_id = "bob") =>
    world.network.last.say("read_receipt", { up_to_seq, state }, { sender_id, target_id: "alice" });
  receipt("read", 2, "carol");
  receipt("delivered", 2);
  receipt("read", 1);
  assert.deepEqual([one.state, two.state], ["read", "delivered"]);
  receipt("delivered", 2);
  receipt("read", 2);
  assert.deepEqual(told, ["one queued", "two queued", "one sent", "two sent", "one delivered", "two delivered", "one read", "two read"]);
});

test("an error of the storage goes to onError, and messages are sent all the same", async () => {
  const world = new World();
  const socket = await world.connected();
  world.storage.apply = async () => {
    throw new Error("the disk is full");
  };
  await say(socket, "hi");
  assert.equal(socket.errors[0].message, "the disk is full");
});

test("ten thousand messages are sent in order and within seconds", async () => {
  const world = new World();
  const socket = world.client();
  for (let number = 0; number < 10_000; number += 1) say(socket, `${number}`, number % 2 ? "bob" : "carol");
  const seen = [];
  world.relay.refuse = ({ payload }) => (seen.push(payload.content), { code: "forbidden", message: "", retry: false });
  await socket.connect();
  await socket.outbox.flush();
  assert.equal(seen.length, 10_000);
  assert.deepEqual(seen.filter((content) => content % 2).map(Number), Array.from({ length: 5000 }, (_, n) => 2 * n + 1));
});

test("slow mode holds the messages of one type to one target, and nothing else, until the server's time", async () => {
  const world = new World();
  const socket = await world.connected();
  let slow = false;
  const details = { reason: "slow_mode", seconds: 30 };
  const error = { code: "rate_limited", message: "too soon", retry: true, retry_after: 30, details };
  world.relay.refuse = ({ type, meta }) => (slow && type === "group_message" && meta.target_id === "team" ? error : null);
  const write = (content, target = "team") => socket.sendMessage("group_message", { content }, target);
  await write("one");
  slow = true;
  const [two, three] = [write("two"), write("three")];
  await settle();
  assert.equal(two.error.details.reason, "slow_mode");
  assert.deepEqual([two.state, three.state], ["queued", "queued"]);
  await socket.sendMessage("reaction", { message_id: 1, emoji: "👍", on: true }, "team");
  await write("elsewhere", "other");
  await say(socket, "to bob");
  assert.deepEqual(world.network.last.all("group_message").map(({ payload }) => payload.content), ["one", "two", "elsewhere"]);
  slow = false;
  await world.clock.advance(29);
  assert.deepEqual(world.relay.written("team").filter(Boolean), ["one"]);
  await world.clock.advance(1.1);
  await Promise.all([two, three]);
  assert.deepEqual(world.relay.written("team").filter(Boolean), ["one", "two", "three"]);
});

test("a new connection does not end slow mode's hold", async () => {
  const world = new World();
  const socket = await world.connected();
  let refusals = 0;
  const error = { code: "rate_limited", message: "too soon", retry: true, retry_after: 600, details: { reason: "slow_mode" } };
  world.relay.refuse = ({ type }) => (type === "group_message" && ++refusals ? error : null);
  const message = socket.sendMessage("group_message", { content: "one" }, "team");
  await settle();
  for (let times = 0; times < 3; times += 1) {
    world.relay.cut();
    await world.clock.advance(30);
  }
  assert.equal(refusals, 1);
  world.relay.refuse = () => null;
  await world.clock.advance(520);
  await message;
});
