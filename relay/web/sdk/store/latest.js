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
 * @property {number} messageId rises with each value: the highest is the newest; 0 for one that is not stored
 * @property {boolean} whispered whether nobody else is sent it
 */

/** @type {readonly LatestView[]} */
const NONE = Object.freeze([]);
const MAX_MESSAGES = 2_000;
const MAX_WHISPERS = 50;

/** The subject of what is whispered, and is about no message: the conversation itself. */
export const CONVERSATION = 0;

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
   * Return the message that a value is about, or `CONVERSATION` for a whisper about none; undefined for all others.
   *
   * @param {Envelope<any>} envelope
   * @returns {number | undefined}
   */
  static subject({ meta, payload }) {
    return meta.about ?? payload.message_id ?? (meta.only_for === undefined ? undefined : CONVERSATION);
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
    const { message_id: messageId = 0, timestamp = 0 } = meta;
    const name = JSON.stringify([type, senderId, meta.key, messageId ? 0 : timestamp]);
    if ((values.get(name)?.messageId ?? -1) >= messageId) return false;
    const mine = senderId === this.userId;
    const whispered = meta.only_for !== undefined;
    values.delete(name); // the newest is the last
    values.set(name, Object.freeze({ type, senderId, mine, payload, timestamp, messageId, whispered }));
    if (subject === CONVERSATION && values.size > MAX_WHISPERS) values.delete([...values.keys()][0]);
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
    const view = Object.freeze([...values.values()].sort((one, other) => compare(one, other)));
    this.#views.set(subject, view);
    return view;
  }

  /**
   * Return the stored values about a message in the form in which they came.
   *
   * @param {number} subject
   * @returns {Envelope<any>[]}
   */
  envelopes(subject) {
    const stored = [...(this.#values.get(subject) ?? [])].filter(([, { messageId }]) => messageId > 0);
    return stored.map(([name, { type, senderId, payload, timestamp, messageId, whispered }]) => {
      const key = JSON.parse(name)[2] ?? undefined;
      const meta = { sender_id: senderId, message_id: messageId, timestamp, about: subject };
      return { type, payload, meta: { ...meta, ...(key !== undefined && { key }), ...(whispered && { only_for: this.userId }) } };
    });
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
    for (const subject of [...this.#values.keys()]) if (subject !== CONVERSATION && !held.has(subject)) this.delete(subject);
  }
}

/** @param {LatestView} one @param {LatestView} other */
function compare(one, other) {
  return one.messageId && other.messageId ? one.messageId - other.messageId : one.timestamp - other.timestamp;
}
