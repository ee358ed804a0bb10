/** The state of the store, without any I/O: the mirror of the server, optimistic updates, and the cache of views. */

import { OptimisticUpdates, seqOfChanged, storedEnvelope } from "./optimistic.js";
import { Expiring } from "./expiring.js";
import { factsOf, noFacts, regrouped } from "./facts.js";
import { EVERYBODY, Mirror, SELF, isWhisper } from "./mirror.js";
import { takeNotifications } from "./notifications.js";
import { Statuses, Typing } from "./presence.js";
import { ViewCache } from "./view-cache.js";
import { Streams } from "./streams.js";
import { keyOf, shownSeqs } from "./views.js";

/**
 * @import { ConversationRow, Envelope } from "../types.js"
 * @import { Outgoing } from "./optimistic.js"
 * @import { Facts } from "./facts.js"
 */

/**
 * @typedef {object} StateOptions
 * @property {Iterable<string>} [counted]
 * @property {Iterable<string>} echoed
 * @property {(key: string) => number} most
 * @property {(key: string) => void} [missing] called when a piece of a streamed message is missing
 * @property {boolean} [threads] whether replies that only their thread shows are kept apart
 * @property {import("./view-cache.js").DraftSource} [drafts]
 */

/** A conversation may hold this many messages above its limit, so that it is not trimmed at each message. */
const SLACK = 50;
const NO_DRAFTS = Object.freeze({ targets: [], summary: () => null });

export class State {
  /** @type {Map<string, Facts>} */
  facts = new Map();
  /** @type {Set<string>} conversations of which nothing older is left to load */
  complete = new Set();
  /** The server's rows, by conversation: as last sent. @type {Map<string, ConversationRow>} */
  rows = new Map();
  /** The last seq of conversations that an earlier visit kept, and the server has not listed yet. @type {Map<string, number>} */
  restored = new Map();
  /** @type {Set<string>} conversations that have messages of an earlier visit */
  kept = new Set();
  /** @type {Set<string>} conversations whose newest page was loaded */
  opened = new Set();
  expiring = new Expiring();
  /** Whether the server keeps marks of conversations and saved messages. */
  canMark = true;
  statuses = new Statuses();
  #newest = 0; // the newest message id that is known
  #views = new ViewCache(this);
  #most;
  #touch;

