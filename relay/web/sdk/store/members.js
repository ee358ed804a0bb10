/** The members of groups: fetched when a group is open, and kept in step by its events. With them, own messages are `read` once all have read them. */

/** @import { MessagingAPI } from "../messaging-api.js" */
/** @import { State } from "./state.js" */

const RETRY_MS = 5_000;
const MAX_TRIES = 3;

export class Members {
  /** When the members of a group were last asked for, by group. @type {WeakMap<State, Map<string, number>>} */
  #asked = new WeakMap();

  /** @param {MessagingAPI} messaging @param {() => State} current */
  constructor(messaging, current) {
    this.messaging = messaging;
    this.current = current;
  }

  /** Fetch the members of a group that is open, where they are not known. @param {string} key */
  check(key) {
    const state = this.current();
    if (state.facts.get(key)?.kind !== "group" || !state.opened.has(key)) return;
    const asked = this.#asked.get(state) ?? new Map();
    this.#asked.set(state, asked);
    if (state.mirror.conversations.get(key)?.members !== null || Date.now() - (asked.get(key) ?? -Infinity) < RETRY_MS) return;
    asked.set(key, Date.now());
    void this.#fetch(state, key).then((known) => known && asked.delete(key), () => {}); // without them nothing is said to be read by all
  }

  /** Ask again for those that could not be fetched: there is a connection. */
  again() {
    const state = this.current();
    this.#asked.delete(state);
    for (const key of state.opened) this.check(key);
  }

  /** @param {State} state @param {string} key @returns {Promise<boolean>} */
  async #fetch(state, key) {
    for (let tries = 0; tries < MAX_TRIES; tries += 1) {
      const before = state.mirror.conversations.get(key)?.memberSeq ?? 0;
      const { members } = await this.messaging.restApi.request("GET", `/api/groups/${encodeURIComponent(key)}`);
      const conversation = state.mirror.conversations.get(key);
      if (state !== this.current() || !conversation) return false;
      if (conversation.memberSeq !== before) continue; // somebody came or went meanwhile
      conversation.know(members.map((/** @type {{ user_id: string }} */ member) => member.user_id));
      return true;
    }
    return false;
  }
}
