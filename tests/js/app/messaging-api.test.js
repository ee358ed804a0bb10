/** MessagingAPI and RestApiClient against the real server, every method. */

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { WebSocket } from "ws";

import { MessagingAPI, RestApiClient, SocketManager, Store, memoryStorage } from "../../../relay/web/sdk/index.js";
import { Device, UNLIMITED, until } from "../support/devices.js";
import { Server } from "../support/server.js";

/** @type {Server} */
let server;
/** @type {Record<string, string>} */
let tokens;
/** @type {Device} */
let alice;
/** @type {Device} */
let bob;

before(async () => {
  server = await new Server({ ...UNLIMITED, accounts: { registration: "open" } }).start();
  await server.run("user", "add", "root", "--admin");
  tokens = await server.users("alice", "bob", "carol", "dave", "root");
  alice = await new Device(server.url, tokens.alice ?? "").connect();
  bob = await new Device(server.url, tokens.bob ?? "").connect();
});

after(async () => {
  await Promise.all([alice, bob].map((device) => device?.close()));
  await server?.close();
});

/** @param {Device} device @param {string} target */
function contents(device, target) {
  return device.store.conversation(target).messages.map(({ payload }) => payload.content);
}

// ---- RestApiClient

test("every call of RestApiClient is answered by the server", async () => {
  const rest = new RestApiClient(server.url);
  const login = await rest.register({ user_id: "erin", password: "correct horse", display_name: "Erin", client_id: "laptop" });
  assert.equal(login.user_id, "erin");
  await rest.logout();
  assert.equal(rest.authToken, null);
  await assert.rejects(rest.getMe(), { code: "forbidden", status: 401 });
  await rest.login({ user_id: "erin", password: "correct horse", client_id: "laptop" });
  assert.equal((await rest.getMe()).display_name, "Erin");
  assert.equal((await rest.updateMe({ display_name: "Erin E." })).display_name, "Erin E.");
  assert.deepEqual((await rest.findUsers("bob")).users, [{ user_id: "bob", display_name: "bob", picture: null }]);
  assert.deepEqual(await rest.getUser("bob"), { user_id: "bob", display_name: "bob", picture: null, disabled: false });
  await rest.follow("dave");
  assert.deepEqual((await rest.getFollowingStatus()).statuses.map(({ user_id }) => user_id), ["dave"]);
  await rest.unfollow("dave");
  assert.equal((await rest.getStatus("dave")).status, "offline");

  const envelope = { type: "chat_message", payload: { content: "Hi" }, meta: { target_id: "dave", id: "e-1" } };
  const ack = await rest.sendMessage(envelope);
  assert.deepEqual({ ...(await rest.sendMessage(envelope)), duplicate: false }, ack);
  const dave = new RestApiClient(server.url, tokens.dave);
  assert.deepEqual((await dave.getUndelivered()).messages.map(({ meta }) => meta.id), ["e-1"]);
  assert.deepEqual((await dave.getUserMessages("erin")).messages.map(({ payload }) => payload.content), ["Hi"]);
  assert.deepEqual((await dave.markRead({ target_id: "erin", up_to_seq: 1 })).read, [{ target_id: "erin", up_to_seq: 1, unread: 0 }]);
  assert.equal((await dave.getConversations()).conversations.length, 1);
  assert.equal((await dave.search("Hi")).results[0]?.snippet, "<mark>Hi</mark>");
  assert.deepEqual((await dave.getNotifications()).messages, []);

  const group = await rest.createGroup({ name: "Crew", group_id: "crew", members: ["dave"] });
  assert.deepEqual((await rest.getGroups()).groups.map(({ group_id }) => group_id), ["crew"]);
  assert.deepEqual(new Set((await rest.getGroup("crew")).members), new Set(group.members));
  assert.equal((await rest.updateGroup("crew", { name: "The crew" })).name, "The crew");
  assert.equal((await rest.putMember("crew", "carol", { role: "admin" })).members.length, 3);
  await rest.removeMember("crew", "carol");
  assert.deepEqual((await rest.getGroupMessages("crew")).messages.map(({ payload }) => payload.event), [
    "created", "renamed", "member_added", "member_removed",
  ]);
  await rest.deleteGroup("crew");

  const kept = await rest.uploadAttachment(new Blob(["{}"]), { name: "a.json" });
  assert.deepEqual(await rest.getAttachment(kept.attachment_id), kept);
  const file = await rest.downloadAttachment(kept.attachment_id);
  assert.deepEqual([file.name, file.type, await file.text()], ["a.json", "text/plain", "{}"]);
  assert.equal(await (await rest.downloadAttachment(kept.attachment_id, { range: [1] })).text(), "}");
  await rest.deleteAttachment(kept.attachment_id);
  await assert.rejects(rest.getAttachment(kept.attachment_id), { code: "not_found" });
  assert.deepEqual(await rest.request("GET", "/healthz"), { status: "ok" });

  const device = await new Device(server.url, String(rest.authToken), { socket: { clientId: "laptop" } }).connect();
  assert.deepEqual((await rest.getDevices()).devices.map(({ client_id }) => client_id), ["laptop"]);
  await rest.revokeDevice("laptop");
  await until(() => device.socket.connectionState === "closed", "the revoked device's end");
  await device.close();
});

