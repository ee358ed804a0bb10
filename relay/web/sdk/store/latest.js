/** Latest values about messages, such as votes in a poll: of each type, sender and key the newest one. */

/** @import { Envelope } from "../types.js" */

/**
 * A latest value about a message. Where several users may say the same thing, as "this is done", the newest of them counts.
 *
 * @typedef {object} LatestView
 * @property {string} type
 * @property {string} senderId
 * @property {boolean} mine
 * @property {Readonly<Record<string, any>>} payload
 * @property {number} timestamp Unix seconds
 * @property {number} messageId rises with each value: the highest is the newest
 */

/** @type {readonly LatestView[]} */
const NONE = Object.freeze([]);
const MAX_MESSAGES = 2_000;

export class LatestValues {
  /** @type {Map<number, Map<string, LatestView>>} by message id, then by type, sender and key */
  #values = new Map();
  /** @type {Map<number, readonly LatestView[]>} */
  #views = new Map();

  /** @param {string} userId */
  constructor(userId) {
    this.userId = userId;
  }

  /**
   * Return the message that a latest value is about; undefined for one that is about none.
   *
   * @param {Envelope<any>} envelope
   * @returns {number | undefined}
   */
  static subject({ meta, payload }) {
    return meta.about ?? payload.message_id;
  }

  /**
   * Take a value; tells whether it is new.
   *
   * @param {number} subject the message that it is about
   * @param {Envelope<any>} envelope
   */
  take(subject, { type, payload, meta }) {
    const values = this.#values.get(subject) ?? new Map();
    const senderId = meta.sender_id ?? "";
    const name = JSON.stringify([type, senderId, meta.key]);
    const messageId = meta.message_id ?? 0;
    if ((values.get(name)?.messageId ?? 0) >= messageId) return false;
    const mine = senderId === this.userId;
    values.set(name, Object.freeze({ type, senderId, mine, payload, timestamp: meta.timestamp ?? 0, messageId }));
    this.#values.set(subject, values);
    this.#views.delete(subject);
    return true;
  }

  /**
   * Return the values about a message, the newest last.
   *
   * @param {number} subject
   */
  of(subject) {
    const known = this.#views.get(subject);
    const values = this.#values.get(subject);
    if (known || !values) return known ?? NONE;
    const view = Object.freeze([...values.values()].sort((one, other) => one.messageId - other.messageId));
    this.#views.set(subject, view);
    return view;
  }

  /** @param {number} subject */
  delete(subject) {
    this.#values.delete(subject);
    this.#views.delete(subject);
  }

  /**
   * Drop values about messages that are not held: a page brings them along with the messages.
   *
   * @param {{ has: (messageId: number) => boolean }} held
   */
  trim(held) {
    if (this.#values.size <= MAX_MESSAGES) return;
    for (const subject of [...this.#values.keys()]) if (!held.has(subject)) this.delete(subject);
  }
}
