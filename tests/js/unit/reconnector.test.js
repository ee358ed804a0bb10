import assert from "node:assert/strict";
import { test } from "node:test";

import { ConnectionClosed, SocketManager, memoryStorage } from "../../../relay/web/sdk/index.js";
import "../../../relay/web/sdk/diagnosis.js"; // loaded on demand; loaded here before, as a test on virtual time cannot wait for the disk
import { settle } from "../fakes/clock.js";
import { World } from "../fakes/world.js";

test("connect resolves with the server's ready once the replay is over", async () => {
  const world = new World();
  const socket = world.client();
  const ready = await socket.connect();
  assert.equal(ready.user_id, "alice");
  assert.deepEqual(socket.log, ["connecting", "replaying", "connected"]);
  assert.equal(world.network.last.url, "wss://relay.test/ws");
  assert.deepEqual(world.network.last.protocols, ["relay.v1"]);
  assert.equal(socket.socket, world.network.last);
  assert.equal(socket.userId, "alice");
  assert.equal(socket.sessionId, "ses_1");
  assert.equal(socket.limits.frame_bytes, 65536);
});

test("the token goes into the hello and nowhere else", async () => {
  const world = new World();
  await world.connected();
  assert.equal(world.relay.hellos[0].token, "token");
  assert.ok(!world.network.last.url.includes("token"));
});

test("connect goes on trying while the network is down", async () => {
  const world = new World({ relay: false });
  const socket = world.client();
  const connected = socket.connect();
  for (let attempt = 0; attempt < 5; attempt += 1) {
    await settle();
    world.network.last.end(1006);
    await world.clock.advance(5);
  }
  world.network.last.accept();
  world.network.last.event("ready", { user_id: "alice", heartbeat_seconds: 0 });
  world.network.last.event("synced", { cursor: 0 });
  await connected;
  assert.equal(world.network.sockets.length, 6);
});

test("the waits between tries grow with full jitter, and start anew after a connection that was live for a second", async () => {
  const world = new World();
  const waits = [];
  const socket = await world.connected({ random: () => 1 });
  socket.onConnectionStateChange((state, _, { retryIn }) => state === "reconnecting" && waits.push(retryIn));
  for (let attempt = 0; attempt < 3; attempt += 1) {
    world.relay.cut();
    await world.clock.advance(waits.at(-1));
  }
  await world.clock.advance(1);
  world.relay.cut();
  assert.deepEqual(waits, [0.5, 1, 2, 0.5]);
});

test("the client waits exactly the retry_after of a draining server", async () => {
  const world = new World();
  const socket = await world.connected();
  world.relay.cut(4404, "server is draining; retry_after=7");
  await world.clock.advance(6.9);
  assert.equal(socket.connectionState, "reconnecting");
  await world.clock.advance(0.1);
  assert.equal(socket.connectionState, "connected");
});

/** The waits of a client, with their ends, after a server that says `reason` went and does not come back. */
async function waitsAfterDrain(reason, seconds) {
  const world = new World();
  const socket = await world.connected({ random: () => 1 });
  const waits = [];
  socket.onConnectionStateChange((state, _, { retryIn }) => state === "reconnecting" && waits.push(retryIn));
  world.network.onSocket = (late) => queueMicrotask(() => late.end(1006));
  world.relay.cut(4404, reason);
  await world.clock.advance(seconds);
  return waits;
}

test("after a drain no wait is longer than 3 s for a minute, and then the back-off goes on", async () => {
  const waits = await waitsAfterDrain("server is draining; retry_after=1", 180);
  assert.deepEqual(waits.slice(0, 5), [1, 1, 2, 3, 3]);
  const late = waits.findIndex((wait) => wait > 3);
  const before = waits.slice(0, late).reduce((sum, wait) => sum + wait, 0);
  assert.ok(before >= 60 && before < 63, `waits of 3 s ended after ${before} s`);
  assert.equal(waits[late], 30);
});

test("a drain that spreads many clients is not asked more often than it spreads them", async () => {
  const waits = await waitsAfterDrain("server is draining; retry_after=12", 60);
  assert.equal(waits[0], 12);
  assert.equal(Math.max(...waits.slice(1)), 24);
});

