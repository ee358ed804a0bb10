import assert from "node:assert/strict";
import { test } from "node:test";

import { MessagingAPI, RestApiClient, SocketManager, Store } from "../../../relay/web/sdk/index.js";
import { World } from "../fakes/world.js";

const { network } = new World({ relay: false });
const make = (options, token = "t", url = "https://relay.test") => new SocketManager(url, token, { WebSocket: network.WebSocket, ...options });
const socket = make();
const messaging = new MessagingAPI(socket);
const { rest, outbox } = socket;

/** Wrong arguments, and the text of the TypeError. */
const MISTAKES = {
  "new SocketManager()": [() => new SocketManager(), /authToken is undefined; right is a text or a function/],
  "an address that is none": [() => make({}, "t", "not an address"), /baseUrl is 'not an address'; right is an address with http/],
  "an address that is no text": [() => make({}, "t", 8484), /baseUrl is 8484; right is an address/],
  "a token that is null": [() => make({}, null), /authToken is null; right is a text or a function/],
  "options that are none": [() => new SocketManager("https://relay.test", "t", "alice"), /options is 'alice'; right is an object/],
  "a name that is empty": [() => make({ name: "" }), /name is ''; right is a text that is not empty/],
  "a storage by its path": [() => make({ storage: "bot-state" }), /storage is 'bot-state'; right is an object/],
  "a WebSocket that is an object": [() => make({ WebSocket: {} }), /WebSocket is \[object Object\]; right is a function/],
  "a limit as a text": [() => make({ outboxLimit: "5" }), /outboxLimit is '5'; right is a number/],
  "a background that is none": [() => make({ background: "away" }), /background is 'away'; right is one of inactive, none/],
  "tabs as a text": [() => make({ tabs: "no" }), /tabs is 'no'; right is true or false/],
  "another token that is none": [() => (socket.authToken = undefined), /authToken is undefined/],
  "registerHandler without a handler": [() => socket.registerHandler("chat_message"), /handler is undefined; right is a function/],
  "registerHandler without a type": [() => socket.registerHandler(() => {}), /type is \(\) => {}; right is a text/],
  "on with a wrong name": [() => socket.on("conected", () => {}), /event is 'conected'; right is one of state, message, .*, leader/],
  "onMessage without a listener": [() => socket.onMessage(), /listener is undefined; right is a function/],
  "onError without a listener": [() => socket.onError(null), /listener is null; right is a function/],
  "onConnectionStateChange without a listener": [() => socket.onConnectionStateChange("x"), /listener is 'x'/],
  "sendMessage without a payload": [() => socket.sendMessage("chat_message"), /payload is undefined; right is an object/],
  "sendMessage with a text": [() => socket.sendMessage("chat_message", "Hi", "bob"), /payload is 'Hi'; right is an object/],
  "sendMessage to many": [() => socket.sendMessage("chat_message", {}, ["bob"]), /targetId is \[bob\]; right is a text/],
  "sendMessage with an id as a number": [() => socket.sendMessage("x", {}, "bob", { id: 5 }), /id is 5; right is a text/],
  "connect with a signal that is none": [() => socket.connect({ signal: 5 }), /signal is 5; right is an object/],
  "ready with a signal that is none": [() => socket.ready({ signal: 5 }), /signal is 5; right is an object/],
  "outbox.retry without an id": [() => outbox.retry(), /id is undefined; right is a text/],
  "outbox.discard of a message": [() => outbox.discard({}), /id is \[object Object\]; right is a text/],
  "new MessagingAPI()": [() => new MessagingAPI(), /socketManager is undefined; right is a SocketManager/],
  "new MessagingAPI with an address": [() => new MessagingAPI(socket, "http://relay.test"), /restApiClient is 'http:\/\/relay.test'; right is a RestApiClient/],
  "new Store without an API": [() => new Store(socket), /messaging is \[object Object\]; right is a MessagingAPI/],
  "new Store()": [() => new Store(), /messaging is undefined; right is a MessagingAPI/],
  "a message to nobody": [() => messaging.sendPrivateMessage(undefined, "Hi"), /userId is undefined; right is a text that is not empty/],
  "a message to no group": [() => messaging.sendGroupMessage("", "Hi"), /groupId is ''; right is a text that is not empty/],
  "a content that is a number": [() => messaging.sendPrivateMessage("bob", 5), /content is 5; right is a text/],
  "an attachment as a text": [() => messaging.sendPrivateMessage("bob", "", "a_1"), /attachments is 'a_1'; right is a list of ids, Files/],
  "an attachment that is a number": [() => messaging.sendGroupMessage("team", "", [5]), /attachments is \[5\]; right is a list of ids, Files/],
  "attachments that are null": [() => messaging.sendPrivateMessage("bob", "", null), /attachments is null; right is a list/],
  "mentions as a text": [() => messaging.sendGroupMessage("team", "Hi", [], { mentions: "bob" }), /mentions is 'bob'; right is a list of texts/],
  "replyTo as a text": [() => messaging.sendPrivateMessage("bob", "Hi", [], { replyTo: "7" }), /replyTo is '7'; right is a number/],
  "an edit without a content": [() => messaging.editMessage("bob", 1), /content is undefined; right is a text/],
  "an edit of no message": [() => messaging.editMessage("bob", undefined, "Hi"), /messageId is undefined; right is a number/],
  "a deletion without a target": [() => messaging.deleteMessage(7), /target is 7; right is a text/],
  "a reaction without an emoji": [() => messaging.react("bob", 7), /emoji is undefined; right is a text/],
  "a reaction taken back without a message": [() => messaging.unreact("bob", "👍"), /messageId is '👍'; right is a number/],
  "onSent without a callback": [() => messaging.onSent(), /callback is undefined; right is a function/],
  "retryMessage without an id": [() => messaging.retryMessage(), /id is undefined; right is a text/],
  "discardMessage without an id": [() => messaging.discardMessage(), /id is undefined; right is a text/],
  "history of nobody": [() => messaging.getPrivateMessageHistory(), /userId is undefined; right is a text/],
  "history of no group": [() => messaging.getGroupMessageHistory(null), /groupId is null; right is a text/],
  "messages of nobody": [() => messaging.privateMessages(), /userId is undefined; right is a text/],
  "messages of no group": [() => messaging.groupMessages(5), /groupId is 5; right is a text/],
  "markAsRead of one": [() => messaging.markAsRead(7), /messageIds is 7; right is a list of numbers/],
  "markAsRead of texts": [() => messaging.markAsRead(["7"]), /messageIds is \[7\]; right is a list of numbers/],
  "markConversationRead without a seq": [() => messaging.markConversationRead("bob"), /seq is undefined; right is a number/],
  "a status that is none": [() => messaging.updateStatus("Busy"), /status is 'Busy'; right is one of online, away, busy, offline/],
  "until as a text": [() => messaging.updateStatus("busy", { until: "noon" }), /until is 'noon'; right is seconds or a Date/],
  "following nobody": [() => messaging.subscribeToUserStatus(undefined), /userIds is \[\]; right is a list of texts/],
  "following with a callback that is none": [() => messaging.subscribeToUserStatus("bob", "log"), /callback is 'log'; right is a function/],
  "unfollowing a number": [() => messaging.unfollow(5), /userIds is \[5\]; right is a list of texts/],
  "a stream to nobody": [() => messaging.stream(), /target is undefined; right is a text/],
  "a stream that answers a text": [() => messaging.stream("bob", { replyTo: "7" }), /replyTo is '7'; right is a number/],
  "typing to nobody": [() => messaging.sendTyping(), /target is undefined; right is a text/],
  "typing that is a text": [() => messaging.sendTyping("bob", "yes"), /typing is 'yes'; right is true or false/],
  "subscribeToNotifications without a callback": [() => messaging.subscribeToNotifications(), /callback is undefined; right is a function/],
  "a search for nothing": [() => messaging.searchMessages(), /query is undefined; right is a text/],
  "a search for all of nothing": [() => messaging.searchAllMessages(5).next(), /query is 5; right is a text/],
  "a group without a name": [() => messaging.createGroup(), /name is undefined; right is a text/],
  "a group with one member": [() => messaging.createGroup("Team", "bob"), /members is 'bob'; right is a list of texts/],
  "a group with a history that is none": [() => messaging.createGroup("Team", [], { history: "all" }), /history is 'all'; right is one of join, start/],
  "a group renamed to nothing": [() => messaging.renameGroup("team"), /name is undefined; right is a text/],
  "a member of no group": [() => messaging.addMember(undefined, "bob"), /groupId is undefined; right is a text/],
  "a role that is none": [() => messaging.addMember("team", "bob", "boss"), /role is 'boss'; right is one of owner, admin, member/],
  "removing nobody": [() => messaging.removeMember("team"), /userId is undefined; right is a text/],
  "an action of no message": [() => messaging.act(), /messageId is undefined; right is a number/],
  "an action without an id": [() => messaging.act(7, ""), /name is ''; right is a text that is not empty/],
  "leaving nothing": [() => messaging.leaveGroup(), /groupId is undefined; right is a text/],
  "uploading a text": [() => messaging.uploadAttachment("photo.png"), /file is 'photo.png'; right is a File, a Blob or, in Node, {path}/],
  "uploading nothing": [() => rest.uploadAttachment(), /file is undefined; right is a File/],
  "new RestApiClient with a token that is none": [() => new RestApiClient("https://relay.test", 5), /authToken is 5; right is a text/],
  "new RestApiClient with a timeout that is none": [() => new RestApiClient("https://relay.test", "t", { timeout: "1s" }), /timeout is '1s'; right is a number/],
  "a request without a path": [() => rest.request("GET"), /path is undefined; right is a text/],
  "a query that is a text": [() => rest.getUserMessages("bob", "new"), /query is 'new'; right is an object/],
  "a login without a body": [() => rest.login(), /body is undefined; right is an object/],
  "a registration without a body": [() => rest.register("erin"), /body is 'erin'; right is an object/],
  "no changes": [() => rest.updateMe(), /body is undefined; right is an object/],
  "a user that is none": [() => rest.getUser(""), /userId is ''; right is a text that is not empty/],
  "the status of nobody": [() => rest.getStatus(), /userId is undefined/],
  "following nobody by REST": [() => rest.follow(), /userId is undefined/],
  "unfollowing nobody by REST": [() => rest.unfollow(), /userId is undefined/],
  "a device that is none": [() => rest.revokeDevice(), /clientId is undefined/],
  "an envelope that is none": [() => rest.sendMessage(), /envelope is undefined; right is an object/],
  "messages of nobody by REST": [() => rest.getUserMessages(), /userId is undefined/],
  "messages of no group by REST": [() => rest.getGroupMessages(), /groupId is undefined/],
  "an acknowledgement without a body": [() => rest.acknowledge(), /body is undefined/],
  "markRead without a body": [() => rest.markRead([7]), /body is \[7\]; right is an object/],
  "a search by REST for nothing": [() => rest.search(), /q is undefined; right is a text/],
  "a group without a body": [() => rest.createGroup("Team"), /body is 'Team'; right is an object/],
  "a group that is none": [() => rest.getGroup(), /groupId is undefined/],
  "a group's changes that are none": [() => rest.updateGroup("team", "Name"), /body is 'Name'; right is an object/],
  "a group to delete that is none": [() => rest.deleteGroup(), /groupId is undefined/],
  "a member that is none": [() => rest.putMember("team"), /userId is undefined/],
  "a member to remove that is none": [() => rest.removeMember("team"), /userId is undefined/],
  "an attachment that is none": [() => rest.getAttachment(), /attachmentId is undefined/],
  "a download of nothing": [() => rest.downloadAttachment(), /attachmentId is undefined/],
  "an attachment to delete that is none": [() => rest.deleteAttachment(), /attachmentId is undefined/],
  "the address of no attachment": [() => rest.attachmentUrl(), /attachmentId is undefined/],
};

