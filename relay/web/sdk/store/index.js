/**
 * The state that a messenger draws: conversations, messages (those not stored yet included), unread counts, presence,
 * typing. It follows the server by itself. Views never change; `subscribe` tells when there is a new one.
 */

import { check, mistake } from "../checks.js";
import { draftKey, Drafts, placeOf } from "./drafts.js";
import { Members } from "./members.js";
import { Refresher } from "./refresher.js";
import { onEcho } from "../messaging/stream-echo.js";
import { Expiry } from "./expiry.js";
import { Offline } from "./offline.js";
import { Outgoing } from "./outgoing.js";
import { MarkActions } from "./mark-actions.js";
import { textsSoFar } from "./loader.js";
import { EVERYBODY, SELF } from "./mirror.js";
import { Paging } from "./paging.js";
import { State } from "./state.js";
import { StateViews } from "./state-views.js";
import { Subscriptions } from "./subscriptions.js";
import { ThreadActions } from "./thread-actions.js";

/**
 * @import { DraftChange, DraftView } from "./drafts.js"
 * @import { StoreOptions } from "./options.js"
 * @import { MessageView } from "./views.js"
 * @import { MessagingAPI } from "../messaging-api.js"
 * @import { Me } from "../types.js"
 */

/** @typedef {{ state: string, error: Error | null }} ConnectionView */

export class Store extends StateViews {
  #messaging;
  #options;
  #subscriptions = new Subscriptions((fault) => console.error("relay-sdk: a store's subscriber failed", fault));
  #drafts;
  /** @type {State} */
  #state;
  #refresher;
  /** @type {Offline | null} */
  #offline = null;
  /** Conversations whose newest messages could not be loaded without a network. @type {Set<string>} */
  #unloaded = new Set();
  #paging;
  #expiry = new Expiry(() => this.#state);
  /** @type {(() => void)[]} */
  #ends;
  #outgoing;
  /** @type {Me | null} */
  #me = null;
  /** @type {ConnectionView} */
  #connection;
  /** @type {MarkActions | undefined} */
  #marks;
  /** Threads: what reads and follows them, and the list of those that the user follows. */
  threads;
  #members;

