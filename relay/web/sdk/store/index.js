/**
 * The state that a messenger draws: conversations, messages (those not stored yet included), unread counts, presence,
 * typing. It follows the server by itself. Views never change; `subscribe` tells when there is a new one.
 */

import { check, mistake } from "../checks.js";
import { SentMessage } from "../sent-message.js";
import { Refresher } from "./refresher.js";
import { onEcho } from "../messaging/stream-echo.js";
import { fetchPage } from "./loader.js";
import { EVERYBODY, SELF } from "./mirror.js";
import { State } from "./state.js";
import { Subscriptions } from "./subscriptions.js";

/**
 * @import { ConversationSummary, ConversationView } from "./view-cache.js"
 * @import { StatusView } from "./presence.js"
 * @import { MessageView } from "./views.js"
 * @import { MessagingAPI } from "../messaging-api.js"
 * @import { Me } from "../types.js"
 */

/**
 * @typedef {object} StoreOptions
 * @property {number} [keep] messages held of a conversation in which nobody scrolls; 300
 * @property {string[] | Set<string>} [echoed] the types that are shown before they are stored; by default chat and group messages
 * @property {string[] | Set<string>} [counted] the types that make a conversation unread; by default the bundled types that do
 *   so on the server. A Set of either may grow later
 */

/** @typedef {{ messages: readonly MessageView[], unread: number, hasOlder: boolean }} NotificationsView */
/** @typedef {{ state: string, error: Error | null }} ConnectionView */

/** Timers of more than 2³¹ ms fire at once. */
const MAX_TIMER_SECONDS = 2 ** 20;

export class Store {
  #messaging;
  #options;
  #subscriptions = new Subscriptions((fault) => console.error("relay-sdk: a store's subscriber failed", fault));
  #state;
  #refresher;
  /** @type {Map<string, number>} the number of messages loaded by scrolling, by conversation */
  #scrolled = new Map();
  /** @type {Map<string, Promise<void>>} */
  #loading = new Map();
  /** @type {Set<string>} the conversations whose streams are being fetched */
  #fetching = new Set();
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #expiryTimer;
  /** @type {(() => void)[]} */
  #ends;
  /** @type {WeakSet<object>} the messages whose waiting is noted */
  #watched = new WeakSet();
  /** @type {Me | null} */
  #me = null;
  /** @type {ConnectionView} */
  #connection;
  /** @type {{ parts: [ConversationView, ConversationView], view: NotificationsView } | null} */
  #notifications = null;