  /**
   * @param {string} userId
   * @param {(path: string, key?: string) => void} touch called with the path of what changed
   * @param {StateOptions} options
   */
  constructor(userId, touch, { counted, echoed, most, missing = () => {}, drafts = NO_DRAFTS, threads }) {
    this.userId = userId;
    this.drafts = drafts;
    this.mirror = new Mirror(userId, (key, seq) => this.#changed(key, seq), counted, threads);
    this.optimistic = new OptimisticUpdates(echoed);
    this.typing = new Typing((key) => this.#typed(key));
    this.streams = new Streams((key, name) => this.#streamed(key, name), missing);
    this.#most = most;
    this.#touch = touch;
  }

  // ---- from the server and from this device

  /** @param {Envelope<any>} envelope */
  apply(envelope) {
    const { type, payload, meta } = envelope;
    if (type === "status_update") {
      if (meta.message_id === undefined) this.status(meta.sender_id ?? "", payload);
      return;
    }
    if (type === "message_stream") return this.piece(envelope);
    if (type === "connection_event" || (type !== "typing_indicator" && meta.message_id === undefined && !isWhisper(meta))) return;
    const key = this.mirror.key(envelope);
    this.#note(meta.message_id);
    if (type === "typing_indicator" && this.mirror.isEnded(key)) return;
    if (meta.sender_id !== this.userId && (type === "typing_indicator" || meta.seq !== undefined)) this.typing.take(key, envelope);
    if (meta.seq !== undefined && meta.id !== undefined) {
      this.streams.end(key, keyOf({ senderId: meta.sender_id ?? "", id: meta.id }, this.userId));
    }
    if (!this.mirror.apply(envelope)) return;
    if (type === "group_event") this.#regroup(key, envelope);
    const held = this.mirror.conversations.get(key)?.messages.size ?? 0;
    if (held > this.#most(key) + SLACK) this.trim(key);
  }

  /**
   * Take a piece of a streamed message, unless the message is stored.
   *
   * @param {Envelope<any>} envelope
   */
  piece(envelope) {
    const { payload, meta } = envelope;
    const key = this.mirror.key(envelope);
    const senderId = meta.sender_id ?? "";
    const [id, mine] = [payload.stream_id, senderId === this.userId];
    if (this.mirror.isEnded(key)) return;
    for (const message of this.mirror.conversations.get(key)?.messages.values() ?? []) {
      if (message.id === id && message.senderId === senderId) return;
    }
    if (mine && this.optimistic.messages.get(key)?.has(id)) return;
    const inGroup = mine ? this.facts.get(key)?.kind === "group" : meta.target_id === key;
    this.streams.take(key, keyOf({ senderId, id }, this.userId), envelope, { mine, type: inGroup ? "group_message" : "chat_message" });
  }

  /** @param {string} userId @param {import("../types.js").StatusPayload} status */
  status(userId, status) {
    this.statuses.take(userId, status);
    this.#touch(`presence:${userId}`);
  }

  /**
   * Take the state of a message of this device.
   *
   * @param {Outgoing} sent
   * @param {boolean} gone whether it was cancelled or discarded
   */
  sent(sent, gone) {
    const { type, payload, meta } = sent.envelope;
    this.optimistic.uploaded.take(sent);
    if (type === "follow") for (const status of /** @type {any[]} */ (sent.ack?.statuses ?? [])) this.status(status.user_id, status);
    if (meta.target_id === undefined) return;
    const key = meta.target_id === this.userId && payload.kind === SELF ? SELF : meta.target_id;
    if (type === "read_receipt" && payload.up_to_seq && sent.state !== "failed") {
      this.mirror.conversations.get(key)?.read(payload.up_to_seq);
    }
    if (sent.state !== "failed") this.mirror.conversations.get(key)?.threads.sent(type, payload);
    if (type === "read_receipt" && sent.ack) this.#changed(key); // the server's count goes by it from now on
    const stored = storedEnvelope(sent, this.userId);
    if (stored && this.optimistic.isNews(sent, this.mirror.conversations.get(key))) this.apply(stored);
    if (!this.optimistic.take(key, sent, gone, this.#newest)) return;
    this.streams.end(key, `i:${sent.id}`);
    const conversation = this.mirror.isEnded(key) ? null : this.mirror.conversation(key);
    this.#views.changedUnsent(key, sent.id);
    this.#changed(key, conversation ? seqOfChanged(conversation, sent) : undefined);
    this.#touch(`message:${key}/i:${sent.id}`);
  }

  /**
   * Take the server's row of a conversation.
   *
   * @param {ConversationRow} row
   */
  row(row) {
    const key = row.target_id;
    if (this.mirror.isEnded(key, row.last_message?.meta.message_id)) return; // the row is older than that
    const conversation = this.mirror.conversation(key);
    const known = this.facts.get(key);
    this.rows.set(key, row);
    if (!known || known.seq <= row.last_seq) this.facts.set(key, factsOf(row, known));
    this.#note(row.last_message?.meta.message_id);
    conversation.inGroup = row.kind === "group";
    conversation.unread.row(row);
    if (row.last_message) conversation.preview(row.last_message);
    for (const value of row.latest ?? []) conversation.take(value);
    this.#changed(key);
  }

  /** Take the user's marks of conversations; null of a server that has none. @param {Envelope<any>[] | null} marks */
  marks(marks) {
    this.canMark = marks !== null;
    for (const envelope of marks ?? []) this.mirror.conversations.get(this.mirror.key(envelope))?.take(envelope);
  }

  /** Whether a conversation began with an event, such as a group that the user was added to again. */
  get isBegunAnew() {
    return [...this.mirror.conversations.values()].some(({ anew }) => anew);
  }

  /**
   * Take a page of messages.
   *
   * @param {string} key
   * @param {{ messages: Envelope<any>[], latest?: Envelope<any>[], has_more: boolean, threads?: import("./threads.js").ThreadRow[] }} page
   * @param {{ older?: boolean, bounds?: { before?: number, after?: number } | null }} [options] older: whether it is the newest
   *   page, or the one before the messages held; bounds: what it was asked for by, null where it may have holes
   */
  page(key, page, { older = false, bounds = {} } = {}) {
    this.mirror.load(key, page.messages, page.latest, { threads: page.threads });
    if (bounds) this.mirror.conversations.get(key)?.skipped(page.messages.map(({ meta }) => meta.seq ?? 0), bounds);
    this.#note(page.messages.at(-1)?.meta.message_id);
    const conversation = this.mirror.conversations.get(key);
    if (!conversation) return;
    if (older) this.opened.add(key);
    if (older) conversation.anew = false;
    if (older && !page.has_more) this.complete.add(key);
    this.#changed(key);
  }

  /**
   * Take a page of a thread's replies.
   *
   * @param {string} key
   * @param {import("../types.js").ThreadAnswer} page
   */
  threadPage(key, { root, messages, latest, thread, has_more: more }) {
    this.mirror.load(key, [root, ...messages], latest, { threads: thread ? [thread] : [], loose: true });
    this.#note(messages.at(-1)?.meta.message_id);
    const open = this.mirror.conversations.get(key)?.threads.open;
    const rootId = /** @type {number} */ (root.meta.message_id);
    if (open?.has(rootId)) open.set(rootId, !more);
    this.#changed(key);
  }

  /**
   * Take a page of notifications, and the read pointers where they were fetched.
   *
   * @param {import("../types.js").NotificationsAnswer} page
   * @param {Map<string, { up_to_seq: number, unread: number }>} [pointers]
   */
  notifications(page, pointers = new Map()) {
    takeNotifications(this.mirror, page, pointers);
    for (const key of [SELF, EVERYBODY]) {
      if (!page.has_more) this.complete.add(key);
      this.#changed(key);
    }
  }

  /**
   * Note that the server has listed all conversations.
   *
   * @param {string[]} keys those on its list
   */
  listed(keys) {
    const known = new Set([...keys, SELF, EVERYBODY]);
    for (const [key, lastSeq] of this.restored) {
      const conversation = this.mirror.conversations.get(key);
      if (!known.has(key) && conversation && conversation.lastSeq <= lastSeq) this.mirror.forget(key); // it ended meanwhile
    }
    this.restored.clear();
    for (const [key, conversation] of this.mirror.conversations) {
      if (conversation.stale) this.opened.delete(key);
      conversation.stale = false;
      // Not on the list: it is not asked for again before a new message comes.
      if (!known.has(key)) this.facts.set(key, noFacts(key, conversation.lastSeq));
    }
  }

  /**
   * Tell whether a page of a conversation must be loaded before there is a message to show, or before its newest one is: a
   * message that came while another tab got the connection is told of by the server's row alone.
   *
   * @param {string} key
   */
  lacksPreview(key) {
    const conversation = this.mirror.conversations.get(key);
    if (!conversation) return false;
    if (conversation.anew) return true;
    if (this.opened.has(key)) return conversation.partial.has(conversation.order.at(-1) ?? 0);
    return conversation.lastSeq > 0 && shownSeqs(conversation, { partial: true }).length === 0;
  }

  /**
   * Drop the messages before the end of a gap that a resume left: what was missed may have changed them.
   *
   * @param {{ kind: string, target_id: string, to_seq: number }} gap
   */
  missed({ kind, target_id: target, to_seq: upTo }) {
    const key = kind === SELF ? SELF : kind === "broadcast" ? EVERYBODY : target;
    if (this.mirror.conversations.get(key)?.missed(upTo)) this.complete.delete(key);
  }

  /**
   * Drop the oldest messages of a conversation above its limit.
   *
   * @param {string} key
   */
  trim(key) {
    const conversation = this.mirror.conversations.get(key);
    if (conversation?.trim(this.#most(key))) this.complete.delete(key);
  }

  /** Turn expired messages into tombstones. @param {number} now Unix seconds */
  expire(now) {
    for (const key of this.expiring.take(now)) this.mirror.conversations.get(key)?.expire(now);
  }

  /** Note that what lists show of a draft changed. @param {string} key */
  drafted(key) {
    this.#views.changed(key);
    this.#touch("conversations");
  }

  // ---- views

  /** The conversations, the one with the newest message first. */
  get conversations() {
    return this.#views.conversations;
  }

  /** @param {string} key */
  summary(key) {
    return this.#views.summary(key);
  }

  /** @param {string} key */
  view(key) {
    return this.#views.view(key);
  }

  /** Tell whether a conversation has threads that are known. @param {string} key */
  hasThreads(key) {
    return this.mirror.conversations.get(key)?.threads.some ?? false;
  }

  /** @param {string} key @param {number} rootId */
  thread(key, rootId) {
    return this.#views.thread(key, rootId);
  }

  /** @param {string} key @param {number} messageId */
  message(key, messageId) {
    return this.#views.message(key, messageId);
  }

  /** Return the view of a message that is not held. @param {Envelope<any>} envelope */
  viewOf(envelope) {
    return this.#views.viewOf(this.mirror.key(envelope), envelope);
  }

  /** Return the lowest seq held, or null. @param {string} key */
  oldestSeq(key) {
    return this.mirror.conversations.get(key)?.oldestSeq ?? null;
  }

  // ---- changes

  /** @param {number} [position] */
  #note(position = 0) {
    this.#newest = Math.max(this.#newest, position);
  }

  /** @param {string} key @param {number} [seq] */
  #changed(key, seq) {
    const conversation = this.mirror.conversations.get(key);
    const message = seq === undefined ? undefined : conversation?.messages.get(seq);
    if (message) this.#changedMessage(key, message);
    if (!conversation) {
      // A group's name stays as long as its end is shown.
      for (const held of [...(this.mirror.endOf(key) ? [] : [this.facts]), this.rows, this.kept, this.complete, this.opened]) held.delete(key);
      this.typing.end(key);
    }
    this.#views.changed(key);
    this.#touch(`conversation:${key}`, key);
    this.#touch("conversations");
  }

  /** @param {string} key @param {import("./message.js").Message} message */
  #changedMessage(key, message) {
    const name = keyOf(message, this.userId);
    this.#views.changedMessage(key, message.seq);
    this.#touch(`message:${key}/${name}`);
    this.expiring.note(key, message);
    if (message.senderId !== this.userId || message.id === undefined) return;
    const changed = this.optimistic.stored(key, message.id);
    const conversation = this.mirror.conversations.get(key);
    if (changed && conversation) this.#changed(key, seqOfChanged(conversation, changed));
  }

  /** @param {string} key */
  #typed(key) {
    this.#views.changed(key);
    this.#touch(`typing:${key}`);
    this.#touch(`conversation:${key}`);
    this.#touch("conversations");
  }

  /** @param {string} key @param {string} name */
  #streamed(key, name) {
    this.#views.streamed(key);
    this.#touch(`message:${key}/${name}`);
    this.#touch(`conversation:${key}`);
  }

  /**
   * Update a group's name and this user's role from an event.
   *
   * @param {string} key
   * @param {Envelope<any>} envelope
   */
  #regroup(key, { payload, meta }) {
    const facts = this.facts.get(key);
    const seq = meta.seq ?? 0;
    this.mirror.conversations.get(key)?.regroup(payload, seq);
    if (!facts) return; // the server's row will bring both
    this.facts.set(key, regrouped(facts, payload, seq, this.userId));
    this.#changed(key);
  }
}