  /** @param {MessagingAPI} messaging @param {StoreOptions} [options] */
  constructor(messaging, options = {}) {
    super(() => this.#state);
    if (!messaging?.socketManager) throw mistake("messaging", messaging, "a MessagingAPI");
    check({ options });
    this.#messaging = messaging;
    this.#options = options;
    this.#drafts = new Drafts(
      messaging,
      { changed: (id) => this.#touch(`draft:${id}`), rested: (id) => this.#state.drafted(id) },
      { Channel: globalThis.document && globalThis.BroadcastChannel },
    );
    this.#paging = new Paging({
      rest: messaging.restApi,
      state: () => this.#state,
      ready: () => this.#refresher.told(),
      arrived: (id, own, rootId) => this.#drafts.arrived(draftKey(id, rootId), own),
    });
    this.#state = this.#newState("");
    this.#outgoing = new Outgoing(messaging, () => this.#state);
    this.#members = new Members(messaging, () => this.#state);
    const socket = messaging.socketManager;
    this.#connection = { state: socket.connectionState, error: null };
    this.#refresher = new Refresher(messaging, {
      state: (userId) => this.#stateOf(userId),
      me: (me) => this.#touchMe(me),
      fetched: () => this.#loadAgain(),
      failed: (error) => this.#connect({ error }),
    });
    this.threads = new ThreadActions(messaging, {
      state: () => this.#state,
      ready: () => this.ready,
      touch: () => this.#subscriptions.touch("threads"),
      failed: (error) => this.#connect({ error: /** @type {Error} */ (error) }),
    });
    this.#ends = [
      () => this.threads.close(),
      socket.on("message", (envelope) => {
        this.#stateOf(socket.userId).apply(envelope);
        this.#drafts.arrived(draftKey(envelope.meta.target_id ?? "", envelope.payload.thread), envelope.meta.id);
        this.threads.came(envelope);
      }),
      () => this.#outgoing.close(),
      onEcho(messaging, (envelope) => this.#stateOf(socket.userId).piece(envelope)),
      socket.on("state", (state, _previous, detail) => this.#connect({ state, error: detail?.error ?? null })),
      socket.on("synced", ({ gaps, filled = [] }) => {
        this.#state.streams.synced();
        this.#missed(gaps.filter((gap) => !filled.includes(gap)));
        this.#members.again();
      }),
      socket.on("reset", () => this.#reset()),
    ];
    if (options.persist) {
      const isShown = (/** @type {string} */ key) => this.#subscriptions.has(`conversation:${key}`);
      const restoreMe = (/** @type {Me} */ me) => this.#touchMe(me);
      const owner = { state: () => this.#stateOf(socket.userId), me: () => this.#me, restoreMe, isShown, ready: this.ready };
      this.#offline = new Offline(messaging, owner, options.persist === true ? {} : options.persist);
    }
    socket.opened.then(
      () => {
        this.#stateOf(socket.userId);
        this.#outgoing.takeAll();
      },
      (error) => this.#connect({ error }),
    );
    this.#refresher.want();
    this.#wantThreads();
  }

  /** Resolves once the list of conversations is loaded. */
  get ready() {
    return this.#refresher.ready;
  }

  /** The user's own account, once the server has told. */
  get me() {
    return this.#me;
  }

  /** The state of the connection, and its last error. */
  get connection() {
    return this.#connection;
  }

  /** @param {string} id a conversation's @returns {DraftView} what is being written there, kept over reloads */
  draft(id) {
    return this.#drafts.get(id);
  }

  /**
   * Change a draft; what is left out stays. `files` are Files or Blobs, `edit` is an edit that was begun beside the text.
   *
   * @param {string} id
   * @param {DraftChange} change
   */
  setDraft(id, change) {
    check({ target: id, options: change });
    this.#drafts.set(id, change);
  }

  /**
   * Send a draft as a message, or as a reply where it is that of a thread (`CONVERSATION/thread:ROOT`). It is over then, unless the outbox cannot take the message.
   *
   * @param {string} id
   * @param {import("../messaging-api.js").MessageOptions} [options] its own are the id and `replyTo`
   */
  sendDraft(id, options = {}) {
    return this.#drafts.send(id, this.#state.facts.get(placeOf(id))?.kind ?? null, options);
  }

  /**
   * Call `callback` after changes, until the returned function is called. Many changes at once call it once.
   *
   * @param {string} path `conversations`, `conversation:ID`, `message:ID/KEY`, `presence:USER`, `typing:ID`, `draft:ID`,
   *   `thread:ID` (those of a conversation), `threads` (those that the user follows), `notifications`, `me` or `connection`
   * @param {() => void} callback
   */
  subscribe(path, callback) {
    const [what, id] = [path.slice(0, path.indexOf(":")), path.slice(path.indexOf(":") + 1)];
    return this.#subscriptions.add(path, callback, () => {
      if (what !== "conversation") return;
      this.#paging.left(id);
      this.#state.trim(id);
    });
  }

  /**
   * Load the newest messages of a conversation, or the next older ones. A second call during the first shares it.
   *
   * @param {string} id
   * @param {number} [limit]
   */
  async loadOlder(id, limit = 50) {
    if (id === SELF || id === EVERYBODY) return this.loadOlderNotifications(limit);
    if (!this.#state.opened.has(id)) await this.#offline?.take(id);
    const before = this.#state.opened.has(id) ? this.#state.oldestSeq(id) : null;
    // The newest page comes first, even if messages are held: only that page has everybody's receipts.
    await this.#paging.load(id, before === null ? { limit } : { before, limit }, { older: true }).catch((error) => {
      if (before === null && error.retry) this.#unloaded.add(id);
      throw error;
    });
  }

  /**
   * Load the messages around a seq, to jump there.
   *
   * @param {string} id
   * @param {number} seq
   * @param {number} [limit]
   */
  loadAround(id, seq, limit = 50) {
    return this.#paging.load(id, { around: seq, limit });
  }

  /**
   * Load messages of a gap: the newest of them, or the oldest.
   *
   * @param {string} id
   * @param {{ fromSeq: number, toSeq: number }} gap one of the conversation's `gaps`
   * @param {number} [limit]
   * @param {{ oldestFirst?: boolean }} [options]
   */
  loadGap(id, gap, limit = 50, { oldestFirst = false } = {}) {
    const position = oldestFirst ? { after: gap.fromSeq - 1 } : { before: gap.toSeq + 1 };
    return this.#paging.load(id, { ...position, limit: Math.min(limit, gap.toSeq - gap.fromSeq + 1) }, { gap });
  }

  /** Return the seq of the first message from a time on, in Unix seconds; null if there is none. @param {string} id @param {number} since @param {number} [until] */
  seqAt(id, since, until) {
    return this.#paging.seqAt(id, since, until);
  }

  /**
   * Fetch one message by its id, such as one that is answered; null if this user cannot see it. It is not kept.
   *
   * @param {number} messageId
   * @returns {Promise<MessageView | null>}
   */
  async fetchMessage(messageId) {
    const state = this.#state;
    const answer = await this.#paging.message(messageId);
    return answer && state.viewOf(answer);
  }

  /** Load older notifications. */
  async loadOlderNotifications(limit = 50) {
    const state = this.#state;
    const before = this.notifications.messages[0]?.messageId ?? undefined;
    const page = await this.#messaging.restApi.getNotifications({ before, limit });
    if (state === this.#state) state.notifications(page);
  }

  /**
   * Mark a conversation as read: up to its newest message, or up to the newest that was seen. The count is right at once.
   *
   * @param {string} id
   * @param {{ private?: boolean, upTo?: number }} [options] private: only the user's own devices learn of it; upTo: a seq
   */
  markRead(id, { upTo = Infinity, ...options } = {}) {
    const conversation = this.#state.mirror.conversations.get(id);
    const { lastSeq = 0, unread } = conversation ?? {};
    const seq = Math.min(lastSeq, upTo);
    if (!unread || seq <= unread.readSeq) return;
    const [target, kind] = id === SELF ? [this.#state.userId, SELF] : [id, undefined];
    this.#messaging.markConversationRead(target, seq, { ...options, ...(kind && { kind: /** @type {"self"} */ (kind) }) });
  }

  /** What sets and takes back the user's own marks: pinned, archived, unread, saved. */
  get marks() {
    return (this.#marks ??= new MarkActions(this.#messaging, () => this.#state));
  }

  /** Mark all notifications as read. */
  markNotificationsRead() {
    this.markRead(SELF);
    this.markRead(EVERYBODY);
  }

  /** Stop following the server, and delete what `persist` kept. */
  async forget() {
    this.close();
    await this.#offline?.forget();
  }

  /** Stop following the server. */
  close() {
    this.#offline?.close();
    for (const end of this.#ends) end();
    this.#refresher.close();
    this.#drafts.close();
    this.#state.typing.clear();
    this.#state.streams.clear();
    this.#expiry.stop();
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
    for (const gap of gaps) {
      this.#state.missed(gap);
      this.#offline?.missed(gap.target_id, gap.to_seq);
    }
    this.#refresher.missed(gaps);
    if (gaps.length > 0) this.#wantThreads();
  }

  #reset() {
    this.#begin(this.#state.userId);
    this.#offline?.reset();
    this.#refresher.reset();
  }

  /** @param {string} userId */
  #begin(userId) {
    const before = this.#state;
    before.typing.clear();
    before.streams.clear();
    this.#state = this.#newState(userId);
    this.#outgoing.takeAll();
    for (const key of [...before.mirror.conversations.keys(), SELF]) this.#touch(`conversation:${key}`, key);
    this.#touch("conversations");
    this.#wantThreads();
    for (const key of before.opened) if (this.#subscriptions.has(`conversation:${key}`)) this.#reopen(key);
  }

  /** @param {string} userId */
  #newState(userId) {
    const { keep = 300, echoed = ["chat_message", "group_message"], counted, threads } = this.#options;
    const most = (/** @type {string} */ key) => keep + this.#paging.scrolled(key);
    const missing = textsSoFar(this.#messaging.restApi, () => this.#state);
    return new State(userId, (path, key) => this.#touch(path, key), { counted, echoed, most, missing, drafts: this.#drafts, threads });
  }

  /** @param {string} id */
  #reopen(id) {
    this.loadOlder(id).catch((error) => this.#connect({ error }));
  }

  /** Load what could not be loaded without a network, where it is still shown. */
  #loadAgain() {
    for (const id of this.#unloaded) if (this.#subscriptions.has(`conversation:${id}`)) this.#reopen(id);
    this.#unloaded.clear();
  }

  /** @param {string} path @param {string} [key] */
  #touch(path, key) {
    this.#subscriptions.touch(path);
    if (key === undefined) return;
    this.#subscriptions.touch(`thread:${key}`);
    if (this.#options.threads && this.#state.hasThreads(key)) this.threads.changed();
    this.#offline?.changed(key);
    if (key === SELF || key === EVERYBODY) this.#subscriptions.touch("notifications");
    this.#refresher.check(key);
    this.#members.check(key);
    this.#expiry.wait();
  }

  #wantThreads() {
    if (this.#options.threads) this.threads.want();
  }

  /** @param {Partial<ConnectionView>} change */
  #connect(change) {
    this.#connection = Object.freeze({ ...this.#connection, ...change });
    this.#subscriptions.touch("connection");
    if (change.state === "connected") this.#loadAgain();
    if (this.#connection.state !== "connected" && this.#connection.state !== "replaying") this.#state.typing.clear();
  }

  /** Ask the server for the list of conversations once more: others' names and pictures come with it. */
  refresh() {
    this.#refresher.want();
  }

  /** Ask the server for the own account once more, as it was changed here or elsewhere. @returns {Promise<Me>} */
  refreshMe() {
    return this.#refresher.refreshMe();
  }

  /** @param {Me} me */
  #touchMe(me) {
    this.#me = me;
    this.#subscriptions.touch("me");
  }
}
