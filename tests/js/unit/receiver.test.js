import assert from "node:assert/strict";
import { test } from "node:test";

import "../../../relay/web/sdk/tabs/shared-connection.js"; // loaded on demand; loaded here before, as a test on virtual time cannot wait for the disk
import "../../../relay/web/sdk/gap-fill.js";
import { settle } from "../fakes/clock.js";
import { World } from "../fakes/world.js";

/** A fetch that answers pages of a conversation; `calls` has what was asked. */
function history(messages, calls = []) {
  return async (url) => {
    calls.push(String(url));
    const query = new URL(url).searchParams;
    const [after, limit] = [Number(query.get("after")), Number(query.get("limit"))];
    const page = messages.filter(({ meta }) => meta.seq > after).slice(0, limit);
    const body = JSON.stringify({ messages: page, latest: [], has_more: false, next_before: null, next_after: null });
    return new Response(body, { headers: { "Content-Type": "application/json" } });
  };
}

const message = (seq, id = seq) => ({
  type: "chat_message",
  payload: { content: `n${seq}` },
  meta: { message_id: id, seq, sender_id: "bob", target_id: "alice" },
});

test("handlers get the messages of their type in order, and handlers of * get all", async () => {
  const world = new World();
  const socket = await world.connected();
  const [chats, all] = [[], []];
  const stop = socket.registerHandler("chat_message", ({ payload }, { replay }) => chats.push([payload.content, replay]));
  socket.registerHandler("*", ({ type }) => all.push(type));
  world.relay.write("one");
  world.relay.write("group", { type: "group_message", target: "team" });
  stop();
  world.relay.write("two");
  assert.deepEqual(chats, [["one", false]]);
  assert.deepEqual(all, ["chat_message", "group_message", "chat_message"]);
  assert.ok(socket.messageHandlers.get("chat_message") instanceof Set);
});

test("an error of a handler goes to onError and does not stop the others", async () => {
  const world = new World();
  const socket = await world.connected();
  socket.registerHandler("chat_message", () => {
    throw new Error("mine");
  });
  socket.registerHandler("chat_message", async () => {
    throw new Error("and mine, later");
  });
  world.relay.write("one");
  await settle();
  assert.deepEqual(socket.errors.map(({ message }) => message), ["mine", "and mine, later"]);
  assert.deepEqual(socket.contents, ["one"]);
  assert.equal(socket.cursor, 1);
});

test("live messages, acks and synced move the cursor, a replay does not", async () => {
  const world = new World();
  world.relay.write("before");
  const socket = await world.connected();
  assert.equal(socket.cursor, 1);
  world.relay.write("live");
  assert.equal(socket.cursor, 2);
  await socket.sendMessage("chat_message", { content: "own" }, "bob");
  assert.equal(socket.cursor, 3);
  world.network.last.say("chat_message", { content: "caught up" }, { message_id: 9, seq: 9, replay: true });
  assert.equal(socket.cursor, 3);
});

test("a resume sends cursor, epoch and session, and brings missed messages once", async () => {
  const world = new World();
  const socket = await world.connected();
  world.relay.write("one");
  world.relay.cut();
  world.relay.write("two");
  await world.clock.advance(1);
  const { cursor, epoch, session_id } = world.relay.hellos.at(-1);
  assert.deepEqual({ cursor, epoch, session_id }, { cursor: 1, epoch: "epoch-1", session_id: "ses_1" });
  assert.deepEqual(socket.contents, ["one", "two"]);
});

test("a replay that is cut begins anew, and each message is handed over once", async () => {
  const world = new World();
  const socket = await world.connected();
  const { last } = world.network;
  last.event("ready", { user_id: "alice", resumed: true, cursor: 0, epoch: "epoch-1" });
  for (const seq of [2, 1]) last.say("chat_message", { content: `n${seq}` }, { ...message(seq).meta, replay: true });
  assert.equal(socket.cursor, 0);
  world.relay.cut();
  for (const content of ["n1", "n2", "n3"]) world.relay.write(content);
  await world.clock.advance(1);
  assert.deepEqual(socket.contents, ["n2", "n1", "n3"]);
  assert.equal(socket.cursor, 3);
});

test("the position outlives the process, in the middle of a replay as well", async () => {
  const world = new World({ relay: false });
  const begin = async () => {
    const socket = await world.connected();
    const { last } = world.network;
    last.accept();
    last.event("ready", { user_id: "alice", session_id: "ses_1", resumed: false, cursor: 0, epoch: "epoch-1" });
    return { socket, last };
  };
  const first = await begin();
  first.last.say("chat_message", { content: "n2" }, { ...message(2).meta, replay: true });
  await settle(); // and then the process is killed
  const second = await begin();
  for (const seq of [2, 1]) second.last.say("chat_message", { content: `n${seq}` }, { ...message(seq).meta, replay: true });
  second.last.event("synced", { cursor: 2, replayed: 2, limited: false, gaps: [] });
  assert.deepEqual(second.socket.contents, ["n1"]);
  await settle();
  const third = await begin();
  assert.equal(third.last.sent[0].payload.cursor, 2);
  assert.equal(third.last.sent[0].payload.epoch, "epoch-1");
});