  /** @param {MessagingAPI} messaging @param {StoreOptions} [options] */
  constructor(messaging, options = {}) {
    if (!messaging?.socketManager) throw mistake("messaging", messaging, "a MessagingAPI");
    check({ options });
    this.#messaging = messaging;
    this.#options = options;
    this.#state = this.#newState("");
    const socket = messaging.socketManager;
    this.#connection = { state: socket.connectionState, error: null };
    this.#refresher = new Refresher(messaging, {
      state: (userId) => this.#stateOf(userId),
      me: (me) => this.#touchMe(me),
      failed: (error) => this.#connect({ error }),
    });
    this.#ends = [
      socket.on("message", (envelope) => this.#stateOf(socket.userId).apply(envelope)),
      messaging.onSent((sent) => this.#sent(sent)),
      onEcho(messaging, (envelope) => this.#stateOf(socket.userId).piece(envelope)),
      socket.on("state", (state, _previous, detail) => this.#connect({ state, error: detail?.error ?? null })),
      socket.on("synced", ({ gaps, filled = [] }) => {
        this.#state.streams.synced();
        this.#missed(gaps.filter((gap) => !filled.includes(gap)));
      }),
      socket.on("reset", () => this.#reset()),
    ];
    socket.opened.then(
      () => {
        this.#stateOf(socket.userId);
        this.#takeOutgoing();
      },
      (error) => this.#connect({ error }),
    );
    this.#refresher.want();
  }

  /** Resolves once the list of conversations is loaded. */
  get ready() {
    return this.#refresher.ready;
  }

  /** The conversations with users and groups, the one with the newest message first. @returns {readonly ConversationSummary[]} */
  get conversations() {
    return this.#state.conversations;
  }

  /**
   * Return a conversation with its messages, unsent ones last. An unknown conversation is empty.
   *
   * @param {string} id a user's or a group's
   * @returns {ConversationView}
   */
  conversation(id) {
    return this.#state.view(id);
  }

  /** The notifications to the user, and to everybody. @returns {NotificationsView} */
  get notifications() {
    const own = this.#state.view(SELF);
    const everybodys = this.#state.view(EVERYBODY);
    const [first, second] = this.#notifications?.parts ?? [];
    if (this.#notifications && first === own && second === everybodys) return this.#notifications.view;
    const messages = [...own.messages, ...everybodys.messages];
    messages.sort((one, other) => (one.messageId ?? Infinity) - (other.messageId ?? Infinity));
    const hasOlder = !this.#state.complete.has(SELF) && messages.length > 0;
    const view = Object.freeze({ messages: Object.freeze(messages), unread: own.unread + everybodys.unread, hasOlder });
    this.#notifications = { parts: [own, everybodys], view };
    return view;
  }

  /** The user's own account, once the server has told. */
  get me() {
    return this.#me;
  }

  /** The state of the connection, and its last error. */
  get connection() {
    return this.#connection;
  }

  /** @param {string} userId @returns {StatusView} as last heard; `unknown` for users whom nobody follows */
  presence(userId) {
    return this.#state.statuses.view(userId);
  }

  /** @param {string} id a conversation's @returns {readonly string[]} the users who type there */
  typing(id) {
    return this.#state.typing.view(id);
  }

  /**
   * Call `callback` after changes, until the returned function is called. Many changes at once call it once.
   *
   * @param {string} path `conversations`, `conversation:ID`, `message:ID/KEY`, `presence:USER`, `typing:ID`,
   *   `notifications`, `me` or `connection`
   * @param {() => void} callback
   */
  subscribe(path, callback) {
    const [what, id] = [path.slice(0, path.indexOf(":")), path.slice(path.indexOf(":") + 1)];
    return this.#subscriptions.add(path, callback, () => {
      if (what !== "conversation") return;
      this.#scrolled.delete(id);
      this.#state.trim(id);
    });
  }

  /**
   * Load the newest messages of a conversation, or the next older ones. A second call during the first shares it.
   *
   * @param {string} id
   * @param {number} [limit]
   */
  loadOlder(id, limit = 50) {
    if (id === SELF || id === EVERYBODY) return this.loadOlderNotifications(limit);
    const before = this.#state.opened.has(id) ? this.#state.oldestSeq(id) : null;
    // The newest page comes first, even if messages are held: only that page has everybody's receipts.
    return this.#load(id, before === null ? { limit } : { before, limit }, true);
  }

  /**
   * Load the messages around a seq, to jump there.
   *
   * @param {string} id
   * @param {number} seq
   * @param {number} [limit]
   */
  loadAround(id, seq, limit = 50) {
    return this.#load(id, { around: seq, limit });
  }

  /**
   * Load messages of a gap, the newest first.
   *
   * @param {string} id
   * @param {{ fromSeq: number, toSeq: number }} gap one of the conversation's `gaps`
   * @param {number} [limit]
   */
  loadGap(id, { fromSeq, toSeq }, limit = 50) {
    return this.#load(id, { before: toSeq + 1, limit: Math.min(limit, toSeq - fromSeq + 1) });
  }

  /** Load older notifications. */
  async loadOlderNotifications(limit = 50) {
    const state = this.#state;
    const before = this.notifications.messages[0]?.messageId ?? undefined;
    const page = await this.#messaging.restApi.getNotifications({ before, limit });
    if (state === this.#state) state.notifications(page);
  }

  /**
   * Mark a conversation as read up to its newest message. Its unread count is 0 at once.
   *
   * @param {string} id
   * @param {{ private?: boolean }} [options] private: only the user's own devices learn of it
   */
  markRead(id, options = {}) {
    const conversation = this.#state.mirror.conversations.get(id);
    const { lastSeq = 0, unread } = conversation ?? {};
    if (!unread || lastSeq <= unread.readSeq) return;
    const [target, kind] = id === SELF ? [this.#state.userId, SELF] : [id, undefined];
    this.#messaging.markConversationRead(target, lastSeq, { ...options, ...(kind && { kind: /** @type {"self"} */ (kind) }) });
  }

  /** Mark all notifications as read. */
  markNotificationsRead() {
    this.markRead(SELF);
    this.markRead(EVERYBODY);
  }

  /** Stop following the server. */
  close() {
    for (const end of this.#ends) end();
    this.#refresher.close();
    this.#state.typing.clear();
    this.#state.streams.clear();
    clearTimeout(this.#expiryTimer);
  }

  /** @param {string} id @param {import("../types.js").Pagination} pagination @param {boolean} [older] */
  #load(id, pagination, older = false) {
    const what = `${id} ${JSON.stringify(pagination)}`;
    const running = this.#loading.get(what) ?? this.#fetch(id, pagination, older).finally(() => this.#loading.delete(what));
    this.#loading.set(what, running);
    return running;
  }

  /** @param {string} id @param {import("../types.js").Pagination} pagination @param {boolean} older */
  async #fetch(id, pagination, older) {
    await this.ready;
    const state = this.#state;
    const { restApi } = this.#messaging;
    const kind = state.facts.get(id)?.kind ?? null;
    const page = await fetchPage(restApi, id, kind, pagination).catch((error) => {
      if (kind !== null || error.code !== "not_found") throw error;
      return fetchPage(restApi, id, "group", pagination); // its kind was not known, and it is not a user
    });
    if (state !== this.#state) return; // a reset came during the fetch
    this.#scrolled.set(id, (this.#scrolled.get(id) ?? 0) + page.messages.length);
    state.page(id, page, { older });
  }

  /** @param {import("./optimistic.js").Outgoing} sent */
  #sent(sent) {
    this.#watch(sent);
    const held = sent.state !== "failed" || this.#messaging.outgoing.some(({ id }) => id === sent.id);
    this.#state.sent(sent, !held);
  }

  #takeOutgoing() {
    for (const sent of this.#messaging.outgoing) {
      this.#watch(sent);
      this.#state.sent(sent, false);
    }
  }

  /**
   * Note it, too, when a message goes on waiting because the server could not take it yet: `error` says why.
   *
   * @param {import("./optimistic.js").Outgoing} sent
   */
  #watch(sent) {
    if (this.#watched.has(sent) || !(sent instanceof SentMessage)) return;
    this.#watched.add(sent);
    sent.onChange(({ state, error }) => {
      if (state === "queued" && error) this.#state.sent(sent, false);
    });
  }

  /**
   * Return the state of a user; it begins empty for another user than before.
   *
   * @param {string | null} userId
   */
  #stateOf(userId) {
    if (userId !== null && userId !== this.#state.userId) this.#begin(userId);
    return this.#state;
  }

  /** @param {import("../socket-manager.js").Gap[]} gaps */
  #missed(gaps) {
    for (const gap of gaps) this.#state.missed(gap);
    this.#refresher.missed(gaps);
  }

  #reset() {
    this.#begin(this.#state.userId);
    this.#refresher.reset();
  }

  /** @param {string} userId */
  #begin(userId) {
    const before = this.#state;
    before.typing.clear();
    before.streams.clear();
    this.#state = this.#newState(userId);
    this.#takeOutgoing();
    for (const key of [...before.mirror.conversations.keys(), SELF]) this.#touch(`conversation:${key}`, key);
    this.#touch("conversations");
    for (const key of before.opened) if (this.#subscriptions.has(`conversation:${key}`)) this.#reopen(key);
  }

  /** @param {string} userId */
  #newState(userId) {
    const { keep = 300, echoed = ["chat_message", "group_message"], counted } = this.#options;
    const most = (/** @type {string} */ key) => keep + (this.#scrolled.get(key) ?? 0);
    const missing = (/** @type {string} */ key) => void this.#fetchStreams(key);
    return new State(userId, (path, key) => this.#touch(path, key), { counted, echoed, most, missing });
  }

  /** Fetch the texts so far of a conversation's streams, as a piece of one is missing. @param {string} key */
  async #fetchStreams(key) {
    if (this.#fetching.has(key)) return;
    this.#fetching.add(key);
    const state = this.#state;
    try {
      const { streams } = await this.#messaging.restApi.request("GET", `/api/streams/${encodeURIComponent(key)}`);
      for (const { stream_id, sender_id, type, text, begun_at: timestamp, reply_to } of state === this.#state ? streams : []) {
        const target_id = type === "group_message" || sender_id === state.userId ? key : state.userId;
        state.piece({ type: "message_stream", payload: { stream_id, text, reply_to }, meta: { sender_id, target_id, timestamp } });
      }
    } catch {
      // the next piece asks again
    } finally {
      this.#fetching.delete(key);
    }
  }

  /** @param {string} id */
  #reopen(id) {
    this.loadOlder(id).catch((error) => this.#connect({ error }));
  }

  /** @param {string} path @param {string} [key] */
  #touch(path, key) {
    this.#subscriptions.touch(path);
    if (key === undefined) return;
    if (key === SELF || key === EVERYBODY) this.#subscriptions.touch("notifications");
    this.#refresher.check(key);
    this.#awaitExpiry();
  }

  /** @param {Partial<ConnectionView>} change */
  #connect(change) {
    this.#connection = Object.freeze({ ...this.#connection, ...change });
    this.#subscriptions.touch("connection");
    if (this.#connection.state !== "connected" && this.#connection.state !== "replaying") this.#state.typing.clear();
  }

  /** @param {Me} me */
  #touchMe(me) {
    this.#me = me;
    this.#subscriptions.touch("me");
  }

  #awaitExpiry() {
    clearTimeout(this.#expiryTimer);
    if (this.#state.expiring.size === 0) return;
    const now = Date.now() / 1000;
    const next = Math.min(...[...this.#state.expiring.values()].map(({ at }) => at));
    this.#expiryTimer = setTimeout(
      () => {
        this.#state.expire(Date.now() / 1000);
        this.#awaitExpiry();
      },
      Math.min(MAX_TIMER_SECONDS, Math.max(0, next - now)) * 1000,
    );
  }
}
