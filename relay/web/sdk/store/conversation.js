/** One conversation of the mirror: its messages, reactions, latest values, receipts and read pointer, by the rules of mirror.js. */

import { LatestValues } from "./latest.js";
import { MARK, Marks } from "./marks.js";
import { isEqual, read, wins } from "./message.js";
import { THREAD_FOLLOW, THREAD_READ, Threads } from "./threads.js";
import { Unread } from "./unread.js";

/** @import { Envelope } from "../types.js" */
/** @import { Message } from "./message.js" */

const MAX_OVER = 2_000;
const MAX_REACTIONS = 2_000;

export class Conversation {
  /** @type {Map<number, Message>} by seq */
  messages = new Map();
  /** The seqs of the messages held, in order. @type {number[]} */
  order = [];
  /** Ranges of seqs of which the server has nothing for this user: the last seq by the first. @type {Map<number, number>} */
  voids = new Map();
  /** @type {Map<number, number>} the seq by message id */
  seqs = new Map();
  /** @type {Map<string, { read: number, delivered: number }>} the highest seq by user */
  receipts = new Map();
  inGroup = false;
  /** Who is in the group; null while that is not known. @type {Set<string> | null} */
  members = null;
  /** The newest event by which somebody came or went. */
  memberSeq = 0;
  /** @type {Map<number, Map<string, { emoji: string, userId: string, on: boolean, position: number }>>} by message id */
  reactions = new Map();
  /** When messages were deleted, replaced or expired, by message id: also of messages not held. @type {Map<number, number>} */
  over = new Map();
  /** The seq of the newest valid edit, by the id of the edited message. @type {Map<number, number>} */
  edits = new Map();
  /** The seqs of messages whose reactions are not known: a page with them is still to be loaded. @type {Set<number>} */
  partial = new Set();
  /** The seqs of messages that a thread brought: around them, others may be missing. @type {Set<number>} */
  loose = new Set();
  /** Whether replies that only their thread shows are kept apart from the others. */
  apart = false;
  /** The seq of the newest message that is known. */
  lastSeq = 0;
  /** The seq at which the user joined: they may not see earlier messages. */
  joinedSeq = 0;
  /** Whether the user may see other messages than before: the server must be asked again. */
  stale = false;
  /** Whether it began with an event: the messages that events bring may lack earlier reactions. */
  anew = false;
  #changed;

