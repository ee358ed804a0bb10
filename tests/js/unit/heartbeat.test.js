import assert from "node:assert/strict";
import { test } from "node:test";

import { settle } from "../fakes/clock.js";
import { FakeBrowser } from "../fakes/browser.js";
import { World } from "../fakes/world.js";

const probes = (socket) => socket.all("heartbeat").filter(({ meta }) => meta.id);

test("a heartbeat is answered with the cursor", async () => {
  const world = new World();
  await world.connected();
  world.relay.write("one");
  world.network.last.event("heartbeat", { cursor: 1 });
  assert.deepEqual(world.network.last.sent.at(-1).payload, { event: "heartbeat", cursor: 1 });
});

test("a server that sends messages is not probed", async () => {
  const world = new World();
  await world.connected();
  for (let beat = 0; beat < 20; beat += 1) {
    await world.clock.advance(25);
    world.network.last.event("heartbeat", { cursor: 0 });
  }
  assert.deepEqual(probes(world.network.last), []);
  assert.equal(world.network.sockets.length, 1);
});

test("after a silence of one and a half intervals the client probes, and an answer is enough", async () => {
  const world = new World();
  const socket = await world.connected();
  await world.clock.advance(300);
  assert.ok(probes(world.network.last).length >= 5);
  assert.equal(socket.connectionState, "connected");
  assert.equal(world.network.sockets.length, 1);
});

test("a half-open connection is dropped within two intervals, and another one is made", async () => {
  const world = new World();
  const socket = await world.connected();
  const [dead] = world.network.sockets;
  dead.onFrame = () => {}; // the network swallows everything
  const { now } = world.clock;
  const start = now();
  while (world.network.sockets.length === 1 && now() - start < 120_000) await world.clock.advance(1);
  assert.ok(now() - start <= 51_000, `it took ${(now() - start) / 1000} s`);
  await world.clock.advance(1);
  assert.equal(socket.connectionState, "connected");
  assert.equal(dead.closed.code, 4000);
  dead.say("chat_message", { content: "a ghost" }, { message_id: 99, seq: 99 });
  assert.deepEqual(socket.contents, []);
});

test("after a sleep the client probes at once, and drops the connection after five seconds without an answer", async () => {
  const world = new World();
  await world.connected();
  world.network.last.onFrame = () => {};
  await world.clock.sleep(3600);
  assert.equal(probes(world.network.last).length, 1);
  await world.clock.advance(4.9);
  assert.equal(world.network.sockets.length, 1);
  await world.clock.advance(1);
  assert.equal(world.network.sockets.length, 2);
});

test("after a sleep that the connection survived there is no new connection", async () => {
  const world = new World();
  const socket = await world.connected();
  await world.clock.sleep(3600);
  await world.clock.advance(20);
  assert.equal(world.network.sockets.length, 1);
  assert.equal(socket.connectionState, "connected");
});

test("a page that is online or visible again probes its connection", async () => {
  const world = new World();
  const tab = new FakeBrowser().tab();
  await world.connected({ page: tab.page, tabs: false });
  tab.fire("online");
  assert.equal(probes(world.network.last).length, 1);
  await world.clock.advance(1);
  tab.show(false);
  tab.show(true);
  assert.equal(probes(world.network.last).length, 2);
});

test("when the page goes offline, a connection that does not answer within a second is dropped, and one that does stays", async () => {
  const world = new World();
  const tab = new FakeBrowser().tab();
  const socket = await world.connected({ page: tab.page, tabs: false, random: () => 1 });
  tab.fire("offline");
  await world.clock.advance(1.1);
  assert.equal(socket.connectionState, "connected", "a server on this machine needs no network");
  world.network.last.onFrame = () => {}; // the network swallows everything
  tab.fire("online"); // five seconds, for the same probe
  tab.fire("offline");
  await world.clock.advance(1.1);
  assert.equal(socket.connectionState, "reconnecting");
});

test("a page that is online or visible again ends the wait for the next try", async () => {
  const world = new World();
  const tab = new FakeBrowser().tab();
  const socket = await world.connected({ page: tab.page, tabs: false, random: () => 1 });
  for (const come of [() => tab.fire("online"), () => tab.show(true)]) {
    world.relay.cut(4404, "retry_after=300");
    assert.equal(socket.connectionState, "reconnecting");
    come();
    await settle();
    assert.equal(socket.connectionState, "connected");
  }
});

test("a hidden page makes the device inactive, over a reconnect as well", async () => {
  const world = new World();
  const tab = new FakeBrowser().tab();
  await world.connected({ page: tab.page, tabs: false });
  tab.show(false);
  assert.equal(world.network.last.all("inactive").length, 1);
  world.relay.cut();
  await world.clock.advance(1);
  assert.equal(world.network.last.all("inactive").length, 1);
  tab.show(true);
  assert.equal(world.network.last.all("active").length, 1);
});

test("background: none leaves the device active", async () => {
  const world = new World();
  const tab = new FakeBrowser().tab();
  await world.connected({ page: tab.page, tabs: false, background: "none" });
  tab.show(false);
  assert.equal(world.network.last.all("inactive").length, 0);
});

test("a page that is left drops its connection without a goodbye, and connects again when it comes back", async () => {
  const world = new World();
  const tab = new FakeBrowser().tab();
  const socket = await world.connected({ page: tab.page, tabs: false });
  tab.fire("pagehide");
  assert.equal(world.network.last.closed.code, 4000);
  world.relay.write("meanwhile");
  tab.fire("pageshow", { persisted: true });
  await settle();
  assert.equal(socket.connectionState, "connected");
  assert.deepEqual(socket.contents, ["meanwhile"]);
});