test("a refusal of the server is a RelayError", async () => {
  await assert.rejects(alice.messaging.restApi.getUser("nobody"), { name: "RelayError", code: "not_found", status: 404 });
  await assert.rejects(alice.messaging.restApi.getUserMessages("bob", { limit: 500 }), { code: "invalid_payload" });
});

// ---- messages

test("a private message with all its options arrives as it was sent", async () => {
  const first = await bob.messaging.sendPrivateMessage("alice", "Lunch?");
  const options = { replyTo: first.message_id, mentions: ["bob"], extra: { mood: "hungry" }, id: "own-1" };
  const ack = await alice.messaging.sendPrivateMessage("bob", "Yes", [], options);
  const message = await until(() => bob.store.conversation("alice").messages.find(({ id }) => id === "own-1"), "the answer");
  assert.deepEqual(message.payload, { content: "Yes", reply_to: first.message_id, mentions: ["bob"], extra: { mood: "hungry" } });
  assert.equal(message.messageId, ack.message_id);
  const [line] = bob.store.conversations;
  assert.deepEqual([line?.target, line?.unreadMentions], ["alice", 1]);
});

test("a message is queued, sent, delivered and read", async () => {
  /** @type {string[]} */
  const states = [];
  const sent = alice.messaging.sendPrivateMessage("bob", "How far?");
  sent.onChange(({ state }) => states.push(state));
  assert.equal(sent.state, "queued");
  await sent;
  await until(() => sent.state === "delivered", "the delivery");
  bob.store.markRead("alice");
  await until(() => sent.state === "read", "the reading");
  assert.deepEqual(states, ["sent", "delivered", "read"]);
  assert.equal(alice.store.conversation("bob").messages.at(-1)?.state, "read");
});

test("messages are edited, deleted, reacted to, and read by ids", async () => {
  const { message_id: id = 0 } = await alice.messaging.sendPrivateMessage("bob", "Speling");
  await alice.messaging.editMessage("bob", id, "Spelling");
  await bob.messaging.react("alice", id, "👍");
  const shown = () => bob.store.conversation("alice").messages.find(({ messageId }) => messageId === id);
  await until(() => shown()?.payload.content === "Spelling" && shown()?.reactions.length === 1, "the edit and the reaction");
  await bob.messaging.unreact("alice", id, "👍");
  await until(() => shown()?.reactions.length === 0, "the reaction's end");
  const read = await bob.messaging.markAsRead([id]);
  assert.equal(read[0]?.unread, 0);
  assert.deepEqual(await bob.messaging.markAsRead([]), []);
  await alice.messaging.deleteMessage("bob", id);
  await until(() => shown()?.deletedAt !== null, "the deletion");
});

test("a group can be created, renamed, written to, joined and left", async () => {
  const { group_id: group } = await alice.messaging.createGroup("The team", ["bob"], { groupId: "team", history: "start" });
  await alice.messaging.sendGroupMessage(group, "Lunch, everybody", [], { mentions: ["*"] });
  await until(() => contents(bob, "team").includes("Lunch, everybody"), "the message");
  await alice.messaging.renameGroup(group, "The crew");
  await alice.messaging.addMember(group, "carol", "admin");
  await until(() => bob.store.conversations.find(({ target }) => target === "team")?.name === "The crew", "the name");
  await alice.messaging.removeMember(group, "carol");
  await bob.messaging.leaveGroup(group);
  await until(() => bob.store.conversations.every(({ target }) => target !== "team"), "the group's end");
  await alice.messaging.addMember(group, "bob");
  await until(() => bob.store.conversations.find(({ target }) => target === "team")?.kind === "group", "the return");
  await bob.store.loadOlder("team");
  assert.ok(contents(bob, "team").includes("Lunch, everybody"), "its history is there from the start");
});

