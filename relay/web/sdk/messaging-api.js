/** The actions of a messenger: messages, groups, presence, notifications, search; over the socket and REST. */

import { check, mistake } from "./checks.js";
import { Follows } from "./messaging/follows.js";
import { TypingNotifier } from "./messaging/typing.js";
import { Uploads } from "./messaging/uploads.js";

const paging = () => import("./messaging/paging.js");

/**
 * @import * as Types from "./types.js"
 * @import { Uploadable } from "./attachments.js"
 * @import { Page, SearchPage } from "./messaging/paging.js"
 * @import { SentMessage } from "./sent-message.js"
 * @import { RestApiClient } from "./rest-api-client.js"
 * @import { SocketManager } from "./socket-manager.js"
 */

/**
 * @typedef {object} MessageOptions
 * @property {number} [replyTo] the message id of the message it answers
 * @property {number} [thread] the message id of the message in whose thread it is
 * @property {boolean} [threadShown] whether the conversation shows it beside its thread
 * @property {string[]} [mentions] the users it mentions; in a group `*` mentions all
 * @property {Record<string, unknown>} [extra] fields of the application's own
 * @property {string} [id] the message's own id: it is stored once
 * @property {Types.Progress} [onProgress] progress of the upload of its files
 * @property {AbortSignal} [signal] cancels it, if it was not sent yet
 */

/** @typedef {string | Uploadable} AttachmentLike the id of an attachment, a File or Blob, or in Node `{ path }` */

export class MessagingAPI {
  #follows;
  #typing;
  #uploads;

