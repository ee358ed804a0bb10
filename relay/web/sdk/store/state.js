/**
 * What the store holds, without any I/O: the mirror, the echoes of what is on its way, and the views that an application
 * draws. A view is made when it is asked for, and stays the same object until something of it changes.
 */

import { Conversation } from "./conversation.js";
import { Echoes, seqOfChanged, storedEnvelope } from "./echoes.js";
import { EVERYBODY, Mirror, SELF } from "./mirror.js";
import { Statuses, Typing } from "./presence.js";
import { echoView, gapsOf, keyOf, messageView, shownSeqs } from "./views.js";

/**
 * @import { ConversationRow, Envelope } from "../types.js"
 * @import { Outgoing } from "./echoes.js"
 * @import { Facts, MessageView } from "./views.js"
 */

/**
 * A line in the list of conversations.
 *
 * @typedef {object} ConversationSummary
 * @property {string} target the other user, or the group
 * @property {import("../types.js").ConversationKind | null} kind null until the server has said
 * @property {string} name
 * @property {import("../types.js").Role | null} role
 * @property {MessageView | null} lastMessage
 * @property {number} unread
 * @property {number} unreadMentions
 * @property {number} readSeq up to where it is read
 * @property {number} lastSeq
 * @property {Readonly<Record<string, { read: number, delivered: number }>>} receipts up to where others have read it
 * @property {readonly string[]} typing who types
 */

/**
 * @typedef {ConversationSummary & {
 *   messages: readonly MessageView[], hasOlder: boolean, gaps: readonly { fromSeq: number, toSeq: number }[],
 * }} ConversationView
 */

/**
 * @typedef {object} Shelf the views of one conversation
 * @property {Conversation} conversation
 * @property {Map<string, MessageView>} messages
 * @property {ConversationSummary | null} summary
 * @property {ConversationView | null} view
 */

/** @typedef {{ counted?: Iterable<string>, echoed: Iterable<string>, most: (key: string) => number }} StateOptions */

/** So many more than it may hold a conversation gathers before the oldest go. */
const SLACK = 50;

export class State {
  /** @type {Map<string, Facts>} */
  facts = new Map();
  /** @type {Set<string>} conversations of which there is nothing older to load */
  complete = new Set();
  /** @type {Set<string>} conversations whose newest page was loaded */
  opened = new Set();
  /** @type {Map<number, { key: string, at: number }>} what will expire, by message id */
  expiring = new Map();
  statuses = new Statuses();
  /** @type {Map<string, Shelf>} */
  #shelves = new Map();
  /** @type {readonly ConversationSummary[] | null} */
  #list = null;
  /** @type {WeakSet<object>} the acks that are applied */
  #taken = new WeakSet();
  #most;
  #touch;

