/**
 * Fetches what events alone do not tell: the list of conversations at first, after a reset, and whenever a conversation
 * is not known for sure. One fetch runs at a time; while fetching does not help, the waits between fetches grow.
 */

import { RelayError } from "../errors.js";
import { Deferred, Waiting } from "../deferred.js";
import { fetchMarks, fetchNotifications, fetchPage, fetchRows } from "./loader.js";
import { EVERYBODY, SELF } from "./mirror.js";

/**
 * @import { MessagingAPI } from "../messaging-api.js"
 * @import { Gap } from "../socket-manager.js"
 * @import { Me } from "../types.js"
 * @import { State } from "./state.js"
 */

/** Changes within this time share one fetch. */
const GATHER_SECONDS = 0.05;
/** The least time between two fetches. */
const PAUSE_SECONDS = 1;
const FIRST_WAIT_SECONDS = 0.5;
const MAX_WAIT_SECONDS = 60;
const PREVIEW = 20;

export class Refresher {
  /** @type {Set<string>} conversations that changed since they were checked last */
  #changed = new Set();
  /** @type {Deferred<void>} */
  #ready = new Deferred();
  /** @type {Waiting<void>} */
  #waiting = new Waiting();
  #told = false;
  /** @type {Error | null} */
  #fault = null;
  #closing = new AbortController();
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;
  #running = false;
  #again = false;
  #connected = false;
  #ended = 0;
  #tries = 0;
  #notifications = true;
  #marks = true;
  #messaging;
  #owner;
  /** @type {Me | null} */
  #me = null;
  #end;

  /**
   * @param {MessagingAPI} messaging
   * @param {{ state: (userId: string | null) => State, me: (me: Me) => void, fetched: () => void, failed: (error: Error) => void }} owner
   */
  constructor(messaging, owner) {
    this.#messaging = messaging;
    this.#owner = owner;
    this.#end = messaging.socketManager.on("state", (state) => {
      if (state !== "connected" || (this.#connected && !this.#again)) return;
      // Between the first fetch and this connection, messages may have gone to another tab's connection.
      this.#connected = true;
      this.want();
    });
  }

  get ready() {
    return this.#ready.promise;
  }

  /** Wait until the list of conversations was fetched. @throws {Error} The last try failed: the server cannot be reached, say. */
  async told() {
    if (this.#told) return;
    if (this.#fault) throw this.#fault;
    await this.#waiting.wait();
  }

  /**
   * Check soon whether everything about a conversation is known.
   *
   * @param {string} key
   */
  check(key) {
    if (this.#changed.size === 0) queueMicrotask(() => this.#checkChanged());
    this.#changed.add(key);
  }

  /** Begin anew: the server has another database, or the user is another one. */
  reset() {
    this.#notifications = this.#marks = true;
    this.want();
  }

  /**
   * Note what a replay left out.
   *
   * @param {Gap[]} gaps
   */
  missed(gaps) {
    if (gaps.length === 0) return;
    this.#marks = true;
    if (gaps.some(({ kind }) => kind === SELF || kind === "broadcast")) this.#notifications = true;
    this.want();
  }

  /**
   * Fetch soon.
   *
   * @param {number} [seconds]
   */
  want(seconds = GATHER_SECONDS) {
    this.#again = true;
    if (this.#running || this.#closing.signal.aborted) return;
    clearTimeout(this.#timer);
    const wait = Math.max(seconds, PAUSE_SECONDS - (Date.now() - this.#ended) / 1000);
    this.#timer = setTimeout(() => void this.#run(), wait * 1000);
  }

  close() {
    this.#closing.abort();
    this.#end();
    clearTimeout(this.#timer);
  }

  #checkChanged() {
    const state = this.#owner.state(null);
    const incomplete = [...this.#changed].some((key) => isIncomplete(state, key));
    this.#changed.clear();
    if (!incomplete) return;
    this.#tries = 0; // something is new: a fetch may help now
    this.want();
  }

  /** Return the seconds until the next fetch: more after each one in a row that did not help. */
  #wait() {
    if (this.#tries === 0) return GATHER_SECONDS;
    return Math.min(MAX_WAIT_SECONDS, FIRST_WAIT_SECONDS * 2 ** this.#tries);
  }

  async #run() {
    this.#running = true;
    this.#again = false;
    try {
      await this.#fetch();
      this.#ready.resolve();
      this.#told = true;
      this.#waiting.resolve();
      this.#owner.fetched();
      const state = this.#owner.state(null);
      const left = [...state.mirror.conversations.keys()].some((key) => isIncomplete(state, key));
      this.#tries = left ? this.#tries + 1 : 0;
      this.#again ||= left;
    } catch (error) {
      if (this.#closing.signal.aborted) return;
      this.#owner.failed(/** @type {Error} */ (error));
      this.#fault = /** @type {Error} */ (error);
      this.#waiting.reject(error);
      this.#tries += 1;
      this.#again = true;
      // A final refusal is tried again only with the next connection, which may have another token.
      if (error instanceof RelayError && !error.retry) return;
    } finally {
      this.#running = false;
      this.#ended = Date.now();
    }
    if (this.#again) this.want(this.#wait());
  }

  /** Ask the server for the own account once more, and pass it on. */
  async refreshMe() {
    const me = await this.#messaging.restApi.getMe({ signal: this.#closing.signal });
    this.#me = me;
    this.#owner.me(me);
    return me;
  }

  async #fetch() {
    const { restApi: rest } = this.#messaging;
    const { signal } = this.#closing;
    if (!this.#me) {
      this.#me = await rest.getMe({ signal });
      this.#owner.me(this.#me);
    }
    const state = this.#owner.state(this.#me.user_id);
    const rows = await fetchRows(rest, signal);
    const marks = this.#marks || state.isBegunAnew ? await fetchMarks(rest, signal) : [];
    this.#marks = false;
    for (const row of rows) state.row(row);
    state.marks(marks);
    state.listed(rows.map((row) => row.target_id));
    if (this.#notifications || state.mirror.conversation(SELF).unread.dirty) {
      const { page, pointers } = await fetchNotifications(rest, state.userId, signal);
      state.notifications(page, pointers);
      this.#notifications = false;
    }
    for (const { kind, target_id: key } of rows.filter((row) => state.lacksPreview(row.target_id))) {
      signal.throwIfAborted();
      const page = await fetchPage(rest, key, kind, { limit: PREVIEW });
      state.page(key, page, { older: true });
    }
    if (state !== this.#owner.state(null)) this.#again = true; // a reset came during the fetch
  }
}

/**
 * Tell whether the server must be asked about a conversation.
 *
 * @param {State} state
 * @param {string} key
 */
function isIncomplete(state, key) {
  const conversation = state.mirror.conversations.get(key);
  if (!conversation) return false;
  if (conversation.unread.dirty || conversation.stale) return true;
  const facts = state.facts.get(key);
  if (facts?.asks) return true;
  return key !== SELF && key !== EVERYBODY && (facts ? facts.kind === null : true) && conversation.lastSeq > (facts?.seq ?? 0);
}
