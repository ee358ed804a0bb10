/**
 * How much of a conversation is unread, of which perhaps only a part is held.
 *
 * The count is that of the messages held after the read pointer, and of `hidden`: how many more the server counted up to
 * `rowSeq`. Its row of the conversation gives that, and what is loaded or let go later changes nothing of the sum. What
 * cannot be known without looking (an unknown message is deleted; the pointer moves among unknown ones) makes it
 * `dirty`: then the row is to be asked for again.
 */

/** @import { ConversationRow } from "../types.js" */
/** @import { Conversation } from "./conversation.js" */
/** @import { Message } from "./message.js" */

export class Unread {
  readSeq = 0;
  rowSeq = 0;
  hidden = { messages: 0, mentions: 0 };
  dirty = false;
  #conversation;

  /** @param {Conversation} conversation */
  constructor(conversation) {
    this.#conversation = conversation;
  }

  /** What is unread, as well as it is known. */
  get count() {
    const held = this.#held(this.readSeq, Infinity);
    return {
      messages: Math.max(0, held.messages + this.hidden.messages),
      mentions: Math.max(0, held.mentions + this.hidden.mentions),
    };
  }

  /**
   * Take a message that is not held; what the row knows of already changes nothing of the sum.
   *
   * @param {number} seq
   * @param {() => void} take
   */
  during(seq, take) {
    if (seq > this.rowSeq) return take();
    const before = this.#held(this.readSeq, Infinity);
    const readSeq = this.readSeq;
    take();
    if (this.readSeq !== readSeq) return; // the pointer's move has seen to it
    const after = this.#held(this.readSeq, Infinity);
    this.hidden = {
      messages: this.hidden.messages + before.messages - after.messages,
      mentions: this.hidden.mentions + before.mentions - after.mentions,
    };
  }

  /**
   * Take the server's word.
   *
   * @param {Pick<ConversationRow, "last_seq" | "read_seq" | "unread" | "unread_mentions">} row
   */
  row(row) {
    if (row.last_seq < this.rowSeq) return;
    const held = this.#held(row.read_seq, row.last_seq);
    this.rowSeq = row.last_seq;
    this.hidden = { messages: row.unread - held.messages, mentions: row.unread_mentions - held.mentions };
    this.dirty = this.hidden.messages !== 0 && this.#endedSince(row.last_seq);
    const readSeq = this.readSeq;
    this.readSeq = row.read_seq;
    this.read(readSeq);
  }

  /**
   * Move the pointer forward; tells whether that was so.
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
      this.dirty ||= messages < 0 || (passed > 0 && left > 0);
      this.hidden = { messages: Math.min(messages, left), mentions: Math.min(mentions, left) };
    }
    return true;
  }

  /**
   * Note that a message is over that may be a hidden one.
   *
   * @param {number} messageId
   */
  ends(messageId) {
    const known = this.#conversation.byId(messageId);
    if (this.hidden.messages <= 0 || (known && known.deletedAt === undefined)) return;
    const seq = known?.seq ?? Infinity;
    if (seq > this.readSeq) this.dirty = true;
  }

  /** Note that a message was edited that is not held: it may mention others now. */
  edited() {
    if (this.hidden.messages > 0) this.dirty = true;
  }

  /**
   * Count messages as hidden that are let go.
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
    this.dirty ||= this.#unknown(this.rowSeq, rowSeq) > 0; // what is still to come between is not counted yet
    this.rowSeq = rowSeq;
  }

  /** @param {number} after @param {number} upTo */
  #held(after, upTo) {
    const count = { messages: 0, mentions: 0 };
    for (const message of this.#conversation.messages.values()) {
      if (message.seq <= after || message.seq > upTo) continue;
      const { messages, mentions } = this.#weight(message);
      count.messages += messages;
      count.mentions += mentions;
    }
    return count;
  }

  /** @param {Message} message */
  #weight({ type, senderId, deletedAt, payload }) {
    const { userId, counted } = this.#conversation;
    if (deletedAt !== undefined || senderId === userId) return { messages: 0, mentions: 0 };
    const { mentions } = payload;
    // An edit's mentions are those of the message that it changed.
    const calls = type !== "message_edit" && Array.isArray(mentions) && (mentions.includes(userId) || mentions.includes("*"));
    return { messages: counted.has(type) ? 1 : 0, mentions: calls ? 1 : 0 };
  }

  /**
   * Count the seqs of which nothing is held, after one and up to another.
   *
   * @param {number} after
   * @param {number} upTo
   */
  #unknown(after, upTo) {
    let count = Math.max(0, upTo - after);
    for (const seq of this.#conversation.messages.keys()) if (seq > after && seq <= upTo) count -= 1;
    return count;
  }

  /** Tell whether something was deleted or replaced later than a row knows. @param {number} seq */
  #endedSince(seq) {
    for (const message of this.#conversation.messages.values()) {
      if (message.seq > seq && (message.type === "message_delete" || message.type === "message_edit")) return true;
    }
    return false;
  }
}