test("45xx closes for good, and lastError says why", async () => {
  const world = new World();
  const socket = await world.connected();
  world.relay.cut(4502, "account disabled");
  await world.clock.advance(3600);
  assert.equal(socket.connectionState, "closed");
  assert.equal(socket.lastError.code, 4502);
  assert.ok(socket.lastError instanceof ConnectionClosed);
  assert.equal(world.network.sockets.length, 1);
});

test("connect rejects when the server does not want this client", async () => {
  const world = new World();
  const socket = world.client({}, "wrong");
  await assert.rejects(socket.connect(), { name: "ConnectionClosed", code: 4501 });
});

test("a replaced connection stays closed until connect is called", async () => {
  const world = new World();
  const socket = await world.connected();
  world.relay.cut(4510, "replaced");
  assert.equal(socket.connectionState, "closed");
  await socket.connect();
  assert.equal(socket.connectionState, "connected");
  assert.equal(socket.lastError, null);
});

test("a token provider is called for every connection, with the reason", async () => {
  const world = new World();
  const reasons = [];
  const provider = async ({ reason }) => (reasons.push(reason), "token");
  await world.connected({}, provider);
  world.relay.cut();
  await world.clock.advance(1);
  assert.deepEqual(reasons, ["first", "reconnect"]);
});

test("after a refused token the provider is called once more", async () => {
  const world = new World();
  const reasons = [];
  const socket = await world.connected({}, ({ reason }) => (reasons.push(reason), reason === "refused" ? "token" : "old"));
  assert.equal(socket.connectionState, "connected");
  assert.deepEqual(reasons, ["first", "refused"]);
  world.relay.tokens.clear();
  world.relay.cut();
  await world.clock.advance(1);
  assert.deepEqual(reasons, ["first", "refused", "reconnect", "refused"]);
  assert.equal(socket.connectionState, "closed");
});

test("a token provider that fails, or never answers, is called again later", async () => {
  const world = new World();
  let asked = 0;
  const socket = await world.connected({}, () => {
    asked += 1;
    if (asked === 1) throw new Error("the login server is down");
    return asked === 2 ? new Promise(() => {}) : "token";
  });
  assert.equal(socket.connectionState, "reconnecting");
  assert.match(socket.lastError.message, /the login server is down/);
  await world.clock.advance(30);
  assert.equal(socket.connectionState, "connecting");
  await world.clock.advance(32);
  assert.equal(socket.connectionState, "connected");
});

test("without a token the error is no_token, and no hello is sent", async () => {
  const world = new World();
  const tokens = [() => Promise.reject(new Error("no session")), () => undefined];
  for (const provider of tokens) {
    const socket = await world.connected({ name: String(provider) }, provider);
    assert.equal(socket.connectionState, "reconnecting");
    assert.deepEqual([socket.lastError.name, socket.lastError.code, socket.lastError.retry], ["RelayError", "no_token", true]);
    assert.match(socket.lastError.message, /no session|authToken is undefined; right is a text/);
    await socket.disconnect();
  }
  assert.equal(world.network.sockets.length, 0);
});

test("every 45xx is final, with its reason", async () => {
  const world = new World();
  const socket = await world.connected();
  world.relay.cut(4577, "pages of https://other.example are not let in; [server] allowed_origins lists those that are");
  await settle();
  assert.equal(socket.connectionState, "closed");
  assert.deepEqual([socket.lastError.code, socket.lastError.reason.slice(0, 30)], [4577, "pages of https://other.example"]);
});

/** The error at the second try of a client whose connection never opens. */
async function whyNotConnected(fetch, error = {}) {
  const world = new World({ relay: false });
  world.network.onSocket = (socket) =>
    queueMicrotask(() => {
      socket.readyState = 3;
      socket.onerror?.(error);
      socket.onclose?.({ code: 1006, reason: "" });
    });
  const socket = await world.connected({ fetch });
  await world.clock.advance(1);
  const { lastError } = socket;
  await socket.disconnect();
  return lastError;
}