  /**
   * @param {string} userId
   * @param {ReadonlySet<string>} counted the types that make it unread
   * @param {(seq?: number) => void} changed
   */
  constructor(userId, counted, changed) {
    this.userId = userId;
    this.counted = counted;
    this.latest = new LatestValues(userId);
    this.marks = new Marks();
    this.threads = new Threads(this, (rootId) => this.#changed(this.seqs.get(rootId)));
    this.unread = new Unread(this);
    this.#changed = changed;
  }

  /**
   * Take a message without its reactions, as the list of conversations has the last one of each.
   *
   * @param {Envelope<any>} envelope
   */
  preview(envelope) {
    const anew = !this.messages.has(envelope.meta.seq ?? 0);
    this.take(envelope);
    if (anew) this.partial.add(envelope.meta.seq ?? 0);
  }

  /**
   * Take an envelope of this conversation's.
   *
   * @param {Envelope<any>} envelope
   * @param {{ whole?: boolean, loose?: boolean }} [options] whole: whether its reactions come along, as in a page; loose: whether
   *   it comes with a thread, without those around it
   */
  take(envelope, { whole = !this.anew, loose = false } = {}) {
    const { seq } = envelope.meta;
    if (seq === undefined) {
      if (envelope.type === "reaction") this.#takeReaction(envelope);
      else if (envelope.type === "read_receipt") this.#takeReceipt(envelope);
      else if (envelope.type === MARK) this.#takeMark(envelope);
      else if (envelope.type === THREAD_READ || envelope.type === THREAD_FOLLOW) this.threads.value(envelope);
      else this.#takeLatest(envelope);
      return;
    }
    if (!loose) this.loose.delete(seq);
    else if (!this.messages.has(seq)) this.loose.add(seq);
    if (whole) this.partial.delete(seq);
    else if (!this.messages.has(seq)) this.partial.add(seq);
    if (this.messages.has(seq)) this.#takeMessage(envelope);
    else this.unread.during(seq, () => this.#takeMessage(envelope));
  }

  /**
   * Return a message by its id.
   *
   * @param {number} messageId
   */
  byId(messageId) {
    return this.messages.get(this.seqs.get(messageId) ?? 0);
  }

  /**
   * Note which seqs a page left out that it would have had: they are gone, or from a time when the user was not there.
   *
   * @param {number[]} seqs those of the page, in order
   * @param {{ before?: number, after?: number }} bounds of the page, both excluded
   */
  skipped(seqs, { before, after }) {
    const known = [...(after === undefined ? [] : [after]), ...seqs, ...(before === undefined ? [] : [before])];
    for (let at = 1; at < known.length; at += 1) {
      if (known[at] > known[at - 1] + 1) this.voids.set(known[at - 1] + 1, known[at] - 1);
    }
  }

  /**
   * Move the user's own read pointer forward.
   *
   * @param {number} seq
   */
  read(seq) {
    if (!this.unread.read(seq)) return;
    this.#changed();
  }

  /**
   * Turn a message into a tombstone, and its edits with it.
   *
   * @param {number} messageId
   * @param {number} at
   * @param {boolean} [removed] whether somebody else than its author deleted it
   */
  end(messageId, at, removed = false) {
    this.unread.ends(messageId);
    if (!this.over.has(messageId)) this.over.set(messageId, at);
    if (this.over.size > MAX_OVER) this.over.delete(/** @type {number} */ (this.over.keys().next().value));
    this.reactions.delete(messageId);
    this.latest.delete(messageId);
    const edit = this.messages.get(this.edits.get(messageId) ?? 0);
    this.edits.delete(messageId);
    if (edit) this.#keep({ ...edit, payload: {}, editedAt: undefined, editId: undefined, deletedAt: at });
    const message = this.byId(messageId);
    if (message && message.deletedAt === undefined) {
      this.#keep({ ...message, payload: {}, editedAt: undefined, editId: undefined, deletedAt: at, removed: removed || undefined });
    }
  }

  /**
   * Turn expired messages into tombstones.
   *
   * @param {number} now Unix seconds
   */
  expire(now) {
    for (const message of this.messages.values()) {
      if (message.expiresAt !== undefined && message.expiresAt <= now && message.deletedAt === undefined) {
        this.end(message.messageId, message.expiresAt);
      }
    }
  }

  /**
   * Drop the oldest messages above `most`; unread ones among them still count.
   *
   * @param {number} most
   */
  trim(most) {
    const seqs = this.order.filter((seq) => !this.loose.has(seq));
    const old = seqs.slice(0, Math.max(0, seqs.length - most));
    for (const seq of old) if (this.#isOpen(seq)) this.loose.add(seq);
    return this.#forget(old.filter((seq) => !this.loose.has(seq))) || old.length > 0;
  }

  /** The lowest seq held with those after it; undefined where there is none. */
  get oldestSeq() {
    return this.order.find((seq) => !this.partial.has(seq) && !this.loose.has(seq));
  }

  /** Keep a thread at hand while it is read, or no longer. @param {number} rootId @param {boolean} open */
  openThread(rootId, open) {
    if (open && !this.threads.open.has(rootId)) this.threads.open.set(rootId, undefined);
    if (open) return;
    this.threads.open.delete(rootId);
    this.#forget([...this.loose].filter((seq) => !this.#isOpen(seq)));
  }

  /** @param {number} seq */
  #isOpen(seq) {
    const message = this.messages.get(seq);
    return message !== undefined && this.threads.isOpen(message);
  }

  /**
   * Drop the messages up to the end of a gap: messages that were missed may have edited or deleted them.
   *
   * @param {number} upTo the last seq of the gap
   */
  missed(upTo) {
    this.unread.dirty = true;
    this.members = null; // who came and went is missed as well
    const forgot = this.#forget(this.order.filter((seq) => seq <= upTo));
    this.threads.missed();
    return forgot;
  }

  /**
   * Drop messages that may have changed unseen. The newest one stays as a preview, as the server's row has just told of it.
   *
   * @param {number} upTo
   */
  distrust(upTo) {
    const newest = this.order.at(-1) ?? 0;
    this.#forget(this.order.filter((seq) => seq <= upTo && seq !== newest));
    if (newest > 0 && newest <= upTo) this.partial.add(newest);
    this.threads.missed();
    this.#changed();
  }

  /** @param {number[]} seqs */
  #forget(seqs) {
    if (seqs.length === 0) return false;
    this.unread.forget(seqs);
    for (const seq of seqs) {
      const message = this.messages.get(seq);
      const messageId = message?.messageId ?? 0;
      if (message) this.threads.dropped(message);
      this.messages.delete(seq);
      this.partial.delete(seq);
      this.loose.delete(seq);
      this.seqs.delete(messageId);
      this.reactions.delete(messageId);
      this.latest.delete(messageId);
      this.edits.delete(messageId);
    }
    this.order = this.order.filter((seq) => this.messages.has(seq));
    this.#changed();
    return true;
  }

  /** @param {Envelope<any>} envelope */
  #takeMessage(envelope) {
    let message = read(envelope);
    const known = this.messages.get(message.seq);
    if (known && wins(known, message)) message = known;
    if (envelope.meta.replaces !== undefined) this.end(envelope.meta.replaces, message.timestamp);
    const over = this.over.get(message.messageId);
    if (over !== undefined && message.deletedAt === undefined) {
      message = { ...message, payload: {}, editedAt: undefined, editId: undefined, deletedAt: over };
    }
    this.#keep(message);
    if (message.senderId === this.userId) this.read(message.seq);
    if (message.deletedAt !== undefined) {
      if (known !== message) this.end(message.messageId, message.deletedAt);
    } else if (message.type === "message_edit") this.#edit(message);
    else if (message.type === "message_delete") this.end(message.payload.message_id, message.timestamp, message.payload.removed === true);
    else this.#edited(message);
  }