test("a handler's promise holds back the cursor, and not later messages", async () => {
  const world = new World();
  const socket = await world.connected();
  let finish;
  socket.registerHandler("chat_message", ({ payload }) => payload.content === "slow" && new Promise((resolve) => (finish = resolve)));
  world.relay.write("slow");
  world.relay.write("quick");
  await settle();
  assert.deepEqual(socket.contents, ["slow", "quick"]);
  assert.equal(socket.cursor, 0);
  finish();
  await settle();
  assert.equal(socket.cursor, 2);
});

test("a first connection that ends while a handler works causes no reset: each message is handed over once", async () => {
  const world = new World();
  world.relay.write("one");
  world.relay.write("two");
  const socket = world.client();
  let resets = 0;
  socket.on("reset", () => (resets += 1));
  socket.registerHandler("chat_message", () => new Promise(() => {}));
  socket.connect();
  await settle();
  assert.equal(socket.cursor, null);
  for (let cuts = 0; cuts < 2; cuts += 1) {
    world.relay.cut();
    await world.clock.advance(1);
    assert.equal(socket.connectionState, "connected");
  }
  world.relay.write("three");
  await settle();
  assert.deepEqual([resets, socket.contents], [0, ["one", "two", "three"]]);
});

test("a handler that ends between the hello and its answer causes no reset", async () => {
  const world = new World({ relay: false });
  const socket = world.client();
  let resets = 0;
  let finish;
  socket.on("reset", () => (resets += 1));
  socket.registerHandler("chat_message", () => new Promise((resolve) => (finish = resolve)));
  socket.connect();
  await settle();
  const answer = () => {
    world.network.last.event("ready", { user_id: "alice", session_id: "s", resumed: false, cursor: 0, epoch: "e", heartbeat_seconds: 0 });
    const { payload, meta, type } = message(1);
    world.network.last.say(type, payload, { ...meta, replay: true });
    world.network.last.event("synced", { cursor: 1, replayed: 1 });
  };
  world.network.last.accept();
  answer();
  world.network.last.end();
  await world.clock.advance(1);
  world.network.last.accept();
  assert.equal(world.network.last.sent[0].payload.cursor, undefined);
  finish();
  await settle();
  assert.equal(socket.cursor, 1);
  answer();
  await settle();
  assert.deepEqual([resets, socket.contents], [0, ["n1"]]);
});

test("a handler that never ends is reported after thirty seconds, and the cursor moves on", async () => {
  const world = new World();
  const socket = await world.connected();
  socket.registerHandler("chat_message", () => new Promise(() => {}));
  world.relay.write("one");
  await world.clock.advance(30);
  assert.match(socket.errors[0].message, /chat_message was not done within 30 s/);
  assert.equal(socket.cursor, 1);
});

test("acks are sent at most once a second, and the last one before the goodbye", async () => {
  const world = new World();
  const socket = await world.connected({ ackSeconds: 1 });
  await world.clock.advance(2);
  world.relay.acks.length = 0;
  for (const content of ["one", "two", "three"]) world.relay.write(content);
  assert.deepEqual(world.relay.acks, [1]);
  await world.clock.advance(1);
  assert.deepEqual(world.relay.acks, [1, 3]);
  world.relay.write("four");
  await socket.disconnect();
  assert.deepEqual(world.relay.acks, [1, 3, 4]);
});

test("a new epoch, or a cursor that the server does not know, causes a reset", async () => {
  const world = new World();
  const socket = await world.connected();
  let resets = 0;
  socket.on("reset", () => (resets += 1));
  world.relay.write("old");
  world.relay.epoch = "epoch-2";
  world.relay.log.length = 0;
  world.relay.write("new");
  world.relay.cut();
  await world.clock.advance(1);
  assert.equal(resets, 1);
  assert.deepEqual(socket.contents, ["old", "new"]);
  assert.equal(socket.epoch, "epoch-2");
  assert.equal(socket.cursor, 1);
});

test("only errors that belong to no message go to onError", async () => {
  const world = new World();
  const socket = await world.connected();
  world.network.last.say("error", { code: "bad_json", message: "no JSON", retry: false });
  assert.equal(socket.errors[0].code, "bad_json");
});

