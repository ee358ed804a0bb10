/** What people are called: asked once each, and shown as soon as it is known. */

/** @import { MessagingAPI } from "../sdk/index.js" */

export class Names {
  /** Rises whenever a name becomes known: what was drawn with names is drawn anew. */
  version = 0;
  /** @type {Map<string, string>} */
  #known = new Map();
  /** @type {Set<string>} */
  #asked = new Set();
  /** @type {Set<() => void>} */
  #listeners = new Set();

  /** @param {MessagingAPI} messaging */
  constructor(messaging) {
    this.messaging = messaging;
  }

  /**
   * Return somebody's name; the user id until it is known.
   *
   * @param {string} userId
   */
  of(userId) {
    if (!this.#known.has(userId) && !this.#asked.has(userId) && userId) void this.#ask(userId);
    return this.#known.get(userId) ?? userId;
  }

  /**
   * @param {string} userId
   * @param {string} name
   */
  learn(userId, name) {
    if (this.#known.get(userId) === name) return;
    this.#known.set(userId, name);
    this.version += 1;
    for (const listener of this.#listeners) listener();
  }

  /**
   * Call back when a name became known, until the function that is returned is called.
   *
   * @param {() => void} listener
   */
  onChange(listener) {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  /** @param {string} userId */
  async #ask(userId) {
    this.#asked.add(userId);
    try {
      this.learn(userId, (await this.messaging.restApi.getUser(userId)).display_name);
    } catch {
      setTimeout(() => this.#asked.delete(userId), 30_000); // the id does; asked again when it is drawn again
    }
  }
}
