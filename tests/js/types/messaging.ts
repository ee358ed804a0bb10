// The application side of the SDK as an application in TypeScript uses it: every method, property and option.

import { MessagingAPI, RelayError, RestApiClient, SocketManager, Store } from "relay-sdk";
import type { Attachment, ConversationRow, Envelope, Group, Login, Me, PayloadOf, Status, TokenProvider, User } from "relay-sdk";
import { openFile } from "relay-sdk/node";

declare const socket: SocketManager;

export async function calls(): Promise<void> {
  const provider: TokenProvider = ({ reason }) => `token for ${reason}`;
  const rest = new RestApiClient("https://relay.example.org", provider, { fetch: globalThis.fetch, timeout: 10, random: Math.random });
  new RestApiClient("wss://relay.example.org");
  const signal = AbortSignal.timeout(1000);
  const url: string = rest.baseUrl;
  rest.authToken = null;

  const login: Login = await rest.login({ user_id: "alice", password: "secret", client_id: "laptop" }, { signal });
  await rest.register({ user_id: "alice", password: "secret", invite: "i", display_name: "Alice", client_id: "laptop" });
  const me: Me = await rest.getMe({ signal });
  await rest.updateMe({ display_name: "A", presence_to: "shared", receipts: false, password: "new", current_password: "old" });
  const seen: number | undefined = (await rest.getDevices({ limit: 10, cursor: "x" })).devices[0]?.seen_at;
  await rest.revokeDevice("phone");

  const user: User = await rest.getUser("bob");
  const names: string[] = (await rest.findUsers("bo", { limit: 5 })).users.map(({ display_name }) => display_name);
  const status: Status = await rest.getStatus("bob");
  const statuses: Status[] = (await rest.getFollowingStatus()).statuses;
  await rest.follow("bob");
  await rest.unfollow("bob");

  const ack = await rest.sendMessage({ type: "chat_message", payload: { content: "Hi" }, meta: { target_id: "bob", id: "1" } });
  const page = await rest.getUserMessages("bob", {
    before: 9, since: new Date(), until: "2026-01-01", q: "x", type: "chat_message", sender: "bob", limit: 5,
  });
  await rest.getGroupMessages("team", { around: 5 }, { signal });
  await rest.getGroupMessages("team", { after: 5 });
  const first: Envelope | undefined = page.messages[0] ?? page.latest[0];
  const undelivered: number = (await rest.getUndelivered({ cursor: 5, limit: 10 })).cursor;
  const left: number | undefined = (await rest.markRead({ message_ids: [1], private: true })).read[0]?.unread;
  await rest.markRead({ target_id: "alice", up_to_seq: 3, kind: "self" });
  const snippet = (await rest.search("x", { user: "bob", group: "team", order: "newest", cursor: "c" })).results[0]?.snippet;
  const rows: ConversationRow[] = (await rest.getConversations({ limit: 200 })).conversations;
  const unread: number = (await rest.getNotifications({ before: 9, limit: 5 })).unread;

  const group: Group = await rest.createGroup({ name: "Team", members: ["bob"], group_id: "team", history: "start" });
  const role: "owner" | "admin" | "member" | undefined = (await rest.getGroups({ cursor: null })).groups[0]?.role;
  await rest.getGroup("team");
  await rest.updateGroup("team", { name: "Crew" });
  await rest.putMember("team", "bob", { role: "admin" });
  await rest.removeMember("team", "bob");
  await rest.deleteGroup("team");

  const kept: Attachment = await rest.uploadAttachment(new Blob(), { name: "a", onProgress: (loaded, total) => loaded / total, signal });
  await rest.uploadAttachment({ path: "/tmp/a", name: "a", type: "text/plain" });
  const file: File = await rest.downloadAttachment(kept.attachment_id, { range: [0, 9], onProgress: () => {}, signal });
  await rest.getAttachment(kept.attachment_id, { signal });
  await rest.deleteAttachment(kept.attachment_id);
  const address: string = rest.attachmentUrl(kept.attachment_id);
  const blob: Blob & { name: string } = await openFile("/tmp/a");
  await rest.getTypes();
  await rest.request("PUT", "/polls/1", { query: { a: 1 }, body: {}, headers: { X: "y" }, signal, again: true, open: false });
  await rest.logout();
  console.log(url, login, me, seen, user, names, status, statuses, ack.seq, first, undelivered, left, snippet, rows, unread, group, role, file, address, blob);
  // @ts-expect-error a group needs a name
  await rest.createGroup({ members: [] });
}

