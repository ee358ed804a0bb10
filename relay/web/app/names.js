/** What people are called: asked once each, and shown as soon as it is known. */

import { straight } from "./format.js";

/** @import { ConversationSummary, MessagingAPI } from "../sdk/index.js" */

const AGAIN_MS = 30_000;

export class Names {
  /** Rises whenever a name becomes known: what was drawn with names is drawn anew. */
  version = 0;
  /** @type {Map<string, string>} */
  #known = new Map();
  /** @type {Set<string>} those of them that are users' */
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
   * Return somebody's name; the user id until it is known.
   *
   * @param {string} userId
   */
  of(userId) {
    if (!this.#known.has(userId) && !this.#asked.has(userId) && userId) void this.#ask(userId);
    return this.#known.get(userId) ?? userId;
  }

  /**
   * Return what a conversation is called. Until the server has listed it, its own name is its id only.
   *
   * @param {ConversationSummary} conversation
   */
  title({ kind, name, target }) {
    return kind === null ? this.of(target) : straight(name);
  }

  /** Tell whether somebody is known to be a user. @param {string} id */
  isUser(id) {
    return this.#users.has(id);
  }

  /**
   * @param {string} id
   * @param {string} name
   * @param {{ user?: boolean }} [options] whether it is a user's name, and not a group's
   */
  learn(id, name, { user = true } = {}) {
    if (this.#known.get(id) === straight(name)) return;
    if (user) this.#users.add(id);
    this.#known.set(id, straight(name));
    this.#changed();
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

  #changed() {
    this.version += 1;
    for (const listener of [...this.#listeners]) listener();
  }

  /** @param {string} userId */
  async #ask(userId) {
    this.#asked.add(userId);
    try {
      this.learn(userId, (await this.messaging.restApi.getUser(userId)).display_name);
    } catch (error) {
      // The id does meanwhile. Nobody of that name may come; a server that was away has it drawn, and asked for, again.
      const draw = /** @type {any} */ (error).code !== "not_found";
      setTimeout(() => (this.#asked.delete(userId), draw && this.#changed()), AGAIN_MS);
    }
  }
}
