/** Streamed messages: what the store makes of their pieces, and writing one against the real server. */

import assert from "node:assert/strict";
import { after, mock, test } from "node:test";

import { State } from "../../../relay/web/sdk/store/state.js";
import { Device, UNLIMITED, until } from "../support/devices.js";
import { Server } from "../support/server.js";

// ---- the store's state, piece by piece

/** @type {State[]} */
const states = [];
after(() => states.forEach((state) => state.streams.clear())); // their timers

/** A state, and functions that give it pieces and messages of ann's. */
function reader() {
  /** @type {string[]} */
  const missing = [];
  /** @type {string[]} */
  const touched = [];
  const options = { echoed: ["chat_message"], most: () => 300, missing: (/** @type {string} */ key) => void missing.push(key) };
  const state = new State("me", (path) => touched.push(path), options);
  states.push(state);
  const meta = { sender_id: "ann", target_id: "me", timestamp: 7 };
  return {
    state, missing, touched,
    piece: (/** @type {number} */ offset, /** @type {string} */ text, more = {}) =>
      state.apply({ type: "message_stream", payload: { stream_id: "s1", offset, text, ...more }, meta }),
    store: (/** @type {string} */ content, more = {}) =>
      state.apply({ type: "chat_message", payload: { content, ...more }, meta: { ...meta, id: "s1", message_id: 5, seq: 1 } }),
    shown: () => state.view("ann").messages.map(({ payload, state: how, key }) => [payload.content, how, key]),
  };
}

test("a streamed message grows under the key that it keeps once it is stored", () => {
  const { state, piece, store, shown, touched } = reader();
  piece(0, "Hel", { reply_to: 3 });
  const [first] = state.view("ann").messages;
  assert.deepEqual([first?.messageId, first?.payload, first?.type, first?.mine], [null, { content: "Hel", reply_to: 3 }, "chat_message", false]);
  piece(3, "lo 🦊");
  piece(7, "!"); // six characters and a fox make seven
  assert.deepEqual(shown(), [["Hello 🦊!", "streaming", "i:ann/s1"]]);
  assert.equal(state.view("ann").messages[0]?.payload.reply_to, 3);
  assert.equal(state.conversations.length, 0, "the list of conversations shows stored messages only");
  assert.ok(touched.includes("message:ann/i:ann/s1"));
  piece(0, "Anew");
  piece(2, "y");
  assert.deepEqual(shown(), [["Any", "streaming", "i:ann/s1"]]);
  store("Any end");
  assert.deepEqual(shown(), [["Any end", "sent", "i:ann/s1"]]);
  assert.equal(state.view("ann").unread, 1);
  piece(0, "too late");
  assert.deepEqual(shown(), [["Any end", "sent", "i:ann/s1"]]);
});

test("a missing piece is asked for, and shown is only what is whole", () => {
  const { piece, shown, missing } = reader();
  piece(4, "late");
  assert.deepEqual([shown(), missing], [[], ["ann"]]);
  piece(0, "whole");
  piece(9, "?");
  assert.deepEqual([shown()[0]?.[0], missing], ["whole", ["ann", "ann"]]);
});

test("a stream is gone when it is cancelled, lost, or not told of after a replay", () => {
  mock.timers.enable({ apis: ["setTimeout"] });
  const { state, piece, shown } = reader();
  piece(0, "never mind");
  piece(0, "", { cancelled: true });
  assert.deepEqual(shown(), []);
  piece(0, "a");
  mock.timers.tick(44_000);
  piece(1, ""); // a sign of life
  mock.timers.tick(44_000);
  assert.deepEqual(shown().length, 1);
  mock.timers.tick(2_000);
  assert.deepEqual(shown(), []);
  piece(0, "b");
  state.streams.synced();
  piece(0, "b");
  mock.timers.tick(4_000);
  assert.equal(shown().length, 1);
  state.streams.synced();
  mock.timers.tick(4_000);
  assert.deepEqual(shown(), []);
  mock.timers.reset();
});

// ---- the real server

/** @type {Server | undefined} */
let server;
/** @type {Device[]} */
const devices = [];

