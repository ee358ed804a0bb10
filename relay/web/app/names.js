/** The display names of users: each is fetched once, and shown as soon as it is known. */

import { straight } from "./format.js";

/** @import { ConversationSummary, MessagingAPI } from "../sdk/index.js" */

const RETRY_MS = 30_000;

export class Names {
  /** Grows whenever a name becomes known: lines that show names are drawn anew. */
  version = 0;
  /** @type {Map<string, string>} */
  #known = new Map();
  /** @type {Set<string>} the ids among them that are users' */
  #users = new Set();
  /** @type {Set<string>} */
  #asked = new Set();
  /** @type {Set<() => void>} */
  #listeners = new Set();

  /** @param {MessagingAPI} messaging */
  constructor(messaging) {
    this.messaging = messaging;
  }

  /**
   * Return a user's name; the user id until it is known.
   *
   * @param {string} userId
   */
  of(userId) {
    if (!this.#known.has(userId) && !this.#asked.has(userId) && userId) void this.#ask(userId);
    return this.#known.get(userId) ?? userId;
  }

  /**
   * Return the title of a conversation. Until the server has listed it, the view's name is only its id.
   *
   * @param {ConversationSummary} conversation
   */
  title({ kind, name, target }) {
    return kind === null ? this.of(target) : straight(name);
  }

  /** Tell whether an id is known to be a user's. @param {string} id */
  isUser(id) {
    return this.#users.has(id);
  }

  /**
   * Remember a name.
   *
   * @param {string} id
   * @param {string} name
   * @param {{ user?: boolean }} [options] user: whether it is a user's, and not a group's
   */
  learn(id, name, { user = true } = {}) {
    if (this.#known.get(id) === straight(name)) return;
    if (user) this.#users.add(id);
    this.#known.set(id, straight(name));
    this.redraw();
  }

  /**
   * Call back when a name becomes known, until the returned function is called.
   *
   * @param {() => void} listener
   */
  onChange(listener) {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  /** Have everything that shows names drawn again, also because messages read otherwise now. */
  redraw() {
    this.version += 1;
    for (const listener of [...this.#listeners]) listener();
  }

  /** @param {string} userId */
  async #ask(userId) {
    this.#asked.add(userId);
    try {
      this.learn(userId, (await this.messaging.restApi.getUser(userId)).display_name);
    } catch (error) {
      // The id is shown for now. Ask again later: the user may be created, or the server may come back. Where the server
      // was away, lines must be drawn anew for that, as only drawing asks.
      const draw = /** @type {any} */ (error).code !== "not_found";
      setTimeout(() => (this.#asked.delete(userId), draw && this.redraw()), RETRY_MS);
    }
  }
}
