/** What the store holds, without any I/O: the mirror, and the echoes of what is on its way. */

import { Echoes, seqOfChanged, storedEnvelope } from "./optimistic.js";
import { EVERYBODY, Mirror, SELF } from "./mirror.js";
import { Statuses, Typing } from "./presence.js";
import { Shelves } from "./view-cache.js";
import { keyOf, shownSeqs } from "./views.js";

/**
 * @import { ConversationRow, Envelope } from "../types.js"
 * @import { Outgoing } from "./optimistic.js"
 * @import { Facts } from "./views.js"
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
  #newest = 0; // the highest position that is known of
  #shelves = new Shelves(this);
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
    this.#note(meta.message_id);
    if (type === "typing_indicator" && this.mirror.isEnded(key)) return;
    if (meta.sender_id !== this.userId && (type === "typing_indicator" || meta.seq !== undefined)) this.typing.take(key, envelope);
    if (!this.mirror.apply(envelope)) return;
    if (type === "group_event") this.#regroup(key, envelope);
    const held = this.mirror.conversations.get(key)?.messages.size ?? 0;
    if (held > this.#most(key) + SLACK) this.trim(key);
  }

  /** @param {string} userId @param {import("../types.js").StatusPayload} status */
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
    if (!this.echoes.take(key, sent, gone, this.#newest)) return;
    const conversation = this.mirror.isEnded(key) ? null : this.mirror.conversation(key);
    this.#shelves.changedMessage(key, `i:${sent.id}`);
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
    if (this.mirror.isEnded(key, row.last_message?.meta.message_id)) return; // it is from before that
    const conversation = this.mirror.conversation(key);
    const known = this.facts.get(key);
    if (!known || known.seq <= row.last_seq) {
      const { kind, name, role, last_seq: seq } = row;
      this.facts.set(key, { kind, name, role, seq, roleSeq: seq });
    }
    this.#note(row.last_message?.meta.message_id);
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
    this.#note(page.messages.at(-1)?.meta.message_id);
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
    return this.#shelves.conversations;
  }

  /** @param {string} key */
  summary(key) {
    return this.#shelves.summary(key);
  }

  /** @param {string} key */
  view(key) {
    return this.#shelves.view(key);
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

  // ---- what changed

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
      // What a group was called is told as long as its end is.
      for (const held of [...(this.mirror.endOf(key) ? [] : [this.facts]), this.complete, this.opened]) held.delete(key);
      this.typing.end(key);
    }
    this.#shelves.changed(key);
    this.#touch(`conversation:${key}`, key);
    this.#touch("conversations");
  }

  /** @param {string} key @param {import("./message.js").Message} message */
  #changedMessage(key, message) {
    const name = keyOf(message, this.userId);
    this.#shelves.changedMessage(key, name);
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
    this.#shelves.changed(key);
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
