/** The messages that will expire. */

/** @import { Message } from "./message.js" */

export class Expiring {
  /** Conversations and times (Unix seconds), by message id. @type {Map<number, { key: string, at: number }>} */
  #messages = new Map();

  /** Note whether, and when, a message expires. @param {string} key @param {Message} message */
  note(key, { messageId, expiresAt, deletedAt }) {
    if (expiresAt !== undefined && deletedAt === undefined) this.#messages.set(messageId, { key, at: expiresAt });
    else this.#messages.delete(messageId);
  }

  /** Forget the messages that have expired, and return their conversations. @param {number} now Unix seconds */
  take(now) {
    const over = [...this.#messages].filter(([, { at }]) => at <= now);
    for (const [messageId] of over) this.#messages.delete(messageId);
    return new Set(over.map(([, { key }]) => key));
  }

  /** When the next message expires, Unix seconds; Infinity for never. */
  get next() {
    return Math.min(...[...this.#messages.values()].map(({ at }) => at));
  }
}