after(async () => {
  await Promise.all(devices.map((device) => device.close()));
  await server?.close();
});

/** @param {Device} device @param {string} target */
function shown(device, target) {
  return device.store.conversation(target).messages.map(({ payload, state }) => `${payload.content} (${state})`);
}

test("a text is written, read while it grows, and stored once; a source is piped", async () => {
  server = await new Server({ ...UNLIMITED, "plugins.message_stream": { silence_seconds: 5 } }).start();
  const { url } = server;
  const tokens = await server.users("alice", "bob");
  const open = async (/** @type {string} */ name) => {
    const device = await new Device(url, tokens[name] ?? "").connect();
    devices.push(device);
    return device;
  };
  const [alice, bob] = [await open("alice"), await open("bob")];
  /** @type {string[]} */
  const spoken = [];
  bob.socket.registerHandler("chat_message", ({ payload }) => void spoken.push(payload.content));

  const stream = await alice.messaging.stream("bob");
  await stream.write("Once ");
  await until(() => shown(bob, "alice")[0] === "Once  (streaming)", "the first piece");
  assert.deepEqual(shown(alice, "bob"), ["Once  (streaming)"]);
  const late = await open("bob");
  await until(() => shown(late, "alice")[0] === "Once  (streaming)", "a late reader has the text so far");
  await stream.write("upon a \ud83e");
  await stream.write("\udd8a");
  await until(() => shown(late, "alice")[0] === "Once upon a 🦊 (streaming)", "the second piece, with both halves of the fox");
  const ack = await stream.end({ extra: { model: "tiny" } });
  await until(() => shown(bob, "alice")[0] === "Once upon a 🦊 (sent)", "the end");
  assert.equal(ack?.seq, 1);
  const [own] = alice.store.conversation("bob").messages;
  assert.deepEqual([own?.messageId, own?.key, own?.payload.extra], [ack?.message_id, `i:${stream.id}`, { model: "tiny" }]);
  assert.deepEqual([spoken, bob.store.conversation("alice").unread], [["Once upon a 🦊"], 1]);
  await assert.rejects(stream.write("more"), /over/);

  const bytes = new TextEncoder().encode("péché");
  const source = new ReadableStream({
    start: (controller) => {
      for (const byte of bytes) controller.enqueue(Uint8Array.of(byte));
      controller.close();
    },
  });
  await (await alice.messaging.stream("bob", { replyTo: ack?.message_id ?? 0 })).pipe(source);
  const broken = (async function* () {
    yield "half";
    throw new Error("the model is gone");
  })();
  await assert.rejects((await alice.messaging.stream("bob")).pipe(broken), /the model is gone/);
  await (await alice.messaging.stream("bob")).end();
  await until(() => shown(bob, "alice").length === 3, "all three");
  const [, piped, cut] = bob.store.conversation("alice").messages;
  assert.deepEqual(piped?.payload, { content: "péché", reply_to: ack?.message_id });
  assert.deepEqual(cut?.payload, { content: "half", interrupted: true });
  assert.deepEqual([alice.faults, bob.faults], [[], []]);
});

test("a writer who was away too long edits what the server has stored", async () => {
  const [alice, bob] = /** @type {[Device, Device]} */ (devices);
  await alice.messaging.createGroup("Team", ["bob"], { groupId: "team" });
  const stream = await alice.messaging.stream("team");
  await stream.write("half");
  await until(() => shown(bob, "team").at(-1) === "half (streaming)", "the first piece");
  await alice.socket.disconnect();
  await until(() => shown(bob, "team").at(-1) === "half (sent)", "the server's end");
  assert.equal(bob.store.conversation("team").messages.at(-1)?.payload.interrupted, true);
  await stream.write(" and whole");
  const ended = stream.end();
  await alice.socket.connect();
  const ack = await ended;
  await until(() => shown(bob, "team").at(-1) === "half and whole (sent)", "the edit");
  assert.equal(ack?.message_id, bob.store.conversation("team").messages.at(-1)?.messageId);
  assert.deepEqual(alice.socket.outbox.messages, []);
});
