/**
 * Optimistic updates: what this device sent and the server has not stored yet. New messages are shown at the end of
 * their conversation; changes of messages (edits, deletions, reactions) are shown as if they had happened.
 */

import { UploadedFiles } from "./files.js";
import { MARK, SAVED } from "./marks.js";
import { PIN } from "./pins.js";

/** @import { Envelope } from "../types.js" */
/** @import { Conversation } from "./conversation.js" */

/**
 * @typedef {object} Outgoing a SentMessage, or one whose files are being uploaded
 * @property {string} id
 * @property {Envelope<any> & { saved?: import("../messaging/uploads.js").Saved, uploaded?: { attachment: import("../types.js").Attachment, blob: Blob | null }[] }} envelope
 * @property {string} state
 * @property {import("../types.js").AckPayload | null} ack
 * @property {Error | null} error
 * @property {number} [progress]
 */

const CHANGES = new Set(["message_edit", "message_delete", "reaction", MARK, PIN, SAVED]);
const MAX_STORED = 5_000;

export class OptimisticUpdates {
  /** @type {Map<string, Map<string, Outgoing>>} by conversation and id */
  messages = new Map();
  /** @type {Map<string, Map<string, Outgoing>>} */
  changes = new Map();
  uploaded = new UploadedFiles();
  /** The newest message id that was known when each was written, by the message's own id. @type {Map<string, number>} */
  #places = new Map();
  /** @type {Set<string>} the own ids of messages that are known to be stored */
  #stored = new Set();
  /** @type {WeakSet<object>} the acks that were asked about */
  #acks = new WeakSet();
  #shown;

  /** @param {Iterable<string>} shown the types that are shown before they are stored; a Set may grow later */
  constructor(shown) {
    this.#shown = shown instanceof Set ? shown : new Set(shown);
  }

  /**
   * Note the state of an own message; tells whether something looks different now.
   *
   * @param {string} key
   * @param {Outgoing} sent
   * @param {boolean} gone whether it was cancelled or discarded
   * @param {number} [newest] the newest message id that is known
   */
  take(key, sent, gone, newest = 0) {
    const change = CHANGES.has(sent.envelope.type);
    if (!change && !this.#shown.has(sent.envelope.type)) return false;
    const all = change ? this.changes : this.messages;
    const held = all.get(key) ?? new Map();
    const done = gone || sent.ack || this.#stored.has(sent.id) || (change && sent.state === "failed");
    if (done) {
      this.#places.delete(sent.id);
      if (!held.delete(sent.id)) return false;
      if (held.size === 0) all.delete(key);
      return true;
    }
    if (!this.#places.has(sent.id)) this.#places.set(sent.id, newest);
    all.set(key, held.set(sent.id, sent));
    return true;
  }

  /**
   * Tell, once, whether an ack brings something new.
   *
   * @param {Outgoing} sent
   * @param {Conversation | undefined} conversation
   */
  isNews({ ack }, conversation) {
    if (!ack || this.#acks.has(ack)) return false;
    this.#acks.add(ack);
    // A duplicate was stored earlier: the message that the server sent then may have changed since.
    return !(ack.duplicate && conversation?.seqs.has(/** @type {number} */ (ack.message_id)));
  }

  /**
   * Return the place of a conversation's newest unsent message among all messages. One that waits comes after
   * everything stored, as it will when it is stored itself; one that failed stays where it was written.
   *
   * @param {string} key
   * @returns {[number, number]} a message id, and its turn among the unsent messages
   */
  placeOf(key) {
    const last = [...(this.messages.get(key)?.values() ?? [])].at(-1);
    if (!last) return [0, 0];
    const written = [...this.#places.keys()].indexOf(last.id) + 1;
    return [last.state === "failed" ? (this.#places.get(last.id) ?? 0) : Infinity, written];
  }

  /**
   * Note that an own message is stored, so that the stored one is shown. Returns it if it was a change.
   *
   * @param {string} key
   * @param {string} id
   */
  stored(key, id) {
    this.#stored.add(id);
    this.#places.delete(id);
    if (this.#stored.size > MAX_STORED) this.#stored.delete(/** @type {string} */ (this.#stored.values().next().value));
    this.messages.get(key)?.delete(id);
    const changed = this.changes.get(key)?.get(id);
    this.changes.get(key)?.delete(id);
    return changed;
  }

  /**
   * Return the changes of a message that are not stored yet, oldest first.
   *
   * @param {string} key
   * @param {number} messageId
   */
  changesOf(key, messageId) {
    const all = [...(this.changes.get(key)?.values() ?? [])];
    return all.filter((sent) => sent.envelope.payload.message_id === messageId);
  }
}

/**
 * Return the envelope that the server would send for an own message that it has acked.
 *
 * @param {Outgoing} sent
 * @param {string} userId
 * @returns {Envelope<any> | null} null for types that are not stored
 */
export function storedEnvelope({ envelope, ack }, userId) {
  if (ack?.message_id === undefined) return null;
  const { message_id, seq, timestamp, replaces, about, key } = ack;
  const { type, payload, meta } = envelope;
  return { type, payload, meta: { ...meta, sender_id: userId, message_id, seq, timestamp, replaces, about, key } };
}

/**
 * Return the seq of the message that a change is about.
 *
 * @param {Conversation} conversation
 * @param {Outgoing} sent
 */
export function seqOfChanged(conversation, sent) {
  return CHANGES.has(sent.envelope.type) ? conversation.seqs.get(sent.envelope.payload.message_id) : undefined;
}