test("the gaps of a limited replay are filled by REST, oldest first, before synced is emitted", async () => {
  const world = new World({ relay: false });
  const calls = [];
  const socket = await world.connected({ fetch: history([1, 2, 3, 4, 5].map((seq) => message(seq)), calls) });
  const reports = [];
  const context = [];
  socket.on("synced", (report) => reports.push(report));
  socket.onMessage(({ payload }, { replay }) => payload.content && context.push([payload.content, replay]));
  const { last } = world.network;
  last.accept();
  last.event("ready", { user_id: "alice", resumed: false, cursor: 0, epoch: "e" });
  for (const seq of [4, 5]) last.say("chat_message", { content: `n${seq}` }, { ...message(seq).meta, replay: true });
  const gap = { kind: "user", target_id: "bob", from_seq: 1, to_seq: 3 };
  last.event("synced", { cursor: 5, replayed: 2, limited: true, gaps: [gap] });
  assert.equal(socket.connectionState, "connected");
  assert.deepEqual(reports, []);
  last.say("chat_message", { content: "n6" }, message(6).meta);
  assert.notEqual(socket.cursor, 6); // a process that dies now gets the gap again
  await settle();
  assert.deepEqual(context, [["n4", true], ["n5", true], ["n6", false], ["n1", true], ["n2", true], ["n3", true]]);
  assert.deepEqual(reports, [{ gaps: [], filled: [gap], replayed: 2, limited: true }]);
  assert.equal(socket.cursor, 6);
  assert.match(calls[0], /^https:\/\/relay\.test\/api\/messages\/user\/bob\?after=0&limit=3$/);
});

test("gaps over the limit are reported and not filled", async () => {
  const world = new World({ relay: false });
  const calls = [];
  const socket = await world.connected({ fetch: history([], calls), fillLimit: 10 });
  const reports = [];
  socket.on("synced", (report) => reports.push(report));
  const { last } = world.network;
  last.accept();
  last.event("ready", { user_id: "alice", resumed: false, cursor: 0, epoch: "e" });
  const gap = { kind: "group", target_id: "team", from_seq: 17, to_seq: 1416 };
  last.event("synced", { cursor: 2400, replayed: 1000, limited: true, gaps: [gap] });
  assert.deepEqual(reports, [{ gaps: [gap], filled: [], replayed: 1000, limited: true }]);
  assert.deepEqual(calls, []);
});

test("gaps of notifications are filled from their list", async () => {
  const world = new World({ relay: false });
  const notice = (seq, target) => ({ type: "notification", payload: { title: `t${seq}` }, meta: { message_id: seq * 10 + (target === "*" ? 1 : 0), seq, sender_id: "root", target_id: target } });
  const all = [1, 2, 3].flatMap((seq) => [notice(seq, "alice"), notice(seq, "*")]);
  const fetch = async (url) => {
    assert.match(String(url), /\/api\/notifications\?/);
    return Response.json({ messages: all, has_more: false, next_before: null, next_after: null, unread: 0 });
  };
  const socket = await world.connected({ fetch });
  const titles = [];
  socket.registerHandler("notification", ({ payload, meta }) => titles.push(payload.title + meta.target_id));
  const { last } = world.network;
  last.accept();
  last.event("ready", { user_id: "alice", resumed: false, cursor: 0, epoch: "e" });
  last.event("synced", { cursor: 40, replayed: 0, limited: true, gaps: [{ kind: "broadcast", target_id: "*", from_seq: 1, to_seq: 2 }] });
  await settle();
  assert.deepEqual(titles, ["t1*", "t2*"]);
});

test("a gap that REST cannot fill is reported, with the error", async () => {
  const world = new World({ relay: false });
  const fetch = async () => Response.json({ code: "forbidden", detail: "no", retry: false }, { status: 403 });
  const socket = await world.connected({ fetch });
  const reports = [];
  socket.on("synced", (report) => reports.push(report));
  const { last } = world.network;
  last.accept();
  last.event("ready", { user_id: "alice", resumed: false, cursor: 0, epoch: "e" });
  const gap = { kind: "user", target_id: "bob", from_seq: 1, to_seq: 2 };
  last.event("synced", { cursor: 5, replayed: 0, limited: true, gaps: [gap] });
  await settle();
  assert.deepEqual(reports[0].gaps, [gap]);
  assert.equal(socket.errors[0].code, "forbidden");
  assert.equal(socket.cursor, 5);
});

test("a gap before a live message is filled", async () => {
  const world = new World();
  const socket = await world.connected({ fetch: history([1, 2, 3, 4].map((seq) => message(seq))) });
  const { last } = world.network;
  last.say("chat_message", { content: "n1" }, message(1).meta);
  last.say("chat_message", { content: "n4" }, message(4).meta);
  await settle();
  assert.deepEqual(socket.contents, ["n1", "n4", "n2", "n3"]);
});

test("own messages, other conversations and own edits show no gap", async () => {
  const world = new World();
  const calls = [];
  const socket = await world.connected({ fetch: history([], calls) });
  world.relay.write("one");
  await socket.sendMessage("chat_message", { content: "two" }, "bob");
  world.relay.write("three");
  world.relay.write("elsewhere", { sender: "carol" });
  world.network.last.say("message_edit", { message_id: 2 }, { message_id: 50, seq: 70, sender_id: "alice", target_id: "team" });
  await settle();
  assert.deepEqual(calls, []);
});