export async function messages(): Promise<void> {
  const messaging = new MessagingAPI(socket);
  new MessagingAPI(messaging.socketManager, messaging.restApi);
  const files = [new File([], "a"), new Blob(), "a_id", { path: "/tmp/a" }];
  const sent = messaging.sendPrivateMessage("bob", "Hi", files, {
    replyTo: 1, mentions: ["bob"], extra: { a: 1 }, id: "1", onProgress: (loaded, total) => loaded / total, signal: AbortSignal.timeout(9),
  });
  const id: number | undefined = (await sent).message_id;
  await messaging.sendGroupMessage("team", "Hi");
  await messaging.editMessage("bob", 1, "Ho", { mentions: [] });
  await messaging.deleteMessage("bob", 1);
  await messaging.react("bob", 1, "👍");
  await messaging.unreact("bob", 1, "👍");
  await messaging.act(1, "order", { values: { pieces: 2, sure: true } });
  const states: string[] = messaging.outgoing.map(({ state }) => state);
  const ends: (() => void)[] = [
    messaging.onSent(({ error }) => error),
    messaging.subscribeToUserStatus("bob"),
    messaging.subscribeToUserStatus(["bob"], ({ status, last_seen }) => [status, last_seen]),
    messaging.subscribeToNotifications(({ payload }, { replay }) => [payload.title, payload.level, replay]),
  ];
  await messaging.retryMessage("1");
  await messaging.discardMessage("1");

  const page = await messaging.getPrivateMessageHistory("bob", { before: 5, limit: 10, signal: AbortSignal.timeout(9) });
  const next: number | null = page.hasMore ? page.nextBefore : page.nextAfter;
  await messaging.getGroupMessageHistory("team");
  for await (const { meta } of messaging.privateMessages("bob", { oldestFirst: true, q: "x" })) console.log(meta.seq);
  for await (const { type } of messaging.groupMessages("team", { after: 5 })) console.log(type);
  const rows: ConversationRow[] = await messaging.getConversations({ signal: AbortSignal.timeout(9) });
  const { messages: missed, cursor, acknowledged } = await messaging.synchronizeMessages();
  const read: number | undefined = (await messaging.markAsRead([1, 2], { private: true }))[0]?.unread;
  await messaging.markConversationRead("bob", 5, { private: true, kind: "self" });

  await messaging.updateStatus("busy", { text: "lunch", until: new Date() });
  await messaging.unfollow(["bob"]);
  messaging.sendTyping("bob");
  messaging.sendTyping("bob", false);
  const { results, hasMore, nextCursor } = await messaging.searchMessages("x", { order: "best", since: 1 });
  for await (const { snippet } of messaging.searchAllMessages("x", { limit: 5 })) console.log(snippet);

  const group: Group = await messaging.createGroup("Team", ["bob"], { groupId: "team", history: "join" });
  await messaging.renameGroup("team", "Crew");
  await messaging.addMember("team", "carol", "admin");
  await messaging.removeMember("team", "carol");
  await messaging.leaveGroup("team");
  const kept: Attachment = await messaging.uploadAttachment(new Blob(), { onProgress: () => {} });
  messaging.close();
  console.log(id, states, ends, next, rows, missed, cursor, acknowledged, read, results, hasMore, nextCursor, group, kept);
  // @ts-expect-error a status is one of five
  await messaging.updateStatus("sleeping");
}

export async function shown(messaging: MessagingAPI): Promise<void> {
  const store = new Store(messaging, { keep: 100, echoed: ["chat_message", "poll"], counted: ["chat_message"] });
  await store.ready;
  for (const { target, kind, name, role, lastMessage, unread, unreadMentions, readSeq, lastSeq, receipts, typing } of store.conversations) {
    console.log(target, kind === "group", name, role, lastMessage?.payload, unread, unreadMentions, readSeq, lastSeq, receipts.bob?.read, typing[0]);
  }
  const { messages, hasOlder, gaps } = store.conversation("bob");
  for (const message of messages) {
    const { key, messageId, seq, id, type, senderId, mine, payload, timestamp, editedAt, deletedAt, expiresAt } = message;
    const { conversation, reactions, state, pending, error, progress } = message;
    const uploading: boolean = state === "uploading";
    const emoji: string | undefined = reactions[0]?.emoji;
    console.log(key, messageId, seq, id, type, senderId, mine, payload.content, timestamp, editedAt, deletedAt, expiresAt);
    console.log(conversation, reactions[0]?.userIds, reactions[0]?.mine, pending, error?.message, progress, uploading, emoji);
  }
  const stop: () => void = store.subscribe("conversations", () => {});
  await store.loadOlder("bob", 20);
  await store.loadAround("bob", 5, 20);
  if (gaps[0]) await store.loadGap("bob", gaps[0], 20);
  await store.loadOlderNotifications(20);
  store.markRead("bob", { private: true });
  store.markNotificationsRead();
  const { unread, messages: notifications, hasOlder: more } = store.notifications;
  const { status, text, until, lastSeen } = store.presence("bob");
  const typing: readonly string[] = store.typing("bob");
  const { state, error } = store.connection;
  const me: Me | null = store.me;
  const payload: PayloadOf<"group_event"> = { event: "renamed", name: "Team" };
  console.log(hasOlder, unread, notifications, more, status, text, until, lastSeen, typing, state, error instanceof RelayError, me, payload);
  stop();
  store.close();
}