for (const [mistake, [call, said]] of Object.entries(MISTAKES)) {
  test(`${mistake}: a TypeError names the argument and what is wanted`, async () => {
    await assert.rejects(async () => call(), (/** @type {Error} */ error) => {
      assert.ok(error instanceof TypeError, String(error));
      assert.match(error.message, said);
      return true;
    });
    assert.deepEqual(outbox.messages, []);
  });
}

test("every public method with arguments is among the tested ones", () => {
  const tried = Object.values(MISTAKES).map(([call]) => String(call)).join("\n");
  const without = new Set(["constructor", "reconnect", "disconnect", "forget", "isNotifier", "report", "close", "getConversations", "synchronizeMessages"]);
  for (const Class of [SocketManager, MessagingAPI]) {
    for (const name of Object.getOwnPropertyNames(Class.prototype)) {
      const { value } = /** @type {any} */ (Object.getOwnPropertyDescriptor(Class.prototype, name));
      if (typeof value === "function" && !without.has(name)) assert.ok(tried.includes(`.${name}(`), name);
    }
  }
});

test("optional arguments may be left out or null", () => {
  make({ clientId: undefined, signal: undefined, tabs: true, storage: "auto" });
  new RestApiClient("https://relay.test");
  messaging.updateStatus("busy", { text: undefined, until: new Date() });
  socket.sendMessage("status_update", { status: "online" }, null);
  messaging.sendPrivateMessage("bob", "");
});
