/** What a store shows without a network: reads what was kept at the start, compares it with the server's truth, fetches ahead. */

import { fetchPage } from "./loader.js";
import { Kept } from "./kept.js";
import { distrust } from "./kept-records.js";

/**
 * @import { MessagingAPI } from "../messaging-api.js"
 * @import { PersistOptions } from "./kept.js"
 * @import { State } from "./state.js"
 * @import { Me } from "../types.js"
 */

/**
 * @typedef {object} OfflineOwner a Store
 * @property {() => State} state
 * @property {() => Me | null} me
 * @property {(me: Me) => void} restoreMe
 * @property {(key: string) => boolean} isShown whether anybody subscribed to the conversation
 * @property {Promise<void>} ready
 */

/** The pause before each page that is fetched ahead. */
const AHEAD_PAUSE_MS = 300;
const PAGE = 50;

export class Offline {
  #kept;
  #messaging;
  #owner;
  #opened;
  /** @type {(() => void)[]} */
  #ends;
  #over = false;

  /** @param {MessagingAPI} messaging @param {OfflineOwner} owner @param {PersistOptions} options */
  constructor(messaging, owner, options) {
    const { socketManager: socket } = messaging;
    this.#messaging = messaging;
    this.#owner = owner;
    this.#kept = new Kept(messaging, owner, options);
    this.#opened = socket.opened.then(() => this.#open(), () => /** @type {Map<string, number>} */ (new Map()));
    let live = false;
    this.#ends = [
      socket.on("state", (state) => {
        if (live || (state !== "replaying" && state !== "connected")) return;
        live = true;
        const { cursor, epoch } = socket; // before the replay moves it
        void this.#opened.then((seqs) => this.#live({ cursor, epoch }, seqs));
      }),
      ...watchLeaving(() => void this.#kept.flush()),
    ];
  }

  /** Take what is kept of a conversation's messages. @param {string} key */
  async take(key) {
    await this.#opened;
    await this.#kept.take(key);
  }

  /** @param {string} key */
  changed(key) {
    this.#kept.changed(key);
  }

  /** @param {string} key @param {number} upTo */
  missed(key, upTo) {
    this.#kept.missed(key, upTo);
  }

  reset() {
    this.#kept.reset();
  }

  close() {
    this.#over = true;
    for (const end of this.#ends) end();
    this.#kept.close();
  }

  async forget() {
    this.close();
    await this.#kept.forget();
  }

  /** Show what was kept; returns the last seq of each conversation. @returns {Promise<Map<string, number>>} */
  async #open() {
    const list = await this.#kept.open();
    if (list?.me && !this.#owner.me() && !this.#over) this.#owner.restoreMe(list.me);
    return new Map(list?.rows.map((row) => [row.target_id, row.last_seq]));
  }

  /** @param {{ cursor: number | null, epoch: string | null }} position @param {Map<string, number>} seqs */
  async #live(position, seqs) {
    const fits = this.#kept.live(position);
    await this.#owner.ready;
    if (!fits) await Promise.all([...seqs].map(([key, upTo]) => this.#renew(key, upTo)));
    await this.#fetchAhead();
  }

  /** Replace what was kept of a conversation, as it may have changed unseen. @param {string} key @param {number} upTo */
  async #renew(key, upTo) {
    const state = this.#owner.state();
    const shown = state.kept.has(key) && this.#owner.isShown(key);
    const page = shown ? await this.#fetch(state, key).catch(() => null) : null; // shown until there is better
    if (state !== this.#owner.state() || this.#over) return;
    distrust(state, key, upTo);
    if (page) state.page(key, page, { older: true });
  }

  /** Fetch the newest messages of the conversations at the top, one after the other, so that they are there without a network. */
  async #fetchAhead() {
    const state = this.#owner.state();
    for (const { target, lastSeq } of state.conversations.slice(0, this.#kept.ahead)) {
      if (lastSeq === 0 || state.opened.has(target) || this.#kept.has(target)) continue;
      await pause(AHEAD_PAUSE_MS);
      const { connectionState, isLeader } = this.#messaging.socketManager;
      if (this.#over || state !== this.#owner.state() || connectionState !== "connected" || !isLeader) return;
      if (state.opened.has(target) || this.#kept.has(target)) continue;
      const page = await this.#fetch(state, target).catch(() => null);
      if (!page || state !== this.#owner.state()) return; // the next visit goes on
      state.page(target, page, { older: true });
    }
  }

  /** @param {State} state @param {string} key */
  #fetch(state, key) {
    return fetchPage(this.#messaging.restApi, key, state.facts.get(key)?.kind ?? null, { limit: PAGE });
  }
}

/** Call back when the page may be gone in a moment. @param {() => void} leaving @returns {(() => void)[]} */
function watchLeaving(leaving) {
  const { document, addEventListener, removeEventListener } = /** @type {any} */ (globalThis);
  if (!document || !addEventListener) return [];
  const hidden = () => document.visibilityState === "hidden" && leaving();
  addEventListener("pagehide", leaving);
  document.addEventListener("visibilitychange", hidden);
  return [() => removeEventListener("pagehide", leaving), () => document.removeEventListener("visibilitychange", hidden)];
}

/** @param {number} ms */
function pause(ms) {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