const answer = (status, body) => async (url) => {
  assert.equal(String(url), "https://relay.test/healthz");
  return Response.json(body, { status });
};

for (const [what, fetch, said] of [
  ["nothing is there", () => Promise.reject(new TypeError("fetch failed")), /nothing answers at https:\/\/relay\.test$/],
  ["the path is wrong", answer(404, { detail: "no such page" }), /nothing at https:\/\/relay\.test speaks relay \(GET \/healthz: HTTP 404\)/],
  ["something else is there", answer(200, ["hello"]), /nothing at https:\/\/relay\.test speaks relay/],
  ["a proxy passes no upgrades on", answer(200, { status: "ok" }), /relay answers at https:\/\/relay\.test, but not to WebSockets/],
]) {
  test(`where the platform is silent, a client finds out that ${what}`, async () => {
    const error = await whyNotConnected(fetch);
    assert.equal(error.code, 1006);
    assert.match(error.reason, said);
  });
}

test("a page of another origin that may not read the answer learns of allowed_origins", async (context) => {
  globalThis.location = { origin: "https://page.example" };
  context.after(() => delete globalThis.location);
  context.mock.method(globalThis, "fetch", async () => new Response());
  const error = await whyNotConnected(() => Promise.reject(new TypeError("Failed to fetch")));
  assert.match(error.reason, /relay\.test lets no page of https:\/\/page\.example in: is that in \[server\] allowed_origins/);
});

test("the platform's own reason is part of the error", async () => {
  const error = await whyNotConnected(undefined, { message: "connect ECONNREFUSED 127.0.0.1:8699" });
  assert.match(error.message, /^1006: connect ECONNREFUSED 127\.0\.0\.1:8699/);
});

test("a hanging upgrade fails after ten seconds, a hello without an answer after fifteen", async () => {
  const world = new World({ relay: false });
  const socket = await world.connected();
  await world.clock.advance(9.9);
  assert.equal(socket.connectionState, "connecting");
  await world.clock.advance(0.1);
  assert.equal(socket.connectionState, "reconnecting");
  await world.clock.advance(1);
  world.network.last.accept();
  await world.clock.advance(14.9);
  assert.equal(socket.connectionState, "connecting");
  await world.clock.advance(0.1);
  assert.match(socket.lastError.message, /no answer to the hello/);
});

test("disconnect sends a goodbye and waits for the server's close, two seconds at most", async () => {
  const world = new World();
  const socket = await world.connected();
  await socket.disconnect();
  assert.equal(world.network.last.sent.at(-1).payload.event, "goodbye");
  assert.equal(world.network.last.closed.code, 1000);
  assert.equal(socket.connectionState, "disconnected");
  assert.equal(world.clock.waiting, 0);
  await socket.connect();
  world.network.last.onFrame = () => {};
  const leaving = socket.disconnect();
  await world.clock.advance(2);
  await leaving;
});

test("callers that wait for the connection get an error when it is disconnected", async () => {
  const world = new World({ relay: false });
  const socket = world.client();
  const connected = socket.connect();
  await settle();
  await socket.disconnect();
  await assert.rejects(connected, { name: "ConnectionClosed", code: 1000 });
  await world.clock.advance(100);
  assert.equal(world.network.sockets.length, 1);
});

test("an aborted connect disconnects; one that was aborted before does nothing", async () => {
  const world = new World({ relay: false });
  const socket = world.client();
  const abort = new AbortController();
  const connected = socket.connect({ signal: abort.signal });
  await settle();
  abort.abort();
  await assert.rejects(connected, { name: "AbortError" });
  assert.equal(socket.connectionState, "disconnected");
  await assert.rejects(world.client().connect({ signal: AbortSignal.abort() }), { name: "AbortError" });
  assert.equal(world.network.sockets.length, 1);
});

test("the signal in the options disconnects", async () => {
  const world = new World();
  const abort = new AbortController();
  const socket = await world.connected({ signal: abort.signal });
  abort.abort();
  await settle();
  assert.equal(socket.connectionState, "disconnected");
});

