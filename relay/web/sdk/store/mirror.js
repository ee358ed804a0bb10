/**
 * A copy of what one user may see on the server, updated by events: conversations, messages, reactions, receipts, unread
 * counts. It does no I/O. Events may come in any order that a resume brings, and twice: the result equals a mirror that
 * was loaded anew. The rules are those of the Python client's `Mirror`:
 *
 * 1. Of two versions of a message a deleted one wins. Of its edits the one with the highest id counts (`edit_id`): times
 *    say nothing of order, as clocks may step.
 * 2. A message with `deleted_at` and an empty payload is a tombstone: it keeps its `seq`.
 * 3. The message that `meta.replaces` names becomes a tombstone. A deletion turns the message's edits into tombstones
 *    too, and drops its reactions.
 * 4. Read pointers only move forward. A message that the user sends moves their own.
 * 5. Of a reaction, and of any other latest value about a message, the newest counts, by its own message id.
 * 6. A user who is removed from a group forgets it. One who is added begins anew, and asks what may be seen.
 *
 * Unlike the Python client's, this mirror may hold a conversation in part; unread.js counts what is not held.
 */

import { UNREAD_TYPES } from "../protocol.js";
import { Conversation } from "./conversation.js";

/** @import { Envelope } from "../types.js" */

/** The key of the user's own channel, where notifications to them go. */
export const SELF = "self";
export const EVERYBODY = "*";

/** Tell whether something that is not stored is for this user alone, in a conversation. @param {import("../types.js").Meta} meta */
export function isWhisper({ only_for: reader, target_id: target }) {
  return reader !== undefined && target !== undefined;
}

export class Mirror {
  /** @type {Map<string, Conversation>} */
  conversations = new Map();
  /** Groups that the user left or that were deleted, with the event. @type {Map<string, { position: number, event: Envelope<any> }>} */
  #ended = new Map();
  #apart;
  #changed;
  #counted;

  /**
   * @param {string} userId whose device it is
   * @param {(key: string, seq?: number) => void} [changed] called with the conversation that changed, and the seq of the message
   * @param {Iterable<string>} [counted] the types that make a conversation unread; a Set may grow later
   * @param {boolean} [apart] whether replies that only their thread shows are kept apart
   */
  constructor(userId, changed = () => {}, counted = UNREAD_TYPES, apart = false) {
    this.userId = userId;
    this.#apart = apart;
    this.#counted = counted instanceof Set ? counted : new Set(counted);
    this.#changed = changed;
  }

  /**
   * Return the conversation of a key (a user, a group, SELF or EVERYBODY); it is made where there is none.
   *
   * @param {string} key
   */
  conversation(key) {
    let found = this.conversations.get(key);
    if (!found) {
      found = new Conversation(this.userId, this.#counted, (seq) => this.#changed(key, seq));
      found.apart = this.#apart;
      this.conversations.set(key, found);
    }
    return found;
  }

  /**
   * Return the key of the conversation that an envelope belongs to.
   *
   * @param {Envelope<any>} envelope
   */
  key({ type, payload, meta }) {
    const target = meta.target_id ?? SELF;
    if (target !== this.userId) return target;
    return type === "notification" || payload.kind === SELF ? SELF : (meta.sender_id ?? SELF);
  }

  /**
   * Take a page that REST returned; events that came before it stay.
   *
   * @param {string} key
   * @param {Envelope<any>[]} messages
   * @param {Envelope<any>[]} [latest]
   * @param {{ threads?: import("./threads.js").ThreadRow[], loose?: boolean }} [options] loose: whether the page is one of a thread
   */
  load(key, messages, latest = [], { threads = [], loose = false } = {}) {
    if (this.isEnded(key)) return; // the page was requested before the group was left
    const conversation = this.conversation(key);
    for (const envelope of messages) conversation.take(envelope, { whole: true, loose });
    for (const envelope of latest) conversation.take(envelope);
    for (const thread of threads) conversation.threads.take(thread);
  }

  /**
   * Forget a conversation that the server does not list any more.
   *
   * @param {string} key
   */
  forget(key) {
    this.conversations.delete(key);
    this.#changed(key);
  }

  /**
   * Tell whether a group has ended for its user, unless something at `position` came after that.
   *
   * @param {string} key
   * @param {number} [position]
   */
  isEnded(key, position = 0) {
    return !this.conversations.has(key) && position <= (this.#ended.get(key)?.position ?? -1);
  }

  /**
   * Return the event that ended a group for its user, or null.
   *
   * @param {string} key
   */
  endOf(key) {
    return this.conversations.has(key) ? null : (this.#ended.get(key)?.event ?? null);
  }

  /**
   * Take one event, live or replayed; tells whether it changed a conversation.
   *
   * @param {Envelope<any>} envelope
   */
  apply(envelope) {
    const position = envelope.meta.message_id ?? (envelope.meta.only_for === undefined ? undefined : Infinity);
    if (position === undefined || envelope.type === "status_update") return false;
    const key = this.key(envelope);
    if (position <= (this.#ended.get(key)?.position ?? 0)) return false;
    if (envelope.type === "group_event" && this.#ends(key, envelope, position)) return true;
    // A receipt or reaction alone does not make a conversation: the server's row of it brings the same.
    if (envelope.meta.seq === undefined && !this.conversations.has(key)) return false;
    this.conversation(key).take(envelope);
    return true;
  }

  /**
   * Forget a group that its user left, and begin anew a group that they were added to; tells whether it ended.
   *
   * @param {string} key
   * @param {Envelope<any>} envelope
   * @param {number} position
   */
  #ends(key, envelope, position) {
    const { payload, meta } = envelope;
    const known = this.conversations.get(key);
    const mine = payload.user_id === this.userId;
    if (payload.event !== "deleted" && !(mine && /^member_(added|removed)$/.test(payload.event))) return false;
    if (known && meta.seq !== undefined && meta.seq <= known.joinedSeq) return false; // an event that fills a gap may be older
    this.conversations.delete(key);
    if (payload.event !== "member_added") this.#ended.set(key, { position, event: envelope });
    this.#changed(key);
    if (payload.event === "member_added") {
      const anew = this.conversation(key);
      anew.stale = anew.anew = true;
      anew.joinedSeq = meta.seq ?? 0;
      return false;
    }
    return true;
  }
}
