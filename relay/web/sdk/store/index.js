/**
 * What a messenger draws, kept right by itself: conversations, messages with the echoes of what is on its way, unread
 * counts, presence, typing. Views never change; `subscribe` tells when there is another one.
 */

import { check, mistake } from "../checks.js";
import { Refresher } from "./refresher.js";
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
 * @property {number} [keep] messages that are held of a conversation nobody scrolls in; 300
 * @property {string[]} [echoed] the types that are shown before they are stored; chat and group messages
 * @property {string[]} [counted] the types that make a conversation unread; those and notifications
 */

/** @typedef {{ messages: readonly MessageView[], unread: number, hasOlder: boolean }} NotificationsView */
/** @typedef {{ state: string, error: Error | null }} ConnectionView */

const LONGEST_TIMER_SECONDS = 2 ** 20;

export class Store {
  #messaging;
  #options;
  #subscriptions = new Subscriptions((fault) => console.error("relay-sdk: a store's subscriber failed", fault));
  #state;
  #refresher;
  /** @type {Map<string, number>} so many messages were loaded by scrolling */
  #scrolled = new Map();
  /** @type {Map<string, Promise<void>>} */
  #loading = new Map();
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #expiryTimer;
  /** @type {(() => void)[]} */
  #ends;
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
      socket.on("state", (state, _previous, detail) => this.#connect({ state, error: detail?.error ?? null })),
      socket.on("synced", ({ gaps, filled = [] }) => this.#missed(gaps.filter((gap) => !filled.includes(gap)))),
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

  /** Resolves once the list of conversations is there. */
  get ready() {
    return this.#refresher.ready;
  }

  /** The conversations with users and groups, the one with the newest message first. @returns {readonly ConversationSummary[]} */
  get conversations() {
    return this.#state.conversations;
  }

  /**
   * Return a conversation with its messages, those on their way last; of one that is not known, an empty one.
   *
   * @param {string} id a user's or a group's
   * @returns {ConversationView}
   */
  conversation(id) {
    return this.#state.view(id);
  }

  /** What was told to the user, and to everybody. @returns {NotificationsView} */
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

  /** Who this is, once the server has said. */
  get me() {
    return this.#me;
  }

  /** How the connection is, and what went wrong last. */
  get connection() {
    return this.#connection;
  }

  /** @param {string} userId @returns {StatusView} as last heard; `unknown` of whom nobody follows */
  presence(userId) {
    return this.#state.statuses.view(userId);
  }

  /** @param {string} id a conversation's @returns {readonly string[]} who types there */
  typing(id) {
    return this.#state.typing.view(id);
  }

  /**
   * Call `callback` after changes, until the function that is returned is called; many changes at once call it once.
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
   * Load the newest messages of a conversation, or the next older ones; together with a call that is on its way.
   *
   * @param {string} id
   * @param {number} [limit]
   */
  loadOlder(id, limit = 50) {
    if (id === SELF || id === EVERYBODY) return this.loadOlderNotifications(limit);
    const before = this.#state.opened.has(id) ? this.#state.oldestSeq(id) : null;
    // The newest page comes first, whatever is held: it tells how far everybody has read as well.
    return this.#load(id, before === null ? { limit } : { before, limit }, true);
  }

  /**
   * Load the messages around one, to jump there.
   *
   * @param {string} id
   * @param {number} seq
   * @param {number} [limit]
   */
  loadAround(id, seq, limit = 50) {
    return this.#load(id, { around: seq, limit });
  }

  /**
   * Load what is missing between two messages, from its end on.
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
   * Mark a conversation as read up to its newest message; its unread count is 0 at once.
   *
   * @param {string} id
   * @param {{ private?: boolean }} [options] private: only one's own devices learn of it
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

  /** Listen no more. */
  close() {
    for (const end of this.#ends) end();
    this.#refresher.close();
    this.#state.typing.clear();
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
      return fetchPage(restApi, id, "group", pagination); // one of which nothing is known yet
    });
    if (state !== this.#state) return; // of a database that is another one now
    this.#scrolled.set(id, (this.#scrolled.get(id) ?? 0) + page.messages.length);
    state.page(id, page, { older });
  }

  /** @param {import("./optimistic.js").Outgoing} sent */
  #sent(sent) {
    const held = sent.state !== "failed" || this.#messaging.outgoing.some(({ id }) => id === sent.id);
    this.#state.sent(sent, !held);
  }

  #takeOutgoing() {
    for (const sent of this.#messaging.outgoing) this.#state.sent(sent, false);
  }

  /**
   * Return what is held for a user; of another one than before, nothing is.
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
    return new State(userId, (path, key) => this.#touch(path, key), { counted, echoed, most });
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
    this.#refresher.look(key);
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
      Math.min(LONGEST_TIMER_SECONDS, Math.max(0, next - now)) * 1000,
    );
  }
}
