/** Pages of a conversation, loaded into the state: older ones, around a message, in gaps. */

import { fetchPage } from "./loader.js";

/**
 * @import { Envelope, HistoryAnswer, Pagination } from "../types.js"
 * @import { RestApiClient } from "../rest-api-client.js"
 * @import { State } from "./state.js"
 */

/**
 * @typedef {object} PagingSource
 * @property {RestApiClient} rest
 * @property {() => State} state as it is now: a reset begins another one
 * @property {() => Promise<void>} ready resolves once the list of conversations is loaded; fails while there is no network
 * @property {(id: string, own: string | undefined, rootId?: number) => void} arrived called with the own id of each message that came, and the root of its thread
 */

export class Paging {
  /** The number of messages loaded by scrolling, by conversation. @type {Map<string, number>} */
  #scrolled = new Map();
  /** @type {Map<string, Promise<void>>} */
  #running = new Map();
  #source;

  /** @param {PagingSource} source */
  constructor(source) {
    this.#source = source;
  }

  /** Return how many messages of a conversation were loaded by scrolling. @param {string} id */
  scrolled(id) {
    return this.#scrolled.get(id) ?? 0;
  }

  /** Note that nobody scrolls in a conversation any more. @param {string} id */
  left(id) {
    this.#scrolled.delete(id);
  }

  /**
   * Load a page. A second call during the first shares it.
   *
   * @param {string} id
   * @param {Pagination} pagination
   * @param {{ older?: boolean, gap?: { fromSeq: number, toSeq: number } }} [options] older: whether it is the newest page, or
   *   the one before the messages held; gap: which it is to fill
   */
  load(id, pagination, options = {}) {
    const what = `${id} ${JSON.stringify(pagination)}`;
    const running = this.#running.get(what) ?? this.#load(id, pagination, options).finally(() => this.#running.delete(what));
    this.#running.set(what, running);
    return running;
  }

  /**
   * Return the seq of the first message from a time on; null if there is none.
   *
   * @param {string} id
   * @param {number} since Unix seconds
   * @param {number} [until] Unix seconds
   * @returns {Promise<number | null>}
   */
  async seqAt(id, since, until) {
    const { messages } = await this.#fetch(id, { after: 0, limit: 1, since, until });
    return messages[0]?.meta.seq ?? null;
  }

  /** Return one message; null if the user cannot see it. @param {number} messageId @returns {Promise<Envelope<any> | null>} */
  message(messageId) {
    return this.#source.rest.request("GET", `/api/messages/${messageId}`).catch((error) => {
      if (error.code === "not_found") return null;
      throw error;
    });
  }

  /** @param {string} id @param {Pagination} pagination @param {{ older?: boolean, gap?: { fromSeq: number, toSeq: number } }} options */
  async #load(id, pagination, { older = false, gap }) {
    await this.#source.ready();
    const state = this.#source.state();
    const page = await this.#fetch(id, pagination);
    if (state !== this.#source.state()) return; // a reset came during the fetch
    this.#scrolled.set(id, this.scrolled(id) + page.messages.length);
    const { before, after } = pagination;
    const empty = gap && !page.messages.some(({ meta }) => isIn(gap, meta.seq ?? 0));
    const bounds = empty ? { after: gap.fromSeq - 1, before: gap.toSeq + 1 } : { before, after };
    state.page(id, empty ? { ...page, messages: [] } : page, { older, bounds });
    for (const { meta, payload } of page.messages) this.#source.arrived(id, meta.id, /** @type {any} */ (payload).thread);
  }

  /** @param {string} id @param {Pagination} pagination @returns {Promise<HistoryAnswer>} */
  async #fetch(id, pagination) {
    const { rest, state } = this.#source;
    const kind = state().facts.get(id)?.kind ?? null;
    return fetchPage(rest, id, kind, pagination).catch((error) => {
      if (kind !== null || error.code !== "not_found") throw error;
      return fetchPage(rest, id, "group", pagination); // its kind was not known, and it is not a user
    });
  }
}

/** @param {{ fromSeq: number, toSeq: number }} gap @param {number} seq */
function isIn({ fromSeq, toSeq }, seq) {
  return fromSeq <= seq && seq <= toSeq;
}