test("history comes in pages and one by one, in both directions", async () => {
  for (let count = 1; count <= 7; count += 1) await alice.messaging.sendPrivateMessage("carol", String(count));
  const page = await alice.messaging.getPrivateMessageHistory("carol", { limit: 3 });
  assert.deepEqual(page.messages.map(({ payload }) => payload.content), ["5", "6", "7"]);
  assert.deepEqual([page.hasMore, page.nextBefore, page.nextAfter], [true, 5, 7]);
  const walk = async (/** @type {object} */ options) => {
    const found = [];
    for await (const { payload } of alice.messaging.privateMessages("carol", options)) found.push(payload.content);
    return found.join("");
  };
  assert.equal(await walk({ limit: 2 }), "7654321");
  assert.equal(await walk({ limit: 2, oldestFirst: true }), "1234567");
  assert.equal(await walk({ limit: 2, after: 4 }), "567");
  assert.equal(await walk({ before: 3 }), "21");
  assert.equal(await walk({ q: "5" }), "5");
  const group = [];
  for await (const { type } of alice.messaging.groupMessages("team", { type: "group_message" })) group.push(type);
  assert.deepEqual(group, ["group_message"]);
  assert.equal((await alice.messaging.getGroupMessageHistory("team", { limit: 1 })).hasMore, true);
  const rows = await alice.messaging.getConversations();
  assert.ok(rows.some(({ target_id }) => target_id === "team"));
});

test("search results come in pages and one by one", async () => {
  for (const word of ["zebra one", "zebra two", "zebra three"]) await alice.messaging.sendPrivateMessage("carol", word);
  const page = await alice.messaging.searchMessages("zebra", { limit: 2, order: "newest", user: "carol" });
  assert.deepEqual(page.results.map(({ message }) => message.payload.content), ["zebra three", "zebra two"]);
  assert.equal(page.hasMore, true);
  const all = [];
  for await (const { snippet } of alice.messaging.searchAllMessages("zebra", { limit: 1 })) all.push(snippet);
  assert.equal(all.length, 3);
});

test("synchronizeMessages without a connection returns what no device has had, and acknowledges it", async () => {
  await alice.messaging.sendPrivateMessage("dave", "Are you there?");
  const dave = new Device(server.url, tokens.dave ?? "");
  const came = await dave.messaging.synchronizeMessages();
  assert.ok(came.messages.some(({ payload }) => payload.content === "Are you there?"));
  assert.equal(came.acknowledged, true);
  const again = await dave.messaging.synchronizeMessages();
  const types = new Set(again.messages.map(({ type }) => type));
  types.delete("read_receipt"); // that these were delivered is news as well, once, and may come a moment later
  assert.deepEqual([...types], []);
  await until(async () => (await dave.messaging.synchronizeMessages()).messages.length === 0, "the end of the news");
  assert.deepEqual(dave.faults, []);
  await dave.close();
});

test("synchronizeMessages with a connection acknowledges over it", async () => {
  await alice.messaging.sendPrivateMessage("dave", "Still there?");
  const dave = new Device(server.url, tokens.dave ?? "", { socket: { ackSeconds: 3600 } });
  const { restApi } = dave.messaging;
  await dave.connect();
  const { acknowledged } = await dave.messaging.synchronizeMessages();
  assert.equal(acknowledged, true);
  const left = async () => (await restApi.getUndelivered()).messages.filter(({ type }) => type === "chat_message");
  await until(async () => (await left()).length === 0, "the acknowledgement");
  await dave.close();
});

// ---- presence and notifications

