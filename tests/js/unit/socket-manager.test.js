import assert from "node:assert/strict";
import { mock, test } from "node:test";

import { settle } from "../fakes/clock.js";
import { FakeBrowser } from "../fakes/browser.js";
import { World } from "../fakes/world.js";

test("an error without a listener goes to the console, and a listener that throws is not called again for it", async () => {
  const world = new World();
  const socket = await world.connected();
  const written = mock.method(console, "error", () => {});
  socket.onError(() => {
    throw new Error("in the listener");
  });
  socket.onMessage(() => {
    throw new Error("in a handler");
  });
  world.relay.write("one");
  assert.deepEqual(written.mock.calls.map(({ arguments: [error] }) => error.message), ["in the listener"]);
  const silent = new socket.constructor("https://relay.test", "token", { WebSocket: world.network.WebSocket, storage: world.storage, clock: world.clock });
  silent.on("state", () => {
    throw new Error("nobody asked");
  });
  void silent.connect();
  await settle();
  assert.match(written.mock.calls[1].arguments[0].message, /nobody asked/);
  written.mock.restore();
});

test("a message's listener that throws does not stop the outbox", async () => {
  const world = new World();
  const socket = await world.connected();
  const written = mock.method(console, "error", () => {});
  const one = socket.sendMessage("chat_message", { content: "one" }, "bob");
  one.onChange(() => {
    throw new Error("mine");
  });
  const two = socket.sendMessage("chat_message", { content: "two" }, "bob");
  await two;
  assert.equal(one.state, "sent");
  assert.equal(written.mock.callCount(), 1);
  written.mock.restore();
});

test("connect, disconnect and connect again at once make one connection", async () => {
  const world = new World();
  const tab = new FakeBrowser().tab();
  const socket = world.client({ page: tab.page, tabs: false });
  const first = socket.connect();
  void socket.disconnect();
  await assert.rejects(first, { code: 1000 });
  await socket.connect();
  await settle();
  assert.equal(world.network.sockets.length, 1);
  tab.show(false);
  assert.equal(world.network.last.all("inactive").length, 1);
});

test("a connect during the goodbye is not undone by it", async () => {
  const world = new World();
  const socket = await world.connected();
  world.network.last.onFrame = () => {}; // the server takes its time
  const leaving = socket.disconnect();
  await socket.connect();
  await world.clock.advance(3);
  await leaving;
  assert.equal(socket.connectionState, "connected");
});

test("with a signal that was aborted before, connect does nothing", async () => {
  const world = new World();
  const socket = world.client({ signal: AbortSignal.abort() });
  await assert.rejects(socket.connect(), { name: "AbortError" });
  assert.equal(world.network.sockets.length, 0);
});

test("a storage that cannot be opened closes the connection, with its error", async () => {
  const world = new World();
  const socket = world.client({ storage: Promise.reject(Object.assign(new Error("in use by another process"), { code: "ELOCKED" })) });
  await assert.rejects(socket.connect(), { code: "ELOCKED" });
  assert.equal(socket.connectionState, "closed");
});

test("a discarded or answered message does not come back when messages of another tab are read from the storage", async () => {
  const world = new World();
  const browser = new FakeBrowser();
  const tab = browser.tab();
  const socket = await world.connected(tab.options);
  await socket.ready();
  const told = [];
  socket.on("sent", ({ state }) => told.push(state));
  const apply = world.storage.apply;
  let release = () => {};
  await socket.sendMessage("chat_message", { content: "one" }, "bob");
  await settle();
  world.storage.apply = async (batch) => {
    await new Promise((resolve) => (release = resolve));
    return apply(batch);
  };
  void socket.sendMessage("chat_message", { content: "two" }, "bob");
  await settle();
  release();
  await settle(); // sent, answered, and its deletion waits for the disk
  const reading = refresh(socket, browser);
  await settle();
  release();
  await reading;
  assert.deepEqual(told.filter((state) => state === "queued").length, 2);
});

/** Another tab sends requests, of which one is lost: the tab with the connection reads the storage again. */
async function refresh(socket, browser) {
  const other = browser.tab();
  const [own] = browser.channels;
  const channel = new other.BroadcastChannel(own.name);
  for (const number of [1, 3]) channel.postMessage({ from: "other", kind: "request", number, request: {} });
  await settle();
  return socket;
}
