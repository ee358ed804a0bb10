/** The messages that others answer: those that are not loaded are fetched when they are to be shown. */

/** @import { MessageView } from "../../sdk/index.js" */
/** @import { ConversationPane } from "./conversation.js" */

const RETRY_MS = 30_000;

export class Quotes {
  /** Those that are not loaded, by their ids: null while one is fetched, undefined if it cannot be seen. @type {Map<number, MessageView | null | undefined>} */
  #fetched = new Map();
  #changed;

  /** @param {ConversationPane} pane @param {() => void} changed */
  constructor(pane, changed) {
    this.pane = pane;
    this.#changed = changed;
  }

  /**
   * Return a message; null until it is fetched, undefined if the user cannot see it.
   *
   * @param {number} messageId
   */
  of(messageId) {
    const held = this.pane.store.message(this.pane.id, messageId);
    if (held) return held;
    if (!this.#fetched.has(messageId)) void this.#fetch(messageId);
    return this.#fetched.get(messageId);
  }

  /** Return a message's seq; null if the user cannot see it. @param {number} messageId */
  async seqOf(messageId) {
    const { id, store } = this.pane;
    const known = store.message(id, messageId) ?? this.#fetched.get(messageId) ?? (await this.#fetch(messageId));
    return known?.conversation === id ? known.seq : null;
  }

  /** @param {number} messageId */
  async #fetch(messageId) {
    this.#fetched.set(messageId, null);
    try {
      const message = (await this.pane.store.fetchMessage(messageId)) ?? undefined;
      this.#fetched.set(messageId, message);
      return message;
    } catch {
      setTimeout(() => this.#fetched.delete(messageId), RETRY_MS); // the server is away
      return undefined;
    } finally {
      if (!this.pane.closed) this.#changed();
    }
  }
}