test("callbacks get statuses at once and at every change, until they end", async () => {
  /** @type {string[]} */
  const heard = [];
  const end = alice.messaging.subscribeToUserStatus("bob", ({ status, text }) => heard.push(`${status} ${text}`));
  await until(() => heard.includes("online null"), "how bob is");
  await bob.messaging.updateStatus("busy", { text: "lunch", until: new Date(Date.now() + 60_000) });
  await until(() => heard.includes("busy lunch"), "the change");
  assert.equal(alice.store.presence("bob").status, "busy");
  /** @type {string[]} */
  const second = [];
  alice.messaging.subscribeToUserStatus(["bob"], ({ status }) => second.push(status));
  await until(() => second.length === 1, "what is known already");
  end();
  await bob.messaging.updateStatus("online");
  await until(() => second.includes("online"), "the second's change");
  assert.equal(heard.at(-1), "busy lunch");
  await alice.messaging.unfollow("bob");
  assert.deepEqual((await alice.messaging.restApi.getFollowingStatus()).statuses, []);
});

test("an unknown user does not stop the others; the first status of each comes once", async (context) => {
  const carol = await new Device(server.url, tokens.carol ?? "").connect();
  context.after(() => carol.close());
  /** @type {string[]} */
  const heard = [];
  const hear = (/** @type {{ user_id: string, status: string }} */ { user_id, status }) => heard.push(`${user_id} ${status}`);
  carol.messaging.subscribeToUserStatus(["bob", "nobody"], hear);
  await until(() => heard.length > 0 && carol.faults.length > 0, "bob's status, and an error for the other");
  assert.deepEqual(heard.map((one) => one.split(" ")[0]), ["bob"]);
  assert.deepEqual(carol.faults.map(({ message }) => /'nobody' cannot be followed/.test(message)), [true]);
  const again = new Device(server.url, tokens.carol ?? "");
  context.after(() => again.close());
  again.messaging.subscribeToUserStatus("bob", hear);
  await again.connect();
  await again.socket.outbox.flush();
  assert.equal(heard.length, 2, String(heard));
});

test("the error of a wrong path or port says what is wrong", async () => {
  for (const [url, said] of /** @type {[string, RegExp][]} */ ([
    [`${server.url}/ws`, /Unexpected server response: 404; nothing at \S+\/ws speaks relay \(GET \/healthz: HTTP 404\)/],
    ["http://127.0.0.1:1", /connect ECONNREFUSED 127\.0\.0\.1:1; nothing answers at http:\/\/127\.0\.0\.1:1/],
  ])) {
    const socket = new SocketManager(url, tokens.alice ?? "", { WebSocket, storage: memoryStorage(), backoff: { base: 0.05, cap: 0.5 } });
    socket.connect().catch(() => {});
    try {
      await until(() => said.test(socket.lastError?.message ?? ""), `what is wrong with ${url}`, 10);
    } catch (error) {
      assert.match(socket.lastError?.message ?? "", said, String(error));
    } finally {
      await socket.disconnect();
    }
  }
});

test("typing is sent while it lasts, and no more often than needed", async () => {
  /** @type {boolean[]} */
  const heard = [];
  const end = bob.socket.registerHandler("typing_indicator", ({ payload }) => heard.push(payload.typing));
  for (let key = 0; key < 10; key += 1) alice.messaging.sendTyping("bob");
  await until(() => bob.store.typing("alice").length === 1, "the typing");
  alice.messaging.sendTyping("bob", false);
  await until(() => bob.store.typing("alice").length === 0, "its end");
  alice.messaging.sendTyping("bob", false);
  alice.messaging.sendTyping("bob");
  await alice.messaging.sendPrivateMessage("bob", "There");
  await until(() => heard.length === 4, "the second typing, which the message ended");
  assert.deepEqual(heard, [true, false, true, false]);
  end();
});

test("notifications arrive, are counted and can be read", async () => {
  /** @type {string[]} */
  const heard = [];
  const end = alice.messaging.subscribeToNotifications(({ payload }) => heard.push(payload.title));
  await server.run("notify", "alice", "Backup failed");
  await server.run("notify", "*", "Maintenance tonight");
  await until(() => heard.length === 2 && alice.store.notifications.unread === 2, "both");
  assert.deepEqual(alice.store.notifications.messages.map(({ payload }) => payload.title), ["Backup failed", "Maintenance tonight"]);
  const fresh = new Store(new MessagingAPI(alice.socket));
  await fresh.ready;
  assert.equal(fresh.notifications.unread, 2);
  alice.store.markNotificationsRead();
  assert.equal(alice.store.notifications.unread, 0);
  await until(async () => (await alice.messaging.restApi.getNotifications()).unread === 0, "the server's count");
  fresh.close();
  end();
});
