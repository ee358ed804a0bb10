import assert from "node:assert/strict";
import { test } from "node:test";

import { MessagingAPI } from "../../../relay/web/sdk/index.js";
import "../../../relay/web/sdk/messaging/refused-follows.js"; // loaded on demand; loaded here before, as a test on virtual time cannot wait for the disk
import "../../../relay/web/sdk/messaging/paging.js";
import { settle } from "../fakes/clock.js";
import { World } from "../fakes/world.js";

const status = (user_id, status = "online") => ({ user_id, status, text: null, until: null, last_seen: null });

/** A connected client, and a server with its own answers to `follow`. */
async function following(answer) {
  const world = new World({ relay: false });
  const socket = world.client();
  const messaging = new MessagingAPI(socket);
  const heard = [];
  socket.connect().catch(() => {});
  await settle();
  const { last } = world.network;
  last.onFrame = ({ type, payload, meta }) => {
    if (payload.event === "hello") {
      last.event("ready", { user_id: "alice", session_id: "s", resumed: false, cursor: 0, epoch: "e", heartbeat_seconds: 0 });
      last.event("synced", { cursor: 0, replayed: 0 });
    }
    if (type === "follow") queueMicrotask(() => last.say(...answer(payload.user_ids, { ref: meta.id })));
  };
  last.accept();
  await settle();
  return { world, socket, messaging, heard, hear: (one) => heard.push(`${one.user_id} ${one.status}`) };
}

const refusing = (unknown) => (ids, meta) =>
  ids.some((id) => unknown.includes(id))
    ? ["error", { code: "not_found", message: "there is no such user", retry: false }, meta]
    : ["ack", { timestamp: 1, duplicate: false, statuses: ids.map((id) => status(id)) }, meta];

test("an unknown user is reported and the others are followed, on a server that refuses the whole request", async () => {
  const { socket, messaging, heard, hear } = await following(refusing(["nobody", "noone"]));
  messaging.subscribeToUserStatus(["bob", "nobody", "carol", "noone", "dave"], hear);
  await settle();
  await settle();
  assert.deepEqual(heard.sort(), ["bob online", "carol online", "dave online"]);
  assert.deepEqual(socket.errors.map(({ code, details }) => [code, details.user_id]), [["not_found", "nobody"], ["not_found", "noone"]]);
  assert.match(socket.errors[0].message, /'nobody' cannot be followed/);
  assert.deepEqual(socket.outbox.messages, []);
});

test("an unknown user is reported and the others are followed, on a server that names the unknown ones", async () => {
  const { socket, messaging, heard, hear } = await following((ids, meta) => {
    const statuses = ids.filter((id) => id !== "nobody").map((id) => status(id));
    return ["ack", { timestamp: 1, duplicate: false, statuses, unknown: ids.filter((id) => id === "nobody") }, meta];
  });
  messaging.subscribeToUserStatus(["bob", "nobody"], hear);
  await settle();
  assert.deepEqual(heard, ["bob online"]);
  assert.deepEqual(socket.errors.map(({ code, details }) => [code, details.user_id]), [["not_found", "nobody"]]);
});

test("the first status comes once, whether the hello or the ack of the request brings it", async () => {
  const { world, messaging, heard, hear } = await following(refusing([]));
  const { user_id, ...payload } = status("bob");
  world.network.last.say("status_update", payload, { sender_id: user_id });
  messaging.subscribeToUserStatus("bob", hear);
  await settle();
  assert.deepEqual(heard, ["bob online"]);
  world.network.last.say("status_update", { ...payload, status: "busy" }, { sender_id: user_id });
  assert.deepEqual(heard, ["bob online", "bob busy"]);
});

test("a callback that throws does not stop the others, and its error goes to onError", async () => {
  const { socket, messaging, heard, hear } = await following(refusing([]));
  messaging.subscribeToUserStatus("bob", () => {
    throw new Error("a fault of the application's");
  });
  messaging.subscribeToUserStatus("bob", hear);
  await settle();
  assert.deepEqual(heard, ["bob online"]);
  assert.deepEqual(socket.errors.map(({ message }) => message), ["a fault of the application's"]);
});

/** The answers of a server that has two undelivered messages. */
function undelivered(acknowledged) {
  const asked = [];
  const fetch = async (address, { method, body }) => {
    const { pathname } = new URL(address);
    asked.push(`${method} ${pathname} ${body ?? ""}`.trim());
    if (pathname === "/api/messages/acknowledge") return acknowledged(JSON.parse(body));
    return Response.json({ messages: [{ type: "chat_message", payload: { content: "Hi" }, meta: { message_id: 7 } }], cursor: 7, has_more: false });
  };
  return { asked, fetch };
}

test("without a connection synchronizeMessages acknowledges over REST", async () => {
  const { asked, fetch } = undelivered(({ cursor }) => Response.json({ cursor }));
  const socket = new World({ relay: false }).client({ fetch });
  const { messages, cursor, acknowledged } = await new MessagingAPI(socket).synchronizeMessages();
  assert.deepEqual([messages.length, cursor, acknowledged], [1, 7, true]);
  assert.deepEqual(asked, ["GET /api/messages/undelivered", 'POST /api/messages/acknowledge {"cursor":7}']);
});

test("fetched messages are returned even if the acknowledgement fails, and its error is reported", async () => {
  const { fetch } = undelivered(() => Response.json({ code: "not_found", detail: "there is no such call" }, { status: 404 }));
  const socket = new World({ relay: false }).client({ fetch });
  const { messages, acknowledged } = await new MessagingAPI(socket).synchronizeMessages();
  assert.deepEqual([messages.length, acknowledged], [1, false]);
  assert.deepEqual(socket.errors.map(({ code }) => code), ["not_found"]);
});
