/** What a store shows of its state: views, which never change. */

import { Notifications } from "./notifications.js";

/**
 * @import { ConversationSummary, ConversationView } from "./view-cache.js"
 * @import { NotificationsView } from "./notifications.js"
 * @import { StatusView } from "./presence.js"
 * @import { State } from "./state.js"
 */

export class StateViews {
  #state;
  #notifications = new Notifications();

  /** @param {() => State} state as it is now: a reset begins another one */
  constructor(state) {
    this.#state = state;
  }

  /** The conversations with users and groups, the one with the newest message first. @returns {readonly ConversationSummary[]} */
  get conversations() {
    return this.#state().conversations;
  }

  /**
   * Return a conversation with its messages, unsent ones last. An unknown conversation is empty.
   *
   * @param {string} id a user's or a group's
   * @returns {ConversationView}
   */
  conversation(id) {
    return this.#state().view(id);
  }

  /** The notifications to the user, and to everybody. @returns {NotificationsView} */
  get notifications() {
    return this.#notifications.view(this.#state());
  }

  /** @param {string} userId @returns {StatusView} as last heard; `unknown` for users whom nobody follows */
  presence(userId) {
    return this.#state().statuses.view(userId);
  }

  /** @param {string} id a conversation's @returns {readonly string[]} the users who type there */
  typing(id) {
    return this.#state().typing.view(id);
  }

  /** Return one message of a conversation; undefined if it is not loaded. @param {string} id @param {number} messageId */
  message(id, messageId) {
    return this.#state().message(id, messageId);
  }
}