  /**
   * @param {SocketManager} socketManager
   * @param {RestApiClient} [restApiClient] by default the socket manager's own
   */
  constructor(socketManager, restApiClient = socketManager?.rest) {
    check({ socketManager, restApiClient });
    this.socketManager = socketManager;
    this.restApi = restApiClient;
    this.#follows = new Follows(socketManager);
    this.#uploads = new Uploads(socketManager, restApiClient);
    this.#typing = new TypingNotifier(
      (target, typing) => void this.#send("typing_indicator", { typing }, target).catch(() => {}), // it may be lost
      () => Date.now(),
    );
  }

  // ---- messages

  /**
   * Send a message to a user. It is kept until the server has it, over broken connections and restarts.
   *
   * @param {string} userId
   * @param {string} content
   * @param {AttachmentLike[]} [attachments] files are uploaded first
   * @param {MessageOptions} [options]
   * @returns {SentMessage}
   */
  sendPrivateMessage(userId, content, attachments = [], options = {}) {
    return this.#sendText("chat_message", userId, content, attachments, options);
  }

  /**
   * Send a message to a group, as `sendPrivateMessage` does to a user.
   *
   * @param {string} groupId
   * @param {string} content
   * @param {AttachmentLike[]} [attachments]
   * @param {MessageOptions} [options]
   * @returns {SentMessage}
   */
  sendGroupMessage(groupId, content, attachments = [], options = {}) {
    return this.#sendText("group_message", groupId, content, attachments, options);
  }

  /**
   * Begin a message that grows while it is written: its readers see each piece, and get one stored message at its end.
   *
   * @param {string} target a user or a group
   * @param {import("./messaging/stream.js").StreamOptions} [options]
   */
  async stream(target, options) {
    return new (await import("./messaging/stream.js")).MessageStream(this, target, options);
  }

  /**
   * Change the content of an own message.
   *
   * @param {string} target the user or group it went to
   * @param {number} messageId
   * @param {string} content
   * @param {{ mentions?: string[] }} [options] by default the mentions stay
   */
  editMessage(target, messageId, content, { mentions } = {}) {
    check({ target, messageId, content }, { mentions });
    return this.#send("message_edit", { message_id: messageId, content, mentions }, target);
  }

  /**
   * Delete a message, for everybody.
   *
   * @param {string} target
   * @param {number} messageId
   */
  deleteMessage(target, messageId) {
    check({ target, messageId });
    return this.#send("message_delete", { message_id: messageId }, target);
  }

  /** @param {string} target @param {number} messageId @param {string} emoji @param {boolean} [on] false takes it back */
  react(target, messageId, emoji, on = true) {
    check({ target, messageId, emoji });
    return this.#send("reaction", { message_id: messageId, emoji, on }, target);
  }

  /** @param {string} target @param {number} messageId @param {string} emoji */
  unreact(target, messageId, emoji) {
    return this.react(target, messageId, emoji, false);
  }

  /**
   * Answer an action of a message: a button alone, a select with its `value`, a form with its `values`.
   *
   * @param {number} messageId
   * @param {string} name the id of the action
   * @param {{ value?: string, values?: Record<string, string | number | boolean> }} [answer]
   */
  act(messageId, name, answer) {
    check({ messageId, name });
    return this.#send("action", { message_id: messageId, action: name, ...answer });
  }

  /** The messages that wait for their answer or were refused, oldest first, with those whose files are uploaded. */
  get outgoing() {
    return [...this.#uploads.messages, ...this.socketManager.outbox.messages];
  }

  /**
   * Call back at every change of an own message's state, uploading included.
   *
   * @param {(message: SentMessage) => void} callback
   * @returns {() => void}
   */
  onSent(callback) {
    check({ callback });
    const ends = [this.#uploads.onChange(callback), this.socketManager.on("sent", callback)];
    return () => ends.forEach((end) => end());
  }

  /** Try a failed message again. @param {string} id */
  async retryMessage(id) {
    if (!this.#uploads.retry(id)) this.socketManager.outbox.retry(id);
  }

  /** Delete a failed message. @param {string} id */
  async discardMessage(id) {
    if (!(await this.#uploads.discard(id))) this.socketManager.outbox.discard(id);
  }

  // ---- history

  /**
   * @param {string} userId
   * @param {Types.Pagination & { signal?: AbortSignal }} [pagination] the newest page without a position
   * @returns {Promise<Page>}
   */
  async getPrivateMessageHistory(userId, { signal, ...pagination } = {}) {
    return (await paging()).pageOf(await this.restApi.getUserMessages(userId, pagination, { signal }));
  }

  /**
   * @param {string} groupId
   * @param {Types.Pagination & { signal?: AbortSignal }} [pagination]
   * @returns {Promise<Page>}
   */
  async getGroupMessageHistory(groupId, { signal, ...pagination } = {}) {
    return (await paging()).pageOf(await this.restApi.getGroupMessages(groupId, pagination, { signal }));
  }

  /**
   * Iterate over the messages with a user, newest first. Pages are fetched as they are needed.
   *
   * @param {string} userId
   * @param {Types.Pagination & { oldestFirst?: boolean, signal?: AbortSignal }} [options]
   */
  privateMessages(userId, { signal, ...options } = {}) {
    check({ userId });
    return this.#messages((page) => this.getPrivateMessageHistory(userId, { ...page, signal }), options);
  }

  /** @param {string} groupId @param {Types.Pagination & { oldestFirst?: boolean, signal?: AbortSignal }} [options] */
  groupMessages(groupId, { signal, ...options } = {}) {
    check({ groupId });
    return this.#messages((page) => this.getGroupMessageHistory(groupId, { ...page, signal }), options);
  }

  /**
   * Return all conversations, in the order of their creation.
   *
   * @param {{ signal?: AbortSignal }} [options]
   * @returns {Promise<Types.ConversationRow[]>}
   */
  async getConversations(options) {
    return (await paging()).conversationsOf(this.restApi, options);
  }

  /**
   * Fetch and acknowledge the messages that no device of the user's has had, by priority and then oldest first. What
   * could not be acknowledged comes again. For a program that polls, or one that starts over after a reset.
   *
   * @param {{ signal?: AbortSignal }} [options]
   * @returns {Promise<{ messages: Types.Envelope<any>[], cursor: number | null, acknowledged: boolean }>}
   */
  async synchronizeMessages(options) {
    return (await paging()).synchronize(this.socketManager, this.restApi, options);
  }

  /**
   * Mark messages of any conversations as read: in each, everything up to the newest of them.
   *
   * @param {number[]} messageIds
   * @param {{ private?: boolean, signal?: AbortSignal }} [options] private: only the user's own devices learn of it
   */
  async markAsRead(messageIds, { signal, ...options } = {}) {
    check({ messageIds });
    if (messageIds.length === 0) return [];
    return (await this.restApi.markRead({ message_ids: messageIds, ...options }, { signal })).read;
  }

  /**
   * Mark a conversation as read up to a seq. Like a message this is kept until the server has it.
   *
   * @param {string} target
   * @param {number} seq
   * @param {{ private?: boolean, kind?: "self" }} [options] kind: `self` for the user's own notifications
   */
  markConversationRead(target, seq, options = {}) {
    check({ target, seq, options });
    return this.#send("read_receipt", { up_to_seq: seq, ...options }, target);
  }

  // ---- presence

  /**
   * Set the status that others see; `offline` means invisible.
   *
   * @param {Types.Presence} status
   * @param {{ text?: string, until?: number | Date }} [options] until: when it becomes `online` again; Unix seconds
   */
  updateStatus(status, { text, until } = {}) {
    check({ status }, { text, until });
    const seconds = until instanceof Date ? until.getTime() / 1000 : until;
    return this.#send("status_update", { status, text, until: seconds });
  }

  /**
   * Follow users, and call back with their status: now, and at every change.
   *
   * @param {string | string[]} userIds
   * @param {(status: Types.Status) => void} [callback]
   * @returns {() => void} ends the callbacks; the server keeps following until `unfollow`
   */
  subscribeToUserStatus(userIds, callback) {
    check({ userIds: [userIds].flat() }, { callback });
    return this.#follows.subscribe([userIds].flat(), callback);
  }

  /** Stop following users, on all devices. @param {string | string[]} userIds */
  unfollow(userIds) {
    check({ userIds: [userIds].flat() });
    return this.#follows.unfollow([userIds].flat());
  }

  /**
   * Tell a target that the user is typing. Call it at every key: it is sent every few seconds, and ends by itself.
   *
   * @param {string} target
   * @param {boolean} [typing]
   */
  sendTyping(target, typing = true) {
    check({ target, typing });
    if (this.socketManager.connectionState === "connected") this.#typing.note(target, typing);
  }

  // ---- notifications, search

  /**
   * Call back with notifications to the user, their groups and everybody; missed ones included.
   *
   * @param {(notification: Types.Envelope<"notification">, context: { replay: boolean }) => void} callback
   * @returns {() => void}
   */
  subscribeToNotifications(callback) {
    check({ callback });
    return this.socketManager.registerHandler("notification", (envelope, context) => {
      if (envelope.meta.deleted_at === undefined) return callback(envelope, context);
    });
  }

  /**
   * @param {string} query its syntax is in docs/plugins/search.md
   * @param {Types.SearchQuery & { signal?: AbortSignal }} [options]
   * @returns {Promise<SearchPage>}
   */
  async searchMessages(query, options) {
    if (typeof query !== "string") throw mistake("query", query, "a text");
    return (await paging()).searched(this.restApi, query, options);
  }

  /**
   * Iterate over all results.
   *
   * @param {string} query
   * @param {Types.SearchQuery & { signal?: AbortSignal }} [options]
   */
  async *searchAllMessages(query, options = {}) {
    yield* (await paging()).resultsOf(this, query, options);
  }

  // ---- groups, files

  /**
   * @param {string} name
   * @param {string[]} [members]
   * @param {{ groupId?: string, history?: "join" | "start" }} [options] history: what new members see
   */
  createGroup(name, members = [], { groupId, history } = {}) {
    check({ name, members }, { groupId, history });
    return this.restApi.createGroup({ name, members, group_id: groupId, history });
  }

  /** @param {string} groupId @param {string} name */
  renameGroup(groupId, name) {
    check({ name });
    return this.restApi.updateGroup(groupId, { name });
  }

  /** @param {string} groupId @param {string} userId @param {Types.Role} [role] */
  addMember(groupId, userId, role) {
    check({}, { role });
    return this.restApi.putMember(groupId, userId, role && { role });
  }

  /** @param {string} groupId @param {string} userId */
  removeMember(groupId, userId) {
    return this.restApi.removeMember(groupId, userId);
  }

  /** @param {string} groupId */
  async leaveGroup(groupId) {
    check({ groupId });
    return this.removeMember(groupId, this.socketManager.userId ?? (await this.restApi.getMe()).user_id);
  }

  /** @param {Uploadable} file @param {import("./attachments.js").UploadOptions} [options] */
  uploadAttachment(file, options) {
    return this.restApi.uploadAttachment(file, options);
  }

  /** Stop uploads and callbacks. Unsent messages are sent by the next MessagingAPI. */
  close() {
    this.#uploads.close();
    this.#follows.close();
  }

  /**
   * @param {"chat_message" | "group_message"} type
   * @param {string} target
   * @param {string} content
   * @param {AttachmentLike[]} files
   * @param {MessageOptions} options
   */
  #sendText(type, target, content, files, { replyTo, thread, threadShown, mentions, extra, ...options }) {
    check({ [type === "chat_message" ? "userId" : "groupId"]: target, content, attachments: files }, { replyTo, mentions, extra, ...options });
    this.#typing.ended(target);
    const payload = { content, reply_to: replyTo, thread, thread_shown: threadShown, mentions, extra };
    const ids = files.filter((file) => typeof file === "string");
    if (ids.length < files.length) return this.#uploads.send(type, payload, target, files, options);
    return this.socketManager.sendMessage(type, ids.length > 0 ? { ...payload, attachments: ids } : payload, target, options);
  }

  /** @param {(pagination: Types.Pagination) => Promise<Page>} fetch @param {Types.Pagination & { oldestFirst?: boolean }} options */
  async *#messages(fetch, options) {
    yield* (await paging()).messagesOf(fetch, options);
  }

  /** @param {string} type @param {any} payload @param {string} [target] */
  #send(type, payload, target) {
    return this.socketManager.sendMessage(type, payload, target);
  }
}
