/**
 * The unread count of a conversation of which only some messages may be held.
 *
 * The server's row of the conversation counts all unread messages up to its last seq, `rowSeq`. Of those, `hidden` is
 * the number that is not held. So the count is: the messages held after the read pointer, plus `hidden`. Loading or
 * dropping messages moves them between the two parts, and leaves the sum as it is.
 *
 * Some changes cannot be counted without looking: an unknown message is deleted, or the pointer moves among unknown
 * ones. They make the count `dirty`: the best guess is shown, and the row is fetched again.
 */

import { isApart } from "./threads.js";

/** @import { ConversationRow } from "../types.js" */
/** @import { Message } from "./message.js" */

/**
 * @typedef {object} Counted a Conversation, as much of it as counts
 * @property {string} userId
 * @property {ReadonlySet<string>} counted the types that make it unread
 * @property {boolean} apart whether replies that only their thread shows do not count
 * @property {ReadonlyMap<number, Message>} messages by seq
 * @property {readonly number[]} order their seqs, in order
 * @property {(messageId: number) => Message | undefined} byId
 */

export class Unread {
  readSeq = 0;
  rowSeq = 0;
  hidden = { messages: 0, mentions: 0 };
  dirty = false;
  #conversation;

  /** @param {Counted} conversation */
  constructor(conversation) {
    this.#conversation = conversation;
  }

  /** The unread messages and mentions, as far as they are known. */
  get count() {
    const held = this.#held(this.readSeq, Infinity);
    return {
      messages: Math.max(0, held.messages + this.hidden.messages),
      mentions: Math.max(0, held.mentions + this.hidden.mentions),
    };
  }

  /**
   * Run `take`, which adds a message that is not held yet. The row has counted it already if its seq is not above
   * `rowSeq`: then `hidden` shrinks by what the messages held have grown, and the sum stays the same.
   *
   * @param {number} seq
   * @param {() => void} take
   */
  during(seq, take) {
    if (seq > this.rowSeq) return take();
    const before = this.#held(this.readSeq, Infinity);
    const readSeq = this.readSeq;
    take();
    if (this.readSeq !== readSeq) return; // an own message moved the pointer, and `read` has corrected `hidden`
    const after = this.#held(this.readSeq, Infinity);
    this.hidden = {
      messages: this.hidden.messages + before.messages - after.messages,
      mentions: this.hidden.mentions + before.mentions - after.mentions,
    };
  }

  /**
   * Take the server's row.
   *
   * @param {Pick<ConversationRow, "last_seq" | "read_seq" | "unread" | "unread_mentions" | "in_threads">} row
   */
  row(row) {
    if (row.last_seq < this.rowSeq) return;
    const held = this.#held(row.read_seq, row.last_seq);
    const { unread: aside, mentions } = (this.#conversation.apart && row.in_threads) || { unread: 0, mentions: 0 };
    this.rowSeq = row.last_seq;
    this.hidden = { messages: row.unread - aside - held.messages, mentions: row.unread_mentions - mentions - held.mentions };
    // A deletion after the row may be of a hidden message, and the row still counts it.
    this.dirty = this.hidden.messages !== 0 && this.#endedSince(row.last_seq);
    // The pointer may have moved here already and the server not know of it yet: start from its pointer, and move again.
    const readSeq = this.readSeq;
    this.readSeq = row.read_seq;
    this.read(readSeq);
  }

  /**
   * Move the read pointer forward; tells whether it moved.
   *
   * @param {number} seq
   */
  read(seq) {
    if (seq <= this.readSeq) return false;
    const passed = this.#unknown(this.readSeq, seq);
    this.readSeq = seq;
    const { messages, mentions } = this.hidden;
    if (seq >= this.rowSeq) this.hidden = { messages: 0, mentions: 0 };
    else if (messages !== 0) {
      const left = this.#unknown(seq, this.rowSeq);
      // Unknown messages on both sides of the pointer: which of them were the unread ones is not known.
      this.dirty ||= messages < 0 || (passed > 0 && left > 0);
      this.hidden = { messages: Math.min(messages, left), mentions: Math.min(mentions, left) };
    }
    return true;
  }

  /**
   * Note that a message was deleted, expired or replaced; it may be a hidden one.
   *
   * @param {number} messageId
   */
  ends(messageId) {
    const known = this.#conversation.byId(messageId);
    if (this.hidden.messages <= 0 || (known && known.deletedAt === undefined)) return;
    const seq = known?.seq ?? Infinity;
    if (seq > this.readSeq) this.dirty = true;
  }

  /** Note that a message was edited that is not held: it may mention other users now. */
  edited() {
    if (this.hidden.messages > 0) this.dirty = true;
  }

  /**
   * Count messages as hidden that are about to be dropped.
   *
   * @param {number[]} seqs
   */
  forget(seqs) {
    for (const seq of seqs) {
      const message = this.#conversation.messages.get(seq);
      if (!message || seq <= this.readSeq) continue;
      const { messages, mentions } = this.#weight(message);
      this.hidden = { messages: this.hidden.messages + messages, mentions: this.hidden.mentions + mentions };
    }
    const rowSeq = Math.max(this.rowSeq, ...seqs);
    this.dirty ||= this.#unknown(this.rowSeq, rowSeq) > 0; // messages that are still missing between are not counted yet
    this.rowSeq = rowSeq;
  }

  /** @param {number} after @param {number} upTo */
  #held(after, upTo) {
    const count = { messages: 0, mentions: 0 };
    const { messages: held, order } = this.#conversation;
    for (let at = order.length - 1; at >= 0 && order[at] > after; at -= 1) {
      if (order[at] > upTo) continue;
      const { messages, mentions } = this.#weight(/** @type {Message} */ (held.get(order[at])));
      count.messages += messages;
      count.mentions += mentions;
    }
    return count;
  }

  /** @param {Message} message */
  #weight({ type, senderId, deletedAt, payload }) {
    const { userId, counted, apart } = this.#conversation;
    if (deletedAt !== undefined || senderId === userId || (apart && isApart(payload))) return { messages: 0, mentions: 0 };
    const { mentions } = payload;
    // An edit repeats the mentions of the message that it changed.
    const calls = type !== "message_edit" && Array.isArray(mentions) && (mentions.includes(userId) || mentions.includes("*"));
    return { messages: counted.has(type) ? 1 : 0, mentions: calls ? 1 : 0 };
  }

  /**
   * Count the seqs without a message held, after one seq and up to another.
   *
   * @param {number} after
   * @param {number} upTo
   */
  #unknown(after, upTo) {
    let count = Math.max(0, upTo - after);
    for (const seq of this.#conversation.messages.keys()) if (seq > after && seq <= upTo) count -= 1;
    return count;
  }

  /** Tell whether a message after `seq` deletes or edits another. @param {number} seq */
  #endedSince(seq) {
    for (const message of this.#conversation.messages.values()) {
      if (message.seq > seq && (message.type === "message_delete" || message.type === "message_edit")) return true;
    }
    return false;
  }
}
