import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { after, before, test } from "node:test";

import { WebSocket } from "ws";

import { RestApiClient, SocketManager, memoryStorage } from "../../../relay/web/sdk/index.js";
import { fileStorage } from "../../../relay/web/sdk/node.js";
import { UNLIMITED, until } from "../support/devices.js";
import { Server } from "../support/server.js";

const NAMES = ["alice", "bob", "carol", "dave", "erin"];
/** @type {Server} */
let server;
/** @type {Record<string, string>} */
let tokens;
/** @type {SocketManager[]} */
const opened = [];

before(async () => {
  server = new Server(UNLIMITED);
  await server.start();
  tokens = await server.users(...NAMES);
});

after(async () => {
  await Promise.all(opened.map((socket) => socket.disconnect()));
  await server.close();
});

function client(name, options = {}) {
  const defaults = { WebSocket, storage: memoryStorage(), backoff: { base: 0.05, cap: 0.3 }, ackSeconds: 0.1 };
  const socket = new SocketManager(server.url, tokens[name], { ...defaults, ...options });
  socket.contents = [];
  socket.registerHandler("chat_message", ({ payload }) => void socket.contents.push(payload.content));
  opened.push(socket);
  return socket;
}

/** The messages between two users, as the server has them. */
async function history(name, other) {
  const rest = new RestApiClient(server.url, tokens[name]);
  const messages = [];
  for (let after = 0; ; ) {
    const page = await rest.getUserMessages(other, { after, limit: 200 });
    messages.push(...page.messages);
    if (!page.messages.length) return messages;
    after = page.messages.at(-1).meta.seq;
  }
}

test("connect, send, receive, goodbye", async () => {
  const [alice, bob] = [client("alice"), client("bob")];
  const ready = await alice.connect();
  await bob.connect();
  assert.equal(ready.user_id, "alice");
  const message = alice.sendMessage("chat_message", { content: "hello" }, "bob");
  const { message_id, duplicate } = await message;
  assert.equal(duplicate, false);
  await until(() => bob.contents.includes("hello"), "bob has it");
  await until(() => message.state === "delivered", "alice learns that it was delivered");
  assert.equal(alice.cursor >= message_id, true);
  await Promise.all([alice.disconnect(), bob.disconnect()]);
  assert.equal(alice.connectionState, "disconnected");
});

test("a wrong token closes for good", async () => {
  const socket = new SocketManager(server.url, "wrong", { WebSocket });
  await assert.rejects(socket.connect(), { name: "ConnectionClosed", code: 4501 });
});

test("a second connection of the same device takes over", async () => {
  const [one, two] = [client("alice", { clientId: "desk" }), client("alice", { clientId: "desk" })];
  await one.connect();
  await two.connect();
  await until(() => one.connectionState === "closed", "the first is closed");
  assert.equal(one.lastError.code, 4510);
  await Promise.all([one.disconnect(), two.disconnect()]);
});

test("messages sent while the server is killed and restarted arrive once and in order", async () => {
  const [carol, dave] = [client("carol"), client("dave")];
  await Promise.all([carol.connect(), dave.connect()]);
  const expected = [];
  for (let round = 0; round < 3; round += 1) {
    for (let number = 0; number < 20; number += 1) {
      expected.push(`${round}-${number}`);
      carol.sendMessage("chat_message", { content: expected.at(-1) }, "dave");
    }
    await (round === 1 ? server.stop() : server.kill());
    carol.sendMessage("chat_message", { content: `${round}-dark` }, "dave");
    expected.push(`${round}-dark`);
    await server.start();
    await Promise.all([carol.ready(), dave.ready()]);
  }
  await carol.outbox.flush({ signal: AbortSignal.timeout(20_000) });
  await until(() => dave.contents.length >= expected.length, "dave has all");
  assert.deepEqual(dave.contents, expected);
  assert.deepEqual((await history("carol", "dave")).map(({ payload }) => payload.content), expected);
  await Promise.all([carol.disconnect(), dave.disconnect()]);
});

test("a program that was away gets missed messages once, over its own restarts", async () => {
  const storage = memoryStorage();
  const [erin, alice] = [client("erin", { storage }), client("alice")];
  await Promise.all([erin.connect(), alice.connect()]);
  const say = (content) => alice.sendMessage("chat_message", { content }, "erin");
  await say("one");
  await until(() => erin.contents.length === 1, "erin has the first");
  await erin.disconnect();
  await say("two");
  await say("three");
  const later = client("erin", { storage });
  await later.connect();
  assert.deepEqual(later.contents, ["two", "three"]);
  assert.equal(later.clientId, erin.clientId);
  await Promise.all([later.disconnect(), alice.disconnect()]);
});

test("when more was missed than a replay brings, the gap is filled and nothing is missing", async () => {
  await server.stop();
  server.settings.replay = { limit: 20 };
  await server.start();
  const [erin, dave] = [client("erin"), client("dave")];
  await erin.connect();
  await erin.disconnect();
  await dave.connect();
  const expected = Array.from({ length: 60 }, (_, number) => `gap ${number}`);
  for (const content of expected) dave.sendMessage("chat_message", { content }, "erin");
  await dave.outbox.flush();
  erin.contents.length = 0;
  const reports = [];
  erin.on("synced", (report) => reports.push(report));
  await erin.connect();
  await until(() => reports.length > 0, "the gap is filled");
  assert.equal(reports[0].limited, true);
  assert.deepEqual(reports[0].gaps, []);
  assert.deepEqual([...erin.contents].sort(), [...expected].sort());
  assert.deepEqual(erin.contents.slice(20), expected.slice(0, 40), "the gap comes oldest first");
  await Promise.all([erin.disconnect(), dave.disconnect()]);
});

test("messages in the outbox file of a killed program are sent by the next one, once and in order", async () => {
  const journal = join(server.folder, "talker", "relay.journal");
  const [first, last] = [1, 240];
  let next = first;
  for (let round = 0; round < 4; round += 1) {
    if (round === 2) await server.kill(); // and one round writes into the dark
    const child = talk(journal, next, last);
    const kept = () => child.kept;
    await until(() => kept() >= next + 40, `round ${round}: forty more are kept`, 20);
    child.process.kill("SIGKILL");
    await child.ended;
    next = child.kept + 1;
    if (round === 2) await server.start();
  }
  const final = talk(journal, next, last);
  assert.equal(await final.ended, 0, final.errors());
  const said = (await history("alice", "bob")).map(({ payload }) => payload.content).filter((content) => /^\d+$/.test(content));
  assert.deepEqual(said, Array.from({ length: last }, (_, number) => String(number + 1)));
  const storage = await fileStorage(journal);
  assert.deepEqual((await storage.getAll("")).filter(([key]) => key.includes("outbox/")), []);
  await storage.close();
});

/** Run the talker; `kept` is the highest number on its disk. */
function talk(journal, first, last) {
  const program = fileURLToPath(new URL("talker.js", import.meta.url));
  const child = spawn(process.execPath, [program, server.url, tokens.alice, journal, String(first), String(last)]);
  const state = { process: child, kept: first - 1, errors: () => errors, ended: new Promise((resolve) => child.on("close", resolve)) };
  let [text, errors] = ["", ""];
  child.stderr.on("data", (data) => (errors += data));
  child.stdout.on("data", (data) => {
    text += data;
    const whole = text.slice(0, text.lastIndexOf("\n")).split("\n");
    state.kept = Math.max(state.kept, ...whole.map(Number));
  });
  return state;
}