  /**
   * @param {string} userId
   * @param {(path: string, key?: string) => void} touch told what changed
   * @param {StateOptions} options
   */
  constructor(userId, touch, { counted, echoed, most }) {
    this.userId = userId;
    this.mirror = new Mirror(userId, (key, seq) => this.#changed(key, seq), counted);
    this.echoes = new Echoes(echoed);
    this.typing = new Typing((key) => this.#typed(key));
    this.#most = most;
    this.#touch = touch;
  }

  // ---- what comes

  /** @param {Envelope<any>} envelope */
  apply(envelope) {
    const { type, payload, meta } = envelope;
    if (type === "status_update") {
      if (meta.message_id === undefined) this.status(meta.sender_id ?? "", payload);
      return;
    }
    if (type === "connection_event" || (type !== "typing_indicator" && meta.message_id === undefined)) return;
    const key = this.mirror.key(envelope);
    if (meta.sender_id !== this.userId && (type === "typing_indicator" || meta.seq !== undefined)) this.typing.take(key, envelope);
    if (!this.mirror.apply(envelope)) return;
    if (type === "group_event") this.#regroup(key, envelope);
    const held = this.mirror.conversations.get(key)?.messages.size ?? 0;
    if (held > this.#most(key) + SLACK) this.trim(key);
  }

  /**
   * @param {string} userId
   * @param {import("../types.js").StatusPayload} status
   */
  status(userId, status) {
    this.statuses.take(userId, status);
    this.#touch(`presence:${userId}`);
  }

  /**
   * Take what became of a message of this device's; one that is gone was taken back, or its failure was read.
   *
   * @param {Outgoing} sent
   * @param {boolean} gone
   */
  sent(sent, gone) {
    const { type, payload, meta } = sent.envelope;
    if (type === "follow") for (const status of /** @type {any[]} */ (sent.ack?.statuses ?? [])) this.status(status.user_id, status);
    if (meta.target_id === undefined) return;
    const key = meta.target_id === this.userId && payload.kind === SELF ? SELF : meta.target_id;
    if (type === "read_receipt" && payload.up_to_seq && sent.state !== "failed") {
      this.mirror.conversations.get(key)?.read(payload.up_to_seq);
    }
    if (type === "read_receipt" && sent.ack) this.#changed(key); // the server's own count goes by it from now on
    const stored = storedEnvelope(sent, this.userId);
    if (stored && this.#brings(key, sent)) this.apply(stored);
    if (!this.echoes.take(key, sent, gone)) return;
    const conversation = this.mirror.conversation(key);
    this.#shelves.get(key)?.messages.delete(`i:${sent.id}`);
    this.#changed(key, seqOfChanged(conversation, sent));
    this.#touch(`message:${key}/i:${sent.id}`);
  }

  /**
   * Take the server's row of a conversation.
   *
   * @param {ConversationRow} row
   */
  row(row) {
    const key = row.target_id;
    if (this.mirror.isEnded(key, row.last_message?.meta.message_id)) return; // it is from before that
    const conversation = this.mirror.conversation(key);
    const known = this.facts.get(key);
    if (!known || known.seq <= row.last_seq) {
      const { kind, name, role, last_seq: seq } = row;
      this.facts.set(key, { kind, name, role, seq, roleSeq: seq });
    }
    conversation.unread.row(row);
    if (row.last_message) conversation.preview(row.last_message);
    this.#changed(key);
  }

  /**
   * Take a page; `older` says that it is the newest one, or the one before what is held.
   *
   * @param {string} key
   * @param {{ messages: Envelope<any>[], latest?: Envelope<any>[], has_more: boolean }} page
   * @param {{ older?: boolean }} [options]
   */
  page(key, page, { older = false } = {}) {
    this.mirror.load(key, page.messages, page.latest);
    const conversation = this.mirror.conversations.get(key);
    if (!conversation) return;
    if (older) this.opened.add(key);
    if (older) conversation.anew = false;
    if (older && !page.has_more) this.complete.add(key);
    this.#changed(key);
  }

  /**
   * Take a page of notifications, and how far they are read where that was asked.
   *
   * @param {import("../types.js").NotificationsAnswer} page
   * @param {Map<string, { up_to_seq: number, unread: number }>} [pointers]
   */
  notifications(page, pointers = new Map()) {
    for (const key of [SELF, EVERYBODY]) {
      const messages = page.messages.filter(({ meta }) => (meta.target_id === EVERYBODY) === (key === EVERYBODY));
      this.mirror.load(key, messages);
      const pointer = pointers.get(key);
      const { unread, lastSeq } = this.mirror.conversation(key);
      if (pointer && page.has_more) {
        unread.row({ last_seq: lastSeq, read_seq: pointer.up_to_seq, unread: pointer.unread, unread_mentions: 0 });
      } else if (pointer) unread.read(pointer.up_to_seq);
      if (!page.has_more) this.complete.add(key);
      this.#changed(key);
    }
  }

  /**
   * Note that the server was asked for all conversations.
   *
   * @param {string[]} keys those it has
   */
  lookedAt(keys) {
    const known = new Set([...keys, SELF, EVERYBODY]);
    for (const [key, conversation] of this.mirror.conversations) {
      if (conversation.stale) this.opened.delete(key);
      conversation.stale = false;
      // Not asked for again before something new is said there.
      if (!known.has(key)) this.facts.set(key, { kind: null, name: key, role: null, seq: conversation.lastSeq, roleSeq: 0 });
    }
  }

  /**
   * Tell whether a page of a conversation is to be loaded, for there to be something to show.
   *
   * @param {string} key
   */
  lacksPreview(key) {
    const conversation = this.mirror.conversations.get(key);
    if (!conversation) return false;
    if (conversation.anew) return true;
    return !this.opened.has(key) && conversation.lastSeq > 0 && shownSeqs(conversation, { partial: true }).length === 0;
  }

  /**
   * Forget what lies before a gap that a resume left: it may have been changed there.
   *
   * @param {{ kind: string, target_id: string, to_seq: number }} gap
   */
  missed({ kind, target_id: target, to_seq: upTo }) {
    const key = kind === SELF ? SELF : kind === "broadcast" ? EVERYBODY : target;
    if (this.mirror.conversations.get(key)?.missed(upTo)) this.complete.delete(key);
  }

  /**
   * Forget the oldest messages of a conversation that nobody looks at.
   *
   * @param {string} key
   */
  trim(key) {
    const conversation = this.mirror.conversations.get(key);
    if (conversation?.trim(this.#most(key))) this.complete.delete(key);
  }

  /** Make tombstones of what has expired. @param {number} now Unix seconds */
  expire(now) {
    for (const [messageId, { key, at }] of [...this.expiring]) {
      if (at > now) continue;
      this.expiring.delete(messageId);
      this.mirror.conversations.get(key)?.expire(now);
    }
  }

  // ---- what is drawn

  /** The conversations, the one with the newest message first. */
  get conversations() {
    if (this.#list) return this.#list;
    const keys = [...this.mirror.conversations.keys()].filter((key) => this.#isListed(key));
    const time = (/** @type {ConversationSummary} */ one) => one.lastMessage?.timestamp ?? 0;
    const summaries = keys.map((key) => this.summary(key));
    summaries.sort((one, other) => time(other) - time(one) || (one.target < other.target ? -1 : 1));
    return (this.#list = Object.freeze(summaries));
  }

  /**
   * @param {string} key
   * @returns {ConversationSummary}
   */
  summary(key) {
    const shelf = this.#shelf(key);
    if (shelf.summary) return shelf.summary;
    const { conversation } = shelf;
    const { kind = null, name = key, role = null } = this.facts.get(key) ?? {};
    const { messages: unread, mentions: unreadMentions } = conversation.unread.count;
    const echo = [...(this.echoes.messages.get(key)?.values() ?? [])].at(-1);
    const newest = shownSeqs(conversation, { partial: true }).at(-1);
    const lastMessage = echo ? this.#echo(shelf, key, echo) : newest === undefined ? null : this.#message(shelf, key, newest);
    const receipts = Object.freeze(Object.fromEntries(conversation.receipts));
    return (shelf.summary = Object.freeze({
      target: key, kind, name, role, lastMessage, unread, unreadMentions, receipts,
      readSeq: conversation.unread.readSeq,
      lastSeq: Math.max(conversation.lastSeq, conversation.unread.rowSeq),
      typing: this.typing.view(key),
    }));
  }

  /**
   * @param {string} key
   * @returns {ConversationView}
   */
  view(key) {
    const shelf = this.#shelf(key);
    if (shelf.view) return shelf.view;
    const { conversation } = shelf;
    const echoes = [...(this.echoes.messages.get(key)?.values() ?? [])].map((sent) => this.#echo(shelf, key, sent));
    const messages = [...shownSeqs(conversation).map((seq) => this.#message(shelf, key, seq)), ...echoes];
    shelf.messages = new Map(messages.map((message) => [message.key, message]));
    const oldest = this.oldestSeq(key);
    const hasOlder = !this.complete.has(key) && (oldest === null ? conversation.unread.rowSeq > 0 : oldest > 1);
    return (shelf.view = Object.freeze({
      ...this.summary(key), messages: Object.freeze(messages), hasOlder, gaps: Object.freeze(gapsOf(conversation)),
    }));
  }

  /**
   * Return the lowest seq that is held.
   *
   * @param {string} key
   */
  oldestSeq(key) {
    const conversation = this.mirror.conversations.get(key);
    let oldest = null;
    for (const seq of conversation?.messages.keys() ?? []) {
      if (!conversation?.partial.has(seq)) oldest = Math.min(oldest ?? seq, seq);
    }
    return oldest;
  }

  /** @param {string} key */
  #isListed(key) {
    if (key === SELF || key === EVERYBODY) return false;
    const says = (this.mirror.conversations.get(key)?.messages.size ?? 0) > 0 || this.echoes.messages.has(key);
    return says || (this.facts.get(key)?.kind ?? null) !== null;
  }

  /**
   * @param {string} key
   * @returns {Shelf}
   */
  #shelf(key) {
    const conversation = this.mirror.conversations.get(key) ?? new Conversation(this.userId, new Set(), () => {});
    let shelf = this.#shelves.get(key);
    const same = shelf && (shelf.conversation === conversation || !this.mirror.conversations.has(key));
    if (!shelf || !same) {
      shelf = { conversation, messages: new Map(), summary: null, view: null };
      this.#shelves.set(key, shelf);
    }
    return shelf;
  }

  /**
   * @param {Shelf} shelf
   * @param {string} key
   * @param {number} seq
   */
  #message({ conversation, messages }, key, seq) {
    const message = /** @type {import("./conversation.js").Message} */ (conversation.messages.get(seq));
    const name = keyOf(message, this.userId);
    const view = messages.get(name) ?? messageView(key, conversation, message, this.echoes);
    messages.set(name, view);
    return view;
  }

  /**
   * @param {Shelf} shelf
   * @param {string} key
   * @param {Outgoing} sent
   */
  #echo({ messages }, key, sent) {
    const view = messages.get(`i:${sent.id}`) ?? echoView(key, this.userId, sent);
    messages.set(view.key, view);
    return view;
  }

  // ---- what changed

  /**
   * @param {string} key
   * @param {number} [seq]
   */
  #changed(key, seq) {
    const conversation = this.mirror.conversations.get(key);
    const message = seq === undefined ? undefined : conversation?.messages.get(seq);
    if (message) this.#changedMessage(key, message);
    const shelf = this.#shelves.get(key);
    if (!conversation) for (const held of [this.#shelves, this.facts, this.complete, this.opened]) held.delete(key);
    if (shelf) shelf.view = shelf.summary = null;
    this.#list = null;
    this.#touch(`conversation:${key}`, key);
    this.#touch("conversations");
  }

  /**
   * @param {string} key
   * @param {import("./conversation.js").Message} message
   */
  #changedMessage(key, message) {
    const name = keyOf(message, this.userId);
    this.#shelves.get(key)?.messages.delete(name);
    this.#touch(`message:${key}/${name}`);
    if (message.expiresAt !== undefined && message.deletedAt === undefined) {
      this.expiring.set(message.messageId, { key, at: message.expiresAt });
    } else this.expiring.delete(message.messageId);
    if (message.senderId !== this.userId || message.id === undefined) return;
    const changed = this.echoes.stored(key, message.id);
    const conversation = this.mirror.conversations.get(key);
    if (changed && conversation) this.#changed(key, seqOfChanged(conversation, changed));
  }

  /** @param {string} key */
  #typed(key) {
    const shelf = this.#shelves.get(key);
    if (shelf) shelf.view = shelf.summary = null;
    this.#list = null;
    this.#touch(`typing:${key}`);
    this.#touch(`conversation:${key}`);
    this.#touch("conversations");
  }

  /**
   * Keep the name and the role right.
   *
   * @param {string} key
   * @param {Envelope<any>} envelope
   */
  #regroup(key, { payload, meta }) {
    const facts = this.facts.get(key);
    const seq = meta.seq ?? 0;
    if (!facts) return; // its row says so
    // What fills a gap comes later than what is newer.
    if (payload.event === "renamed" && seq > facts.seq) this.facts.set(key, { ...facts, name: payload.name, seq });
    const mine = payload.user_id === this.userId;
    // Who makes another the owner is an admin from then on; no event says so.
    const role = mine ? payload.role : payload.role === "owner" && facts.role === "owner" ? "admin" : undefined;
    if (role && seq > facts.roleSeq) this.facts.set(key, { ...facts, role, roleSeq: seq });
    this.#changed(key);
  }

  /**
   * Tell whether an ack says something new.
   *
   * @param {string} key
   * @param {Outgoing} sent
   */
  #brings(key, { ack }) {
    if (!ack || this.#taken.has(ack)) return false;
    this.#taken.add(ack);
    // Of one that was stored earlier the server has told, perhaps changed since.
    return !(ack.duplicate && this.mirror.conversations.get(key)?.seqs.has(/** @type {number} */ (ack.message_id)));
  }
}
