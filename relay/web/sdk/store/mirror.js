/**
 * A mirror of what its user may see, kept right by events: conversations, messages, reactions, receipts, unread.
 *
 * It does no I/O. It is given what the server says, in any order that a resume may bring, twice where a client asks
 * twice, and ends up equal to one that was loaded anew. The rules are those of the Python client's `Mirror`:
 *
 * 1. Of two versions of a message a deleted one wins. Of its edits the one with the highest id counts (`edit_id`), and times
 *    say nothing of order: a clock may step.
 * 2. A message without a payload and with `deleted_at` is a tombstone: it keeps its `seq` and says nothing.
 * 3. What `meta.replaces` names is a tombstone from then on. A deletion makes tombstones of the message's edits too, and
 *    drops its reactions.
 * 4. Pointers only move forward. What its user sends moves their own.
 * 5. Of a reaction the newest value counts, by its own message id.
 * 6. Who is removed from a group forgets it; who is added begins anew, and asks for what may be seen.
 *
 * Unlike there, a conversation may be known in part; unread.js counts what is not held.
 */

import { UNREAD_TYPES } from "../protocol.js";
import { Conversation } from "./conversation.js";

/** @import { Envelope } from "../types.js" */

/** The key of the user's own channel, which a notification to them goes to. */
export const SELF = "self";
export const EVERYBODY = "*";

export class Mirror {
  /** @type {Map<string, Conversation>} */
  conversations = new Map();
  /** What was left or deleted, and by which message. @type {Map<string, { position: number, event: Envelope<any> }>} */
  #ended = new Map();
  #changed;
  #counted;

  /**
   * @param {string} userId whose device it is
   * @param {(key: string, seq?: number) => void} [changed] told which conversation changed, and which message of it
   * @param {Iterable<string>} [counted] the types that make a conversation unread
   */
  constructor(userId, changed = () => {}, counted = UNREAD_TYPES) {
    this.userId = userId;
    this.#counted = new Set(counted);
    this.#changed = changed;
  }

  /**
   * Return the conversation with a user or group, SELF or EVERYBODY, made where it is not known.
   *
   * @param {string} key
   */
  conversation(key) {
    let found = this.conversations.get(key);
    if (!found) {
      found = new Conversation(this.userId, this.#counted, (seq) => this.#changed(key, seq));
      this.conversations.set(key, found);
    }
    return found;
  }

  /**
   * Return which conversation an envelope belongs to, as its user names it.
   *
   * @param {Envelope<any>} envelope
   */
  key({ type, payload, meta }) {
    const target = meta.target_id ?? SELF;
    if (target !== this.userId) return target;
    return type === "notification" || payload.kind === SELF ? SELF : (meta.sender_id ?? SELF);
  }

  /**
   * Take what REST answered about a conversation; it goes together with what events told meanwhile.
   *
   * @param {string} key
   * @param {Envelope<any>[]} messages
   * @param {Envelope<any>[]} [latest]
   */
  load(key, messages, latest = []) {
    if (this.isEnded(key)) return; // asked for before it was left
    const conversation = this.conversation(key);
    for (const envelope of messages) conversation.take(envelope, { whole: true });
    for (const envelope of latest) conversation.take(envelope);
  }

  /**
   * Tell whether a group was left, as far as a position says nothing else.
   *
   * @param {string} key
   * @param {number} [position]
   */
  isEnded(key, position = 0) {
    return !this.conversations.has(key) && position <= (this.#ended.get(key)?.position ?? -1);
  }

  /**
   * Return the event that ended a group for its user; null for what goes on.
   *
   * @param {string} key
   */
  endOf(key) {
    return this.conversations.has(key) ? null : (this.#ended.get(key)?.event ?? null);
  }

  /**
   * Take one event, live or replayed; tells whether it was about a conversation.
   *
   * @param {Envelope<any>} envelope
   */
  apply(envelope) {
    const position = envelope.meta.message_id;
    if (position === undefined || envelope.type === "status_update") return false;
    const key = this.key(envelope);
    if (position <= (this.#ended.get(key)?.position ?? 0)) return false;
    if (envelope.type === "group_event" && this.#ends(key, envelope, position)) return true;
    // What is no message says nothing of a conversation of which nothing is known; its row brings the same.
    if (envelope.meta.seq === undefined && !this.conversations.has(key)) return false;
    this.conversation(key).take(envelope);
    return true;
  }

  /**
   * Forget a group that its user is in no longer; begin one anew that they were added to.
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
    if (known && meta.seq !== undefined && meta.seq <= known.joinedSeq) return false; // what fills a gap may be older
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
