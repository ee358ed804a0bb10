/** What sets the user's own marks. Each waits in the outbox like any message, and counts as set meanwhile. */

import { MARK, SAVED } from "./marks.js";

/** @import { MessagingAPI } from "../messaging-api.js" */
/** @import { Envelope } from "../types.js" */
/** @import { Mark } from "./marks.js" */
/** @import { State } from "./state.js" */

/** @typedef {{ saved: { message: Envelope<any>, saved_at: number }[], has_more: boolean, next_cursor: number | null }} SavedPage */

export class MarkActions {
  #messaging;
  #state;

  /**
   * @param {MessagingAPI} messaging
   * @param {() => State} state
   */
  constructor(messaging, state) {
    this.#messaging = messaging;
    this.#state = state;
  }

  /** Whether the server keeps marks, as its plugin `marks` does; true until it has said. */
  get supported() {
    return this.#state().canMark;
  }

  /** Pin a conversation at the top of the list, or no longer. @param {string} id @param {boolean} [on] */
  pin(id, on = true) {
    this.#mark(id, { mark: "pinned", on });
  }

  /** Archive a conversation until somebody says something in it, or take it back. @param {string} id @param {boolean} [on] */
  archive(id, on = true) {
    this.#mark(id, { mark: "archived", on, ...(on && { up_to_seq: this.#state().summary(id).lastSeq }) });
  }

  /**
   * Mark a conversation as unread, until something newer in it is read, or `endUnread` is called. The read pointer, which others
   * see, stays where it is.
   *
   * @param {string} id
   * @param {number} [seq] the first message that is unread again
   */
  unread(id, seq) {
    const { lastSeq } = this.#state().summary(id);
    const from = seq !== undefined && seq <= lastSeq && { from_seq: seq };
    this.#mark(id, { mark: "unread", on: true, up_to_seq: lastSeq, ...from });
  }

  /** Take the mark "unread" back, as when the conversation is opened. @param {string} id */
  endUnread(id) {
    if (this.#state().summary(id).markedUnread) this.#mark(id, { mark: "unread", on: false });
  }

  /**
   * Save a message for the user alone, or no longer. Its view's `saved` says whether it is.
   *
   * @param {string} id the conversation's
   * @param {number} messageId
   * @param {boolean} [on]
   */
  save(id, messageId, on = true) {
    return this.#messaging.socketManager.sendMessage(SAVED, { message_id: messageId, on }, id);
  }

  /**
   * Return the saved messages, those that were saved last first, a page at a time.
   *
   * @param {{ limit?: number, cursor?: number | null, signal?: AbortSignal }} [page]
   * @returns {Promise<SavedPage>}
   */
  loadSaved({ signal, ...query } = {}) {
    return this.#messaging.restApi.request("GET", "/api/saved", { query, signal });
  }

  /** @param {string} id @param {Mark} mark */
  #mark(id, mark) {
    this.#messaging.socketManager.sendMessage(MARK, mark, id);
  }
}