  /** @param {Message} edit */
  #edit(edit) {
    const messageId = edit.payload.message_id;
    const over = this.over.get(messageId) ?? this.byId(messageId)?.deletedAt;
    if (over !== undefined) {
      this.#keep({ ...edit, payload: {}, editedAt: undefined, editId: undefined, deletedAt: over });
      return;
    }
    const newest = this.messages.get(this.edits.get(messageId) ?? 0);
    if (!newest || newest.seq < edit.seq) this.edits.set(messageId, edit.seq);
    const about = this.byId(messageId);
    if (about) this.#edited(about);
    else this.unread.edited();
  }

  /**
   * Give a message the content of its newest edit, unless it has that of a newer one: newer by its id, as times say
   * nothing of order.
   *
   * @param {Message} message
   */
  #edited(message) {
    const edit = this.messages.get(this.edits.get(message.messageId) ?? 0);
    if (!edit || edit.deletedAt !== undefined || (message.editId ?? 0) > edit.messageId) return;
    const { message_id: _, ...changes } = edit.payload;
    const payload = { ...message.payload, ...changes };
    if (!payload.mentions?.length) delete payload.mentions; // as the server stores it
    if (!payload.actions?.elements.length) delete payload.actions;
    if (message.editId === edit.messageId && isEqual(message.payload, payload)) return;
    this.#keep({ ...message, payload, editedAt: edit.timestamp, editId: edit.messageId });
  }

  /** @param {Envelope<any>} envelope */
  #takeReaction({ payload, meta }) {
    const { message_id: messageId, emoji, on } = payload;
    const about = this.byId(messageId);
    if (about?.deletedAt !== undefined || this.over.has(messageId)) return;
    const given = this.reactions.get(messageId) ?? new Map();
    const userId = meta.sender_id ?? "";
    const key = `${userId} ${emoji}`;
    const position = meta.message_id ?? 0;
    if ((given.get(key)?.position ?? 0) > position) return;
    given.set(key, { emoji, userId, on, position });
    this.reactions.set(messageId, given);
    if (this.reactions.size > MAX_REACTIONS) this.#forgetReactions();
    this.#changed(about?.seq);
  }

  /** @param {Envelope<any>} envelope */
  #takeLatest(envelope) {
    const subject = LatestValues.subject(envelope);
    if (typeof subject !== "number" || this.byId(subject)?.deletedAt !== undefined || this.over.has(subject)) return;
    if (!this.latest.take(subject, envelope)) return;
    this.latest.trim(this.seqs);
    this.#changed(this.seqs.get(subject));
  }

  /** @param {Envelope<any>} envelope */
  #takeMark(envelope) {
    if (this.marks.take(envelope)) this.#changed();
  }

  /** Drop reactions to messages that are not held: a page brings them along with the messages. */
  #forgetReactions() {
    for (const messageId of this.reactions.keys()) {
      if (!this.seqs.has(messageId)) this.reactions.delete(messageId);
    }
  }

  /** @param {Envelope<any>} envelope */
  #takeReceipt({ payload, meta }) {
    const sender = meta.sender_id ?? "";
    const state = payload.state ?? "read";
    if (payload.up_to_seq === undefined) return;
    if (sender === this.userId && state === "read") this.read(payload.up_to_seq);
    if (payload.private) return;
    const known = this.receipts.get(sender) ?? { read: 0, delivered: 0 };
    if (known[/** @type {"read"} */ (state)] >= payload.up_to_seq) return;
    this.receipts.set(sender, { ...known, [state]: payload.up_to_seq });
    const passed = this.order.slice(this.#placeOf(known[/** @type {"read"} */ (state)] + 1), this.#placeOf(payload.up_to_seq + 1));
    for (const seq of passed) if (this.messages.get(seq)?.senderId !== sender) this.#changed(seq);
    this.#changed();
  }

  /** Take who is in the group. @param {Iterable<string> | null} userIds */
  know(userIds) {
    this.members = userIds && new Set(userIds);
    for (const message of this.messages.values()) if (message.senderId === this.userId) this.#changed(message.seq);
    this.#changed();
  }

  /**
   * Take an event by which somebody came or went.
   *
   * @param {{ event: string, user_id?: string }} payload
   * @param {number} seq
   */
  regroup({ event, user_id: userId = "" }, seq) {
    if (event !== "member_added" && event !== "member_removed") return;
    if (seq < this.memberSeq) return this.know(null); // it fills a gap: which of the events was the last one of this user?
    this.memberSeq = seq;
    if (!this.members) return;
    const others = [...this.members].filter((one) => one !== userId);
    this.know(event === "member_added" ? [...others, userId] : others);
  }

  /** @param {Message} message */
  #keep(message) {
    const before = this.messages.get(message.seq);
    if (before === message) return;
    if (!before) this.order.splice(this.#placeOf(message.seq), 0, message.seq);
    this.messages.set(message.seq, message);
    this.seqs.set(message.messageId, message.seq);
    this.lastSeq = Math.max(this.lastSeq, message.seq);
    this.threads.kept(before, message);
    this.#changed(message.seq);
  }

  /** Return how many of the messages held are before a seq. @param {number} seq */
  #placeOf(seq) {
    let [low, high] = [0, this.order.length];
    if (high === 0 || this.order[high - 1] < seq) return high;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.order[middle] < seq) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