test("reconnect does not wait, and starts the back-off anew", async () => {
  const world = new World();
  const socket = await world.connected({ random: () => 1 });
  world.relay.cut();
  assert.equal(socket.reconnectAttempts, 1);
  await socket.reconnect();
  assert.equal(socket.connectionState, "connected");
  assert.equal(socket.reconnectAttempts, 0);
  await socket.reconnect();
  assert.equal(world.network.sockets.length, 3);
});

test("a reconnect by hand is a loss as any other: the server is told the cursor again", async () => {
  const world = new World();
  const socket = await world.connected();
  world.relay.write("one");
  await world.clock.advance(5);
  assert.equal(world.relay.acks.at(-1), 1);
  const before = world.relay.acks.length;
  socket.reconnect();
  await world.clock.advance(5);
  assert.deepEqual(world.relay.acks.slice(before), [1]);
});

test("a token that comes after the client was disconnected opens nothing", async () => {
  const world = new World();
  let give;
  const socket = world.client({}, () => new Promise((resolve) => (give = resolve)));
  socket.connect().catch(() => {});
  await settle();
  await socket.disconnect();
  give("token");
  await settle();
  assert.equal(world.network.sockets.length, 0);
});

test("frames that are not envelopes are ignored", async () => {
  const world = new World();
  const socket = await world.connected();
  for (const text of ["", "nonsense", "null", "[]", "5", '{"payload":{}}', '{"type":7}', '{"type":"x","payload":null,"meta":null}']) {
    world.network.last.deliver(text);
  }
  world.network.last.deliver(new ArrayBuffer(3));
  world.relay.write("still here");
  assert.deepEqual(socket.contents, ["still here"]);
});

test("a client id from the options counts; a generated one is kept in the storage", async () => {
  const world = new World();
  const first = await world.connected();
  await first.disconnect();
  const second = await world.connected();
  assert.equal(second.clientId, first.clientId);
  const own = await world.connected({ storage: memoryStorage(), clientId: "kitchen" });
  assert.equal(own.clientId, "kitchen");
  assert.equal(world.relay.hellos.at(-1).client_id, "kitchen");
});

test("a generated client id stays the same over starts without a connection", async () => {
  const world = new World({ relay: false });
  const ids = [];
  for (let start = 0; start < 3; start += 1) {
    const socket = world.client();
    await socket.opened;
    ids.push(socket.clientId);
  }
  assert.equal(new Set(ids).size, 1);
});

test("with a token of another user than the storage's nothing is sent, and the connection closes", async () => {
  const world = new World();
  const alice = await world.connected();
  await alice.disconnect();
  alice.sendMessage("chat_message", { content: "from alice" }, "bob");
  await settle();
  world.relay.user = "carol";
  const carol = await world.connected();
  assert.equal(carol.connectionState, "closed");
  assert.equal(carol.lastError.code, "wrong_user");
  assert.equal(world.relay.log.length, 0);
  const apart = await world.connected({ name: "carol" });
  assert.equal(apart.connectionState, "connected");
  assert.deepEqual(apart.outbox.messages, []);
});

test("forget deletes everything stored, so that another user may begin", async () => {
  const world = new World();
  const socket = await world.connected();
  await socket.disconnect();
  const message = socket.sendMessage("chat_message", { content: "never sent" }, "bob");
  await settle();
  await socket.forget();
  await assert.rejects(message, { name: "AbortError" });
  assert.deepEqual(await world.storage.getAll(""), []);
  world.relay.user = "carol";
  await socket.connect();
  assert.equal(socket.userId, "carol");
  assert.equal(world.relay.log.length, 0);
});

test("a wrong address, or a platform without WebSocket, is refused at once", () => {
  const { WebSocket } = new World().network;
  assert.throws(() => new SocketManager("ftp://relay.test", "token", { WebSocket }), TypeError);
  assert.throws(() => new SocketManager("", "token", { WebSocket }), TypeError);
  if (!globalThis.WebSocket) assert.throws(() => new SocketManager("https://relay.test", "token"), /options\.WebSocket/);
});
